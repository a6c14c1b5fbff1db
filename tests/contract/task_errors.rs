//! Every error of every task: how often the task is tried, and which state follows the error.
//!
//! The definitions are run by the documented rules of `Retry` and `Catch` (`seedflow_contract::run_task`), and the
//! outcome is compared with the expectation here. `faults` proves with real functions that an error has its name and
//! that a repeated try does nothing twice; the number of tries is proven here.

use seedflow_contract::{StateMachine, TaskEnd, TaskRun, run_task};
use seedflow_core::error::ErrorName;
use serde_json::Value;

use crate::state_machines::throws;

/// Transient errors of any called service.
const PASSING: [&str; 7] = [
    "Throttled",
    "ServiceUnavailable",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
];

/// Crashes, lack of memory and timeouts of functions; unknown errors; failures of a state's own expression.
const CRASHES: [&str; 7] = [
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
    "States.TaskFailed",
    "States.QueryEvaluationError",
    "States.Permissions",
    "NobodyKnows",
];

/// Errors that are caught only by their own names.
const TERMINAL: [&str; 2] = ["States.DataLimitExceeded", "States.Runtime"];

/// Transient errors of starting an execution.
const OF_A_START: [&str; 5] = [
    "StepFunctions.ExecutionLimitExceeded",
    "StepFunctions.ExecutionLimitExceededException",
    "StepFunctions.AWSStepFunctionsException",
    "StepFunctions.SdkClientException",
    "StepFunctions.ThrottlingException",
];

/// A task of a definition.
struct Task {
    machine: &'static str,
    name: String,
    state: Value,
}

impl Task {
    fn resource(&self) -> &str {
        self.state["Resource"]
            .as_str()
            .unwrap()
            .rsplit(":::")
            .next()
            .unwrap()
    }

    fn waits_for_a_token(&self) -> bool {
        self.resource().ends_with(".waitForTaskToken")
    }

    /// What it runs, in one word for the table of [`Expected::of`].
    fn kind(&self) -> Kind {
        match self.resource() {
            "lambda:invoke" | "lambda:invoke.waitForTaskToken" => Kind::Function,
            "states:startExecution.sync:2" | "states:startExecution" => Kind::Execution,
            "sqs:sendMessage" => Kind::Message,
            other => panic!("{}: expected a known integration, found {other}", self.name),
        }
    }

    /// The state that follows an error that outlasts all tries.
    fn failure(&self) -> Option<&'static str> {
        match (self.machine, self.name.as_str()) {
            ("deploy-module", "RecordFailure") => Some("Failed"),
            ("deploy-module", _) => Some("RecordFailure"),
            ("deploy", "DeployModule") => Some("ModuleFailed"),
            ("deploy", "ClaimForRefusal") => Some("RecordRefusal"),
            ("deploy", "FetchSources" | "EvaluatePolicy" | "PreviewModules") => Some("WhatIsPlanned"),
            ("deploy", _) => Some("Failed"),
            ("drift", "ListModules") => Some("Failed"),
            ("drift", "CheckDrift") => Some("BatchChecked"),
            ("end-execution", "EndExecution") => Some("KeepEvent"),
            ("end-execution", "ReportRefused") => Some("IsSettled"),
            // The execution fails with the error: the last resort, and a plan for which somebody waits.
            ("end-execution", "KeepEvent") | ("plan", "StartPlan") => None,
            (machine, name) => panic!("expected a known task, found {name} of {machine}"),
        }
    }
}

enum Kind {
    Function,
    Execution,
    Message,
}

/// The tasks of all definitions, including those inside a Map.
fn tasks() -> Vec<Task> {
    let mut tasks = Vec::new();
    for machine in StateMachine::ALL {
        let mut states: Vec<(String, Value)> = StateMachine::read(machine).states.into_iter().collect();
        while let Some((name, state)) = states.pop() {
            if let Some(inner) = state["ItemProcessor"]["States"].as_object() {
                states.extend(inner.clone());
            }
            if state["Type"] == "Task" {
                tasks.push(Task { machine, name, state });
            }
        }
    }
    tasks
}

/// All names that an error may have.
fn all_errors() -> Vec<&'static str> {
    let named = ErrorName::ALL.iter().map(|name| name.as_str());
    let mut all: Vec<&str> = named
        .chain(PASSING)
        .chain(CRASHES)
        .chain(TERMINAL)
        .chain(OF_A_START)
        .chain(["States.Timeout"])
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The expected handling of a task that fails with one error at every try.
#[derive(Debug, PartialEq)]
struct Expected {
    tries: u64,
    /// The state that the error leads to; `None` if the execution fails with it.
    next: Option<&'static str>,
}

