#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use std::collections::BTreeMap;

use super::*;
use crate::deployment::manifest_options::ManifestOptions;
use crate::deployment::remote_source::{RemoteSource, SourcePath};
use crate::error::says;
use crate::ids::AwsEnvironment;
use crate::module::maximum::Maxima;
use crate::module::network::AllowedNetworks;

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
fn registries_boundary_and_privileged_mode_come_from_the_module_the_region_or_the_account() {
    let mappings = "targetAccountMappings:\n- alias: primary\n  accountId: '111111111111'\n  default: true\n  privilegedMode: false\n  pypiMirror: https://account.example/simple\n  npmMirror: https://account.example/npm\n  npmMirrorSecret: npm-mirror-credentials\n  parametersGlobal: {dockerCredentialsSecret: global-docker-credentials}\n  regionMappings:\n  - region: eu-west-1\n    default: true\n    npmMirror: https://region.example/npm\n    parametersRegional: {dockerCredentialsSecret: regional-docker-credentials, permissionsBoundaryName: team/boundary}\n";
    let build = |module: &str| Value::Object(module_of(&with_module(module, mappings)).build);
    assert_eq!(
        build(""),
        json!({"privileged": false, "pypi_mirror": "https://account.example/simple",
            "npm_mirror": "https://region.example/npm", "npm_mirror_secret": "npm-mirror-credentials",
            "docker_credentials_secret": "regional-docker-credentials", "permissions_boundary": "team/boundary"})
    );
    let own = build(
        "privilegedMode: true\npypiMirror: https://module.example/simple\npypiMirrorSecret: m-mirror-credentials::k",
    );
    assert_eq!(
        (
            &own["privileged"],
            &own["pypi_mirror"],
            &own["pypi_mirror_secret"]
        ),
        (
            &json!(true),
            &json!("https://module.example/simple"),
            &json!("m-mirror-credentials::k")
        )
    );
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
    assert!(warnings(read_manifest("name: prod\ngroups: []\n"))[0].contains("destroys whatever"));
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
fn each_mistake_in_a_module_is_named() {
    for (lines, expected) in [
        ("parameters: x", "parameters: expected a list, found \"x\""),
        (
            "parameters: [x]",
            "parameters[0]: expected a mapping, found \"x\"",
        ),
        ("parameters: [{value: 1}]", "parameters[0]: name is missing"),
        (
            "parameters: [{name: 3.10, value: 1}]",
            "parameters[0].name: expected a text, found 3.1, as YAML reads 3.10; put it into quotes",
        ),
        (
            "parameters: [{name: x}]",
            "parameters.x: expected value or valueFrom…found neither",
        ),
        (
            "parameters: [{name: x, value: }]",
            "parameters.x: expected value or valueFrom…found neither",
        ),
        (
            "parameters: [{name: x, value: 1, valueFrom: {envVariable: X}}]",
            "parameters.x.valueFrom: expected value or valueFrom, found both",
        ),
        (
            "parameters: [{name: x, valueFrom: {envVariable: X, secretsManager: y}}]",
            "parameters.x.valueFrom: expected …found several sources",
        ),
        (
            "parameters: [{name: x, valueFrom: {s3: y}}]",
            "parameters.x.valueFrom.s3: expected one of moduleMetadata…found an unknown field",
        ),
        (
            "parameters: [{name: x, valueFrom: {envVariable: X}}]",
            "parameters.x.valueFrom.envVariable: the variable X is not set; set it in env",
        ),
        (
            "parameters: [{name: x, value: 'a ${ X } b'}]",
            "parameters[0].value: the variable X is not set",
        ),
        (
            "parameters: [{name: x, valueFrom: {parameterValue: y}}]",
            "parameters.x.valueFrom.parameterValue: \"y\" stands neither in parametersRegional nor",
        ),
        (
            "parameters: [{name: x, valueFrom: {parameterStore: 'a:1'}}]",
            "parameters.x.parameter_store: expected …found \"a:1\"",
        ),
        (
            "parameters: [{name: x, value: 1}, {name: x, value: 2}]",
            "parameters.x: duplicate parameter, with another value",
        ),
        (
            "parameters: [{name: vpc-id, value: 1}, {name: vpcId, value: 2}]",
            "parameters.vpcId: the name becomes the same variable as \"vpc-id\"",
        ),
        (
            "parameters: [{name: VPC-ID, value: 1}]",
            "parameters.VPC-ID: expected …found a name that would become the variable \"VPC-ID\"",
        ),
        (
            "parameters: [{name: x, value: {parameter_store: y}}]",
            "parameters.x.value: expected …found a mapping with the key parameter_store",
        ),
        (
            "parameters: [{name: x, value: 1, disableEnvVarResolution: maybe}]",
            "disableEnvVarResolution: expected true or false, found \"maybe\"",
        ),
        (
            "parameters: [{name: x, value: 1, value_from: {}}]",
            "expected value or valueFrom, found both",
        ),
        (
            "codebuild_image: i\ncodebuildImage: j",
            "both codebuildImage and codebuild_image are set; keep one of them",
        ),
        (
            "codebuildImage: a b",
            "groups[0].modules[0].codebuildImage: expected …found \"a b\"",
        ),
        (
            "runtimeOverrides: {python: 3.10}",
            "runtimeOverrides.python: expected a text, found 3.1, as YAML reads 3.10; put it into quotes",
        ),
        (
            "npmMirror: x",
            "groups[0].modules[0].npmMirror: expected a URL…found \"x\"",
        ),
        (
            "privilegedMode: 7",
            "privilegedMode: expected true or false, found 7",
        ),
        (
            "dataFiles: [{filePath: ../x}]",
            "dataFiles[0].filePath: expected a path within the repository…found \"../x\"",
        ),
        (
            "dataFiles: [{filePath: x}]",
            "dataFiles[0].filePath: expected the path of an existing file in the repository…found \"x\"",
        ),
        (
            "dataFiles: [{filePath: 'git::https://x/y//z'}]",
            "dataFiles[0].filePath: expected .git// between repository and folder; write git::https://x/y.git//z",
        ),
        (
            "targetAccount: x",
            "targetAccount: the manifest has no targetAccountMappings",
        ),
    ] {
        let problems = problems(read_manifest(&with_module(lines, "")));
        assert!(
            problems.len() == 1 && says(&problems[0], expected),
            "{problems:#?} / {expected}"
        );
    }
}

#[test]
fn unknown_fields_are_warnings_or_errors_as_the_project_says() {
    let manifest = with_module(
        "path2: x\nparameters: [{name: x, value: 1, valeu: 2}]",
        "regions: []\n",
    );
    let spec = "deploy: {phases: {build: {commands: [make]}}}\nbuildType: x\n";
    let files = [
        ("deployment.yaml", manifest.as_str()),
        ("modules/a/deployspec.yaml", spec),
    ];
    let warned = warnings(read_files(&files));
    for (place, name) in [
        ("deployment.yaml:7: groups[0].modules[0].path2", "path"),
        (
            "deployment.yaml:8: groups[0].modules[0].parameters.x.valeu",
            "value",
        ),
        ("modules/a/deployspec.yaml:2: buildType", "build_type"),
    ] {
        let expected = format!("{place}: the field is unknown and has no effect; did you mean {name}?");
        assert!(warned.contains(&expected), "{warned:#?}");
    }
    let strict = (
        "seedfarmer.yaml",
        "project: shop\nmanifestValidationFailOnUnknownFields: true\n",
    );
    let refused = problems(read_files(&[files[0], files[1], strict]));
    assert_eq!(refused.len(), warned.len());
    let expected = "deployment.yaml:7: groups[0].modules[0].path2: expected one of name, path, targetAccount…found an unknown field; did you mean path?";
    assert!(
        refused.iter().any(|problem| says(problem, expected)),
        "{refused:#?}"
    );
    let lenient = (
        "seedfarmer.yaml",
        "project: shop\nmanifest_validation_fail_on_unknown_fields: false\n",
    );
    assert_eq!(warnings(read_files(&[files[0], files[1], lenient])), warned);
}

#[test]
fn identical_duplicates_are_warned_of_and_count_once() {
    let group = "- name: g\n  modules:\n  - {name: m, path: modules/a, path: modules/a}\n  - {path: modules/a, name: m}\n  - name: n\n    path: modules/b\n    parameters: [{name: x, value: 1}, {name: x, value: 1}]\n    dataFiles: [{filePath: data.json}, {filePath: data.json}]\n";
    let account = "- alias: a\n  accountId: '111111111111'\n  default: true\n  regionMappings: [{region: eu-west-1, default: true}, {region: eu-west-1, default: true}]\n";
    let manifest =
        format!("name: prod\nname: prod\ngroups:\n{group}{group}targetAccountMappings:\n{account}{account}");
    let with_data = |manifest: &str| read_files(&[("deployment.yaml", manifest), ("data.json", "{}")]);
    let deployment = with_data(&manifest).unwrap();
    let warned: Vec<String> = deployment.warnings.iter().map(Diagnostic::to_string).collect();
    for expected in [
        "deployment.yaml:2: duplicate key \"name\", with the same value",
        "deployment.yaml:6: duplicate key \"path\", with the same value",
        "deployment.yaml:7: groups[0].modules[1]: duplicate of groups[0].modules[0]; remove one of them",
        "deployment.yaml:10: groups[0].modules[2].parameters[1]: duplicate of groups[0].modules[2].parameters[0]",
        "deployment.yaml:11: groups[0].modules[2].dataFiles[1]: duplicate of groups[0].modules[2].dataFiles[0]",
        "deployment.yaml:12: groups[1]: duplicate of groups[0]; remove one of them",
        "deployment.yaml:24: targetAccountMappings[0].regionMappings[1]: duplicate of targetAccountMappings[0].regionMappings[0]",
        "deployment.yaml:25: targetAccountMappings[1]: duplicate of targetAccountMappings[0]",
    ] {
        assert!(
            warned.iter().any(|warning| warning.starts_with(expected)),
            "{warned:#?} / {expected}"
        );
    }
    let modules = &deployment.groups[0].modules;
    assert_eq!(
        (
            deployment.groups.len(),
            modules.len(),
            &modules[1].parameters["x"]
        ),
        (1, 2, &json!(1))
    );
    // Another value is a mistake.
    for (same, other) in [
        ("name: prod", "name: dev"),
        ("{path: modules/a, name: m}", "{path: modules/b, name: m}"),
        ("{name: x, value: 1}]", "{name: x, value: 2}]"),
        (group, "- {name: g, modules: [{name: o, path: modules/a}]}\n"),
    ] {
        assert!(with_data(&manifest.replacen(same, other, 1)).is_err(), "{other}");
    }
}

#[test]
fn a_deployspecs_duplicate_keys_are_warned_of() {
    let spec = format!("{SPEC}build_type: BUILD_GENERAL1_SMALL\nbuild_type: BUILD_GENERAL1_SMALL\n");
    let manifest = with_module("", "");
    let files = [
        ("deployment.yaml", manifest.as_str()),
        ("modules/a/deployspec.yaml", &spec),
    ];
    let warned = warnings(read_files(&files));
    let expected = "modules/a/deployspec.yaml:3: duplicate key \"build_type\", with the same value";
    assert!(
        warned.iter().any(|warning| warning.starts_with(expected)),
        "{warned:#?}"
    );
}

#[test]
fn a_group_file_with_only_comments_is_an_empty_group() {
    let manifest = "name: prod\ngroups:\n- {name: g, path: g.yaml}\n- {name: h, path: h.yaml}\n";
    let h = "name: m\npath: modules/a\nparameters: [{name: x, valueFrom: {moduleMetadata: {group: g, name: m, key: k}}}]\n";
    let read = |h: &str| {
        read_files(&[
            ("deployment.yaml", manifest),
            ("g.yaml", "# nothing yet\n"),
            ("h.yaml", h),
        ])
    };
    let deployment = read("name: m\npath: modules/a\n").unwrap();
    assert!(deployment.groups[0].modules.is_empty());
    assert!(
        deployment.warnings[0]
            .to_string()
            .starts_with("g.yaml: the file has no modules")
    );
    assert!(problems(read(h))[0].contains("the group g has no module m"));
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
        "g.yaml:7: modules[0].parameters[1].value: the variable Y is not set",
        "g.yaml:14: modules[1].parameters.x.valueFrom.moduleMetadata: g/n refers to g/m in its own group",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} / {expected}");
    }
}

