//! The waits of the workflow: for an event that never arrives, and in an account that runs its maximum of builds.
//!
//! The stack waits seconds where AWS waits minutes; few other tests can use it.

use std::time::Duration;

use seedflow_core::telemetry::metric::Metric;
use seedflow_e2e::{Action, Caller, Module, Rule, Shared, StackOptions, eventually, run};
use serde_json::json;

pub static STACK: Shared = Shared::new(|| StackOptions {
    await_timeout: Some(Duration::from_secs(5)),
    // The cleanup after a stopped execution waits as long for a function that was just running.
    function_timeout: Some(Duration::from_secs(20)),
    emulator_env: vec![("SFN_WAIT_SCALE".to_owned(), "0.02".to_owned())],
    ..StackOptions::default()
});

#[test]
fn a_lost_event_costs_a_timeout_and_never_the_deployment() {
    run(async {
        let stack = STACK.get().await;
        let project = format!("{}-lost", stack.about().project_name);
        let more = json!({"build": {"project_name": project}});
        let lost = stack.rule(Rule::new("events", "PutEvents", Action::Discard).contains(&project));
        let id = stack.module_id("lost");
        let module = Module::running("build", &["sleep 2"]);
        let finished = stack.deploy_with(&id, &module, more.clone()).await;
        assert_eq!(
            finished.state(),
            "SUCCEEDED",
            "{}: {}",
            finished.error,
            finished.cause
        );
        assert!(lost.applied() > 0);
        let rounds = finished
            .states
            .iter()
            .filter(|(state, _)| state == "AwaitBuild")
            .count();
        // A busy machine may need one more round.
        assert!(rounds >= 2, "AwaitBuild was entered again");
        let measured = async |metric| stack.measured("check-status", metric, &finished.execution).await;
        assert_eq!(measured(Metric::LostEvents).await, [1.0]);
        let ages = measured(Metric::InProgressSeconds).await;
        assert_eq!(ages.len(), rounds);
        assert!(ages.is_sorted() && ages.last() >= Some(&5.0), "{ages:?}");

        // The same for a build that fails: its end isn't lost either.
        let bad = Module::running("build", &["sleep 2; exit 3"]);
        let finished = stack.deploy_with(&id, &bad, more).await;
        assert_eq!(finished.error, "BuildFailed");
        stack.released(&id).await;
        let failed = stack.measured("update-metadata", Metric::ModulesFailed, &finished.execution);
        assert_eq!(failed.await, [1.0]);
        let callbacks = stack.keys(&format!("callbacks/{project}")).await;
        assert_eq!(callbacks, Vec::<String>::new());
    });
}

/// AWS's answer (API reference, StartBuild).
fn limit() -> Action {
    Action::Refuse {
        status: 400,
        code: "AccountLimitExceededException".to_owned(),
        message: "Cannot have more than 60 builds in queue for the account".to_owned(),
    }
}

#[test]
fn an_account_at_its_limit_of_builds_is_waited_for() {
    run(async {
        let stack = STACK.get().await;
        let project = format!("{}-limited", stack.about().project_name);
        let more = json!({"build": {"project_name": project}});
        let module = Module::running("build", &["true"]);
        let limited = stack.rule(
            Rule::new("codebuild", "StartBuild", limit())
                .contains(&project)
                .times(6),
        );
        let finished = stack
            .deploy_with(&stack.module_id("limited"), &module, more)
            .await;
        assert_eq!(
            finished.state(),
            "SUCCEEDED",
            "{}: {}",
            finished.error,
            finished.cause
        );
        assert_eq!(limited.applied(), 6);
    });
}

#[test]
fn an_execution_that_is_stopped_while_it_waits_for_a_place_starts_no_build_afterwards() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("given-up");
        let project = format!("{}-given-up", stack.about().project_name);
        let more = json!({"build": {"project_name": project}});
        let limited = stack.rule(Rule::new("codebuild", "StartBuild", limit()).contains(&project));
        let input = stack
            .input(&id, &Module::running("build", &["true"]), more.clone())
            .await;
        let execution = stack.start(&input).await;
        eventually("a refused build", || async {
            (limited.applied() > 0).then_some(())
        })
        .await;
        let call = json!({"executionArn": execution, "cause": "not worth the wait"});
        stack.call("states", "AWSStepFunctions.StopExecution", call).await;
        stack.released(&id).await;
        drop(limited);
        // Longer than the pause before the next try would be.
        let next = stack
            .deploy_with(&id, &Module::running("build", &["sleep 5"]), more)
            .await;
        assert_eq!(next.state(), "SUCCEEDED", "{}: {}", next.error, next.cause);
        let builds = stack.builds_of(&project).await;
        assert_eq!(builds.len(), 1, "{builds:?}");
    });
}

#[test]
fn an_execution_that_is_stopped_while_it_takes_its_lock_leaves_none() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("barely-begun");
        let lock = format!("locks/{id}.json");
        let late = Rule::new("s3", "PutObject", Action::Delay(Duration::from_secs(3)));
        let late = stack.rule(late.caller(Caller::Functions).contains(&lock));
        let module = Module::running("build", &["true"]);
        let input = stack.input(&id, &module, json!({})).await;
        let execution = stack.start(&input).await;
        eventually("a lock that is being taken", || async {
            (late.applied() > 0).then_some(())
        })
        .await;
        let call = json!({"executionArn": execution});
        stack.call("states", "AWSStepFunctions.StopExecution", call).await;
        eventually("the lock of an execution that has ended", || async {
            stack.object(&lock).await
        })
        .await;
        stack.released(&id).await;
    });
}
