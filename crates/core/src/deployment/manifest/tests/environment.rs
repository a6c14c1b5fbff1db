//! The variables of a manifest.

use super::*;

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
fn a_line_of_env_that_cannot_be_read_is_reported_once_and_the_other_lines_count() {
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
