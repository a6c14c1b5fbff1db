//! `check` as a user runs it: what it prints, and its exit code.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Output};

use seedflow_fixtures::git_server::{GitServer, TOKEN};

fn check(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seedflow-local"))
        .arg("check")
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

const SPEC: &str = "deploy: {phases: {build: {commands: [make]}}}\n";
const MANIFEST: &str = "name: ${STAGE}\ngroups:\n- name: network\n  modules:\n  - {name: vpc, path: modules/vpc}\n- name: apps\n  concurrency: 2\n  modules:\n  - name: api\n    path: modules/api/\n    parameters:\n    - name: vpc-id\n      valueFrom: {moduleMetadata: {group: network, name: vpc, key: VpcId}}\n    - name: version\n      value: 3.10\n";

#[test]
fn the_order_of_a_deployment_is_shown() {
    let folder = repository(&[
        ("seedfarmer.yaml", "project: shop\n"),
        (".env", "STAGE=test\n"),
        ("base.env", "STAGE=base\n"),
        ("prod.env", "STAGE=prod\n"),
        ("manifests/prod.yaml", MANIFEST),
        ("modules/vpc/deployspec.yaml", SPEC),
        ("modules/api/deployspec.yaml", SPEC),
    ]);
    for variables in [
        &["--env", "STAGE=prod"][..],
        &["--env-file", "base.env", "--env-file", "prod.env"][..],
    ] {
        let output = check(
            folder.path(),
            &[&["--manifest", "manifests/prod.yaml"], variables].concat(),
        );
        assert_eq!(
            text(&output.stdout),
            "shop/prod\n\
         \n1. network (1 module)\n  vpc  modules/vpc\n\
         \n2. apps (1 module, 2 at once)\n  api  modules/api\n    after network/vpc\n\
         \n1 warning\nmanifests/prod.yaml:15: groups[1].modules[0].parameters.version.value: 3.10 is read as 3.1 (YAML 1.1); to get the text, put it into quotes: \"3.10\"\n\
         \nok 2 modules in 2 groups\n"
        );
        assert_eq!((text(&output.stderr), output.status.code()), ("", Some(0)));
    }
}

#[test]
fn all_problems_are_shown_and_nothing_else() {
    let folder = repository(&[
        ("deployment.yaml", MANIFEST),
        ("modules/vpc/deployspec.yaml", "a: b: c\n"),
    ]);
    let output = check(folder.path(), &[]);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for (line, beginning) in lines.iter().zip([
        "seedfarmer.yaml: the file doesn't exist",
        "deployment.yaml:1: name: the variable STAGE is not set",
        "deployment.yaml:10: groups[1].modules[0].path: expected the path of an existing folder in the repository, found \"modules/api/\"",
        "modules/vpc/deployspec.yaml:1: ",
    ]) {
        assert!(line.starts_with(beginning), "{line} / {beginning}");
    }
    assert_eq!(text(&output.stderr), "4 problems; nothing would be deployed\n");
    assert_eq!(output.status.code(), Some(1));
}

/// A manifest with modules of another host. Two are fine and the others aren't.
fn remote_manifest(url: &str) -> String {
    let module = |name: &str, path: &str| format!("  - {{name: {name}, path: '{path}'}}\n");
    let remote = |name: &str, rest: &str| module(name, &format!("git::{url}//{rest}"));
    let modules = [
        remote("vpc", "modules/vpc?ref=main"),
        remote("dns", "modules/dns/?ref=main"),
        remote("none", "modules/none?ref=main"),
        remote("gone", "modules/vpc?ref=v9"),
        module("own", "modules/own"),
    ];
    format!("name: prod\ngroups:\n- name: g\n  modules:\n{}", modules.concat())
}

#[test]
fn everything_wrong_in_the_sources_of_other_hosts_is_shown_at_once() {
    let server = GitServer::start();
    let hosted = server.repository("modules");
    hosted
        .write("modules/vpc/deployspec.yaml", SPEC)
        .write("modules/dns/deployspec.yaml", "a: b: c\n");
    hosted.commit();
    let url = server.url("private/modules.git");
    let files = |own: &'static str| {
        repository(&[
            ("seedfarmer.yaml", "project: shop\n"),
            ("deployment.yaml", &remote_manifest(&url)),
            (own, SPEC),
        ])
    };
    let folder = files("modules/other/deployspec.yaml");
    let credentials = folder.path().join("credentials.json");
    let token = format!("{{\"{}\": {{\"token\": \"{TOKEN}\"}}}}", server.host());
    std::fs::write(&credentials, token).unwrap();
    let output = check(folder.path(), &["--credentials", credentials.to_str().unwrap()]);
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for (line, part) in lines.iter().zip([
        "v9",
        "/private/modules@main//modules/dns/deployspec.yaml:1: ",
        "deployment.yaml:7: groups[0].modules[2].path: expected the path of an existing folder in that source",
        "deployment.yaml:9: groups[0].modules[4].path: expected the path of an existing folder in the repository",
    ]) {
        assert!(line.contains(part), "{line} / {part}");
    }
    assert!(!text(&output.stdout).contains(TOKEN));

    // Offline they are named, and only the repository itself is looked at.
    let asked = server.requests();
    let output = check(files("modules/own/deployspec.yaml").path(), &["--offline"]);
    let said = text(&output.stdout);
    let named = format!(
        "not checked, because of --offline: 2 sources\n{0}@main\n{0}@v9\n",
        url.trim_end_matches(".git")
    );
    assert!(said.contains(&named), "{said}");
    assert_eq!((server.requests(), output.status.code()), (asked, Some(0)));
}

#[test]
fn a_module_may_name_a_project_of_the_stack_that_is_not_known_here() {
    let folder = repository(&[
        ("deployspec.yaml", SPEC),
        ("manifest.yaml", "build: {project_name: seedflow-large}\n"),
    ]);
    let output = check(folder.path(), &[]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_command_line_that_makes_no_sense_is_another_exit_code() {
    let folder = repository(&[]);
    for arguments in [&["--env", "no-value"][..], &["--unknown"][..]] {
        assert_eq!(
            check(folder.path(), arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    let none = check(&folder.path().join("none"), &[]);
    assert!(text(&none.stderr).contains("no such folder"));
    assert_eq!(none.status.code(), Some(1));
}
