//! The programs that people run, built as the tests are.

use std::path::PathBuf;
use std::process::Stdio;

use seedflow_local::process::cargo_build;
use seedflow_local::process::workspace::{self, FUNCTIONS_PACKAGE};
use tokio::process::Command;

/// Builds a program with the features of the functions and the tests, for which its dependencies are compiled already.
pub async fn built(package: &str, program: &str) -> PathBuf {
    let root = workspace::root().expect("a checkout");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(&root).args(["build", "--bin", program]);
    let messages = "--message-format=json-render-diagnostics";
    cargo.args([
        "-p",
        package,
        "-p",
        "seedflow-e2e",
        "-p",
        FUNCTIONS_PACKAGE,
        messages,
    ]);
    cargo_build::without_cargo_variables(&mut cargo);
    let built = cargo.stdin(Stdio::null()).output().await.expect("starting cargo");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "cargo could not build {program}:\n{said}");
    let messages = String::from_utf8_lossy(&built.stdout).into_owned();
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == program && message["executable"].is_string();
        Some(message["executable"].as_str().filter(|_| ours)?.to_owned())
    });
    executable.expect("the path of the program").into()
}