#[test]
fn a_single_modules_folder_is_checked_without_a_deployment() {
    let files = |list: &[(&str, &str)]| Files(variables(list));
    let check = |list: &[(&str, &str)]| {
        let mut folder = files(list);
        assert!(is_module(&folder), "{list:?}");
        let shown = |found: Vec<Diagnostic>| found.iter().map(Diagnostic::to_string).collect::<Vec<_>>();
        check_module(&mut folder, &crate::module::maximum::Maxima::OF_AWS)
            .map(shown)
            .map_err(shown)
    };
    let manifest = ("manifest.yaml", "parameters: {vpc-id: x}\n");
    assert_eq!(check(&[("deployspec.yaml", SPEC), manifest]), Ok(Vec::new()));
    let unknown = format!("{SPEC}buildType: x\n");
    assert_eq!(
        check(&[("deployspec.yaml", &unknown)]),
        Ok(vec![
            "deployspec.yaml:2: buildType: the field is unknown and has no effect; did you mean build_type?"
                .to_owned()
        ])
    );
    let wrong = check(&[
        ("deployspec.yaml", "deploy: {phases: {biuld: {}}}\n"),
        ("manifest.yaml", "parameter: {}\n"),
    ]);
    let wrong = wrong.unwrap_err();
    assert!(
        wrong[0].contains("did you mean build?") && wrong[1].starts_with("manifest.yaml: parameter: "),
        "{wrong:#?}"
    );
    assert!(check(&[("deployspec.yml", SPEC)]).unwrap_err()[0].contains("rename that one"));
    let misspelt = [
        ("deployspec.yaml", SPEC),
        ("manifest.yml", ""),
        ("moduleStack.yaml", ""),
    ];
    assert_eq!(
        check(&misspelt).unwrap_err(),
        [
            "manifest.yaml: the folder has no such file, but manifest.yml, which has no effect; rename that one",
            "modulestack.yaml: the folder has no such file, but moduleStack.yaml, which has no effect; rename that one",
        ]
    );
    assert!(!is_module(&repository(&[("deployspec.yaml", SPEC)])));
}

#[test]
fn a_modules_folder_is_in_the_repository_and_has_a_deployspec() {
    let with_path = |path: &str| {
        format!(
            "name: prod\ngroups:\n- name: g\n  modules:\n  - {{name: m, path: '{path}'}}\n  - {{name: n, path: '{path}'}}\n"
        )
    };
    for (path, expected) in [
        (
            "git::git@x:y/z.git//a?ref=b",
            "a repository is fetched over https; write git::https://x/y/z.git//a?ref=b",
        ),
        ("archive::https://x/y", "expected module=… in the query"),
        (
            "https://x/y.git",
            "expected a path in the repository, or git:: or archive:: before the address, found an address with https://",
        ),
        (
            "git::https://x/y.git//../a",
            "expected a path within the repository…found \"https://x/y//../a\"",
        ),
        (
            "git::https://x/y.git//a b",
            "expected a folder whose name has only letters…found \"https://x/y//a b\"",
        ),
        (
            "/modules/a",
            "expected a path within the repository…found \"/modules/a\"",
        ),
        ("modules/../..", "expected a path within the repository"),
        (
            "modules/none",
            "expected the path of an existing folder in the repository",
        ),
    ] {
        let problems = problems(read_manifest(&with_path(path)));
        assert!(
            problems.len() == 2 && says(&problems[0], expected),
            "{problems:#?} / {expected}"
        );
        assert!(
            problems[0].starts_with("deployment.yaml:5: groups[0].modules[0].path: "),
            "{problems:#?}"
        );
    }
    // A deployspec that two modules share is read, and reported, once.
    for (spec, expected) in [
        (
            ("modules/x/README.md", ""),
            "deployment.yaml:5: groups[0].modules[0].path: the folder has no deployspec.yaml; a module needs modules/x/deployspec.yaml",
        ),
        (
            ("modules/x/deployspec.yaml", ""),
            "modules/x/deployspec.yaml:1: the file: expected a mapping with the key deploy, found nothing",
        ),
        (
            ("modules/x/deployspec.yaml", "deploy:\n  phases: [\n"),
            "modules/x/deployspec.yaml:",
        ),
        (
            ("modules/x/deployspec.yaml", "destroy: {}\n"),
            "modules/x/deployspec.yaml: deploy is missing",
        ),
    ] {
        let manifest = with_path("modules/x");
        let problems = problems(read_files(&[("deployment.yaml", &manifest), spec]));
        assert!(
            problems.len() == 1 && problems[0].starts_with(expected),
            "{problems:#?} / {expected}"
        );
    }
}

