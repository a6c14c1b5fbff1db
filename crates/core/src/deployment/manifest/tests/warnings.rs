//! What is accepted with a warning.

use super::*;

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
            "deployment.yaml:10: groups[0].modules[0].parameters.x.value: 3.10 is read as 3.1 (YAML 1.1); to get the text, put it into quotes: \"3.10\"",
        ),
        ("012", "012 is read as 10"),
        ("12:30", "12:30 is read as 750"),
        ("NO", "NO is read as false"),
        ("1_000", "1_000 is read as 1000"),
        ("2024-01-31", "seed-farmer reads 2024-01-31 as a date"),
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
