//! How long each task is tried again. `end-execution` follows the same rules.

use super::*;

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
