//! `statemachine/deploy-module.asl.json` against what the functions promise.
//!
//! The linters know the language of state machines; these tests know this one: which function fails
//! under which names, that every failure is recorded, and that nothing reads a variable which some path
//! leaves unassigned. The last is followed over all arrows of the machine, errors included.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use seedflow_core::error::ErrorName::{self, *};
use serde_json::Value;

/// The errors that each function names. `build-event` isn't here: EventBridge starts it, no state does,
/// and its failures go to the queue of failed events.
const THROWS: [(&str, &[ErrorName]); 4] = [
    (
        "CheckMd5",
        &[
            InvalidInput,
            SourceNotFound,
            InvalidBundle,
            InvalidDeployspec,
            StateConflict,
            AccessDenied,
            Refused,
            Throttled,
            ServiceUnavailable,
        ],
    ),
    (
        "StartBuild",
        &[
            InvalidInput,
            AccountLimitExceeded,
            AccessDenied,
            Refused,
            Throttled,
            ServiceUnavailable,
        ],
    ),
    (
        "CheckStatus",
        &[
            BuildNotFound,
            AccessDenied,
            Refused,
            Throttled,
            ServiceUnavailable,
        ],
    ),
    (
        "UpdateMetadata",
        &[
            StateConflict,
            SourceNotFound,
            AccessDenied,
            Refused,
            Throttled,
            ServiceUnavailable,
        ],
    ),
];

/// Errors that pass by themselves.
const TRANSIENT: [&str; 6] = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Throttled",
    "ServiceUnavailable",
];

type States = BTreeMap<String, Value>;

fn states() -> States {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../statemachine/deploy-module.asl.json"
    );
    let machine: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(machine["StartAt"], "CheckMd5");
    machine["States"]
        .as_object()
        .unwrap()
        .clone()
        .into_iter()
        .collect()
}

fn tasks(states: &States) -> impl Iterator<Item = (&str, &Value)> {
    states
        .iter()
        .filter(|(_, state)| state["Type"] == "Task")
        .map(|(name, state)| (name.as_str(), state))
}

fn list<'a>(state: &'a Value, field: &str) -> &'a [Value] {
    state[field].as_array().map_or(&[], Vec::as_slice)
}

fn errors(rule: &Value) -> BTreeSet<&str> {
    list(rule, "ErrorEquals")
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect()
}

/// The function that a task calls, as its substitution `${…FunctionArn}` names it.
fn function(state: &Value) -> &str {
    let name = state["Arguments"]["FunctionName"].as_str().unwrap();
    name.strip_prefix("${")
        .and_then(|n| n.strip_suffix("FunctionArn}"))
        .expect("a substitution")
}

fn throws(state: &Value) -> BTreeSet<&'static str> {
    let function = function(state);
    let (_, names) = THROWS
        .iter()
        .find(|(name, _)| *name == function)
        .expect("a known function");
    names.iter().map(|name| name.as_str()).collect()
}

#[test]
fn has_the_states_of_the_design() {
    let names: BTreeSet<String> = states().into_keys().collect();
    let expected = [
        "AwaitBuild",
        "BuildSucceeded",
        "CheckMd5",
        "Deployed",
        "Failed",
        "IsChanged",
        "MarkInProgress",
        "RecordFailure",
        "RecordSuccess",
        "StartBuild",
        "TouchTimestamp",
        "Unchanged",
    ];
    assert_eq!(names, expected.map(String::from).into());
}

#[test]
fn every_error_name_is_thrown_by_some_function() {
    for name in ErrorName::ALL {
        assert!(
            THROWS.iter().any(|(_, names)| names.contains(&name)),
            "{name} is thrown by none"
        );
    }
}

#[test]
fn every_error_of_a_function_is_caught_where_it_is_called() {
    for (name, state) in tasks(&states()).filter(|(name, _)| *name != "RecordFailure") {
        let caught: BTreeSet<&str> = list(state, "Catch").iter().flat_map(errors).collect();
        let missing: Vec<_> = throws(state).difference(&caught).copied().collect();
        assert!(missing.is_empty(), "{name} doesn't catch {missing:?}");
    }
}

