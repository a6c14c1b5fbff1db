//! Manifests, compared with the real seed-farmer (8.0.9): its models and ours read the same repository.
//!
//! If both deploy something, it must be the same: names, paths, images, runtimes, and each parameter in the form of its
//! variable. If seed-farmer rejects a repository, we reject it too. A repository that only we reject is an intended
//! difference, with a test of its own in the core.
mod public;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use seedflow_cli::checkout::repository::Folder;
use seedflow_core::deployment::manifest::{Deployment, Diagnostic, LoadContext, Module, read};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::deployment::remote_source::SourcePath;
use seedflow_core::formats::python_json::dumps;
use serde_json::{Map, Value, json};

use crate::driver::Driver;

/// The real seed-farmer, which waits for repositories.
struct SeedFarmer(Driver);

impl SeedFarmer {
    fn start() -> Self {
        Self(Driver::start(
            &mut Command::new(crate::python()),
            "manifests/driver.py",
        ))
    }

    fn read(&mut self, folder: &Path, env: &BTreeMap<String, String>) -> Result<Value, String> {
        self.read_manifest(folder, "deployment.yaml", env)
    }

    fn read_manifest(
        &mut self,
        folder: &Path,
        manifest: &str,
        env: &BTreeMap<String, String>,
    ) -> Result<Value, String> {
        let answer = self
            .0
            .ask(&json!({"folder": folder, "manifest": manifest, "env": env}));
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer),
        }
    }
}

/// A repository on disk with the modules a and b.
struct Repository {
    folder: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

impl Repository {
    fn new() -> Self {
        let repository = Self {
            folder: tempfile::tempdir().unwrap(),
            env: BTreeMap::new(),
        };
        repository.write("seedfarmer.yaml", "project: shop\n");
        for module in ["a", "b"] {
            repository.write(
                &format!("modules/{module}/deployspec.yaml"),
                "deploy: {phases: {build: {commands: [make]}}}\n",
            );
        }
        repository
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn ours(&self) -> Result<Value, Vec<Diagnostic>> {
        let options = ManifestOptions {
            env: self.env.clone(),
            ..ManifestOptions::default()
        };
        let mut folder = Folder::open(self.folder.path()).unwrap();
        read(&mut folder, &LoadContext::offline(&options)).map(|deployment| shown(&deployment))
    }
}

/// A deployment in the form of the driver's output.
fn shown(deployment: &Deployment) -> Value {
    let groups: Vec<Value> = deployment
        .groups
        .iter()
        .map(|group| {
            let modules: Vec<Value> = group.modules.iter().map(shown_module).collect();
            json!({"name": group.name, "concurrency": group.concurrency, "modules": modules})
        })
        .collect();
    let force = deployment
        .groups
        .iter()
        .flat_map(|group| &group.modules)
        .any(|module| module.options.redeploy_with_dependencies);
    json!({"name": deployment.name, "force": force, "groups": groups})
}

fn shown_module(module: &Module) -> Value {
    let parameters: Map<String, Value> = module
        .parameters
        .iter()
        .map(|(name, value)| (name.clone(), shown_parameter(value)))
        .collect();
    let data_files: Vec<Option<&str>> = module.data_files.iter().map(shown_path).collect();
    json!({
        "name": module.id.module, "path": shown_path(&module.folder), "data_files": data_files, "parameters": parameters,
        "image": module.build.get("image"), "runtimes": module.build.get("runtimes").cloned().unwrap_or(json!({})),
        "target": module.place,
    })
}

/// A path in the repository; sources of other hosts are compared by the tests of the core.
fn shown_path(path: &SourcePath) -> Option<&str> {
    path.source.is_none().then_some(path.path.as_str())
}

fn shown_parameter(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text),
        Value::Object(map)
            if ["parameter_store", "secrets_manager", "module_metadata"]
                .iter()
                .any(|key| map.contains_key(*key)) =>
        {
            value.clone()
        }
        other => json!(dumps(other)),
    }
}

const MAPPINGS: &str = "targetAccountMappings:\n- alias: first\n  accountId: 111111111111\n  default: true\n  regionMappings: [{region: eu-west-1, default: true}]\n";

