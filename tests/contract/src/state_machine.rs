//! Definitions of state machines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::project::file;

pub struct StateMachine {
    /// The definition as it is.
    pub definition: Value,
    pub start: String,
    /// Its states, without those inside a Map.
    pub states: BTreeMap<String, Value>,
}

impl StateMachine {
    /// The names of all definitions.
    pub const ALL: [&str; 6] = [
        "deploy-module",
        "deploy",
        "plan",
        "drift",
        "end-execution",
        "check-key",
    ];

    /// The definition with this name in `statemachine/`.
    pub fn read(name: &str) -> Self {
        let definition: Value = serde_json::from_str(&file(&format!("statemachine/{name}.asl.json")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let states = definition["States"].as_object().expect("states").clone();
        Self {
            start: definition["StartAt"].as_str().expect("a start").to_owned(),
            states: states.into_iter().collect(),
            definition,
        }
    }
}

/// A list of a state or a rule; empty if it has none.
pub fn list<'a>(state: &'a Value, field: &str) -> &'a [Value] {
    state[field].as_array().map_or(&[], Vec::as_slice)
}

/// The names of the errors that a rule of `Retry` or `Catch` handles.
pub fn errors(rule: &Value) -> BTreeSet<&str> {
    list(rule, "ErrorEquals")
        .iter()
        .map(|name| name.as_str().expect("the name of an error"))
        .collect()
}
