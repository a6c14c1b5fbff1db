//! The state machines in `statemachine/`, checked against what the functions promise.
//!
//! The linters know the language of state machines; these tests know our machines: which function fails with which
//! error names, that every failure is recorded, and that no state reads a variable which some path leaves unassigned.
//! The last check follows all transitions of the machine, including errors. `end-execution` follows the same rules of
//! retrying.
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

/// The tasks of all machines that call a function, with their names.
fn callers() -> Vec<(String, Value)> {
    let drift = machine("drift").1;
    let batch = drift["CheckBatches"]["ItemProcessor"]["States"].clone();
    let batch: States = serde_json::from_value(batch).unwrap();
    let all = [
        states(),
        machine("deploy").1,
        machine("end-execution").1,
        drift,
        batch,
    ]
    .into_iter()
    .flatten();
    all.filter(|(_, state)| state["Arguments"]["FunctionName"].is_string())
        .collect()
}

#[test]
fn what_passes_by_itself_is_retried_for_minutes_and_what_was_decided_never() {
    for (name, state) in callers() {
        let rules = list(&state, "Retry");
        let Some((crash, named)) = rules.split_last() else {
            panic!("{name} retries nothing")
        };
        let (decided, passing) = named.split_last().expect("a rule of what was decided");
        let passes: BTreeSet<&str> = passing.iter().flat_map(errors).collect();
        let mut expected: BTreeSet<&str> = TRANSIENT.into();
        match name.as_str() {
            "StartBuild" => expected.extend(["AccountLimitExceeded", "RoleNotReady"]),
            "AwaitBuild" => expected.extend(["BuildNotFound"]),
            _ => {}
        }
        assert_eq!(passes, expected, "{name}");
        // The first matching rule decides, so all names of the function must precede the crashes. Errors that
        // RecordFailure throws only under the actions of others are left out there.
        assert_eq!(decided["MaxAttempts"], 0, "{name}");
        let mut left: BTreeSet<&str> = throws(&state).difference(&passes).copied().collect();
        if state["Resource"]
            .as_str()
            .is_some_and(|r| r.ends_with("waitForTaskToken"))
        {
            left.insert("States.Timeout");
        }
        if name == "RecordFailure" {
            left = ["AccessDenied", "Refused"].into();
        }
        assert_eq!(errors(decided), left, "{name}");
        assert_eq!(errors(crash), ["States.ALL"].into(), "{name}");
        assert_eq!(crash["MaxAttempts"], 2, "{name}");
        // The locks of what has ended are taken over after the tries of end-execution (decision 33), so these are fewer.
        let minutes = if name == "EndExecution" {
            8.0..10.0
        } else {
            58.0..62.0
        };
        let longest = longest_wait(&passing[0]) / 60.0;
        assert!(minutes.contains(&longest), "{name}: {longest}");
    }
}

