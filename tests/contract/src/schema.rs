//! Validates values by a JSON Schema with the reference implementation in Python, which `tools/local-stack.txt`
//! installs with `aws-sam-cli`.

use seedflow_local::process::workspace;
use serde_json::{Value, json};

use crate::python;

/// The errors of values by the schema of this name in `docs/events`: a line for each.
pub async fn faults(name: &str, values: &[Value]) -> Vec<String> {
    faults_by(&format!("docs/events/{name}.schema.json"), values).await
}

/// The errors of values by the schema at this path of the checkout.
pub async fn faults_by(path: &str, values: &[Value]) -> Vec<String> {
    let schema = std::fs::read(workspace::root().unwrap().join(path)).unwrap();
    let schema: Value = serde_json::from_slice(&schema).expect("a schema is JSON");
    let text = python::run(
        include_str!("schema.py"),
        &json!({"schema": schema, "values": values}),
    )
    .await;
    text.lines().map(str::to_owned).collect()
}
