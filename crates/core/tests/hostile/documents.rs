//! Deployspec, manifest and the execution's input: arbitrary text, arbitrary JSON, and valid documents that were changed.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use seedflow_core::error::{Error, ErrorName};
use seedflow_core::formats::python_json::dumps;
use seedflow_core::formats::yaml;
use seedflow_core::formats::yaml::{Kind, Node};
use seedflow_core::module::deployspec::Deployspec;
use seedflow_core::module::fingerprint::{Fingerprint, Versions};
use seedflow_core::module::input::{DeployInput, ModuleInput, Options};
use seedflow_core::module::maximum::Maxima;
use serde_json::{Value, json};

use crate::{assert_refusal, cases, dictionary, limits, module};

const DEPLOYSPEC: &str = "publishGenericEnvVariables: true\ndeploy:\n  phases:\n    install:\n      commands:\n      - npm install -g aws-cdk\n    build:\n      commands:\n      - |\n        if [[ 1 ]]; then\n          echo \"a: b\"; fi\n      - &x echo 'x'\n      - *x\ndestroy: {phases: {build: {commands: []}}}\nbuild_type: BUILD_GENERAL1_LARGE\n";
const MANIFEST: &str = "parameters:\n  vpc-cidr: 10.0.0.0/16\n  subnets: &s [a, b]\n  more: *s\n  secret: {secrets_manager: api-key}\n  nested: {a: {b: [1, 2.5, yes, ~]}}\nforce_update: false\nbundle: yes\nbuild: {compute_type: BUILD_GENERAL1_SMALL, timeout_minutes: 10}\nstack_name: a-stack\n";

/// Pieces of YAML syntax.
const PIECES: [&str; 30] = [
    "a",
    "b: ",
    "- ",
    "? ",
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "\t",
    "&a ",
    "*a",
    "<<: ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "!!str ",
    "!t ",
    "|\n",
    ">-\n",
    "\"",
    "'",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "deploy",
    "phases",
    "commands",
];

pub fn random_yaml() -> impl Strategy<Value = String> {
    let piece = prop_oneof![6 => select(&PIECES[..]).prop_map(str::to_owned), 1 => dictionary::text(true)];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// A valid document with pieces inserted, removed or duplicated.
pub fn changed(document: &'static str) -> impl Strategy<Value = String> {
    let change = (any::<Index>(), any::<Index>(), 0..3, select(&PIECES[..]));
    prop::collection::vec(change, 1..6).prop_map(|changes| {
        changes
            .into_iter()
            .fold(document.to_owned(), |text, (from, to, kind, piece)| {
                let chars: Vec<char> = text.chars().collect();
                let (from, to) = (from.index(chars.len() + 1), to.index(chars.len() + 1));
                let (from, to) = (from.min(to), from.max(to));
                let part = |range: std::ops::Range<usize>| chars[range].iter().collect::<String>();
                match kind {
                    0 => part(0..from) + piece + &part(from..chars.len()),
                    1 => part(0..from) + &part(to..chars.len()),
                    _ => part(0..to) + &part(from..to) + &part(to..chars.len()),
                }
            })
    })
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        random_yaml(),
        changed(DEPLOYSPEC),
        changed(MANIFEST),
        dictionary::text(true),
        dictionary::json().prop_map(|json| json.to_string()),
    ]
}

fn depth(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar(_) => 0,
        Kind::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Kind::Mapping(entries) => 1 + entries.iter().map(|(.., value)| depth(value)).max().unwrap_or(0),
    }
}