#[test]
fn retries_back_off_with_jitter() {
    for (name, state) in callers() {
        for rule in list(&state, "Retry")
            .iter()
            .filter(|rule| rule["MaxAttempts"] != 0)
        {
            assert!(rule["BackoffRate"].as_f64().unwrap() > 1.0, "{name}");
            assert!(rule["MaxDelaySeconds"].as_u64().is_some(), "{name}");
            assert_eq!(rule["JitterStrategy"], "FULL", "{name}");
        }
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

/// The longest total wait of a rule's retries, in seconds; full jitter only shortens it.
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
fn a_retry_of_a_start_knows_that_it_is_one_and_a_full_account_is_waited_for_a_week_a_role_for_a_minute() {
    let states = states();
    // CodeBuild forgets the idempotency token after five minutes; a retry looks for the build before that.
    assert_eq!(
        states["StartBuild"]["Arguments"]["Payload"]["attempt"],
        "{% $states.context.State.RetryCount %}"
    );
    let limit = &list(&states["StartBuild"], "Retry")[1];
    assert_eq!(errors(limit), ["AccountLimitExceeded"].into());
    let days = longest_wait(limit) / 86_400.0;
    assert!((6.5..7.0).contains(&days), "{days}");
    // 500 builds of five minutes, 20 at once, take 125 minutes. With full jitter a wait is half as long on average, and a queue
    // of CodeBuild is empty after 25 minutes: it is filled again before.
    assert!(limit["MaxDelaySeconds"].as_u64().unwrap() < 25 * 60);
    // Full jitter waits half of the longest time on average.
    let role = &list(&states["StartBuild"], "Retry")[2];
    assert_eq!(errors(role), ["RoleNotReady"].into());
    let mean = longest_wait(role) / 2.0;
    assert!((50.0..70.0).contains(&mean), "{mean}");
}

/// Each try of a function is three events: scheduled, started, failed. A history ends with 25,000 (aws-facts W4).
#[test]
fn all_tries_of_all_tasks_together_leave_room_in_the_history() {
    for machine in StateMachine::ALL {
        let (_, states) = self::machine(machine);
        let tries = |state: &Value| -> u64 {
            let rules = list(state, "Retry").iter();
            rules.filter_map(|rule| rule["MaxAttempts"].as_u64()).sum()
        };
        let events = 3 * states.values().map(tries).sum::<u64>();
        assert!(events < 24_000, "{machine}: {events}");
    }
}

/// Who may start this machine only can't deploy, and runs nothing of the repository: no field of an input overrides those
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

/// The error is named `ExecutionLimitExceeded` in the API reference (StartExecution) and in the developer guide's example
/// ("Start a new AWS Step Functions state machine from a running execution").
#[test]
fn a_module_waits_where_the_account_runs_as_many_executions_as_it_may() {
    let (_, states) = machine("deploy");
    let deploy = &states["DeployWave"]["ItemProcessor"]["States"]["DeployModule"];
    assert!(
        list(deploy, "Retry")
            .iter()
            .any(|rule| errors(rule).contains("StepFunctions.ExecutionLimitExceeded"))
    );
}

#[test]
fn a_lost_event_costs_ten_minutes() {
    let (module, deployment) = (states(), machine("deploy").1);
    for (states, name, again) in [
        (&module, "AwaitBuild", "AwaitBuild"),
        (&module, "WaitForLock", "AcquireLock"),
        (&deployment, "WaitForLock", "AcquireLock"),
    ] {
        let state = &states[name];
        assert_eq!(
            state["Resource"],
            "arn:${Partition}:states:::lambda:invoke.waitForTaskToken"
        );
        // A literal: the emulator accepts no expression here.
        assert_eq!(state["TimeoutSeconds"], 600);
        let first = &list(state, "Catch")[0];
        assert_eq!(errors(first), ["States.Timeout"].into());
        assert_eq!(first["Next"], again);
    }
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
fn each_number_of_a_retry_is_one_that_step_functions_takes() {
    // Step Functions Developer Guide, "Handling errors", "Retrier fields".
    for (name, state) in callers() {
        for rule in list(&state, "Retry") {
            let field = |name: &str| rule[name].as_u64();
            assert!(
                field("MaxAttempts").is_some_and(|most| most <= 99_999_999),
                "{name}"
            );
            let interval = field("IntervalSeconds").unwrap_or(1);
            assert!((1..=99_999_999).contains(&interval), "{name}");
            assert!(
                field("MaxDelaySeconds").is_none_or(|most| most > interval && most < 31_622_400),
                "{name}"
            );
        }
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

// --- Variables -------------------------------------------------------------------------------------

/// A transition: its target, and whether the state's `Assign` has run on it.
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

/// The variables that a rule of `Catch` or `Choices` with the target `next` assigns; several rules must agree.
fn assigned_by_rule<'a>(state: &'a Value, rules: &str, next: &str) -> BTreeSet<&'a str> {
    let rules = list(state, rules).iter().filter(|rule| rule["Next"] == next);
    let names = |rule: &'a Value| -> BTreeSet<&'a str> {
        let assigned = rule["Assign"].as_object();
        assigned
            .into_iter()
            .flat_map(|a| a.keys().map(String::as_str))
            .collect()
    };
    rules
        .map(names)
        .reduce(|all, one| &all & &one)
        .unwrap_or_default()
}

/// The variables that are assigned on every path to each reachable state.
fn assigned<'a>(start: &'a str, states: &'a States) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut known = BTreeMap::from([(start, BTreeSet::new())]);
    let mut todo = vec![start];
    while let Some(name) = todo.pop() {
        let own = states[name]["Assign"]
            .as_object()
            .into_iter()
            .flat_map(|a| a.keys().map(String::as_str));
        let (before, own) = (known[name].clone(), own.collect::<BTreeSet<_>>());
        for (next, with_own) in arrows(&states[name]) {
            let here = if with_own {
                &(&before | &own) | &assigned_by_rule(&states[name], "Choices", next)
            } else {
                &before | &assigned_by_rule(&states[name], "Catch", next)
            };
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
        // A lone `$` is the end of a regular expression.
        .filter(|(name, rest)| !["", "states"].contains(name) && !rest.starts_with('('))
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

fn undeclared(start: &str, states: &States) -> Vec<String> {
    let known = assigned(start, states);
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
    let (start, states) = machine("end-execution");
    let ending = ("end-execution", start, states);
    for (machine, start, states) in workflows().into_iter().chain([ending]) {
        assert_eq!(undeclared(&start, &states), Vec::<String>::new(), "{machine}");
    }
}

#[test]
fn that_check_finds_a_variable_that_a_caught_error_leaves_unassigned() {
    let mut states = states();
    states.get_mut("RecordFailure").unwrap()["Arguments"]["Payload"]["plan"] = "{% $plan %}".into();
    assert_eq!(undeclared(START, &states), ["RecordFailure reads $plan"]);
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
