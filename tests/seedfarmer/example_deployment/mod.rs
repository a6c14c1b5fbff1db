//! The example of a whole deployment: seed-farmer itself understands it, as the example's README says.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/deployment")
}

/// The result of seed-farmer's models for the example.
fn understood() -> Value {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("example_deployment/models.py");
    let output = Command::new(crate::python()).arg(reader).arg(example()).output();
    let output = output.expect("running seed-farmer");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn seed_farmer_reads_three_groups_with_six_modules_that_can_all_be_destroyed() {
    let understood = understood();
    assert_eq!(understood["unknown"], json!([]));
    assert_eq!(
        (&understood["project"], &understood["deployment"]),
        (&json!("shop"), &json!("dev"))
    );
    let both = ["deploy", "destroy"];
    let modules = json!([
        ["network/vpc", "modules/network/vpc", both],
        ["network/dns", "modules/network/dns", both],
        ["data/store", "modules/data/store", both],
        ["data/queue", "modules/data/queue", both],
        ["apps/web", "modules/apps/web", both],
        ["apps/worker", "modules/apps/worker", both],
    ]);
    assert_eq!(understood["modules"], modules);
    assert_eq!(
        understood["files"],
        json!([["data/queue", "shared/retries.json"]])
    );
    assert!(example().join("shared/retries.json").is_file());
}

#[test]
fn the_readme_draws_every_reference() {
    let understood = understood();
    let short = |name: &Value| name.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let references = understood["references"].as_array().unwrap();
    let references: BTreeSet<String> = references
        .iter()
        .map(|it| {
            format!(
                "{} -- {} --> {}",
                short(&it[1]),
                it[2].as_str().unwrap(),
                short(&it[0])
            )
        })
        .collect();
    let readme = std::fs::read_to_string(example().join("README.md")).unwrap();
    let arrows = readme.lines().map(str::trim).filter(|line| line.contains("-->"));
    assert_eq!(arrows.map(str::to_owned).collect::<BTreeSet<_>>(), references);
}