#[test]
fn no_state_names_an_error_that_nothing_throws() {
    for (name, state) in tasks(&states()) {
        for error in list(state, "Catch")
            .iter()
            .chain(list(state, "Retry"))
            .flat_map(errors)
        {
            let known = error.starts_with("States.") || TRANSIENT.contains(&error);
            assert!(known || throws(state).contains(error), "{name} names {error}");
        }
    }
}

#[test]
fn whatever_else_goes_wrong_is_recorded_too() {
    for (name, state) in tasks(&states()) {
        let last = list(state, "Catch")
            .last()
            .unwrap_or_else(|| panic!("{name} catches nothing"));
        assert_eq!(errors(last), ["States.ALL"].into(), "{name}");
        let next = if name == "RecordFailure" {
            "Failed"
        } else {
            "RecordFailure"
        };
        assert_eq!(last["Next"], next, "{name}");
    }
}

#[test]
fn a_failure_to_record_keeps_the_error_that_led_to_it() {
    let states = states();
    let output = &list(&states["RecordFailure"], "Catch")[0]["Output"];
    assert_eq!(output["error"], "StatusNotRecorded");
    let cause = output["cause"].as_str().unwrap();
    for part in [
        "$states.input.error",
        "$states.input.cause",
        "$states.input.build.status",
        "$states.errorOutput",
    ] {
        assert!(cause.contains(part), "{part} is missing in {cause}");
    }
}

#[test]
fn only_what_passes_by_itself_is_retried() {
    for (name, state) in tasks(&states()) {
        let mut allowed: BTreeSet<&str> = TRANSIENT.into();
        match name {
            "StartBuild" => allowed.insert("AccountLimitExceeded"),
            "AwaitBuild" => allowed.insert("BuildNotFound"),
            _ => false,
        };
        let retried: BTreeSet<&str> = list(state, "Retry").iter().flat_map(errors).collect();
        assert_eq!(retried, allowed, "{name}");
    }
}

#[test]
fn retries_back_off_with_jitter() {
    for (name, state) in tasks(&states()) {
        for rule in list(state, "Retry") {
            assert!(rule["BackoffRate"].as_f64().unwrap() > 1.0, "{name}");
            assert!(rule["MaxDelaySeconds"].as_u64().is_some(), "{name}");
            assert_eq!(rule["JitterStrategy"], "FULL", "{name}");
        }
    }
}

/// The most seconds that a rule's retries wait in all; full jitter only shortens them.
fn longest_wait(rule: &Value) -> f64 {
    let field = |name: &str| rule[name].as_f64().unwrap();
    let (mut delay, mut sum) = (field("IntervalSeconds"), 0.0);
    for _ in 0..rule["MaxAttempts"].as_u64().unwrap() {
        sum += delay.min(field("MaxDelaySeconds"));
        delay *= field("BackoffRate");
    }
    sum
}

#[test]
fn retries_of_a_start_end_while_codebuild_knows_the_idempotency_token() {
    const IDEMPOTENT: f64 = 300.0;
    const FUNCTION_TIMEOUT: f64 = 30.0; // held against the template in template.rs
    let states = states();
    let [transient, limit] = list(&states["StartBuild"], "Retry") else {
        panic!("two rules")
    };
    let tries = transient["MaxAttempts"].as_f64().unwrap() + 1.0;
    assert!(longest_wait(transient) + tries * FUNCTION_TIMEOUT < IDEMPOTENT);
    // Full jitter waits half of the longest in the mean: about an hour.
    let mean = longest_wait(limit) / 2.0;
    assert!((3000.0..4200.0).contains(&mean), "{mean}");
}

