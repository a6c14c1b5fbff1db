//! The situations in which seed-farmer 8.0.9 ends wrong, each in the same form, and the result of Seedflow.
//!
//! docs/reliability.md compares both; each test has the number of its situation there.

use std::time::Duration;

use seedflow_e2e::{Action, Caller, Finished, Module, ModuleId, Rule, RuleGuard, TestStack, module_id, run};
use serde_json::{Value, json};

use crate::delays;
// Waits between retries are AWS's there, since some of these tests count them.
use crate::deployment::STACK;

/// A module whose build prints what it deployed, after a while.
fn deploying(seconds: u32) -> Module {
    Module::running(
        "build",
        &[
            &format!("sleep {seconds}"),
            "seedfarmer metadata add -k Tag -v \"$SEEDFARMER_PARAMETER_TAG\"",
        ],
    )
}

fn tag(tag: &str) -> Value {
    json!({"parameters": {"tag": tag}})
}

fn assert_state(finished: &Finished, state: &str) {
    assert_eq!(finished.state(), state, "{}: {}", finished.error, finished.cause);
}

async fn stored_tag(stack: &TestStack, id: &ModuleId) -> Value {
    stack.parameter(id, "metadata").await["Tag"].clone()
}

async fn state(stack: &TestStack, id: &ModuleId) -> Value {
    stack.parameter(id, "status").await["state"].clone()
}

/// The start and the end of a build, in seconds since the epoch.
fn interval(build: &Value) -> (f64, f64) {
    let at = |field: &str| build[field].as_f64().expect("a time");
    (at("startTime"), at("endTime"))
}

/// A refusal of AWS that a repetition doesn't change.
fn denied() -> Action {
    Action::Refuse {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "User is not authorized to perform: ssm:PutParameter".to_owned(),
    }
}

/// Refuses the next write of one of a module's parameters, after `passing` writes of others.
fn refuse_write<'a>(stack: &'a TestStack, id: &ModuleId, parameter: &str, passing: u32) -> RuleGuard<'a> {
    let path = format!("{}/{parameter}", id.parameter_path());
    let rule = Rule::new("ssm", "PutParameter", denied()).caller(Caller::Functions);
    stack.rule(rule.contains(&path).skip(passing).times(1))
}

#[test]
fn situation_1_a_step_after_the_md5_is_refused() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("failure-1");
        assert_state(
            &stack.deploy_with(&id, &deploying(0), tag("old")).await,
            "SUCCEEDED",
        );

        // Written before the md5: then there is no new md5 either.
        let before = stack.parameters(&id).await;
        let refused = refuse_write(stack, &id, "metadata", 0);
        let failed = stack.deploy_with(&id, &deploying(0), tag("new")).await;
        assert_eq!((failed.error.as_str(), refused.applied()), ("AccessDenied", 1));
        let after = stack.parameters(&id).await;
        assert_eq!(
            (&before["md5"], &before["metadata"]),
            (&after["md5"], &after["metadata"])
        );

        // Written after it: the status, which was IN_PROGRESS before and is FAILED then.
        let refused = refuse_write(stack, &id, "status", 1);
        let failed = stack.deploy_with(&id, &deploying(0), tag("new")).await;
        assert_eq!((failed.error.as_str(), refused.applied()), ("AccessDenied", 1));
        assert_ne!(stack.parameters(&id).await["md5"], before["md5"]);
        assert_eq!(state(stack, &id).await, "FAILED");

        // A repeated deployment is not "up to date".
        let again = stack.deploy_with(&id, &deploying(0), tag("new")).await;
        assert_state(&again, "SUCCEEDED");
        assert_eq!(again.reasons, ["last deployment failed"]);
        assert_eq!(stored_tag(stack, &id).await, "new");
    });
}

#[test]
fn situation_2_run_again_while_the_first_builds() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("failure-2");
        // The client that started the first is gone: nothing of the deployment runs on the client.
        let first = stack
            .start(&stack.input(&id, &deploying(4), tag("one")).await)
            .await;
        stack.build_of(&first).await;
        let second = stack.deploy_with(&id, &deploying(4), tag("two")).await;
        let first = stack.finished(&first).await;
        assert_state(&first, "SUCCEEDED");
        assert_state(&second, "SUCCEEDED");
        assert!(
            interval(&second.build).0 >= interval(&first.build).1,
            "the builds overlap"
        );
        assert_eq!(stored_tag(stack, &id).await, "two");
        stack.released(&id).await;
        let callbacks = stack.keys("callbacks/").await;
        let ours = [first.build_id().unwrap(), second.build_id().unwrap()];
        assert!(
            !callbacks.iter().any(|key| ours.iter().any(|id| key.contains(id))),
            "{callbacks:?}"
        );
    });
}