impl Expected {
    fn of(task: &Task, error: &str) -> Self {
        if TERMINAL.contains(&error) {
            return Self { tries: 1, next: None };
        }
        let next = task.failure();
        let tries = match task.kind() {
            Kind::Function if error == "States.Timeout" && task.waits_for_a_token() => {
                return Self {
                    tries: 1,
                    next: Some(Self::after_a_wait(&task.name)),
                };
            }
            Kind::Function => Self::tries_of_a_function(task, error),
            Kind::Execution if OF_A_START.contains(&error) => 11,
            Kind::Execution => 1,
            Kind::Message => 11,
        };
        Self { tries, next }
    }

    /// A lost event costs one timeout.
    fn after_a_wait(name: &str) -> &'static str {
        match name {
            "AwaitBuild" => "AwaitBuild",
            "WaitForLock" => "AcquireLock",
            // The end of the time is a decision, too.
            "WaitForApproval" => "ExpireApproval",
            other => panic!("expected a known wait, found {other}"),
        }
    }

    fn tries_of_a_function(task: &Task, error: &str) -> u64 {
        match (task.name.as_str(), error) {
            ("StartBuild", "AccountLimitExceeded") => 2001,
            ("StartBuild", "RoleNotReady") => 15,
            ("AwaitBuild", "BuildNotFound") => 5,
            ("EndExecution", error) if PASSING.contains(&error) => 69,
            (_, error) if PASSING.contains(&error) => 451,
            // A decision of the function is final. An error that belongs to another function is an unknown one here.
            _ if is_decided(task, error) => 1,
            _ => 3,
        }
    }
}

/// Whether the task's function decides this error.
fn is_decided(task: &Task, error: &str) -> bool {
    match task.name.as_str() {
        // Its other errors occur only in states that follow a success.
        "RecordFailure" => ["AccessDenied", "Refused"].contains(&error),
        _ => throws(&task.state).contains(error),
    }
}

fn next<'a>(run: &'a TaskRun<'_>) -> Option<&'a str> {
    match &run.end {
        TaskEnd::Caught { by, .. } => by["Next"].as_str(),
        TaskEnd::Failed(_) => None,
        TaskEnd::Succeeded => panic!("expected a failure, found {run:?}"),
    }
}

#[test]
fn each_error_that_stays_ends_each_task_after_its_tries_and_with_its_own_name() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for task in tasks() {
        for error in all_errors() {
            let run = run_task(&task.state, std::iter::repeat(error));
            let (TaskEnd::Caught { error: last, .. } | TaskEnd::Failed(last)) = &run.end else {
                panic!("{} ends well", task.name)
            };
            assert_eq!(last, error);
            let (expected, next) = (Expected::of(&task, error), next(&run));
            if (expected.tries, expected.next) != (run.tries, next) {
                wrong.push(format!(
                    "{} of {}, {error}: expected {expected:?}, found {} tries and {next:?}",
                    task.name, task.machine, run.tries
                ));
            }
            checked += 1;
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {checked}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(checked > 600, "{checked}");
}

#[test]
fn each_task_succeeds_after_all_but_the_last_of_its_tries_have_failed() {
    for task in tasks() {
        for error in all_errors() {
            let tries = Expected::of(&task, error).tries;
            for failures in [0, tries / 2, tries - 1] {
                let run = run_task(&task.state, (0..failures).map(|_| error));
                assert_eq!(
                    (run.end, run.tries),
                    (TaskEnd::Succeeded, failures + 1),
                    "{} {error}",
                    task.name
                );
            }
        }
    }
}

/// A fault of a minute. `faults` injects shorter ones into real functions, which their second or third try survives.
#[test]
fn a_minute_in_which_every_call_fails_is_survived_by_every_task_that_calls_a_function() {
    let functions = tasks()
        .into_iter()
        .filter(|task| matches!(task.kind(), Kind::Function));
    for task in functions {
        for error in PASSING {
            // The number of tries in an unlucky minute: full jitter waits half of the longest time on average, and here
            // it waits a quarter.
            let unlucky =
                |tries: usize| run_task(&task.state, std::iter::repeat_n(error, tries)).longest_wait / 4.0;
            let tries = (1..).find(|&tries| unlucky(tries) > 60.0).unwrap();
            let run = run_task(&task.state, std::iter::repeat_n(error, tries));
            assert_eq!(
                run.end,
                TaskEnd::Succeeded,
                "{} {error}: {tries} failed tries",
                task.name
            );
        }
    }
}

#[test]
fn crashes_and_throttling_do_not_use_up_each_other_s_tries() {
    let functions = tasks()
        .into_iter()
        .filter(|task| matches!(task.kind(), Kind::Function));
    for task in functions {
        let errors = ["Throttled", "Lambda.Unknown"].into_iter().cycle().take(4);
        let errors = errors.chain(std::iter::repeat_n("ServiceUnavailable", 18));
        let run = run_task(&task.state, errors);
        assert_eq!((run.end, run.tries), (TaskEnd::Succeeded, 23), "{}", task.name);
    }
}
