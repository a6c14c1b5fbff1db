//! Manifests that are read from files in memory. The tests of each part of a manifest have a file of its name.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::deployment::manifest_options::ManifestOptions;
use crate::deployment::remote_source::{RemoteSource, SourcePath};
use crate::error::says;
use crate::ids::AwsEnvironment;
use crate::module::maximum::Maxima;
use crate::module::network::AllowedNetworks;

mod account_mappings;
mod dependency_check;
mod environment;
mod files;
mod modules;
mod network;
mod project;
mod remote_sources;
mod warnings;

const SPEC: &str = "deploy: {phases: {build: {commands: [make]}}}\n";

/// Files in memory.
#[derive(Clone, Default)]
struct Files(BTreeMap<String, String>);

impl Repository for Files {
    fn text(&mut self, path: &str) -> Result<Option<String>> {
        Ok(self.0.get(path).cloned())
    }

    fn has_file(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn has_folder(&self, path: &str) -> bool {
        self.0.keys().any(|file| file.starts_with(&format!("{path}/")))
    }

    fn files(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn is_ignored(&self, path: &str) -> bool {
        let ignored = self.0.get("ignored").map_or("", String::as_str);
        ignored.lines().any(|line| line == path)
    }
}

/// A repository with the modules a, b and c, and with these files.
fn repository(files: &[(&str, &str)]) -> Files {
    let modules = ["a", "b", "c"].map(|name| (format!("modules/{name}/deployspec.yaml"), SPEC.to_owned()));
    let project = ("seedfarmer.yaml".to_owned(), "project: shop\n".to_owned());
    let given = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    Files(modules.into_iter().chain([project]).chain(given).collect())
}

fn read_with(
    files: &[(&str, &str)],
    env: &[(&str, &str)],
    environment: Option<&AwsEnvironment>,
) -> Result<Deployment, Vec<Diagnostic>> {
    let options = ManifestOptions {
        env: variables(env),
        ..ManifestOptions::default()
    };
    let given = LoadContext {
        environment,
        ..LoadContext::offline(&options)
    };
    check(&mut repository(files), &given)
}

/// The same with the limits of a template.
fn read_within(
    files: &[(&str, &str)],
    env: &[(&str, &str)],
    environment: Option<&AwsEnvironment>,
    maxima: &Maxima,
) -> Result<Deployment, Vec<Diagnostic>> {
    let options = ManifestOptions {
        env: variables(env),
        ..ManifestOptions::default()
    };
    let given = LoadContext {
        environment,
        maxima,
        ..LoadContext::offline(&options)
    };
    check(&mut repository(files), &given)
}

/// The problems of reading these files besides the modules, with these options.
fn with_options(
    files: &[(&str, &str)],
    options: &ManifestOptions,
    stored: &[(&str, &str)],
) -> Result<Deployment, Vec<Diagnostic>> {
    let stored_variables = variables(stored);
    let given = LoadContext {
        stored_variables: &stored_variables,
        ..LoadContext::offline(options)
    };
    check(&mut repository(files), &given)
}

fn variables(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    list.iter().map(owned).collect()
}

fn read_files(files: &[(&str, &str)]) -> Result<Deployment, Vec<Diagnostic>> {
    read_with(files, &[], None)
}

fn read_manifest(manifest: &str) -> Result<Deployment, Vec<Diagnostic>> {
    read_files(&[("deployment.yaml", manifest)])
}

fn problems(result: Result<Deployment, Vec<Diagnostic>>) -> Vec<String> {
    result.unwrap_err().iter().map(Diagnostic::to_string).collect()
}

fn warnings(result: Result<Deployment, Vec<Diagnostic>>) -> Vec<String> {
    result
        .unwrap()
        .warnings
        .iter()
        .map(Diagnostic::to_string)
        .collect()
}

fn problems_of(manifest: &str) -> Vec<String> {
    problems(read_manifest(manifest))
}

/// A manifest with one module. `lines` are added to the module, `more` to the deployment.
fn with_module(lines: &str, more: &str) -> String {
    format!(
        "name: prod\ngroups:\n- name: g\n  modules:\n  - name: m\n    path: modules/a\n{}{more}",
        indented(lines)
    )
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("    {line}\n")).collect()
}

fn module_of(manifest: &str) -> Module {
    read_manifest(manifest)
        .unwrap()
        .groups
        .remove(0)
        .modules
        .remove(0)
}

fn environment() -> AwsEnvironment {
    AwsEnvironment {
        partition: "aws".into(),
        region: "eu-west-1".into(),
        account: "111111111111".into(),
    }
}

#[test]
fn a_deployment_as_seed_farmers_users_have_it() {
    let deployment = "nameGenerator:\n  prefix: shop-\n  suffix:\n    valueFrom:\n      envVariable: STAGE\ntoolchainRegion: eu-west-1\nforceDependencyRedeploy: true\ngroups:\n- name: network\n  path: manifests/network.yaml\n- name: apps\n  concurrency: 2\n  modules:\n  - name: api\n    path: modules/b/\n    parameters:\n    - name: vpc-id\n      valueFrom:\n        moduleMetadata: {group: network, name: vpc, key: VpcId}\n    - name: all\n      valueFrom:\n        moduleMetadata: {group: network, name: vpc}\n    - name: image\n      valueFrom:\n        parameterValue: image\n    - name: sizes\n      valueFrom:\n        parameterValue: sizes\ntargetAccountMappings:\n- alias: primary\n  accountId: 111111111111\n  default: true\n  parametersGlobal:\n    image: global\n    sizes: global\n  codebuildImage: aws/codebuild/standard:6.0\n  runtimeOverrides:\n    python: '3.9'\n    nodejs: '18'\n  regionMappings:\n  - region: eu-west-1\n    default: true\n    codebuildImage: aws/codebuild/amazonlinux2-aarch64-standard:3.0\n    runtimeOverrides:\n      python: '3.10'\n    parametersRegional:\n      sizes: [1, 2.50, no]\n";
    let network = "name: vpc\npath: ./modules/a\nruntime_overrides: {python: '3.11'}\ncodebuildImage: my/image\ndataFiles:\n- filePath: data/x.csv\n- file_path: ./data/x.csv\nparameters:\n- name: cidr\n  value: 10.${NET}.0.0/16\n- name: net\n  valueFrom: {envVariable: NET}\n- name: db\n  value_from: {secretsManager: 'db:password'}\n- name: ami\n  valueFrom: {parameterStore: /ami}\n- name: script\n  value: echo ${HOME}\n  disableEnvVarResolution: true\n---\nname: dns\npath: modules/c\n";
    let files = [
        ("deployment.yaml", deployment),
        ("manifests/network.yaml", network),
        ("data/x.csv", "1"),
        (".env", "NET=5\nSTAGE=ignored\n"),
    ];
    let read = read_with(&files, &[("STAGE", "prod")], Some(&environment())).unwrap();
    assert_eq!((read.project.as_str(), read.name.as_str()), ("shop", "shop-prod"));
    let [network, apps] = read.groups.as_slice() else {
        panic!("{:?}", read.groups)
    };
    assert_eq!((network.concurrency, apps.concurrency), (None, Some(2)));
    let place = Some(("111111111111".to_owned(), "eu-west-1".to_owned()));
    for module in network.modules.iter().chain(&apps.modules) {
        // At home, a module has no target.
        assert_eq!((&module.place, &module.options.target), (&place, &None));
    }
    let [vpc, dns] = network.modules.as_slice() else {
        panic!("{network:?}")
    };
    assert_eq!(vpc.id.to_string(), "shop/shop-prod/network/vpc");
    assert_eq!(
        (vpc.folder.path.as_str(), vpc.file.as_str(), vpc.line),
        ("modules/a", "manifests/network.yaml", 1)
    );
    assert_eq!((dns.folder.path.as_str(), dns.line), ("modules/c", 21));
    assert_eq!(vpc.data_files, [SourcePath::own("data/x.csv")]);
    assert_eq!(
        Value::Object(vpc.parameters.clone()),
        json!({"cidr": "10.5.0.0/16", "net": "5", "db": {"secrets_manager": "db:password"},
            "ami": {"parameter_store": "/ami"}, "script": "echo ${HOME}"})
    );
    assert_eq!(
        Value::Object(vpc.build.clone()),
        json!({"image": "my/image", "runtimes": {"python": "3.11", "nodejs": "18"}})
    );
    let api = &apps.modules[0];
    assert_eq!(
        Value::Object(api.parameters.clone()),
        json!({"vpc-id": {"module_metadata": {"group": "network", "module": "vpc", "key": "VpcId"}},
            "all": {"module_metadata": {"group": "network", "module": "vpc"}},
            "image": "global", "sizes": "[1, 2.5, false]"})
    );
    assert_eq!(
        Value::Object(api.build.clone()),
        json!({"environment_type": "ARM_CONTAINER", "image": "aws/codebuild/amazonlinux2-aarch64-standard:3.0",
            "runtimes": {"python": "3.10", "nodejs": "18"}})
    );
    assert_eq!(api.consumes, [(network.name.clone(), vpc.id.module.clone())]);
    assert!(api.options.redeploy_with_dependencies && vpc.consumes.is_empty());
}

#[test]
fn the_smallest_manifest() {
    let module = module_of(&with_module("", ""));
    assert_eq!(
        (module.id.to_string().as_str(), module.line),
        ("shop/prod/g/m", 5)
    );
    assert!(module.parameters.is_empty() && module.build.is_empty());
    assert!(!module.options.redeploy_with_dependencies);
    assert_eq!(read_manifest("name: prod\ngroups: []\n").unwrap().groups, []);
    assert!(warnings(read_manifest("name: prod\ngroups: []\n"))[0].contains("destroys everything"));
}

#[test]
fn all_problems_are_reported_at_once_with_file_line_and_field() {
    let deployment = "nme: prod\ngroups:\n- name: g 1\n  path: manifests/none.yaml\n- name: h\n  path: manifests/h.yaml\ntoolchainRegion: x\n";
    let h = "name: m\npath: modules/none\n---\nname: n\npath: modules/a\nparameters:\n- name: x\n  valueFrom: {}\n";
    assert_eq!(
        problems(read_files(&[
            ("deployment.yaml", deployment),
            ("manifests/h.yaml", h)
        ])),
        [
            "deployment.yaml:1: expected name or nameGenerator, found neither",
            "deployment.yaml:1: nme: the field is unknown and has no effect; did you mean name?",
            "deployment.yaml:3: groups[0].name: expected 1 to 64 letters, digits and - _ . characters, starting and ending with a letter or digit, found \"g 1\"",
            "deployment.yaml:4: groups[0].path: expected the path of an existing file in the repository, found \"manifests/none.yaml\"",
            "manifests/h.yaml:2: modules[0].path: expected the path of an existing folder in the repository, found \"modules/none\"",
            "manifests/h.yaml:8: modules[1].parameters.x.valueFrom: expected one of moduleMetadata, envVariable, parameterStore, secretsManager, parameterValue, found nothing",
        ]
    );
}

#[test]
fn everything_wrong_is_reported_at_once_sorted_by_line_and_each_field_by_one_name() {
    let manifest = "name: prod\ngroups:\n- {name: g, path: g.yaml}\ntargetAccountMappings:\n- alias: one\n  accountId: ${ONE}\n  default: true\n  regionMappings: [{region: eu-west-1, default: true}]\n- alias: two\n  accountId: {valueFrom: {envVariable: TWO}}\n  regionMappings: [{region: eu-west-1, default: true}]\n";
    let g = "name: m\npath: modules/none\nparameters:\n- name: x\n  valueFrom: {moduleMetadata: {group: h, name: m}}\n- name: y\n  value: ${Y}\n---\nname: n\npath: modules/a\ntargetAccount: two\nparameters:\n- name: x\n  valueFrom: {moduleMetadata: {group: g, name: m}}\n";
    let found = problems(read_files(&[("deployment.yaml", manifest), ("g.yaml", g)]));
    let expected = [
        "deployment.yaml:6: targetAccountMappings[0].accountId: the variable ONE is not set",
        "deployment.yaml:10: targetAccountMappings[1].accountId.valueFrom.envVariable: the variable TWO is not set",
        "g.yaml:2: modules[0].path: expected the path of an existing folder",
        "g.yaml:5: modules[0].parameters.x.valueFrom.moduleMetadata: the group h of the module m doesn't exist",
        "g.yaml:7: modules[0].parameters.y.value: the variable Y is not set",
        "g.yaml:14: modules[1].parameters.x.valueFrom.moduleMetadata: g/n refers to g/m in its own group",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} / {expected}");
    }
}