#[test]
fn references_lead_to_earlier_groups() {
    let group = |name: &str, modules: &str| format!("- name: {name}\n  modules:\n{modules}");
    let module = |name: &str, consumes: &[(&str, &str)]| {
        let parameter = |(i, (group, name)): (usize, &(&str, &str))| {
            format!(
                "    - {{name: p{i}, valueFrom: {{moduleMetadata: {{group: {group}, name: {name}, key: K}}}}}}\n"
            )
        };
        let parameters: String = consumes.iter().enumerate().map(parameter).collect();
        format!(
            "  - name: {name}\n    path: modules/a\n    parameters:\n    - {{name: q, value: 1}}\n{parameters}"
        )
    };
    let read = |groups: &[String]| read_manifest(&format!("name: d\ngroups:\n{}", groups.concat()));
    assert!(
        read(&[
            group("g", &module("a", &[])),
            group("h", &module("b", &[("g", "a")]))
        ])
        .is_ok()
    );
    for (groups, expected) in [
        (
            vec![
                group("g", &module("a", &[("h", "b")])),
                group("h", &module("b", &[])),
            ],
            vec![
                "deployment.yaml:9: groups[0].modules[0].parameters.p0.valueFrom.moduleMetadata: g/a refers to h/b in a later group; move the group h before the group g",
            ],
        ),
        (
            vec![group("g", &(module("a", &[]) + &module("b", &[("g", "a")])))],
            vec!["g/b refers to g/a in its own group"],
        ),
        (
            vec![group("g", &module("a", &[("g", "a")]))],
            vec!["a circle of references: g/a → g/a; one of them has to go"],
        ),
        (
            vec![
                group("g", &module("a", &[("h", "c")])),
                group("h", &(module("b", &[("g", "a")]) + &module("c", &[("h", "b")]))),
            ],
            vec![
                "circle of references: g/a → h/c → h/b → g/a",
                "circle of references: h/c → h/b → g/a → h/c",
            ],
        ),
        (
            vec![group("g", &module("a", &[("h", "b")]))],
            vec!["the group h of the module b doesn't exist; the groups are g"],
        ),
        (
            vec![
                group("g", &module("a", &[])),
                group("h", &module("b", &[("g", "x")])),
            ],
            vec!["the group g has no module x"],
        ),
    ] {
        let problems = problems(read(&groups));
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        for (problem, part) in problems.iter().zip(expected) {
            assert!(says(problem, part), "{problem} / {part}");
        }
    }
}

#[test]
fn what_follows_from_a_problem_is_not_reported() {
    let manifest = "name: d\ngroups:\n- {name: g_, modules: [{name: a, path: modules/a}]}\n- {name: h, modules: [{name: b, path: none}]}\n- name: i\n  modules:\n  - name: c\n    path: modules/c\n    parameters:\n    - {name: x, valueFrom: {moduleMetadata: {group: g, name: a}}}\n    - {name: y, valueFrom: {moduleMetadata: {group: h, name: b}}}\n";
    let problems = problems_of(manifest);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    // A module file that two groups name is reported once.
    let files = [
        (
            "deployment.yaml",
            "name: d\ngroups:\n- {name: g, path: m.yaml}\n- {name: h, path: m.yaml}\n",
        ),
        ("m.yaml", "name: m\npath: none\n"),
    ];
    assert_eq!(self::problems(read_files(&files)).len(), 1);
}

#[test]
fn a_long_circle_is_cut() {
    let group = |i: usize| {
        format!(
            "- name: g{i}\n  modules:\n  - name: m\n    path: modules/a\n    parameters: [{{name: x, valueFrom: {{moduleMetadata: {{group: g{}, name: m}}}}}}]\n",
            (i + 1) % 50
        )
    };
    let groups: String = (0..50).map(group).collect();
    let problems = problems_of(&format!("name: d\ngroups:\n{groups}"));
    assert_eq!(problems.len(), 49);
    assert!(
        problems[0].contains("a circle of references: g0/m → g1/m → g2/m"),
        "{}",
        problems[0]
    );
    assert!(
        problems[0].ends_with("g12/m → 37 more → g0/m; one of them has to go"),
        "{}",
        problems[0]
    );
}

#[test]
fn a_former_name_is_that_of_no_other_module() {
    let manifest = |modules: &str| format!("name: d\ngroups:\n- name: g\n  modules:\n{modules}");
    let read = read_manifest(&manifest("  - {name: a, path: modules/a, renamedFrom: old/a}\n")).unwrap();
    let input = read.groups[0].modules[0].input("digest", false);
    assert_eq!(input["renamed_from"], "old/a");
    let never = read_manifest(&manifest("  - {name: a, path: modules/a}\n")).unwrap();
    assert_eq!(
        never.groups[0].modules[0].input("digest", false)["renamed_from"],
        Value::Null
    );
    let problems = problems(read_manifest(&manifest(
        "  - {name: a, path: modules/a, renamedFrom: g/b}\n  - {name: b, path: modules/b, renamedFrom: old}\n  - {name: c, path: modules/c, renamedFrom: g/c}\n  - {name: d, path: modules/a, renamedFrom: old/x-y}\n  - {name: e, path: modules/a, renamedFrom: old-x/y}\n",
    )));
    let expected = [
        "deployment.yaml:5: groups[0].modules[0].renamedFrom: expected the name that the module itself had before, found \"g/b\", a name that the module g/b of this manifest has; take the other module out, or leave out renamedFrom",
        "deployment.yaml:6: groups[0].modules[1].renamedFrom: expected the group and the name that the module had before, such as network/vpc, found \"old\"",
        "deployment.yaml:7: groups[0].modules[2].renamedFrom: expected the name that the module itself had before, found \"g/c\", a name that the module g/c of this manifest has; take the other module out, or leave out renamedFrom",
        "deployment.yaml:9: groups[0].modules[4].renamedFrom: old-x/y is the former name of two modules, here and in deployment.yaml:8; one of them is another module",
    ];
    let mut sorted = problems.clone();
    sorted.sort();
    assert_eq!(sorted, expected);
}

#[test]
fn what_would_meet_is_refused() {
    let manifest = "name: d\ngroups:\n- name: a\n  modules:\n  - {name: b-c, path: modules/a}\n  - {name: x, path: modules/a}\n  - {name: x, path: modules/b}\n- name: a-b\n  modules:\n  - {name: c, path: modules/b}\n- name: a\n  modules:\n  - {name: y, path: modules/a}\n";
    let problems = problems(read_manifest(manifest));
    assert_eq!(
        problems,
        [
            "deployment.yaml:7: groups[0].modules[2]: duplicate module a/x, which deployment.yaml:6 has too; rename one of them",
            "deployment.yaml:10: groups[1].modules[0]: the modules a-b/c and a/b-c (deployment.yaml:5) would share the path a-b-c; rename one of them",
            "deployment.yaml:11: groups[2]: duplicate group \"a\"; put the modules of both into one",
        ]
    );
    let long = "x".repeat(60);
    let manifest =
        format!("name: {long}\ngroups:\n- name: {long}\n  modules:\n  - {{name: {long}, path: modules/a}}\n");
    assert!(
        problems_of(&manifest)[0]
            .contains("expected project, deployment, group and module of 128 together, found a module")
    );
}

fn problems_of(manifest: &str) -> Vec<String> {
    problems(read_manifest(manifest))
}

