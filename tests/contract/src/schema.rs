//! Validates values by a JSON Schema with the reference implementation in Python, which `tools/local-stack.txt`
//! installs with `aws-sam-cli`.

use seedflow_local::process::workspace;
use serde_json::{Value, json};

use crate::python;

/// The errors of values by the schema of this name in `docs/events`: a line for each.
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