#[test]
fn a_lost_event_costs_ten_minutes() {
    let states = states();
    let state = &states["AwaitBuild"];
    assert_eq!(
        state["Resource"],
        "arn:aws:states:::lambda:invoke.waitForTaskToken"
    );
    // A literal: the emulator knows no expression here.
    assert_eq!(state["TimeoutSeconds"], 600);
    let first = &list(state, "Catch")[0];
    assert_eq!(errors(first), ["States.Timeout"].into());
    assert_eq!(first["Next"], "AwaitBuild");
}

#[test]
fn a_build_that_did_not_succeed_is_a_failure_whatever_its_status() {
    let states = states();
    let [choice] = list(&states["BuildSucceeded"], "Choices") else {
        panic!("one choice")
    };
    assert_eq!(
        choice["Condition"],
        "{% $states.input.build.status = 'SUCCEEDED' %}"
    );
    assert_eq!(choice["Next"], "RecordSuccess");
    assert_eq!(states["BuildSucceeded"]["Default"], "RecordFailure");
}

// --- Variables -------------------------------------------------------------------------------------

/// An arrow: where it leads, and whether the state's `Assign` has taken place on it.
fn arrows(state: &Value) -> Vec<(&str, bool)> {
    let next = |rule: &'static str, field: &'static str, assigned: bool| {
        list(state, rule)
            .iter()
            .filter_map(move |r| Some((r[field].as_str()?, assigned)))
    };
    let own = ["Next", "Default"]
        .into_iter()
        .filter_map(|field| Some((state[field].as_str()?, true)));
    own.chain(next("Choices", "Next", true))
        .chain(next("Catch", "Next", false))
        .collect()
}

/// The variables that are assigned on every path to each reachable state.
fn assigned(states: &States) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut known = BTreeMap::from([("CheckMd5", BTreeSet::new())]);
    let mut todo = vec!["CheckMd5"];
    while let Some(name) = todo.pop() {
        let own = states[name]["Assign"]
            .as_object()
            .into_iter()
            .flat_map(|a| a.keys().map(String::as_str));
        let (before, own) = (known[name].clone(), own.collect::<BTreeSet<_>>());
        for (next, with_own) in arrows(&states[name]) {
            let here = if with_own { &before | &own } else { before.clone() };
            let merged = known.get(next).map_or(here.clone(), |there| there & &here);
            if known.get(next) != Some(&merged) {
                known.insert(next, merged);
                todo.push(next);
            }
        }
    }
    known
}

/// The variables that an expression reads: `$name` that is neither a call nor `$states`.
fn reads(expression: &str) -> BTreeSet<&str> {
    let words = expression.split('$').skip(1).map(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        rest.split_at(end)
    });
    words
        .filter(|(name, rest)| *name != "states" && !rest.starts_with('('))
        .map(|(name, _)| name)
        .collect()
}

fn expressions<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if text.starts_with("{%") => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| expressions(field, found)),
        _ => {}
    }
}

fn undeclared(states: &States) -> Vec<String> {
    let known = assigned(states);
    let mut problems = Vec::new();
    for (name, state) in states {
        let Some(known) = known.get(name.as_str()) else {
            problems.push(format!("{name} is never reached"));
            continue;
        };
        let mut found = Vec::new();
        expressions(state, &mut found);
        for variable in found
            .into_iter()
            .flat_map(reads)
            .filter(|variable| !known.contains(variable))
        {
            problems.push(format!("{name} reads ${variable}"));
        }
    }
    problems
}

#[test]
fn no_state_reads_a_variable_that_some_path_leaves_unassigned() {
    assert_eq!(undeclared(&states()), Vec::<String>::new());
}

#[test]
fn that_check_finds_a_variable_that_a_caught_error_leaves_unassigned() {
    let mut states = states();
    states.get_mut("RecordFailure").unwrap()["Arguments"]["Payload"]["plan"] = "{% $plan %}".into();
    assert_eq!(undeclared(&states), ["RecordFailure reads $plan"]);
}

#[test]
fn every_state_says_what_it_is_for() {
    for (name, state) in states() {
        assert!(
            state["Comment"].as_str().is_some_and(|text| text.len() > 20),
            "{name}"
        );
    }
}