#[test]
fn situation_3_two_clients_deploy_different_parameters() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("failure-3");
        // The first takes longer than the second, as in seed-farmer's case.
        let first = stack
            .start(&stack.input(&id, &deploying(4), tag("a")).await)
            .await;
        // Its build runs, so it holds the lock: of two that start at once either may be the first.
        stack.build_of(&first).await;
        let second = stack
            .start(&stack.input(&id, &deploying(0), tag("b")).await)
            .await;
        let (first, second) = (stack.finished(&first).await, stack.finished(&second).await);
        assert_state(&first, "SUCCEEDED");
        assert_state(&second, "SUCCEEDED");
        assert!(
            interval(&second.build).0 >= interval(&first.build).1,
            "the builds overlap"
        );
        let metadata = stack.parameter(&id, "metadata").await;
        assert_eq!(
            (&metadata["Tag"], metadata["CodeBuildBuildId"].as_str()),
            (&json!("b"), second.build_id())
        );
        // The running version is b: a isn't up to date, and b is.
        let b = stack.deploy_with(&id, &deploying(0), tag("b")).await;
        assert_state(&b, "UNCHANGED");
        let a = stack.deploy_with(&id, &deploying(0), tag("a")).await;
        assert_state(&a, "SUCCEEDED");
        assert_eq!(a.reasons, ["parameter tag changed"]);
        assert_eq!(stored_tag(stack, &id).await, "a");
    });
}

#[test]
fn situation_4_parameter_store_refuses_what_comes_before_the_build() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("failure-4");
        assert_state(
            &stack.deploy_with(&id, &deploying(0), tag("old")).await,
            "SUCCEEDED",
        );
        let path = id.parameter_path();
        let deletes = ["DeleteParameter", "DeleteParameters"].map(|operation| {
            let rule = Rule::new("ssm", operation, denied()).caller(Caller::Functions);
            stack.rule(rule.contains(&path))
        });
        let refused = refuse_write(stack, &id, "status", 0);
        let failed = stack.deploy_with(&id, &deploying(0), tag("new")).await;
        assert_eq!((failed.error.as_str(), refused.applied()), ("AccessDenied", 1));
        assert!(
            failed.build.is_null(),
            "nothing is built that can't be marked as under way"
        );
        let next = stack.deploy_with(&id, &deploying(0), tag("new")).await;
        assert_state(&next, "SUCCEEDED");
        assert!(
            next.build_id().is_some(),
            "the new parameters are deployed and not taken for it"
        );
        assert_eq!(stored_tag(stack, &id).await, "new");
        // The refusal that seed-farmer gets can't happen: nothing is ever deleted.
        assert!(deletes.iter().all(|deletes| deletes.applied() == 0));
    });
}

#[test]
fn situation_5_two_clients_with_the_same_content() {
    run(async {
        let stack = STACK.get().await;
        let all: Vec<ModuleId> = (0..10)
            .map(|n| module_id("failure-5", "dev", "core", &format!("m{n}")))
            .collect();
        let mut started = Vec::new();
        for id in &all {
            let input = stack.input(id, &deploying(2), tag("same")).await;
            started.push((stack.start(&input).await, stack.start(&input).await));
        }
        let mut builds = 0;
        for (id, (one, other)) in all.iter().zip(&started) {
            let ended = [stack.finished(one).await, stack.finished(other).await];
            builds += ended
                .iter()
                .filter(|finished| finished.build_id().is_some())
                .count();
            let mut states = ended.each_ref().map(Finished::state);
            states.sort_unstable();
            let expected = [["SUCCEEDED", "UNCHANGED"], ["SUCCEEDED", "SUPERSEDED"]];
            assert!(expected.contains(&states), "{id}: {states:?}");
            assert_eq!(stored_tag(stack, id).await, "same");
        }
        assert_eq!(builds, 10);
    });
}

/// Rules that refuse every second one of the next calls of Parameter Store about a path.
fn every_second<'a>(stack: &'a TestStack, path: &str, refusals: u32) -> Vec<RuleGuard<'a>> {
    let rule = |number: u32| {
        let rule = Rule::new("ssm", "", Action::throttled("ssm")).caller(Caller::Functions);
        // Each lets one more call pass than the earlier ones have refused.
        let rule = rule.contains(path).skip(number + 1).times(1);
        stack.rule(Rule {
            operation: None,
            ..rule
        })
    };
    (0..refusals).map(rule).collect()
}

