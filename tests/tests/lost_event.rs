//! An event that never comes: the wait times out, the build is read again, and the deployment ends well.
//!
//! A program of its own, because its stack waits seconds where the others wait ten minutes.

use std::time::Duration;

use seedflow_tests::{Action, Module, Rule, Shared, StackOptions, run};
use serde_json::json;

static STACK: Shared = Shared::new(|| StackOptions {
    await_timeout: Some(Duration::from_secs(5)),
    ..StackOptions::default()
});

#[test]
fn a_lost_event_costs_a_timeout_and_never_the_deployment() {
    run(async {
        let stack = STACK.get().await;
        let project = format!("{}-lost", stack.about().project_name);
        let more = json!({"build": {"project_name": project}});
        let lost = stack.rule(Rule::new("events", "PutEvents", Action::Discard).contains(&project));
        let names = stack.names("lost");
        let module = Module::running("build", &["sleep 2"]);
        let finished = stack.deploy_with(&names, &module, more.clone()).await;
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
        assert_eq!(rounds, 2, "AwaitBuild was entered again once");

        // The same for a build that fails: its end isn't lost either.
        let bad = Module::running("build", &["sleep 2; exit 3"]);
        let finished = stack.deploy_with(&names, &bad, more).await;
        assert_eq!(finished.error, "BuildFailed");
        assert_eq!(stack.keys("callbacks/").await, Vec::<String>::new());
    });
}
