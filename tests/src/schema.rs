//! Values against a JSON Schema, by the reference implementation in Python: `tools/local-stack.txt` brings it with
//! `aws-sam-cli`.

use std::io::Write;
use std::process::{Command, Stdio};

use seedflow_local::ui::Ui;
use seedflow_local::{tools, workspace};
use serde_json::{Value, json};

/// What is wrong with values by the schema of this name in `docs/events`: a line for each fault.
pub async fn faults(name: &str, values: &[Value]) -> Vec<String> {
    let root = workspace::root().unwrap();
    let schema = std::fs::read(root.join("docs/events").join(format!("{name}.schema.json"))).unwrap();
    let schema: Value = serde_json::from_slice(&schema).expect("a schema is JSON");
    let bin = tools::venv("local-stack", &Ui::silent().task("jsonschema")).await;
    let mut python = Command::new(bin.unwrap().join("python"))
        .args(["-I", "-c", include_str!("schema.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = json!({"schema": schema, "values": values}).to_string();
    python.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "the schema {name} could not be used");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}
