//! The groups and modules of a manifest, their files and their names.

use super::*;

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
            "parameters.x.value: the variable X is not set",
        ),
        (
            "parameters: [{name: x, valueFrom: {parameterValue: y}}]",
            "parameters.x.valueFrom.parameterValue: \"y\" is neither in parametersRegional nor",
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
    assert!(check(&[("deployspec.yml", SPEC)]).unwrap_err()[0].contains("rename that file"));
    let misspelt = [
        ("deployspec.yaml", SPEC),
        ("manifest.yml", ""),
        ("moduleStack.yaml", ""),
    ];
    assert_eq!(
        check(&misspelt).unwrap_err(),
        [
            "manifest.yaml: the folder has no such file, but manifest.yml, which has no effect; rename that file",
            "modulestack.yaml: the folder has no such file, but moduleStack.yaml, which has no effect; rename that file",
        ]
    );
    let template = |text: &'static str| check(&[("deployspec.yaml", SPEC), ("modulestack.yaml", text)]);
    // An execution's input may give it parameters.
    assert_eq!(template("Parameters: {Path: {Type: String}}\n"), Ok(Vec::new()));
    assert_eq!(
        template("\n- a\n").unwrap_err(),
        ["modulestack.yaml:2: expected a CloudFormation template, found a list"]
    );
    assert!(!is_module(&repository(&[("deployspec.yaml", SPEC)])));
}

#[test]
fn the_template_of_a_modules_role_is_checked_with_the_modules_parameters() {
    let manifest = "name: prod\ngroups:\n- name: g\n  modules:\n  - name: m\n    path: modules/a\n    parameters: [{name: dag-path, value: '${UNSET}'}]\n  - {name: n, path: modules/a}\n  - {name: o, path: modules/b}\n  - {name: p, path: modules/c}\n";
    let found = problems(read_files(&[
        ("deployment.yaml", manifest),
        (
            "modules/a/modulestack.yaml",
            "Parameters:\n  DagPath: {Type: String}\n  RoleName: {Type: String}\n  Size: {Type: String, Default: 1}\nResources: {P: !Ref RoleName}\n",
        ),
        ("modules/b/modulestack.yaml", "Parameters: [a]\n"),
        ("modules/c/ModuleStack.yml", "Resources: {}\n"),
    ]));
    let expected = [
        "deployment.yaml:7: groups[0].modules[0].parameters.dag-path.value: the variable UNSET is not set",
        "deployment.yaml:10: groups[0].modules[3].path: the folder has no modulestack.yaml, but modules/c/ModuleStack.yml, which has no effect; rename that file",
        "modules/a/modulestack.yaml:2: Parameters.DagPath: found no value and no default",
        "modules/b/modulestack.yaml:1: Parameters: expected a mapping of parameters, found a list",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} / {expected}");
    }
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
        "deployment.yaml:5: groups[0].modules[0].renamedFrom: expected a former name of this module, found \"g/b\", the current name of the module g/b in this manifest; remove the other module or renamedFrom",
        "deployment.yaml:6: groups[0].modules[1].renamedFrom: expected the group and the name that the module had before, such as network/vpc, found \"old\"",
        "deployment.yaml:7: groups[0].modules[2].renamedFrom: expected a former name of this module, found \"g/c\", the current name of the module g/c in this manifest; remove the other module or renamedFrom",
        "deployment.yaml:9: groups[0].modules[4].renamedFrom: old-x/y is the former name of two modules, here and in deployment.yaml:8; remove renamedFrom from one of them",
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
            "deployment.yaml:7: groups[0].modules[2]: duplicate module a/x, also in deployment.yaml:6; rename one of them",
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
