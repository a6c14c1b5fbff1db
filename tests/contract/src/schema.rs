//! Values against a JSON Schema, by the reference implementation in Python: `tools/local-stack.txt` brings it with
//! `aws-sam-cli`.

use seedflow_local::process::workspace;
use serde_json::{Value, json};

use crate::python;

/// What is wrong with values by the schema of this name in `docs/events`: a line for each fault.
pub async fn faults(name: &str, values: &[Value]) -> Vec<String> {
    let root = workspace::root().unwrap();
    let schema = std::fs::read(root.join("docs/events").join(format!("{name}.schema.json"))).unwrap();
    let schema: Value = serde_json::from_slice(&schema).expect("a schema is JSON");
    let text = python::run(
        include_str!("schema.py"),
        &json!({"schema": schema, "values": values}),
    )
    .await;
    text.lines().map(str::to_owned).collect()
}
