//! The part of a superseded request that the newer execution doesn't do.
//!
//! A lock has one place to wait, for the newest execution. An older one ends as superseded: Step Functions calls that a
//! success, though nothing was done for it. The two inputs show whether the newer one does what was asked.

use seedflow_core::started_by::{REQUESTER, STARTED_BY};
use serde_json::{Map, Value};

/// What doesn't belong to what is asked for.
const NO_REQUEST: [&str; 6] = [
    "action",
    "force_update",
    "part_of",
    "record_refusal",
    STARTED_BY,
    REQUESTER,
];

/// What was asked by `ours` and is not by `theirs`, in words; nothing if the newer execution does everything.
#[must_use]
pub fn left_undone(ours: &Value, theirs: &Value) -> Vec<String> {
    let (mine, other) = (action(ours), action(theirs));
    if mine != other {
        return vec![format!("to {mine}, because the newer execution is to {other}")];
    }
    let mut undone = Vec::new();
    if !forces(theirs, &ours["force_update"]) {
        undone.push("--force, because the newer execution deploys only what changed".to_owned());
    }
    let differing = differing(ours, theirs);
    if differing.iter().any(|field| field == "source") {
        undone.push("its files, because the newer execution has others".to_owned());
    }
    let others: Vec<String> = differing.into_iter().filter(|field| field != "source").collect();
    if !others.is_empty() {
        let fields = others.join(", ");
        undone.push(format!("its {fields}, because the newer execution has others"));
    }
    undone
}

fn action(input: &Value) -> &str {
    input["action"].as_str().unwrap_or("deploy")
}

/// Whether an input forces what is asked: nothing, everything, or the groups and modules of a list.
fn forces(input: &Value, asked: &Value) -> bool {
    let given = &input["force_update"];
    match asked {
        Value::Bool(true) => *given == Value::Bool(true),
        Value::Array(names) => names.iter().all(|name| is_forced(given, name)),
        _ => true,
    }
}

fn is_forced(given: &Value, name: &Value) -> bool {
    let (Some(given), Some(name)) = (given.as_array(), name.as_str()) else {
        return *given == Value::Bool(true);
    };
    let group = name.split('/').next();
    let mut given = given.iter().filter_map(Value::as_str);
    given.any(|given| given == name || Some(given) == group)
}

/// The fields of two requests that are not the same.
fn differing(ours: &Value, theirs: &Value) -> Vec<String> {
    let none = Map::new();
    let (ours, theirs) = (
        ours.as_object().unwrap_or(&none),
        theirs.as_object().unwrap_or(&none),
    );
    let mut names: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differs =
        |name: &&String| !NO_REQUEST.contains(&name.as_str()) && ours.get(*name) != theirs.get(*name);
    names.into_iter().filter(differs).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn input(more: Value) -> Value {
        let mut input = json!({"project": "p", "source": {"key": "uploads/p/repository/1.zip"}});
        if let (Some(input), Some(more)) = (input.as_object_mut(), more.as_object()) {
            input.extend(more.clone());
        }
        input
    }

    /// The first words of what is left undone.
    fn undone(ours: Value, theirs: Value) -> Vec<String> {
        let undone = left_undone(&input(ours), &input(theirs)).into_iter();
        undone
            .filter_map(|text| text.split(',').next().map(str::to_owned))
            .collect()
    }

    #[test]
    fn the_same_request_leaves_nothing_undone_and_a_newer_one_may_force_more() {
        let part = json!({"part_of": "arn", "force_update": false});
        assert!(undone(json!({}), part).is_empty());
        let by = |name: &str| json!({STARTED_BY: name, REQUESTER: name});
        assert!(undone(by("ada"), by("grace")).is_empty());
        for (ours, theirs) in [
            (json!(true), json!(true)),
            (json!(["network"]), json!(true)),
            (json!(["network/vpc"]), json!(["data", "network"])),
            (json!(["network/vpc"]), json!(["network/vpc"])),
        ] {
            let undone = undone(json!({"force_update": ours}), json!({"force_update": theirs}));
            assert!(undone.is_empty(), "{ours} {theirs}: {undone:?}");
        }
    }

    #[test]
    fn a_force_that_the_newer_one_has_not_is_lost() {
        for (ours, theirs) in [
            (json!(true), json!({})),
            (json!(true), json!({"force_update": ["network"]})),
            (json!(["network"]), json!({"force_update": ["network/vpc"]})),
            (json!(["network/vpc"]), json!({"force_update": ["data"]})),
        ] {
            assert_eq!(undone(json!({"force_update": ours}), theirs), ["--force"]);
        }
    }

    #[test]
    fn other_files_options_and_actions_are_named() {
        let other = json!({"source": {"key": "uploads/p/repository/2.zip"}, "env": {"A": "1"}});
        assert_eq!(undone(json!({}), other), ["its files", "its env"]);
        let destroy = json!({"action": "destroy", "deployment": "dev"});
        assert_eq!(undone(json!({}), destroy.clone()), ["to deploy"]);
        assert_eq!(undone(destroy, json!({})), ["to destroy"]);
    }
}