#[test]
fn groups_are_read_strictly() {
    for (group, expected) in [
        (
            "{name: g}",
            "deployment.yaml:3: groups[0]: expected path or modules…found neither",
        ),
        ("{name: g, modules: []}", "expected path or modules…found neither"),
        (
            "{name: g, path: x, modules: [{name: m, path: modules/a}]}",
            "groups[0].path: expected path or modules, found both",
        ),
        ("{name: g, path: broken.yaml}", "broken.yaml:1: "),
        (
            "{name: g, path: nothing.yaml}",
            "nothing.yaml:4: modules[1]: expected a mapping, found nothing",
        ),
        (
            "{name: g, path: 'git::x'}",
            "groups[0].path: expected a path within the repository…found \"git::x\"",
        ),
        (
            "{name: g, concurrency: -1, modules: [{name: m, path: modules/a}]}",
            "groups[0].concurrency: expected a whole number from 0 to 1000, found -1",
        ),
        (
            "{name: g, concurrency: 41, modules: [{name: m, path: modules/a}]}",
            "groups[0].concurrency: expected at most 40 (template parameter MaxConcurrentModules), found 41",
        ),
        (
            "{name: 7, modules: [{name: m, path: modules/a}]}",
            "groups[0].name: expected a text, found 7; put it into quotes",
        ),
        ("g", "groups[0]: expected a mapping, found \"g\""),
    ] {
        let manifest = format!("name: d\ngroups:\n- {group}\n");
        let files = [
            ("deployment.yaml", manifest.as_str()),
            ("broken.yaml", "a: b: c\n"),
            ("nothing.yaml", "name: m\npath: modules/a\n---\n"),
        ];
        let problems = problems(read_files(&files));
        assert!(
            problems.len() == 1 && says(&problems[0], expected),
            "{problems:#?} / {expected}"
        );
    }
    let concurrency = |text: &str| {
        let manifest = format!(
            "name: d\ngroups:\n- {{name: g, concurrency: {text}, modules: [{{name: m, path: modules/a}}]}}\n"
        );
        read_with(&[("deployment.yaml", &manifest)], &[("N", "7")], None)
            .unwrap()
            .groups[0]
            .concurrency
    };
    assert_eq!(
        (concurrency("3"), concurrency("'${N}'"), concurrency("0")),
        (Some(3), Some(7), None)
    );
}

const MAPPINGS: &str = "targetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  regionMappings:\n  - {region: eu-west-1, default: true}\n  - {region: us-east-1}\n- alias: second\n  accountId: {valueFrom: {envVariable: SECOND}}\n  regionMappings: [{region: eu-west-1}]\n";

#[test]
fn a_module_names_a_mapping_or_has_the_default() {
    let read = |lines: &str| {
        let manifest = with_module(lines, &format!("  - {{name: n, path: modules/b}}\n{MAPPINGS}"));
        read_with(
            &[("deployment.yaml", &manifest)],
            &[("SECOND", "222222222222")],
            Some(&environment()),
        )
    };
    assert!(read("").is_ok());
    assert!(read("targetAccount: first\ntargetRegion: eu-west-1").is_ok());
    for (lines, expected) in [
        (
            "targetAccount: third",
            "targetAccount: expected an alias in targetAccountMappings: first, second, found \"third\"",
        ),
        (
            "targetRegion: us-west-2",
            "targetRegion: expected a region in regionMappings of \"first\": eu-west-1, us-east-1, found \"us-west-2\"",
        ),
        (
            "targetAccount: second",
            "targetRegion is missing, and no region in regionMappings of \"second\" is the default",
        ),
    ] {
        let problems = problems(read(lines));
        assert!(
            problems.len() == 1 && says(&problems[0], expected),
            "{problems:#?} / {expected}"
        );
    }
}

/// The problems of a manifest with one module at home and one elsewhere, if these accounts have targets.
fn elsewhere(lines: &str, accounts: &[&str]) -> Result<Deployment, Vec<String>> {
    let manifest = with_module(lines, &format!("  - {{name: n, path: modules/b}}\n{MAPPINGS}"));
    let maxima = Maxima {
        target_accounts: Some(accounts.iter().map(ToString::to_string).collect()),
        permissions_boundary: Some("arn:aws:iam::111111111111:policy/home".to_owned()),
        ..Maxima::OF_AWS
    };
    let files = [("deployment.yaml", manifest.as_str())];
    let env = [("SECOND", "222222222222")];
    read_within(&files, &env, Some(&environment()), &maxima)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn modules_go_to_the_accounts_that_the_template_names() {
    let second = "targetAccount: second\ntargetRegion: eu-west-1";
    let read = elsewhere(second, &["222222222222"]).unwrap();
    let [there, here] = read.groups[0].modules.as_slice() else {
        panic!("{read:?}")
    };
    let target = "222222222222/eu-west-1".parse().unwrap();
    assert_eq!(there.options.target, Some(target));
    let input = there.input("d", false);
    assert_eq!(
        input["target"],
        json!({"account": "222222222222", "region": "eu-west-1"})
    );
    assert_eq!(here.options.target, None);
    assert!(here.input("d", false).get("target").is_none());
    let mapped: Vec<String> = read.mapped.iter().map(ToString::to_string).collect();
    assert_eq!(mapped, ["111111111111/us-east-1", "222222222222/eu-west-1"]);

    let other_region = "targetRegion: us-east-1";
    assert!(elsewhere(other_region, &["111111111111"]).is_ok());
    for (lines, accounts, expected) in [
        (
            second,
            [].as_slice(),
            "deployment.yaml:18: targetAccountMappings[1].accountId: expected 111111111111, the account that Seedflow runs in, or one that the template parameter TargetAccounts names (none), found \"222222222222\"",
        ),
        (
            second,
            &["333333333333"],
            "one that the template parameter TargetAccounts names (333333333333)",
        ),
        (
            other_region,
            &["222222222222"],
            "deployment.yaml:15: targetAccountMappings[0].regionMappings[1].region: expected eu-west-1, the region that Seedflow runs in, unless the template parameter TargetAccounts names its account 111111111111 too, found \"us-east-1\"",
        ),
    ] {
        let problems = elsewhere(lines, accounts).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].contains(expected),
            "{problems:#?} / {expected}"
        );
    }
}

#[test]
fn each_module_has_the_settings_of_its_own_account_and_region() {
    let mappings = "targetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  codebuildImage: of/first\n  pypiMirror: https://first.example/simple\n  parametersGlobal: {v: first, w: first}\n  regionMappings:\n  - {region: eu-west-1, default: true, parametersRegional: {v: here}}\n  - {region: us-east-1, codebuildImage: of/us, runtimeOverrides: {python: '3.11'}}\n- alias: second\n  accountId: '222222222222'\n  rolePrefix: /theirs/\n  parametersGlobal: {v: second, permissionsBoundaryName: theirs}\n  regionMappings:\n  - region: eu-west-1\n    default: true\n    network: {vpcId: vpc-2, privateSubnetIds: [subnet-2], securityGroupIds: [sg-2]}\n";
    let parameters = "parameters: [{name: v, valueFrom: {parameterValue: v}}]";
    let groups = format!(
        "groups:\n- name: g\n  modules:\n  - {{name: a, path: modules/a, {parameters}}}\n  - {{name: b, path: modules/a, targetRegion: us-east-1, {parameters}}}\n  - {{name: c, path: modules/a, targetAccount: second, {parameters}}}\n"
    );
    let manifest = format!("name: prod\n{groups}{mappings}");
    // What an administrator allows at home doesn't bind a target.
    let maxima = Maxima {
        target_accounts: Some(vec!["111111111111".to_owned(), "222222222222".to_owned()]),
        permissions_boundary: Some("arn:aws:iam::111111111111:policy/home".to_owned()),
        role_path: Some("/".to_owned()),
        networks: Some(AllowedNetworks::default()),
        ..Maxima::OF_AWS
    };
    let files = [("deployment.yaml", manifest.as_str())];
    let read = read_within(&files, &[], Some(&environment()), &maxima).unwrap();
    let of = |i: usize| {
        let module = &read.groups[0].modules[i];
        (module.parameters["v"].clone(), json!(module.build))
    };
    assert_eq!(
        of(0),
        (
            json!("here"),
            json!({"image": "of/first", "pypi_mirror": "https://first.example/simple"})
        )
    );
    assert_eq!(
        of(1),
        (
            json!("first"),
            json!({"image": "of/us", "pypi_mirror": "https://first.example/simple", "runtimes": {"python": "3.11"}})
        )
    );
    assert_eq!(
        of(2),
        (
            json!("second"),
            json!({"permissions_boundary": "theirs",
                "network": {"vpc_id": "vpc-2", "subnet_ids": ["subnet-2"], "security_group_ids": ["sg-2"]}})
        )
    );
}