#[test]
fn a_whole_deployment_is_read_the_same() {
    let mut repository = Repository::new();
    repository.write(
        "deployment.yaml",
        "nameGenerator:\n  prefix: shop-\n  suffix: {valueFrom: {envVariable: STAGE}}\ntoolchainRegion: eu-west-1\nforceDependencyRedeploy: yes\ngroups:\n- name: network\n  path: manifests/network.yaml\n- name: apps\n  concurrency: '2'\n  modules:\n  - name: api\n    path: modules/b/\n    target_account: first\n    parameters:\n    - {name: vpc-id, valueFrom: {moduleMetadata: {group: network, name: vpc, key: VpcId}}}\n    - {name: all, value_from: {module_metadata: {group: network, name: vpc}}}\n    - {name: image, valueFrom: {parameterValue: image}}\n    - {name: sizes, valueFrom: {parameterValue: sizes}}\n    - {name: only, valueFrom: {parameterValue: only}}\n- name: last\n  concurrency: 0\n  modules: [{name: m, path: modules/a, codebuild_image: '${IMAGE}', runtimeOverrides: {java: corretto21}}]\ntargetAccountMappings:\n- alias: first\n  accountId: {valueFrom: {envVariable: ACCOUNT}}\n  default: true\n  parametersGlobal: {image: global, sizes: global, only: '${STAGE}'}\n  codebuildImage: aws/codebuild/standard:6.0\n  runtimeOverrides: {python: '3.9', nodejs: '18'}\n  regionMappings:\n  - region: us-east-1\n    parametersRegional: {image: other}\n  - region: eu-west-1\n    default: true\n    codebuildImage: aws/codebuild/standard:7.0\n    runtimeOverrides: {python: '3.10'}\n    parametersRegional: {sizes: [1, 2.50, no, {a: '${STAGE}'}]}\n",
    );
    repository.write(
        "manifests/network.yaml",
        "name: vpc\npath: ./modules/a\nruntime_overrides: {python: '3.11'}\ndataFiles: [{filePath: data/x}]\nparameters:\n- name: cidr\n  value: 10.${NET}.0.0/16\n- {name: net, valueFrom: {envVariable: NET}}\n- {name: db, valueFrom: {secretsManager: 'db:password'}}\n- {name: ami, valueFrom: {parameterStore: /ami}}\n- {name: script, value: 'echo ${HOME}', disableEnvVarResolution: true}\n- {name: deep, value: {a: [{b: '${ NET }'}, '${NET}${NET}'], '${NET}': x, off: {disableEnvVarResolution: true, c: '${X}'}}}\n---\nname: dns\npath: modules/b\n",
    );
    repository.write("data/x", "");
    let env = [
        ("STAGE", "prod"),
        ("NET", "5"),
        ("ACCOUNT", "111111111111"),
        ("IMAGE", "my/image"),
    ];
    repository.env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let theirs = SeedFarmer::start()
        .read(repository.folder.path(), &repository.env)
        .unwrap();
    assert_eq!(repository.ours().unwrap(), theirs);
}

#[test]
fn what_seed_farmer_refuses_we_refuse() {
    let repository = Repository::new();
    let mut seed_farmer = SeedFarmer::start();
    let module = |lines: &str| {
        format!("groups:\n- name: g\n  modules:\n  - name: m\n    path: modules/a\n    {lines}\n{MAPPINGS}")
    };
    for manifest in [
        module(""),
        format!("name: d\nnameGenerator: {{prefix: a, suffix: b}}\n{}", module("")),
        format!("nameGenerator: {{prefix: a}}\n{}", module("")),
        format!(
            "nameGenerator: {{prefix: a, suffix: {{valueFrom: {{envVariable: NONE}}}}}}\n{}",
            module("")
        ),
        format!("name: ${{NONE}}\n{}", module("")),
        format!("name: 7\n{}", module("")),
        format!("name: d\nforceDependencyRedeploy: maybe\n{}", module("")),
        format!("name: d\n{}", module("targetAccount: second")),
        format!("name: d\n{}", module("targetRegion: us-east-1")),
        format!("name: d\n{}", module("parameters: [{name: x}]")),
        format!("name: d\n{}", module("parameters: [{value: x}]")),
        format!(
            "name: d\n{}",
            module("parameters: [{name: x, value: 1, valueFrom: {envVariable: PATH}}]")
        ),
        format!(
            "name: d\n{}",
            module("parameters: [{name: x, valueFrom: {envVariable: NONE}}]")
        ),
        format!(
            "name: d\n{}",
            module("parameters: [{name: x, valueFrom: {parameterValue: none}}]")
        ),
        format!(
            "name: d\n{}",
            module("parameters: [{name: x, valueFrom: {moduleMetadata: {group: h}}}]")
        ),
        format!("name: d\n{}", module("parameters: [{name: x, value: '${NONE}'}]")),
        format!("name: d\n{}", module("runtimeOverrides: {python: 3.10}")),
        format!("name: d\n{}", module("codebuildImage: [a]")),
        format!("name: d\n{}", module("dataFiles: [x]")),
        "name: d\ngroups:\n- {name: g, path: none.yaml}\n".to_owned() + MAPPINGS,
        "name: d\ngroups:\n- {name: g, concurrency: many, modules: [{name: m, path: modules/a}]}\n"
            .to_owned()
            + MAPPINGS,
        "name: d\ngroups: [{modules: [{name: m, path: modules/a}]}]\n".to_owned() + MAPPINGS,
    ] {
        // Fields that seed-farmer requires and we don't.
        let manifest = format!("toolchainRegion: eu-west-1\n{manifest}");
        repository.write("deployment.yaml", &manifest);
        let theirs = seed_farmer.read(repository.folder.path(), &repository.env);
        assert!(theirs.is_err(), "seed-farmer deploys {theirs:?} of\n{manifest}");
        let ours = repository.ours();
        assert!(
            ours.is_err(),
            "{ours:?} of\n{manifest}\nbut seed-farmer: {theirs:?}"
        );
    }
}

