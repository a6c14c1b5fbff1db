//! Python scripts with the packages of the local stack.

use std::io::Write;
use std::process::{Command, Stdio};

use seedflow_local::process::python_tools;
use seedflow_terminal::Ui;
use serde_json::Value;

/// Runs a script that reads JSON from its standard input, and returns its output. Panics if the script fails.
pub(crate) async fn run(script: &str, asked: &Value) -> String {
    let bin = python_tools::venv("local-stack", &Ui::silent().task("python")).await;
    let mut python = Command::new(bin.unwrap().join("python"))
        .args(["-I", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(asked.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the script failed: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