#[test]
fn mappings_are_read_strictly() {
    let mapping = |lines: &str| {
        let rest = if lines.contains("accountId") {
            ""
        } else {
            "  accountId: '111111111111'\n"
        };
        let regions = if lines.contains("regionMappings") {
            ""
        } else {
            "  regionMappings: [{region: eu-west-1, default: true}]\n"
        };
        let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
        with_module(
            "",
            &format!("targetAccountMappings:\n- alias: first\n  default: true\n{rest}{regions}{lines}"),
        )
    };
    for (lines, expected) in [
        (
            "accountId: 012345670123",
            "targetAccountMappings[0].accountId: expected the 12 digits of an account, found 1402433619, as YAML reads 012345670123; put them into quotes",
        ),
        (
            "accountId: 12",
            "accountId: expected the 12 digits of an account, found \"12\"",
        ),
        (
            "accountId: {valueFrom: {moduleMetadata: {group: g, name: m}}}",
            "accountId.valueFrom: envVariable is missing",
        ),
        (
            "npmMirror: https://u:p@x",
            "targetAccountMappings[0].npmMirror: expected a URL…found a URL with credentials",
        ),
        (
            "regionMappings: [{region: eu-west-1, default: true, parametersRegional: {dockerCredentialsSecret: [a]}}]",
            "parametersRegional.dockerCredentialsSecret: expected a text, found a list",
        ),
        (
            "parametersGlobal: {permissionsBoundaryName: 'arn:aws:iam::1:policy/b'}",
            "targetAccountMappings[0].parametersGlobal.permissionsBoundaryName: expected the name of an IAM policy",
        ),
        (
            "regionMappings: [{region: eu-west-1, default: true}, {region: us-east-1, default: true}]",
            "regionMappings[1]: targetAccountMappings[0].regionMappings[0] is the default already",
        ),
        (
            "regionMappings: [{region: eu-west-1, default: true}, {region: eu-west-1}]",
            "duplicate region \"eu-west-1\"",
        ),
        (
            "parametersGlobal: {a: 1}",
            "parametersGlobal.a: expected a text, found 1; put it into quotes",
        ),
    ] {
        let problems = problems_of(&mapping(lines));
        assert!(
            problems.iter().any(|problem| says(problem, expected)),
            "{problems:#?} / {expected}"
        );
    }
    for (lines, expected) in [
        ("policyPrefix: /x/", "policyPrefix: the field has no effect"),
        (
            "default2: true",
            "default2: the field is unknown and has no effect; did you mean default?",
        ),
        (
            "regionMappings: [{region: eu-west-1, default: true, parametersRegional: {v: 3.10}}]",
            "parametersRegional: 3.10 is read as 3.1",
        ),
    ] {
        let warnings = warnings(read_manifest(&mapping(lines)));
        assert!(
            warnings.len() == 1 && warnings[0].contains(expected),
            "{warnings:#?} / {expected}"
        );
    }
}

#[test]
fn two_defaults_are_one_if_they_differ_in_the_alias_only() {
    let mapping = |alias: &str, region: &str| {
        format!(
            "- alias: {alias}\n  accountId: 111111111111\n  default: true\n  regionMappings: [{{region: {region}, default: true}}]\n"
        )
    };
    let manifest = |second: &str| {
        let mappings = mapping("first", "eu-west-1") + second;
        with_module("", &format!("targetAccountMappings:\n{mappings}"))
    };
    let expected = "targetAccountMappings[1]: targetAccountMappings[0] is the default already";
    let same = manifest(&mapping("second", "eu-west-1"));
    let warned = warnings(read_manifest(&same));
    assert!(
        warned.len() == 1 && warned[0].contains(&format!("{expected}, and the same but for the alias")),
        "{warned:#?}"
    );
    let other = problems_of(&manifest(&mapping("second", "us-east-1")));
    assert!(
        other
            .iter()
            .any(|problem| problem.contains(&format!("{expected}; only one"))),
        "{other:#?}"
    );
}

/// A manifest whose region has this network, and these `parametersRegional`.
fn in_network(network: &str, regional: &str) -> String {
    let mappings = format!(
        "targetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  parametersGlobal: {{global: vpc-1}}\n  regionMappings:\n  - region: eu-west-1\n    default: true\n    parametersRegional: {{{regional}}}\n    network: {{{network}}}\n"
    );
    with_module("", &mappings)
}

#[test]
fn a_network_comes_from_the_manifest_its_regional_parameters_variables_and_parameter_store() {
    let network = "vpcId: {valueFrom: {parameterValue: vpc}}, privateSubnetIds: {value_from: {env_variable: SUBNETS}}, security_group_ids: {valueFrom: {parameterStore: /net/groups}}";
    let files = [("deployment.yaml", &*in_network(network, "vpc: vpc-1"))];
    let read = read_with(&files, &[("SUBNETS", "[\"subnet-1\", \"subnet-2\"]")], None).unwrap();
    assert_eq!(
        Value::Object(read.groups[0].modules[0].build.clone()),
        json!({"network": {"vpc_id": "vpc-1", "subnet_ids": "[\"subnet-1\", \"subnet-2\"]",
            "security_group_ids": {"parameter_store": "/net/groups"}}})
    );
    let literal = "vpcId: vpc-1, privateSubnetIds: [subnet-1], securityGroupIds: [sg-1]";
    assert!(
        module_of(&in_network(literal, ""))
            .options
            .build
            .network
            .is_some()
    );
    assert!(module_of(&in_network("", "")).build.is_empty());
}

#[test]
fn a_network_that_is_not_whole_is_no_build_outside_of_it() {
    for (network, expected) in [
        (
            "vpcId: vpc-1, privateSubnetIds: [subnet-1]",
            "deployment.yaml:16: targetAccountMappings[0].regionMappings[0].network: securityGroupIds is missing",
        ),
        (
            "vpcId: {valueFrom: {parameterValue: global}}, privateSubnetIds: [subnet-1], securityGroupIds: [sg-1]",
            "network.vpcId.valueFrom.parameterValue: \"global\" doesn't stand in parametersRegional",
        ),
        (
            "vpcId: vpc-1, privateSubnetIds: [sg-1], securityGroupIds: [sg-1]",
            "network.privateSubnetIds: expected 1 to 16 ids such as subnet-0a1b2c3d",
        ),
        (
            "vpcId: {valueFrom: {moduleMetadata: {group: g, name: m}}}, privateSubnetIds: [subnet-1], securityGroupIds: [sg-1]",
            "network.vpcId.valueFrom.moduleMetadata: expected one of parameterValue, parameterStore, envVariable, found an unknown field",
        ),
        (
            "vpc: vpc-1",
            "network.vpc: expected one of vpcId, privateSubnetIds, securityGroupIds, found",
        ),
    ] {
        let problems = problems_of(&in_network(network, ""));
        assert!(
            problems.len() == 1 && says(&problems[0], expected),
            "{problems:#?} / {expected}"
        );
    }
}

#[test]
fn a_network_that_no_administrator_named_is_refused_before_anything_runs() {
    let read = |network: &str, allowed: AllowedNetworks| {
        let maxima = Maxima {
            networks: Some(allowed),
            ..Maxima::OF_AWS
        };
        let options = ManifestOptions::default();
        let given = LoadContext {
            maxima: &maxima,
            ..LoadContext::offline(&options)
        };
        check(
            &mut repository(&[("deployment.yaml", &in_network(network, ""))]),
            &given,
        )
    };
    let literal = "vpcId: vpc-1, privateSubnetIds: [subnet-1], securityGroupIds: [sg-1]";
    assert!(read(literal, AllowedNetworks::new("subnet-1,subnet-2", "sg-1")).is_ok());
    let refused = problems(read(literal, AllowedNetworks::new("subnet-1", "")));
    assert!(
        refused.len() == 1
            && says(
                &refused[0],
                "deployment.yaml:16: targetAccountMappings[0].regionMappings[0].network.securityGroupIds: expected ids that the template parameter BuildSecurityGroupIds allows…none…found \"sg-1\""
            ),
        "{refused:#?}"
    );
    let stored =
        "vpcId: vpc-1, privateSubnetIds: {valueFrom: {parameterStore: /net}}, securityGroupIds: [sg-1]";
    assert!(read(stored, AllowedNetworks::new("subnet-1", "sg-1")).is_ok());
    let refused = problems(read(stored, AllowedNetworks::new("", "sg-1")));
    assert!(
        refused.len() == 1
            && says(
                &refused[0],
                "network.privateSubnetIds: expected …BuildSubnetIds…none…found those in the parameter /net"
            ),
        "{refused:#?}"
    );
}