/// Values at which seed-farmer fails although they are plain text: a date, a lone `=` or `<<`, and `0x_`.
const CRASHES: [&str; 4] = [
    "invalid literal for int()",
    "not JSON serializable",
    "tag:yaml.org,2002:value",
    "tag:yaml.org,2002:merge",
];

/// The parts of a value.
fn values() -> impl Strategy<Value = String> {
    let plain = select(
        &[
            "yes",
            "No",
            "true",
            "~",
            "null",
            "012",
            "089",
            "0o7",
            "12:30",
            "1:75",
            "1_000",
            "3.10",
            "1e3",
            "1.5e+3",
            "0x1F",
            "0b11",
            "-7",
            "+5",
            "1.",
            ".5",
            "-.5",
            "1.2.3",
            "a b",
            "10.0.0.0/16",
            "=",
            "<<",
            "0",
            "00",
            "-0",
            "1e+3",
            "1__0",
            "é",
            "${V}",
            "x${ V }y${V}",
            "${V",
            "\"${V}\\n\"",
            "'yes'",
            "\"012\"",
            "!!str 012",
            "12345678901234567890",
            "190:20:30",
            "0.1",
            "100000000000000000.0",
            "1.0e-7",
        ][..],
    );
    let scalar = prop_oneof![
        4 => plain.prop_map(str::to_owned),
        // Numbers and texts like numbers; a colon at an end is part of the grammar, which is not ours.
        2 => "[0-9+.-][0-9+.:_eExb-]{0,6}[0-9+._]",
        1 => "[a-zA-Z][a-zA-Z0-9 ._/]{0,8}",
    ];
    scalar.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..3).prop_map(|entries| {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

#[test]
fn random_values_reach_the_module_the_same() {
    let mut repository = Repository::new();
    repository.env = BTreeMap::from([("V".to_owned(), "1.0 é".to_owned())]);
    let seed_farmer = std::cell::RefCell::new(SeedFarmer::start());
    let config = Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&values(), |value| {
            let module = format!("name: m\npath: modules/a\nparameters:\n- name: x\n  value: {value}\n");
            repository.write("m.yaml", &module);
            repository.write(
                "deployment.yaml",
                &format!(
                    "name: d\ntoolchainRegion: eu-west-1\ngroups: [{{name: g, path: m.yaml}}]\n{MAPPINGS}"
                ),
            );
            let theirs = seed_farmer
                .borrow_mut()
                .read(repository.folder.path(), &repository.env);
            match (repository.ours(), theirs) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Ok(ours), Err(theirs)) => {
                    let crashes = CRASHES.iter().any(|part| theirs.contains(part));
                    prop_assert!(crashes, "{ours} / {theirs}");
                }
                (Err(ours), Ok(theirs)) => prop_assert!(false, "{ours:?} / {theirs}"),
                (Err(_), Err(_)) => {}
            }
            Ok(())
        })
        .unwrap();
}
