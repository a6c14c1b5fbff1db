//! The schema of a plan's JSON, `docs/plan.schema.json`, against the code. `e2e/deployment/rego.rs` checks a plan that was
//! really made against it.

use seedflow_contract::schema;
use seedflow_core::deployment::plan_json::PlanJson;
use seedflow_core::policy::rego::clock;
use serde_json::{Value, json};

fn faults(values: &[Value]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(schema::faults_by("docs/plan.schema.json", values))
}

/// A plan with every field.
fn plan() -> PlanJson {
    let definition = |source: Value| {
        json!({
            "source": source, "digest": "d1", "target": {"account": "111111111111", "region": "eu-west-1"},
            "build": {"image": "i:1", "privileged": true}, "parameters": {"size": 3, "key": {"secrets_manager": "k"}},
        })
    };
    let version = "a".repeat(64);
    let plan = json!({
        "deployment": {"project": "p", "deployment": "prod"}, "changes": true, "shortened": true,
        "counts": {"deploy": 4, "unchanged": 1, "destroy": 1, "blocked": 0},
        "origin": {"commit": "c", "author": "a", "branch": "b", "repository": "https://h/r"},
        "modules": [
            {"group": "g", "module": "a", "action": "deploy", "moves": true, "renamed_from": {"group": "g", "module": "o"}, "reasons": ["r"], "execution": "e",
             "changes": [{"what": "commit", "old": "1", "new": "2"}], "definition": definition(json!({"kind": "repository", "path": "m"}))},
            {"group": "g", "module": "b", "action": "deploy", "reasons": [],
             "definition": definition(json!({"kind": "git", "url": "https://h/r", "ref": "main", "commit": "c", "path": "m"}))},
            {"group": "g", "module": "c", "action": "deploy", "reasons": [], "definition": definition(json!({"kind": "archive", "url": "https://h/a.zip", "path": ""}))},
            {"group": "g", "module": "d", "action": "unchanged", "reasons": [], "unless": ["g/a"], "definition": definition(json!({"kind": "bundle", "key": "k", "path": ""}))},
            {"group": "g", "module": "e", "action": "destroy", "reasons": ["r"]},
        ],
        "policy": {"document": "policies/p/prod.json", "version": version, "broken": ["b"]},
        "rego": {"document": "policies/p/prod.rego", "version": version, "deny": ["d"], "warn": ["w"], "require_approval": ["a"]},
        "approval": {"plan": version, "reasons": ["rules: a"], "approvers": ["arn:aws:iam::111111111111:role/Lead"], "four_eyes": true, "expires_after_seconds": 60},
        "previews": [
            {"group": "g", "module": "a", "state": "failed", "reason": "r", "output": "o"},
            {"group": "g", "module": "b", "state": "not_run", "reason": "r"},
        ],
    });
    serde_json::from_value(plan).unwrap()
}

#[test]
fn the_schema_takes_a_plan_and_the_input_of_rules_and_refuses_what_is_wrong() {
    let plan = plan();
    let now = clock("2026-12-04T12:00:00Z".parse().unwrap(), "Europe/Berlin").unwrap();
    let taken = [json!(plan), plan.input(&now)];
    assert_eq!(faults(&taken), [""; 0]);

    let broken = |change: fn(&mut Value)| {
        let mut plan = json!(plan);
        change(&mut plan);
        plan
    };
    let broken = [
        broken(|plan| plan["modules"][0]["action"] = json!("rename")),
        broken(|plan| plan["modules"][0]["definition"]["source"]["kind"] = json!("ftp")),
        broken(|plan| plan["modules"][0]["definition"]["build"]["secret"] = json!("x")),
        broken(|plan| drop(plan["modules"][0].as_object_mut().unwrap().remove("reasons"))),
        broken(|plan| plan["previews"][0]["state"] = json!("FAILED")),
        broken(|plan| plan["rego"]["deny"] = json!("d")),
        broken(|plan| drop(plan.as_object_mut().unwrap().remove("origin"))),
    ];
    let found = faults(&broken);
    for index in 0..broken.len() {
        let prefix = format!("{index}: ");
        assert!(
            found.iter().any(|fault| fault.starts_with(&prefix)),
            "{index}: {found:#?}"
        );
    }
}
