//! Values and names stay data: in the YAML of the buildspec, in the shell that runs it, and in the StartBuild request.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use seedflow_core::formats::yaml;
use seedflow_core::ids::{AwsEnvironment, BuildFolder, ExecutionArn};
use seedflow_core::module::codebuild::request::{BuildRequest, Defaults};
use seedflow_core::module::codebuild::{buildspec, environment, request};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::deployspec::{Deployspec, Phases};
use seedflow_core::module::fingerprint::{Fingerprint, Versions};
use seedflow_core::module::input::{ModuleAction, ModuleInput};
use seedflow_core::module::maximum::ComputeType;
use seedflow_core::module::parameters::VariableType;
use seedflow_core::module::plan::Plan;
use seedflow_core::workflow::build_outcome::EXECUTION_VARIABLE;
use serde_json::{Map, Value, json};

use crate::{cases, dictionary, limits};

/// Everything that an author and the user who starts an execution can provide, as far as it parses.
#[derive(Debug, Clone)]
struct Said {
    input: Value,
    phases: Phases,
    generic: bool,
    previous: Option<Value>,
    /// The only top-level folder of the zip.
    folder: Option<String>,
}

/// A hostile text that is long enough for the buildspec to export it, with the hostile part at any position.
fn long_text() -> impl Strategy<Value = String> {
    (dictionary::text(false), dictionary::text(false), 1025usize..1100).prop_map(|(before, after, length)| {
        let padded = format!("{before}{}{after}", "x".repeat(length));
        padded.chars().take(4000).collect()
    })
}

fn said() -> impl Strategy<Value = Said> {
    let value = prop_oneof![
        4 => long_text().prop_map(Value::from),
        2 => dictionary::text(false).prop_map(Value::from),
        1 => prop::collection::vec(long_text(), 0..3).prop_map(Value::from),
        1 => (dictionary::text(true), dictionary::json()).prop_map(|(key, value)| json!({"k": {key: value}})),
    ];
    let parameters = prop::collection::btree_map("[a-z][a-zA-Z0-9]{0,12}(-[a-z]{1,4})?", value, 0..8);
    // The only top-level folder of a zip may have any name.
    let path = prop_oneof![
        1 => "([a-zA-Z0-9._@+-]{1,8}(/[a-zA-Z0-9._@+-]{1,8}){0,2})?".prop_map(|path| (path, None)),
        1 => ("([a-zA-Z0-9._@+-]{1,8})?", dictionary::text(true)).prop_map(|(path, folder)| (path, Some(folder.replace(['/', '\0', '\n'], "x")))),
    ];
    let key = dictionary::text(true)
        .prop_map(|text| format!("uploads/{text}").chars().take(200).collect::<String>());
    let commands = || prop::collection::vec(dictionary::text(true), 0..4);
    let previous = prop::option::of(
        (dictionary::json(), long_text()).prop_map(|(json, text)| json!({"it's": json, "long": text})),
    );
    (
        parameters,
        path,
        key,
        (commands(), commands(), commands(), commands()),
        any::<bool>(),
        previous,
    )
        .prop_map(
            |(
                parameters,
                (path, folder),
                key,
                (install, pre_build, build, post_build),
                generic,
                previous,
            )| Said {
                input: json!({"project": "My-Project", "deployment": "d", "group": "g", "module": "m",
                "source": {"key": key, "path": path}, "parameters": parameters}),
                phases: Phases {
                    install,
                    pre_build,
                    build,
                    post_build,
                },
                generic,
                previous,
                folder,
            },
        )
}