fn manifest(text: &str) -> Result<Options, Error> {
    let node = yaml::parse(text).map_err(|e| Error::new(ErrorName::InvalidInput, e.to_string()))?;
    Options::from_manifest(&node.to_json(), &module(), &limits())
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn any_text_is_a_document_or_an_error_with_its_line(text in texts()) {
        match yaml::parse(&text) {
            Ok(node) => prop_assert!(depth(&node) <= 64),
            Err(error) => {
                prop_assert!(error.line <= text.lines().count() + 2, "line {} of {text:?}", error.line);
                prop_assert!(error.message.len() < 1024);
            }
        }
    }

    #[test]
    fn a_deployspec_is_refused_by_name_or_has_its_commands(text in texts()) {
        match Deployspec::parse(text.as_bytes(), &Maxima::OF_AWS) {
            Err(error) => assert_refusal(&error, &[ErrorName::InvalidDeployspec])?,
            Ok(spec) => {
                let phases = spec.deploy;
                let longest = [phases.install, phases.pre_build, phases.build, phases.post_build];
                let length: usize = longest.iter().flatten().map(String::len).sum();
                // Anchors repeat, so the result may be longer than the text, but within a bound.
                prop_assert!(length <= 1 << 20);
            }
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_not_a_deployspec(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Err(error) = Deployspec::parse(&bytes, &Maxima::OF_AWS) {
            assert_refusal(&error, &[ErrorName::InvalidDeployspec])?;
        }
    }

    #[test]
    fn a_manifest_is_refused_by_name_or_becomes_options(text in texts()) {
        match manifest(&text) {
            Err(error) => assert_refusal(&error, &[ErrorName::InvalidInput])?,
            Ok(options) => {
                let text = serde_json::to_string(&options).unwrap();
                prop_assert_eq!(serde_json::from_str::<Options>(&text).unwrap(), options);
            }
        }
    }

    #[test]
    fn json_reads_the_same_through_yaml(value in dictionary::json()) {
        // JSON is YAML except for its escapes of characters beyond 16 bits, control characters, and numbers that YAML 1.1
        // writes differently. A text without them must parse to exactly the same characters.
        let plain = |text: &str| text.chars().all(|c| matches!(c, ' '..='~' | '\n'));
        fn only(value: &Value, plain: &impl Fn(&str) -> bool) -> bool {
            match value {
                Value::String(text) => plain(text),
                Value::Number(number) => number.is_i64(),
                Value::Array(items) => items.iter().all(|item| only(item, plain)),
                Value::Object(map) => map.iter().all(|(key, item)| plain(key) && key != "<<" && key.len() < 1000 && only(item, plain)),
                _ => true,
            }
        }
        if only(&value, &plain) {
            prop_assert_eq!(yaml::parse(&value.to_string()).unwrap().to_json(), value);
        }
    }

    #[test]
    fn any_json_is_an_input_or_refused_by_name(value in dictionary::json()) {
        if let Err(error) = ModuleInput::parse(&value, &limits()) {
            assert_refusal(&error, &[ErrorName::InvalidInput])?;
        }
        if let Err(error) = DeployInput::module(&value, &limits()) {
            assert_refusal(&error, &[ErrorName::InvalidInput])?;
        }
    }

    #[test]
    fn a_good_input_with_one_field_changed_is_refused_by_name_or_means_what_it_says(
        field in select(&["/action", "/project", "/deployment", "/group", "/module", "/source", "/source/key", "/source/bucket",
            "/source/version_id", "/source/path", "/parameters", "/parameters/a", "/force_update", "/bundle", "/build",
            "/build/image", "/build/project_name", "/build/timeout_minutes", "/stack_name", "/more"][..]),
        value in prop_oneof![dictionary::json(), dictionary::text(true).prop_map(Value::from)],
    ) {
        let mut input = json!({"action": "deploy", "project": "p", "deployment": "d", "group": "g", "module": "m",
            "source": {"bucket": "work", "key": "uploads/x.zip", "version_id": "v", "path": "a/b"},
            "parameters": {"a": 1}, "force_update": true, "bundle": false,
            "build": {"image": "i", "project_name": "seedflow", "timeout_minutes": 5}, "stack_name": "s"});
        let (parent, name) = field.rsplit_once('/').unwrap();
        input.pointer_mut(parent).unwrap()[name] = value;
        match ModuleInput::parse(&input, &limits()) {
            Err(error) => assert_refusal(&error, &[ErrorName::InvalidInput])?,
            Ok(ModuleInput::Destroy(request)) => prop_assert!(false, "{} would be destroyed", request.module),
            Ok(ModuleInput::Rollback(request)) => prop_assert!(false, "{} would go back", request.module),
            Ok(ModuleInput::Taint(module)) => prop_assert!(false, "{module} would be tainted"),
            Ok(ModuleInput::Deploy(request)) => {
                // If an input is valid, its failure is recorded in the status of the module that it deploys.
                prop_assert_eq!(DeployInput::module(&input, &limits()), Ok(request.module));
                prop_assert_eq!(&request.source.bucket, "work");
                let path = request.source.path;
                prop_assert!(path.split('/').all(|part| part != ".."), "{path}");
                prop_assert!(path.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+@/".contains(&b)), "{path}");
            }
        }
    }

    #[test]
    fn what_python_would_write_is_json_of_ascii(value in dictionary::json()) {
        let text = dumps(&value);
        prop_assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{text:?}");
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn the_fingerprint_does_not_see_the_order_of_keys(entries in prop::collection::btree_map("[a-z]{1,6}", dictionary::json(), 0..6)) {
        let of = |parameters: serde_json::Map<String, Value>| {
            let options = Options::from_manifest(&json!({"parameters": parameters}), &module(), &limits()).ok()?;
            Some(Fingerprint::new("b", b"d", &options, &Versions::new()))
        };
        let forward: serde_json::Map<_, _> = entries.clone().into_iter().collect();
        let backward: serde_json::Map<_, _> = entries.into_iter().rev().collect();
        prop_assert_eq!(of(forward), of(backward));
    }
}