#[test]
fn the_path_of_roles_is_the_templates() {
    let problems_of = |account: &str, region: &str, path: &str| {
        let mappings = format!(
            "targetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  rolePrefix: {account}\n  regionMappings: [{{region: eu-west-1, default: true, rolePrefix: {region}}}]\n"
        );
        let maxima = Maxima {
            role_path: Some(path.to_owned()),
            ..Maxima::OF_AWS
        };
        let options = ManifestOptions::default();
        let given = LoadContext {
            maxima: &maxima,
            ..LoadContext::offline(&options)
        };
        let manifest = with_module("", &mappings);
        let read = check(&mut repository(&[("deployment.yaml", &manifest)]), &given);
        read.err().map(|found| problems(Err(found)))
    };
    assert_eq!(problems_of("/account/", "", "/account/"), None);
    assert_eq!(problems_of("/account/", "/region/", "/region/"), None);
    for (account, region, field) in [
        ("/account/", "", "targetAccountMappings[0].rolePrefix"),
        (
            "",
            "/region/",
            "targetAccountMappings[0].regionMappings[0].rolePrefix",
        ),
    ] {
        let found = problems_of(account, region, "/").unwrap();
        let expected = format!(
            "{field}: expected \"/\" (template parameter BuildRolePath), found \"{account}{region}\""
        );
        assert!(
            found.len() == 1 && found[0].contains(&expected),
            "{found:#?} / {expected}"
        );
    }
}

#[test]
fn a_regional_parameter_without_a_value_is_none_even_if_there_is_a_global_one() {
    let read = |regional: &str| {
        let mappings = format!(
            "targetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  parametersGlobal: {{v: global}}\n  regionMappings: [{{region: eu-west-1, default: true, parametersRegional: {{{regional}}}}}]\n"
        );
        let parameters = "parameters: [{name: x, valueFrom: {parameterValue: v}}]";
        read_manifest(&with_module(parameters, &mappings))
    };
    let value = |regional: &str| read(regional).unwrap().groups[0].modules[0].parameters["x"].clone();
    assert_eq!((value("other: 1"), value("v: 1")), (json!("global"), json!("1")));
    assert!(problems(read("v: "))[0].contains("\"v\" stands neither in parametersRegional"));
}

#[test]
fn a_value_that_yaml_reads_otherwise_than_it_looks_is_warned_of() {
    let value = |value: &str| {
        with_module(
            &format!("parameters:\n- name: x\n  value:\n    inner: [{value}]"),
            "",
        )
    };
    for (text, expected) in [
        (
            "3.10",
            "deployment.yaml:10: groups[0].modules[0].parameters.x.value: 3.10 is read as 3.1, as YAML 1.1 has it; if the text is meant, put it into quotes: \"3.10\"",
        ),
        ("012", "012 is read as 10"),
        ("12:30", "12:30 is read as 750"),
        ("NO", "NO is read as false"),
        ("1_000", "1_000 is read as 1000"),
        ("2024-01-31", "2024-01-31 is a date to seed-farmer"),
    ] {
        let warnings = warnings(read_manifest(&value(text)));
        assert!(
            warnings.len() == 1 && warnings[0].contains(expected),
            "{warnings:#?} / {expected}"
        );
    }
    for plain in ["3.1", "'3.10'", "true", "False", "089", "1e3", "~"] {
        assert_eq!(
            warnings(read_manifest(&value(plain))),
            Vec::<String>::new(),
            "{plain}"
        );
    }
}

#[test]
fn a_repository_that_names_another_project_is_refused_as_one_of_the_project_that_it_was_given_for() {
    let mut repository = repository(&[("deployment.yaml", "name: d\ngroups: []\n")]);
    let given = Name::parse("project", "mine").unwrap();
    let options = ManifestOptions::default();
    let context = LoadContext {
        project: Some(&given),
        ..LoadContext::offline(&options)
    };
    assert!(read(&mut repository, &context).is_err());
    let (project, deployment) = names(&mut repository, &context).unwrap();
    assert_eq!((project.as_str(), deployment.as_str()), ("mine", "d"));
}

#[test]
fn the_project_is_the_repositorys_and_the_inputs() {
    let read = |file: Option<&str>, given: Option<&str>| {
        let manifest = with_module("", "");
        let mut files = repository(&[("deployment.yaml", &manifest)]);
        files.0.remove("seedfarmer.yaml");
        files
            .0
            .extend(file.map(|text| ("seedfarmer.yaml".to_owned(), text.to_owned())));
        let given = given.map(|name| Name::parse("project", name).unwrap());
        let options = ManifestOptions::default();
        super::read(
            &mut files,
            &LoadContext {
                project: given.as_ref(),
                ..LoadContext::offline(&options)
            },
        )
    };
    assert_eq!(
        read(
            Some("project: shop\ndescription: d\nseedfarmerVersion: 8.0\n"),
            None
        )
        .unwrap()
        .project
        .as_str(),
        "shop"
    );
    assert_eq!(
        read(Some("project: shop\n"), Some("shop"))
            .unwrap()
            .project
            .as_str(),
        "shop"
    );
    assert_eq!(read(None, Some("shop")).unwrap().project.as_str(), "shop");
    assert!(
        warnings(read(Some("project: shop\nprojectPolicyPath: x\n"), None))[0]
            .contains("projectPolicyPath: the field has no effect")
    );
    for (file, given, expected) in [
        (
            None,
            None,
            "seedfarmer.yaml: the file doesn't exist, and no project is given otherwise",
        ),
        (
            Some("project: Shop\n"),
            Some("shop"),
            "seedfarmer.yaml:1: project: expected 1 to 64 letters in lower case, digits and hyphens, which start with a letter and don't end with a hyphen, found \"Shop\"; write shop",
        ),
        (
            Some("project: shop\n"),
            Some("other"),
            "seedfarmer.yaml:1: project: expected other, the project that the input names, found \"shop\"",
        ),
        (
            Some("description: x\n"),
            None,
            "seedfarmer.yaml:1: project is missing",
        ),
        (
            Some("project: 1x\n"),
            None,
            "seedfarmer.yaml:1: project: expected 1 to 64 letters in lower case, digits and hyphens, which start with a letter and don't end with a hyphen, found \"1x\"",
        ),
        (
            Some("- x"),
            None,
            "seedfarmer.yaml:1: expected a mapping, found a list",
        ),
        (Some("a: b: c"), None, "seedfarmer.yaml:1: "),
    ] {
        let problems = problems(read(file, given));
        assert!(
            problems.len() == 1 && problems[0].starts_with(expected),
            "{problems:#?} / {expected}"
        );
    }
}

#[test]
fn an_unset_variable_is_reported_once_and_no_value_of_env_shows() {
    let manifest = "name: ${STAGE}\ngroups:\n- name: ${GROUP}\n  modules: [{name: m, path: modules/a}]\n";
    let problems = problems_of(manifest);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[1].starts_with("deployment.yaml:3: groups[0].name: the variable GROUP is not set"));
}