/// The StartBuild request; `None` if the input is refused.
fn composed(said: &Said) -> Option<(BuildRequest, Plan)> {
    let ModuleInput::Deploy(request) = ModuleInput::parse(&said.input, &limits()).ok()? else {
        return None;
    };
    let options = request.options?;
    let mut source = request.source;
    for folder in said.folder.iter().filter(|folder| !folder.is_empty()) {
        source.path = format!("{folder}/{}", source.path);
    }
    let plan = Plan {
        action: ModuleAction::Deploy,
        fingerprint: Fingerprint::new("b", b"d", &options, &Versions::new()),
        module: request.module,
        source,
        source_bytes: None,
        network: None,
        target_settings: None,
        commit_info: CommitInfo::default(),
        options,
        deployspec: Deployspec {
            deploy: said.phases.clone(),
            destroy: None,
            drift: None,
            preview: None,
            build_type: None,
            generic_variables: said.generic,
        },
        module_stack: None,
        former_names: Default::default(),
        renews: false,
        keeps: false,
        previous_status: None,
        previous_metadata: said.previous.clone(),
    };
    let environment = AwsEnvironment::from_arn("arn:aws:lambda:us-east-1:111111111111:function:f").unwrap();
    let defaults = Defaults {
        project: "seedflow".into(),
        image: "i".into(),
        compute_type: ComputeType::Small,
        environment_type: "LINUX_CONTAINER".into(),
        privileged: true,
        timeout_minutes: 120,
        queued_timeout_minutes: 480,
        log_group: "/seedflow".into(),
        work_bucket: "work".into(),
        permissions_boundary: None,
        service_role: "arn:aws:iam::111111111111:role/builds".into(),
    };
    let request = request::compose(
        &plan,
        &ExecutionArn::new("arn:e"),
        &BuildFolder::from_random([7; 16]),
        &environment,
        None,
        &defaults,
    );
    Some((request, plan))
}

/// Every variable that a build of the plan must have.
fn expected(plan: &Plan) -> BTreeMap<String, String> {
    let environment = AwsEnvironment::from_arn("arn:aws:lambda:us-east-1:111111111111:function:f").unwrap();
    let variables = environment::variables(plan, &environment, None);
    let said = variables
        .into_iter()
        .map(|variable| (variable.name, variable.value));
    // The build's event names its execution by this variable.
    let execution = (EXECUTION_VARIABLE.to_owned(), "arn:e".to_owned());
    said.chain([execution]).collect()
}

fn commands<'a>(spec: &'a Value, phase: &str) -> Vec<&'a str> {
    let commands = spec["phases"][phase]["commands"].as_array().unwrap();
    commands.iter().map(|command| command.as_str().unwrap()).collect()
}

/// Whether YAML 1.1 and 1.2 take the character literally within quotes: no control characters, no line breaks of either.
fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn the_buildspec_has_the_commands_that_were_composed_and_no_more(said in said()) {
        let Some((request, _)) = composed(&said) else { return Ok(()) };
        prop_assert!(request.buildspec.chars().all(is_plain));
        let spec: Value = serde_json::from_str(&request.buildspec).unwrap();
        prop_assert_eq!(&yaml::parse(&request.buildspec).unwrap().to_json(), &spec);
        let Phases { install, pre_build, build, post_build } = &said.phases;
        let own = |phase: &str, before: usize, after: usize| {
            let all = commands(&spec, phase);
            all[before..all.len() - after].iter().map(|command| (*command).to_owned()).collect::<Vec<_>>()
        };
        prop_assert_eq!(&own("install", 1, 0), install);
        prop_assert_eq!(&own("pre_build", 1, 0), pre_build);
        prop_assert_eq!(&own("build", 1, 0), build);
        prop_assert_eq!(&own("post_build", 1, 1), post_build);
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(keys(&spec), ["version", "env", "phases", "artifacts"]);
        prop_assert_eq!(keys(&spec["phases"]), ["install", "pre_build", "build", "post_build"]);
    }

    #[test]
    fn what_is_asked_of_codebuild_is_what_was_said(said in said()) {
        let Some((request, plan)) = composed(&said) else { return Ok(()) };
        // Nothing in the input can name the folder.
        prop_assert_eq!(&request.source_location, &format!("work/builds/{}/source.zip", "07".repeat(16)));
        let expected = expected(&plan);
        for variable in &request.variables {
            prop_assert_eq!(variable.kind, VariableType::Plaintext);
            prop_assert_eq!(Some(&variable.value), expected.get(&variable.name));
            prop_assert!(variable.name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'), "{}", variable.name);
            prop_assert!(!variable.name.starts_with(|c: char| c.is_ascii_digit()));
            prop_assert!(!variable.value.contains('\0'));
        }
    }
}

