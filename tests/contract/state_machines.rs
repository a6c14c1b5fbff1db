//! The state machines in `statemachine/`, checked against what the functions promise.
//!
//! The linters know the language of state machines; these tests know our machines: which function fails with which
//! error names, that every failure is recorded, how long each task is tried again (`retries`), and that no state reads
//! a variable which some path leaves unassigned (`variables`).

mod retries;
mod variables;

use std::collections::{BTreeMap, BTreeSet};

use seedflow_contract::{StateMachine, TaskEnd, errors, file, list, run_task};
use seedflow_core::error::ErrorName::{self, *};
use serde_json::Value;

/// The errors that each function names. `build-event` isn't here: EventBridge starts it, not a state, and its failures
/// go to the queue of failed events.
const THROWS: [(&str, &[ErrorName]); 14] = [
    (
        "PreviewModules",
        &[AccessDenied, Refused, Throttled, ServiceUnavailable],
    ),
    (
        "DetectDrift",
        &[InvalidInput, AccessDenied, Refused, Throttled, ServiceUnavailable],
    ),
    (
        "PlanDeployment",
        &[
            InvalidInput,
            SourceNotFound,
            InvalidBundle,
            InvalidDeployspec,
            InvalidModuleStack,
            InvalidManifest,
            AccessDenied,
            Refused,
            Throttled,
            ServiceUnavailable,
        ],
    ),
    (
        "EvaluatePolicy",
        &[
            DeniedByPolicy,
            ApprovalRequired,
            PolicyNotEvaluated,
            AccessDenied,
            Refused,
            Throttled,
            ServiceUnavailable,
        ],
    ),
    (
        "FetchSources",
        &[
            InvalidInput,
            SourceUnavailable,
            InvalidBundle,
            AccessDenied,
            Refused,
            Throttled,
            ServiceUnavailable,
        ],
    ),
    (
        "RecordDeployment",
        &[LockLost, AccessDenied, Refused, Throttled, ServiceUnavailable],
    ),
    (
        "ModuleStack",
        &[
            InvalidInput,
            InvalidModuleStack,
            ModuleStackFailed,
            ModuleStackTimedOut,
            LockLost,
            AccessDenied,
            Refused,
            Throttled,
            ServiceUnavailable,
        ],
    ),
    (
        "RequestApproval",
        &[InvalidInput, AccessDenied, Refused, Throttled, ServiceUnavailable],
    ),
    (
        "AcquireLock",
        &[InvalidInput, AccessDenied, Refused, Throttled, ServiceUnavailable],
    ),
    (
        "EndExecution",
        &[InvalidInput, AccessDenied, Refused, Throttled, ServiceUnavailable],
    ),
    (
        "CheckMd5",
        &[
            InvalidInput,
            SourceNotFound,
            InvalidBundle,
            InvalidDeployspec,
            InvalidModuleStack,
            StateConflict,
            DeniedByPolicy,
            ApprovalRequired,
            ApprovalVoid,
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
            SourceNotFound,
            AccountLimitExceeded,
            RoleNotReady,
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
            LockLost,
            AccessDenied,
            Refused,
            Throttled,
            ServiceUnavailable,
        ],
    ),
];

const TRANSIENT: [&str; 7] = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
    "Throttled",
    "ServiceUnavailable",
];

type States = BTreeMap<String, Value>;

/// The first state of deploy-module.
const START: &str = "AcquireLock";

fn states() -> States {
    let (start, states) = machine("deploy-module");
    assert_eq!(start, START);
    states
}

/// Where a machine starts, and its states.
fn machine(name: &str) -> (String, States) {
    let StateMachine { start, states, .. } = StateMachine::read(name);
    (start, states)
}

/// The tasks that call a function. `task_errors` has the others.
fn tasks(states: &States) -> impl Iterator<Item = (&str, &Value)> {
    states
        .iter()
        .filter(|(_, state)| state["Arguments"]["FunctionName"].is_string())
        .map(|(name, state)| (name.as_str(), state))
}

/// The function that a task calls, as its substitution `${…FunctionArn}` names it.
fn function(state: &Value) -> &str {
    let name = state["Arguments"]["FunctionName"].as_str().unwrap();
    name.strip_prefix("${")
        .and_then(|n| n.strip_suffix("FunctionArn}"))
        .expect("a substitution")
}

/// The errors that `plan-deployment` returns instead of throwing, so that they can be written to the deployment's
/// status.
const ANSWERED: [ErrorName; 5] = [
    Blocked,
    // In the answer to a plan that waits for an approval, or to an approver.
    ApprovalRejected,
    ApprovalExpired,
    PlanSuperseded,
    NotApprover,
];

/// The errors that a task's function names.
pub fn throws(state: &Value) -> BTreeSet<&'static str> {
    let function = function(state);
    // Only an execution that deploys a part of a deployment is not allowed to wait.
    let whole = &state["Arguments"]["Payload"]["whole"];
    let busy = whole.is_string().then_some(DeploymentBusy.as_str());
    let (_, names) = THROWS
        .iter()
        .find(|(name, _)| *name == function)
        .expect("a known function");
    names.iter().map(|name| name.as_str()).chain(busy).collect()
}

