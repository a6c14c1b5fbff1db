//! Which files a manifest is, and which it names.

use super::*;

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
            format!("deployment.yaml: the repository has no such file, but {other}; rename that file");
        assert_eq!(problems, [expected]);
    }
    let problems = found(Some("live/prod.yaml"), &[("live/prod.yml", module)]);
    assert!(problems[0].contains("but live/prod.yml"), "{problems:?}");
    for other in ["deployspec.yml", "Deployspec.yaml"] {
        let path = format!("modules/c/{other}");
        let problems = found(None, &[("deployment.yaml", module), (&path, SPEC)]);
        assert!(
            problems[0].contains(&format!("has no deployspec.yaml, but {path}; rename that file")),
            "{problems:?}"
        );
    }
}

#[test]
fn a_missing_file_that_a_manifest_or_an_option_names_is_looked_for_under_similar_names() {
    let manifest = "name: prod\ngroups:\n- {name: g, path: manifests/more.yaml}\n- name: h\n  modules:\n  - name: m\n    path: modules/a\n    dataFiles: [{filePath: data/names.json}, {filePath: data/other.json}]\n";
    let files = [
        ("deployment.yaml", manifest),
        ("manifests/more.yml", ""),
        ("data/Names.JSON", ""),
        ("prod-env.txt", ""),
    ];
    let options = ManifestOptions {
        env_files: vec!["prod_env.txt".to_owned()],
        ..ManifestOptions::default()
    };
    let found = problems(with_options(&files, &options, &[]));
    let ends = [
        "in the repository; did you mean prod-env.txt?",
        "found \"manifests/more.yaml\"; did you mean manifests/more.yml?",
        "found \"data/names.json\"; did you mean data/Names.JSON?",
        "found \"data/other.json\"",
    ];
    assert_eq!(found.len(), ends.len(), "{found:#?}");
    for (found, end) in found.iter().zip(ends) {
        assert!(found.ends_with(end), "{found} / {end}");
    }
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
