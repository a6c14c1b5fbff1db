//! A repository's manifests: random and changed files, hostile variables.

use std::collections::BTreeMap;

use proptest::prelude::*;
use seedflow_core::deployment::manifest::{Deployment, LoadContext, Module, Repository, check};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::error::Result;
use seedflow_core::ids::{AwsEnvironment, Name};
use seedflow_core::module::input::{ModuleInput, Options};

use crate::documents::{changed, random_yaml};
use crate::{cases, dictionary, limits};

const DEPLOYMENT: &str = "nameGenerator:\n  prefix: p-\n  suffix: {valueFrom: {envVariable: A}}\ntoolchainRegion: eu-west-1\nforceDependencyRedeploy: yes\ngroups:\n- name: one\n  path: modules.yaml\n- name: two\n  concurrency: 2\n  modules:\n  - name: m\n    path: modules/m/\n    dataFiles: [{filePath: data}]\n    parameters:\n    - {name: vpc-id, valueFrom: {moduleMetadata: {group: one, name: m, key: VpcId}}}\n    - {name: all, valueFrom: {moduleMetadata: {group: one, name: n}}}\n    - {name: x, valueFrom: {parameterValue: x}}\ntargetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  parametersGlobal: {x: a}\n  codebuildImage: i\n  regionMappings:\n  - {region: eu-west-1, default: true, parametersRegional: {x: [1, 2]}, runtimeOverrides: {python: '3.12'}}\n";
const MODULES: &str = "name: m\npath: modules/m\nparameters:\n- name: a\n  value: &a [1, '${A}', {b: no}]\n- {name: b, valueFrom: {parameterStore: /n}}\n- {name: c, value: '${B}', disableEnvVarResolution: true}\n---\nname: n\npath: ./modules/n\nruntimeOverrides: {nodejs: '20'}\nparameters:\n- {name: s, valueFrom: {secretsManager: 'k:v'}}\n- {name: e, valueFrom: {envVariable: B}}\n";
const SPEC: &str = "deploy: {phases: {build: {commands: [make]}}}\n";
const PROJECT: &str = "project: shop\ndescription: d\n";
const DOTENV: &str = "A=a\nexport B=\"b ${A}\" # c\nC='${B:-d}'\n";

#[derive(Debug)]
struct Files(BTreeMap<&'static str, String>);

impl Repository for Files {
    fn text(&mut self, path: &str) -> Result<Option<String>> {
        Ok(self.0.get(path).cloned())
    }

    fn has_file(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn has_folder(&self, path: &str) -> bool {
        matches!(path, "modules" | "modules/m" | "modules/n")
    }

    fn files(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A valid file, a changed one, or an arbitrary one.
fn file(good: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(good.to_owned()),
        6 => changed(good),
        1 => random_yaml(),
        1 => dictionary::text(true),
    ]
}

fn files() -> impl Strategy<Value = Files> {
    let files = (
        file(DEPLOYMENT),
        file(MODULES),
        file(SPEC),
        file(PROJECT),
        file(DOTENV),
    );
    files.prop_map(|(deployment, modules, spec, project, dotenv)| {
        Files(BTreeMap::from([
            ("deployment.yaml", deployment),
            ("modules.yaml", modules),
            ("modules/m/deployspec.yaml", spec),
            ("modules/n/deployspec.yaml", SPEC.to_owned()),
            ("seedfarmer.yaml", project),
            (".env", dotenv),
            ("data", String::new()),
        ]))
    })
}

/// The options that a module's execution parses from its input.
fn options_of_execution(module: &Module, force: bool) -> Option<Options> {
    match ModuleInput::parse(&module.input("digest", force), &limits()) {
        Ok(ModuleInput::Deploy(request)) => request.options,
        _ => None,
    }
}

/// Checks that a deployment can be deployed: the module workflow parses from each module's input the options that the
/// planner uses, and the order resolves.
fn assert_deployable(deployment: &Deployment) -> Result<(), TestCaseError> {
    let mut before: Vec<(Name, Name)> = Vec::new();
    for group in &deployment.groups {
        for module in &group.modules {
            for force_update in [false, true] {
                let planned = Options {
                    force_update,
                    ..module.options.clone()
                };
                prop_assert_eq!(options_of_execution(module, force_update), Some(planned));
            }
            prop_assert!(module.consumes.iter().all(|consumed| before.contains(consumed)));
            prop_assert!(module.folder.path.split('/').all(|part| part != ".."));
        }
        before.extend(
            group
                .modules
                .iter()
                .map(|module| (module.id.group.clone(), module.id.module.clone())),
        );
    }
    Ok(())
}

#[test]
fn the_good_repository_is_good() {
    let mut files = Files(BTreeMap::from([
        ("deployment.yaml", DEPLOYMENT.to_owned()),
        ("modules.yaml", MODULES.to_owned()),
        ("modules/m/deployspec.yaml", SPEC.to_owned()),
        ("modules/n/deployspec.yaml", SPEC.to_owned()),
        ("seedfarmer.yaml", PROJECT.to_owned()),
        (".env", DOTENV.to_owned()),
        ("data", String::new()),
    ]));
    let options = ManifestOptions::default();
    let deployment = check(&mut files, &LoadContext::offline(&options)).unwrap();
    assert_eq!(deployment.groups[1].modules[0].consumes.len(), 2);
    assert_deployable(&deployment).unwrap();
}

proptest! {
    #![proptest_config(cases(384))]

    #[test]
    fn manifests_are_refused_with_problems_or_can_be_deployed(
        mut files in files(),
        env in prop::collection::btree_map(prop_oneof!["[ABC]", dictionary::text(true)], dictionary::text(true), 0..3),
        known in any::<bool>(),
    ) {
        let environment = AwsEnvironment { partition: "aws".into(), region: "eu-west-1".into(), account: "111111111111".into() };
        let options = ManifestOptions { env, ..ManifestOptions::default() };
        let given = LoadContext { environment: known.then_some(&environment), ..LoadContext::offline(&options) };
        match check(&mut files, &given) {
            Ok(deployment) => assert_deployable(&deployment)?,
            Err(problems) => {
                prop_assert!((1..=101).contains(&problems.len()));
                for problem in problems {
                    let text = problem.to_string();
                    prop_assert!(text.len() < 8192, "{} bytes", text.len());
                    prop_assert!(!problem.message.is_empty());
                }
            }
        }
    }
}