/// Both workflows: the name, where it starts, its states.
fn workflows() -> [(&'static str, String, States); 2] {
    ["deploy-module", "deploy"].map(|name| {
        let (start, states) = machine(name);
        (name, start, states)
    })
}

#[test]
fn has_the_states_of_the_design() {
    let names: BTreeSet<String> = states().into_keys().collect();
    let expected = [
        "AcquireLock",
        "AwaitBuild",
        "BuildSucceeded",
        "CheckMd5",
        "Deployed",
        "EvaluatePolicy",
        "Failed",
        "ForgetModule",
        "Forgotten",
        "HasModuleStack",
        "HasMoved",
        "HasMovedWithoutBuild",
        "IsChanged",
        "IsRolePrepared",
        "IsRoleRemoved",
        "MarkInProgress",
        "PrepareRole",
        "RecordFailure",
        "RecordSuccess",
        "RemoveRole",
        "StartBuild",
        "Superseded",
        "TouchTimestamp",
        "Unchanged",
        "WaitForLock",
        "WaitForRemoval",
        "WaitForRole",
        "WhoseTurn",
    ];
    assert_eq!(names, expected.map(String::from).into());
}

#[test]
fn every_error_name_is_thrown_by_some_function() {
    for name in ErrorName::ALL {
        assert!(
            THROWS.iter().any(|(_, names)| names.contains(&name))
                || ANSWERED.contains(&name)
                || name == DeploymentBusy,
            "{name} is thrown by none"
        );
    }
}

#[test]
fn every_error_of_a_function_is_caught_where_it_is_called() {
    for (machine, _, states) in workflows() {
        for (name, state) in tasks(&states).filter(|(name, _)| *name != "RecordFailure") {
            // Named in a Retry: an error that is named nowhere would be repeated like a crash.
            let named: BTreeSet<&str> = list(state, "Retry").iter().flat_map(errors).collect();
            let missing: Vec<_> = throws(state).difference(&named).copied().collect();
            assert!(missing.is_empty(), "{name} of {machine} doesn't name {missing:?}");
            for error in throws(state) {
                let end = run_task(state, std::iter::repeat(error)).end;
                assert!(
                    matches!(end, TaskEnd::Caught { .. }),
                    "{name} of {machine}: {error}: {end:?}"
                );
            }
        }
    }
}

#[test]
fn no_state_names_an_error_that_nothing_throws() {
    let states = workflows().map(|(_, _, states)| states);
    for (name, state) in states.iter().flat_map(tasks) {
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
fn any_other_error_is_recorded_too() {
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
fn any_failure_of_a_deployment_is_its_own_error() {
    let (_, states) = machine("deploy");
    for (name, state) in tasks(&states) {
        let last = list(state, "Catch").last().unwrap();
        assert_eq!(errors(last), ["States.ALL"].into(), "{name}");
        let next = match name {
            // Sources that can't be fetched are a refusal, like a manifest that is not valid.
            "FetchSources" => "WhatIsPlanned",
            // So are rules that were not evaluated.
            "EvaluatePolicy" => "WhatIsPlanned",
            // A plan goes on without previews.
            "PreviewModules" => "WhatIsPlanned",
            // A refusal is recorded even if nobody can say whether the lock is free.
            "ClaimForRefusal" => "RecordRefusal",
            _ => "Failed",
        };
        assert_eq!(last["Next"], next, "{name}");
    }
    // A failed module is a result, and never ends the modules beside it.
    let module = &states["DeployWave"]["ItemProcessor"]["States"]["DeployModule"];
    let [caught] = list(module, "Catch") else {
        panic!("one rule")
    };
    assert_eq!(errors(caught), ["States.ALL"].into());
    assert_eq!(caught["Output"]["state"], "FAILED");
    for rule in list(module, "Retry") {
        assert!(
            errors(rule)
                .iter()
                .all(|error| error.starts_with("StepFunctions.")),
            "only starting it is repeated"
        );
    }
}

#[test]
fn an_end_that_could_not_be_settled_is_kept_for_a_person() {
    let (_, states) = machine("end-execution");
    let [caught] = list(&states["EndExecution"], "Catch") else {
        panic!("one rule")
    };
    assert_eq!(errors(caught), ["States.ALL"].into());
    assert_eq!(caught["Next"], "KeepEvent");
    let kept = &states["KeepEvent"]["Arguments"]["MessageBody"];
    // By either of its two names: the event's, or that of acquire-lock and people.
    let named = kept["execution"].as_str().unwrap();
    assert!(
        named.contains("$ended.execution ") && named.contains("$ended.executionArn "),
        "{named}"
    );
    assert_eq!(states["KeepEvent"]["Next"], "NotSettled");
    assert_eq!(states["NotSettled"]["Type"], "Fail");
}

#[test]
fn what_is_refused_at_an_end_is_reported_and_holds_nothing_up() {
    let (start, states) = machine("end-execution");
    // An input may be a forged event. The reported value is a variable, so it is never taken from the input.
    assert_eq!(states[&start]["Assign"]["reported"], "{% '' %}");
    assert_eq!(states[&start]["Next"], "EndExecution");
    let payload = states["EndExecution"]["Arguments"]["Payload"].as_str().unwrap();
    assert!(payload.contains("'reported': $reported"), "{payload}");
    assert_eq!(states["EndExecution"]["Next"], "IsSettled");
    // Before it waits, and once: the report changes the value by which it is chosen.
    let first = &list(&states["IsSettled"], "Choices")[0];
    assert_eq!(first["Next"], "ReportRefused");
    let condition = first["Condition"].as_str().unwrap();
    assert!(condition.contains("$states.input.report "), "{condition}");
    let report = &states["ReportRefused"];
    assert_eq!(report["Assign"]["reported"], "{% $states.input.refused.cause %}");
    // Not even a queue that accepts nothing.
    let [caught] = list(report, "Catch") else {
        panic!("one rule")
    };
    assert_eq!(errors(caught), ["States.ALL"].into());
    for way in [caught, report] {
        assert_eq!(way["Next"], "IsSettled");
        let output = way["Output"].as_str().unwrap();
        assert!(output.contains("{'report': false}"), "{output}");
    }
    assert_eq!(states["NotAllSettled"]["Type"], "Fail");
}

/// Those who may start this machine only can't deploy, and run nothing of the repository: no field of an input overrides those
/// that make it a plan.
#[test]
fn what_is_started_to_plan_plans_and_nothing_else() {
    let (start, states) = machine("plan");
    assert_eq!(states.keys().collect::<Vec<_>>(), [&start]);
    let asked = &states[&start]["Arguments"];
    assert_eq!(
        asked["Input"],
        "{% $merge([$states.input, {'plan_only': true, 'record_refusal': false, 'preview': false}]) %}"
    );
    // Its readers are allowed executions of this name, and no others.
    assert_eq!(asked["Name"], "{% 'plan-' & $states.context.Execution.Name %}");
    assert_eq!(asked["StateMachineArn"], "${DeployArn}");
}

/// The size limit of Step Functions for the input, arguments, result or output of a state, in bytes of UTF-8 (Step
/// Functions Developer Guide, "Service quotas").
const MAX_PAYLOAD: usize = 262_144;

/// A character has at most four bytes in UTF-8.
const MAX_CHARACTER: usize = 4;

/// Data sent beside the input: a token of up to 2,048 characters (API_SendTaskSuccess), two ARNs of up to 256, two
/// times.
const BESIDE_THE_INPUT: usize = 4096;

#[test]
fn an_input_that_is_sent_on_fits_with_any_characters() {
    let mut sent = 0;
    for (machine, _, states) in workflows() {
        for (name, state) in tasks(&states) {
            let Some(input) = state["Arguments"]["Payload"]["input"].as_str() else {
                continue;
            };
            let bound = input
                .strip_prefix("{% $length($string($states.context.Execution.Input)) > ")
                .and_then(|rest| rest.strip_suffix(" ? null : $states.context.Execution.Input %}"))
                .unwrap_or_else(|| panic!("{name} of {machine} sends an input of any length: {input}"));
            let most = bound.parse::<usize>().unwrap() * MAX_CHARACTER;
            assert!(
                most + BESIDE_THE_INPUT <= MAX_PAYLOAD,
                "{name} of {machine}: {most}"
            );
            sent += 1;
        }
    }
    assert!(sent > 0, "no state sends the input");
}

/// Where CloudFormation can substitute the partition, no file may say `aws`: China and GovCloud have other partitions.
#[test]
fn no_definition_and_no_template_has_a_partition_of_its_own() {
    for path in [
        "statemachine/check-key.asl.json",
        "statemachine/deploy-module.asl.json",
        "statemachine/deploy.asl.json",
        "statemachine/drift.asl.json",
        "statemachine/end-execution.asl.json",
        "statemachine/plan.asl.json",
        "template.yaml",
        "template-git.yaml",
    ] {
        let text = file(path);
        let found = text.lines().find(|line| line.contains("arn:aws"));
        assert_eq!(found, None, "{path}");
    }
}

#[test]
fn a_build_that_did_not_succeed_is_a_failure_with_any_status() {
    let states = states();
    let [without_role, choice] = list(&states["BuildSucceeded"], "Choices") else {
        panic!("two choices")
    };
    assert_eq!(
        without_role["Condition"],
        "{% $states.input.build.status = 'SUCCEEDED' and $remove_role %}"
    );
    assert_eq!(without_role["Next"], "RemoveRole");
    assert_eq!(
        choice["Condition"],
        "{% $states.input.build.status = 'SUCCEEDED' %}"
    );
    assert_eq!(choice["Next"], "RecordSuccess");
    assert_eq!(states["BuildSucceeded"]["Default"], "RecordFailure");
}

#[test]
fn every_state_says_what_it_is_for() {
    for (name, state) in StateMachine::ALL.into_iter().flat_map(|name| machine(name).1) {
        assert!(
            state["Comment"].as_str().is_some_and(|text| text.len() > 20),
            "{name}"
        );
    }
}