#[test]
fn every_unset_variable_of_a_line_is_named() {
    let manifest =
        "name: ${A}-${B}-${A}\ngroups:\n- {name: '${C}', modules: [{name: '${D}', path: modules/a}]}\n";
    let found = problems_of(manifest);
    for (i, expected) in [
        "deployment.yaml:1: name: the variables A, B are not set; set them in env",
        "deployment.yaml:3: groups[0].name: the variable C is not set; set it in env",
        "deployment.yaml:3: groups[0].modules[0].name: the variable D is not set",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(found[i].starts_with(expected), "{found:#?} / {expected}");
    }
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn only_one_spelling_switches_variables_off_as_in_seed_farmer() {
    let read = |spelling: &str| {
        let parameter = format!("parameters: [{{name: x, value: '${{A}}', {spelling}: true}}]");
        read_with(
            &[("deployment.yaml", &with_module(&parameter, ""))],
            &[("A", "replaced")],
            None,
        )
    };
    let value = |read: &Result<Deployment, Vec<Diagnostic>>| {
        read.as_ref().unwrap().groups[0].modules[0].parameters["x"].clone()
    };
    let off = read("disableEnvVarResolution");
    assert_eq!(value(&off), "${A}");
    assert!(warnings(off).is_empty());
    let unknown = read("disable_env_var_resolution");
    assert_eq!(value(&unknown), "replaced");
    assert_eq!(
        warnings(unknown),
        [
            "deployment.yaml:7: groups[0].modules[0].parameters.x.disable_env_var_resolution: the field is unknown and has no effect; did you mean disableEnvVarResolution?"
        ]
    );
}

#[test]
fn a_setting_of_an_account_is_refused_once_and_where_it_is() {
    let manifest = "name: prod\ngroups:\n- name: g\n  modules:\n  - {name: m, path: modules/a}\n  - {name: n, path: modules/b}\ntargetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  parametersGlobal:\n    permissionsBoundaryName: other\n    dockerCredentialsSecret: 'not a name'\n  regionMappings: [{region: eu-west-1, default: true}]\n";
    let maxima = Maxima {
        permissions_boundary: Some("arn:aws:iam::111111111111:policy/ours".to_owned()),
        ..Maxima::OF_AWS
    };
    let options = ManifestOptions::default();
    let given = LoadContext {
        maxima: &maxima,
        ..LoadContext::offline(&options)
    };
    let found = problems(check(&mut repository(&[("deployment.yaml", manifest)]), &given));
    let field = "targetAccountMappings[0].parametersGlobal";
    for expected in [
        format!(
            "deployment.yaml:12: {field}.permissionsBoundaryName: expected \"arn:aws:iam::111111111111:policy/ours\" (template parameter PermissionsBoundaryArn), found \"other\""
        ),
        format!("deployment.yaml:13: {field}.dockerCredentialsSecret: expected"),
    ] {
        assert!(
            found.iter().any(|found| found.starts_with(&expected)),
            "{found:#?} / {expected}"
        );
    }
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn a_line_of_env_that_cannot_be_read_is_told_once_and_the_other_lines_count() {
    let skipped = ".env:2: the line is skipped, because it is not NAME=value; is a quote left open?";
    let env = (".env", "A=prod\nB=\"hidden\nC=2\n");
    let manifest = |name: &str| {
        format!("name: {name}\ngroups: [{{name: g, modules: [{{name: m, path: modules/a}}]}}]\n")
    };
    let read = read_files(&[("deployment.yaml", &manifest("${A}-${C}")), env]);
    assert_eq!(read.as_ref().unwrap().name.as_str(), "prod-2");
    assert_eq!(warnings(read), [skipped]);
    // Where a variable is missing, the line may be the reason.
    let problems = problems(read_files(&[("deployment.yaml", &manifest("${A}-${B}")), env]));
    assert_eq!(problems[0], skipped);
    assert!(problems[1].starts_with("deployment.yaml:1: name: the variable B is not set"));
    assert_eq!(problems.len(), 2, "{problems:#?}");
    let many = "A=1\n".to_owned() + &"no assignment\n".repeat(12);
    let warnings = warnings(read_files(&[
        ("deployment.yaml", &manifest("d")),
        (".env", &many),
    ]));
    assert_eq!(warnings.len(), 10);
    assert!(warnings[9].starts_with(".env:11:") && warnings[9].ends_with("2 later lines."));
    // python-dotenv has no limit.
    let doubling: String = (1..40)
        .map(|i| format!("A{i}=${{A{0}}}${{A{0}}}\n", i - 1))
        .collect();
    let long = format!("A0=xxxx\n{doubling}");
    let problems = self::problems(read_files(&[
        ("deployment.yaml", &manifest("d")),
        (".env", &long),
    ]));
    assert!(
        problems.len() == 1 && problems[0].contains("longer than 1048576 bytes"),
        "{problems:?}"
    );
}

#[test]
fn near_misses_of_file_names_are_reported() {
    let found = |manifest: Option<&str>, files: &[(&str, &str)]| {
        let mut repository = repository(files);
        repository
            .0
            .retain(|path, _| *path != "modules/c/deployspec.yaml");
        let options = ManifestOptions {
            manifest: manifest.map(str::to_owned),
            ..ManifestOptions::default()
        };
        problems(check(&mut repository, &LoadContext::offline(&options)))
    };
    let module = "name: d\ngroups: [{name: g, modules: [{name: m, path: modules/c}]}]\n";
    for other in [
        "deployment.yml",
        "Deployment.yaml",
        "DEPLOYMENT.YAML",
        "deployment.yaml.txt",
    ] {
        let problems = found(None, &[(other, module)]);
        let expected =
            format!("deployment.yaml: the repository has no such file, but {other}; rename that one");
        assert_eq!(problems, [expected]);
    }
    let problems = found(Some("live/prod.yaml"), &[("live/prod.yml", module)]);
    assert!(problems[0].contains("but live/prod.yml"), "{problems:?}");
    for other in ["deployspec.yml", "Deployspec.yaml"] {
        let path = format!("modules/c/{other}");
        let problems = found(None, &[("deployment.yaml", module), (&path, SPEC)]);
        assert!(
            problems[0].contains(&format!("has no deployspec.yaml, but {path}; rename that one")),
            "{problems:?}"
        );
    }
}

#[test]
fn fields_of_deployspecs_without_effect_are_warned_of() {
    let files = [
        ("deployment.yaml", &*with_module("", "")),
        (
            "modules/a/deployspec.yaml",
            "deploy: {phases: {build: {commands: [make]}}}\nbuildType: BUILD_GENERAL1_LARGE\n",
        ),
    ];
    assert_eq!(
        warnings(read_files(&files)),
        [
            "modules/a/deployspec.yaml:2: buildType: the field is unknown and has no effect; did you mean build_type?"
        ]
    );
    let biuld = (
        "modules/a/deployspec.yaml",
        "deploy: {phases: {biuld: {commands: [make]}}}\n",
    );
    let problems = problems(read_files(&[files[0], biuld]));
    assert!(
        problems.len() == 1 && problems[0].ends_with("did you mean build?"),
        "{problems:?}"
    );
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

#[test]
fn the_only_manifest_is_found_and_of_several_one_has_to_be_named() {
    let manifest = with_module("", "");
    let kubernetes = "kind: Deployment\nspec: {}\n";
    let none = ManifestOptions::default();
    let one = [
        ("manifests/dev/deployment.yaml", manifest.as_str()),
        ("charts/deployment.yaml", kubernetes),
    ];
    assert_eq!(with_options(&one, &none, &[]).unwrap().groups.len(), 1);
    let two = [
        one[0],
        one[1],
        ("manifests/prod/deployment.yaml", manifest.as_str()),
    ];
    let several = problems(with_options(&two, &none, &[]));
    assert_eq!(several.len(), 1);
    assert!(
        says(
            &several[0],
            "deployment.yaml: not at the repository's root, and 2 elsewhere: manifests/dev/deployment.yaml, manifests/prod/deployment.yaml; …`manifest`…--manifest"
        ),
        "{several:?}"
    );
    let named = ManifestOptions {
        manifest: Some("manifests/prod/deployment.yaml".to_owned()),
        ..ManifestOptions::default()
    };
    assert!(with_options(&two, &named, &[]).is_ok());
    let root = [one[0], two[2], ("deployment.yaml", manifest.as_str())];
    assert!(
        with_options(&root, &none, &[]).is_ok(),
        "the one at the root comes first"
    );
    // Whether a file is one is decided by its content, not by its layout.
    let flow = r#"{"name": "d", "groups": [{"name": "g", "modules": [{"name": "m", "path": "modules/a"}]}]}"#;
    let text = "kind: ConfigMap\ndata:\n  x: |\ngroups: []\n: {\n".replace("groups", "other");
    let not_at_the_start = [
        ("manifests/dev/deployment.yaml", flow),
        ("charts/deployment.yaml", "spec: |\n  text\n\n  groups:\n"),
        ("helm/deployment.yaml", text.as_str()),
    ];
    assert!(with_options(&not_at_the_start, &none, &[]).is_ok());
    let missing = problems(with_options(&[], &none, &[]));
    assert!(
        says(
            &missing[0],
            "deployment.yaml: the repository has no deployment manifest of this name; …"
        ),
        "{missing:?}"
    );
}

#[test]
fn a_file_that_a_push_would_lack_is_reported_where_it_is_named() {
    let manifest = "name: prod\ngroups:\n- {name: g, path: more.yaml}\n- name: h\n  modules:\n  - name: m\n    path: modules/a\n    dataFiles:\n    - filePath: data.json\n";
    let files = |ignored| {
        [
            ("deployment.yaml", manifest),
            ("more.yaml", "name: n\npath: modules/b\n"),
            ("data.json", "{}"),
            (".env", "A=1"),
            ("ignored", ignored),
        ]
    };
    let found = problems(read_files(&files(
        "deployment.yaml\nmore.yaml\ndata.json\nmodules/a/deployspec.yaml\n.env",
    )));
    let places = [
        ("deployment.yaml:", "deployment.yaml"),
        ("deployment.yaml:3: groups[0].path:", "more.yaml"),
        (
            "deployment.yaml:7: groups[1].modules[0].path:",
            "modules/a/deployspec.yaml",
        ),
        (
            "deployment.yaml:9: groups[1].modules[0].dataFiles[0].filePath:",
            "data.json",
        ),
    ];
    let expected =
        places.map(|(place, file)| format!("{place} git ignores {file}, so a push would lack it; change"));
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.starts_with(expected), "{found} / {expected}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    let warned = warnings(read_files(&files(".env")));
    assert!(
        warned.len() == 1 && warned[0].starts_with(".env: git ignores the file, so a push has none"),
        "{warned:#?}"
    );
}

#[test]
fn variables_come_from_the_input_then_from_files_then_from_parameter_store() {
    let manifest = with_module("parameters: [{name: x, value: '${A} ${B} ${C} ${D}'}]", "");
    let files = [
        ("deployment.yaml", manifest.as_str()),
        (".env", "A=dotenv\n"),
        ("base.env", "B=base\nC=base\n"),
        ("prod.env", "C=prod ${B} ${D}\n"),
    ];
    let options = ManifestOptions {
        env: variables(&[("A", "input")]),
        env_files: vec!["base.env".to_owned(), "prod.env".to_owned()],
        ..ManifestOptions::default()
    };
    let stored = [("A", "stored"), ("B", "stored"), ("D", "stored")];
    let deployment = with_options(&files, &options, &stored).unwrap();
    assert_eq!(
        deployment.groups[0].modules[0].parameters["x"],
        "input base prod base stored stored"
    );
    let missing = ManifestOptions {
        env_files: vec!["no.env".to_owned()],
        ..ManifestOptions::default()
    };
    let missing = problems(with_options(&files, &missing, &stored));
    assert!(
        says(&missing[0], "no.env: the file doesn't exist; `env_files` …"),
        "{missing:?}"
    );
}

fn git(reference: Option<&str>) -> RemoteSource {
    RemoteSource::Git {
        url: "https://h/r".to_owned(),
        reference: reference.map(str::to_owned),
    }
}

const REMOTE: &str = "name: prod\narchiveSecret: s\ngroups:\n- name: g\n  modules:\n  - {name: m, path: 'git::https://h/r.git//net/vpc/?ref=v1&depth=1'}\n  - name: n\n    path: git::https://h/r.git//net/dns?reff=v2\n    dataFiles: [{filePath: 'git::https://h/r.git//data/a.yaml?ref=v1'}, {filePath: data/b.yaml}]\n";

fn check_remote(files: &[(&str, &str)]) -> Result<Deployment, Vec<Diagnostic>> {
    let own = repository(&[("deployment.yaml", REMOTE), ("data/b.yaml", "")]);
    let source = |reference| (git(reference), self::files(files));
    let mut repository = WithSources {
        own,
        fetched: [source(Some("v1")), source(None)].into(),
    };
    let options = ManifestOptions::default();
    check(&mut repository, &LoadContext::offline(&options))
}

fn files(list: &[(&str, &str)]) -> Files {
    Files(variables(list))
}

#[test]
fn the_sources_of_a_manifest_are_named_before_they_are_fetched() {
    let files = [("deployment.yaml", REMOTE), ("data/b.yaml", "")];
    let deployment = read_files(&files).unwrap();
    let sources = [git(None), git(Some("v1"))];
    assert_eq!(deployment.sources, sources.clone().into());
    // Those of a manifest with errors too, so that all errors can be reported at once.
    let broken = format!("{REMOTE}  - {{name: x, path: modules/none}}\n");
    let options = ManifestOptions::default();
    let found = sources_of(&mut repository(&[("deployment.yaml", &broken)]), &options);
    assert_eq!(found, sources.into());
    // Not one whose reference is a variable that is not set.
    let unset = with_module("", "").replace("modules/a", "git::https://h/r.git//a?ref=${UNSET}");
    let found = sources_of(&mut repository(&[("deployment.yaml", &unset)]), &options);
    assert_eq!(found, BTreeSet::new());
}

fn sources_of(repository: &mut Files, options: &ManifestOptions) -> BTreeSet<RemoteSource> {
    super::sources(repository, &LoadContext::offline(options))
}

#[test]
fn a_fetched_source_is_checked_like_the_repository() {
    let complete = [
        ("net/vpc/deployspec.yaml", SPEC),
        ("net/dns/deployspec.yaml", SPEC),
        ("data/a.yaml", ""),
    ];
    let deployment = check_remote(&complete).unwrap();
    let module = &deployment.groups[0].modules[1];
    let place = |reference, path: &str| SourcePath {
        source: Some(git(reference)),
        path: path.to_owned(),
    };
    assert_eq!(module.folder, place(None, "net/dns"));
    assert_eq!(
        module.data_files,
        [place(Some("v1"), "data/a.yaml"), SourcePath::own("data/b.yaml")]
    );
    let warnings: Vec<String> = deployment.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "deployment.yaml:2: archiveSecret: the field has no effect; credentials for archives are in the secret that the template's GitCredentialsSecret names",
            "deployment.yaml:8: groups[0].modules[1].path: \"reff\" of the query has no effect; only ref and depth are known; did you mean ref?",
        ]
    );
    for (files, expected) in [
        (
            &complete[1..],
            "groups[0].modules[0].path: expected the path of an existing folder in that source, found \"https://h/r@v1//net/vpc\"; files of submodules are not fetched",
        ),
        (
            &complete[..2],
            "dataFiles[0].filePath: expected the path of an existing file in that source, found \"https://h/r@v1//data/a.yaml\"",
        ),
        (
            &[complete[0], complete[2], ("net/dns/deployspec.yaml", "")][..],
            "https://h/r//net/dns/deployspec.yaml:1: the file: expected a mapping with the key deploy, found nothing",
        ),
        (
            &[complete[0], complete[2], ("net/dns/deployspec.yml", SPEC)][..],
            "groups[0].modules[1].path: the folder has no deployspec.yaml, but net/dns/deployspec.yml; rename that one",
        ),
    ] {
        let problems = problems(check_remote(files));
        assert!(
            problems.len() == 1 && problems[0].contains(expected),
            "{problems:#?} / {expected}"
        );
    }
}

#[test]
fn two_data_files_do_not_share_a_path_in_the_bundle() {
    let lines = "dataFiles: [{filePath: 'git::https://h/r.git//data/a.yaml'}, {filePath: 'git::https://h/r.git//data/a.yaml'}, {filePath: 'git::https://h/r.git//data/a.yaml?ref=v1'}]";
    let problems = problems(read_manifest(&with_module(lines, "")));
    assert_eq!(
        problems,
        [
            "deployment.yaml:7: groups[0].modules[0].dataFiles[2]: https://h/r@v1//data/a.yaml and https://h/r//data/a.yaml would have the same path in the bundle; rename one of them"
        ]
    );
}

#[test]
fn a_deployment_has_a_hundred_sources_at_most() {
    let modules = |count: usize| {
        let module = |i: usize| format!("  - {{name: m{i}, path: 'git::https://h/r.git//a?ref=v{i}'}}\n");
        let modules: String = (0..count).map(module).collect();
        read_manifest(&format!("name: prod\ngroups:\n- name: g\n  modules:\n{modules}"))
    };
    assert_eq!(modules(100).unwrap().sources.len(), 100);
    let problems = problems(modules(101));
    assert!(
        problems.len() == 1
            && says(
                &problems[0],
                "groups: expected at most 100…found 101 sources of modules and data files"
            ),
        "{problems:#?}"
    );
}