/// A manifest may be JSON in one line.
#[test]
fn a_variable_that_is_not_set_hides_the_errors_of_its_own_field_only() {
    let manifest = r#"{"name": "${STAGE}", "groups": [{"name": "g", "modules": [{"name": "m", "path": "modules/none", "target_account": "${A}", "parameters": [{"name": "x", "value_from": {"parameter_store": "${P}"}}, {"name": "y", "valueFrom": {"moduleMetadata": {"group": "h", "name": "n"}}}]}, {"name": "a b", "path": "modules/${DIR}"}]}]}"#;
    let found = problems_of(manifest);
    let expected = [
        "name: the variable STAGE is not set",
        "groups[0].modules[0].target_account: the variable A is not set",
        "groups[0].modules[0].parameters.x.value_from.parameter_store: the variable P is not set",
        "groups[0].modules[1].path: the variable DIR is not set",
        "groups[0].modules[0].path: expected the path of an existing folder",
        "groups[0].modules[1].name: expected 1 to 64 letters",
        "groups[0].modules[0].parameters.y.valueFrom.moduleMetadata: the group h of the module n doesn't exist",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for expected in expected {
        let expected = format!("deployment.yaml:1: {expected}");
        assert!(
            found.iter().any(|found| found.starts_with(&expected)),
            "{found:#?} / {expected}"
        );
    }
}

#[test]
fn a_manifest_that_is_too_much_is_refused() {
    let many = |count: usize| {
        let modules: String = (0..count)
            .map(|i| format!("  - {{name: m{i}, path: modules/a}}\n"))
            .collect();
        format!("name: d\ngroups:\n- name: g\n  modules:\n{modules}")
    };
    assert_eq!(read_manifest(&many(1000)).unwrap().groups[0].modules.len(), 1000);
    assert!(problems_of(&many(1001))[0].contains("at most 1000 modules"));
    let groups: String = (0..101)
        .map(|i| format!("- {{name: g{i}, modules: [{{name: m, path: modules/a}}]}}\n"))
        .collect();
    assert!(
        problems_of(&format!("name: d\ngroups:\n{groups}"))[0]
            .contains("expected at most 100, found 101 groups")
    );
    // Many diagnostics are usually one repeated mistake.
    let wrong: String = (0..300).map(|i| format!("x{i}: 1\n")).collect();
    let manifest = format!("{}{wrong}", with_module("", ""));
    let strict = "project: shop\nmanifestValidationFailOnUnknownFields: true\n";
    let problems = problems(read_files(&[
        ("deployment.yaml", &manifest),
        ("seedfarmer.yaml", strict),
    ]));
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100], "deployment.yaml: and 200 more problems");
    // A variable may add its long value to a text many times.
    let manifest = with_module(
        &format!("parameters: [{{name: x, value: '{}'}}]", "${A}".repeat(10_000)),
        "",
    );
    let problems = self::problems(read_with(
        &[("deployment.yaml", &manifest)],
        &[("A", &"a".repeat(1000))],
        None,
    ));
    assert!(
        problems[0].contains("variables add more than 1 MiB"),
        "{problems:?}"
    );
}