/// The buildspec's own variables, which CodeBuild sets in the environment.
fn long_variables(spec: &Value) -> BTreeMap<String, String> {
    let variables = spec["env"]["variables"].as_object().into_iter().flatten();
    variables
        .filter(|(name, _)| *name != buildspec::SET_UP_VARIABLE)
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

/// The steps before the module's commands.
fn set_up(spec: &Value) -> Vec<String> {
    let steps = spec["env"]["variables"][buildspec::SET_UP_VARIABLE]
        .as_str()
        .unwrap();
    let steps = steps.strip_prefix("{\n").unwrap().split("\n} && {\n");
    steps.map(str::to_owned).collect()
}

/// The environment of a command after the buildspec's first commands ran in bash, with the files in its folder.
fn environment_after(
    script: &str,
    variables: &BTreeMap<String, String>,
    folder: &Path,
) -> Result<BTreeMap<String, String>, String> {
    let file = folder.join("script");
    std::fs::write(&file, format!("{script}\nexec env -0\n")).map_err(|e| e.to_string())?;
    let source = folder.join("src");
    std::fs::create_dir(&source).map_err(|e| e.to_string())?;
    let output = Command::new("bash")
        .arg(&file)
        .current_dir(&source)
        .env_clear()
        .envs(variables)
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .env("CODEBUILD_SRC_DIR", &source)
        .output()
        .map_err(|e| e.to_string())?;
    if !output.status.success() || !output.stderr.is_empty() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).map_err(|e| e.to_string())?;
    let entries = text.split_terminator('\0');
    entries
        .map(|entry| {
            let (name, value) = entry.split_once('=').ok_or_else(|| format!("found {entry:?}"))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.display().to_string());
        if path.is_dir() {
            found.extend(files_below(&path));
        }
    }
    found.sort();
    found
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_shell_sees_every_value_letter_by_letter_and_does_nothing_else(said in said()) {
        let Some((request, plan)) = composed(&said) else { return Ok(()) };
        let spec: Value = serde_json::from_str(&request.buildspec).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // The step that writes `seedfarmer`, and the one that exports.
        let script = set_up(&spec)[..2].join("\n");
        let long = long_variables(&spec);
        prop_assert!(long.values().all(|value| !script.contains(value.as_str())));
        let found = environment_after(&script, &long, folder.path()).map_err(TestCaseError::fail)?;

        let source = folder.path().join("src").display().to_string();
        let mut wanted = expected(&plan);
        for variable in &request.variables {
            wanted.remove(&variable.name);
        }
        let root = if plan.source.path.is_empty() { source.clone() } else { format!("{source}/{}", plan.source.path) };
        wanted.insert("SEEDFLOW_MODULE_ROOT".into(), root);
        let own = buildspec::own_folder(&BuildFolder::from_random([7; 16]));
        wanted.insert("PATH".into(), format!("{own}/bin:/usr/bin:/bin"));
        wanted.insert("HOME".into(), folder.path().display().to_string());
        wanted.insert("CODEBUILD_SRC_DIR".into(), source.clone());
        let of_bash = ["PWD", "OLDPWD", "SHLVL", "_"];
        let found: BTreeMap<_, _> = found.into_iter().filter(|(name, _)| !of_bash.contains(&name.as_str())).collect();
        prop_assert_eq!(found, wanted);

        // Seedflow's own files are outside of the source.
        prop_assert_eq!(files_below(Path::new(&source)), Vec::<String>::new());
        let files: Vec<String> = ["/bin", "/bin/seedfarmer", "/bin/seedflow-collect", "/out", "/out/metadata.json", "/python"]
            .iter().map(|file| format!("{own}{file}")).collect();
        prop_assert_eq!(files_below(Path::new(&own)), files);
        std::fs::remove_dir_all(&own).unwrap();
    }
}

#[test]
fn every_text_of_the_dictionary_reaches_the_shell_and_no_command() {
    let parameters: Map<String, Value> = dictionary::HOSTILE
        .iter()
        .enumerate()
        .map(|(i, text)| {
            (
                format!("p{i}"),
                format!("{text}{}{text}", "x".repeat(1100)).into(),
            )
        })
        .collect();
    let said = Said {
        input: json!({"project": "p", "deployment": "d", "group": "g", "module": "m", "source": {"key": "uploads/x"}, "parameters": parameters}),
        phases: Phases::default(),
        generic: true,
        previous: None,
        folder: None,
    };
    let (request, _) = composed(&said).unwrap();
    let spec: Value = serde_json::from_str(&request.buildspec).unwrap();
    let folder = tempfile::tempdir().unwrap();
    assert!(!spec["phases"].to_string().contains("xxxxxxxx"));
    let export = &set_up(&spec)[1];
    let found = environment_after(export, &long_variables(&spec), folder.path()).unwrap();
    for (name, text) in &parameters {
        let variable = format!("SEEDFARMER_PARAMETER_{}", name.to_uppercase());
        assert_eq!(found.get(&variable).map(String::as_str), text.as_str(), "{text}");
    }
    assert_eq!(files_below(&folder.path().join("src")), Vec::<String>::new());
}