#[test]
fn situation_6_parameter_store_throttles_half_the_calls() {
    run(async {
        let stack = STACK.get().await;
        let all: Vec<ModuleId> = (0..3)
            .map(|n| module_id("failure-6", "dev", "core", &format!("m{n}")))
            .collect();
        let refused: Vec<_> = all
            .iter()
            .map(|id| every_second(stack, &id.parameter_path(), 40))
            .collect();
        let mut started = Vec::new();
        for id in &all {
            started.push(stack.start(&stack.input(id, &deploying(0), tag("t")).await).await);
        }
        for ((id, execution), refused) in all.iter().zip(&started).zip(&refused) {
            assert_state(&stack.finished(execution).await, "SUCCEEDED");
            let refused: u32 = refused.iter().map(RuleGuard::applied).sum();
            // Nine calls, four reads and five writes, with one refused before each but the first.
            assert!((4..=12).contains(&refused), "{id}: {refused} refused");
            let written = stack.versions(id).await;
            let once = [("md5", 1), ("metadata", 1), ("outputs", 1), ("status", 2)];
            assert_eq!(
                written,
                once.map(|(name, times)| (name.to_owned(), times)).into(),
                "{id}"
            );
        }
    });
}

#[test]
fn situation_7_parameter_store_answers_too_many_updates_for_ten_seconds() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("failure-7");
        // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
        let busy = Action::Refuse {
            status: 400,
            code: "TooManyUpdates".to_owned(),
            message: "There are concurrent updates for a resource that supports one update at a time."
                .to_owned(),
        };
        let rule = Rule::new("ssm", "PutParameter", busy).caller(Caller::Functions);
        let rule = rule
            .contains(&id.parameter_path())
            .lasting(Duration::from_secs(10));
        let refused = stack.rule(rule);
        assert_state(
            &stack.deploy_with(&id, &deploying(0), tag("t")).await,
            "SUCCEEDED",
        );
        // Two calls a second for a second and a half in each of the tries, whose pauses double. seed-farmer makes thousands.
        assert!(
            (2..=50).contains(&refused.applied()),
            "{} calls",
            refused.applied()
        );
        assert_eq!(state(stack, &id).await, "SUCCEEDED");
    });
}

#[test]
fn situation_8_the_network_is_gone_while_it_waits_for_the_build() {
    run(async {
        // A lost event costs seconds on this stack.
        let stack = delays::STACK.get().await;
        let id = stack.module_id("failure-8");
        let project = format!("{}-failure-8", stack.about().project_name);
        let more = json!({"parameters": {"tag": "t"}, "build": {"project_name": project}});
        let execution = stack.start(&stack.input(&id, &deploying(2), more).await).await;
        stack.build_of(&execution).await;
        // From now on every connection about this module is refused, and the build ends meanwhile. The outage lasts
        // seed-farmer's thirty seconds, scaled like the waits.
        let cut = Rule::new("", "", Action::Drop)
            .caller(Caller::Functions)
            .contains("failure-8");
        let cut = cut.lasting(Duration::from_secs(8));
        let cut = stack.rule(Rule {
            service: None,
            operation: None,
            ..cut
        });
        let finished = stack.finished(&execution).await;
        assert_state(&finished, "SUCCEEDED");
        assert!(cut.applied() > 0, "nobody called");
        assert_eq!(state(stack, &id).await, "SUCCEEDED");
        assert_eq!(stored_tag(stack, &id).await, "t");
    });
}

#[test]
fn situation_9_a_build_fails() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("failure-9");
        let good = stack.deploy_with(&id, &deploying(0), tag("good")).await;
        assert_state(&good, "SUCCEEDED");
        let deployed_at = stack.parameter(&id, "status").await["deployed_at"].clone();
        let failed = stack.deploy(&id, &Module::running("build", &["exit 3"])).await;
        assert_eq!(failed.error, "BuildFailed");
        let status = stack.parameter(&id, "status").await;
        assert_eq!(
            (&status["state"], &status["error"]),
            (&json!("FAILED"), &json!("BuildFailed"))
        );
        assert_eq!(status["phase"], "BUILD");
        assert!(
            status["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("exit status 3")),
            "{status}"
        );
        assert_eq!(status["build_id"].as_str(), failed.build_id());
        assert!(
            status["updated_at"].is_string() && status["log_url"].is_string(),
            "{status}"
        );
        assert_eq!(status["deployed_at"], deployed_at);
        // The metadata names the deployed build, and the status names the failed build.
        assert_eq!(
            stack.parameter(&id, "metadata").await["CodeBuildBuildId"].as_str(),
            good.build_id()
        );
    });
}
