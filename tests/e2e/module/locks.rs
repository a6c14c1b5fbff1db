//! One deployment of a module at a time, and the remains of a stopped execution.

use seedflow_core::telemetry::metric::Metric;
use seedflow_e2e::{Action, Finished, Module, ModuleId, Rule, TestStack, eventually, run};
use serde_json::{Value, json};

use super::{STACK, assert_state};

/// A module that prints which one it is, and takes a while.
fn tagged(tag: &str, seconds: u32) -> Module {
    Module::running(
        "build",
        &[
            &format!("sleep {seconds}"),
            &format!("seedfarmer metadata add -k Tag -v {tag}"),
        ],
    )
}

/// The start and the end of a build, in seconds since the epoch.
fn interval(build: &Value) -> (f64, f64) {
    let at = |field: &str| build[field].as_f64().expect("a time");
    (at("startTime"), at("endTime"))
}

async fn stored_tag(stack: &TestStack, id: &ModuleId) -> Value {
    stack.parameter(id, "metadata").await["Tag"].clone()
}

async fn stop(stack: &TestStack, execution: &str, cause: &str) {
    let call = json!({"executionArn": execution, "error": "Changed.My.Mind", "cause": cause});
    stack.call("states", "AWSStepFunctions.StopExecution", call).await;
}

#[test]
fn a_second_deployment_of_a_module_waits_for_the_first() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("in-turn");
        let first = stack.input(&id, &tagged("first", 3), json!({})).await;
        let second = stack.input(&id, &tagged("second", 0), json!({})).await;
        let first = stack.start(&first).await;
        stack.build_of(&first).await;
        let second = stack.execute(&second).await;
        let first = stack.finished(&first).await;
        assert_state(&first, "SUCCEEDED");
        assert_state(&second, "SUCCEEDED");
        let waited = second.states.iter().any(|(state, _)| state == "WaitForLock");
        assert!(waited, "{:?}", second.states);
        assert!(
            interval(&second.build).0 >= interval(&first.build).1,
            "the builds overlap"
        );
        let changed = second.reasons.contains(&"deployspec changed".to_owned());
        assert!(changed, "compared with the first: {:?}", second.reasons);
        assert_eq!(stored_tag(stack, &id).await, "second");
        stack.released(&id).await;
    });
}

#[test]
fn of_a_burst_the_newest_is_deployed_and_the_others_name_what_replaced_them() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("burst");
        let mut started = Vec::new();
        for push in 0..10 {
            let module = tagged(&format!("push-{push}"), 2);
            let input = stack.input(&id, &module, json!({})).await;
            started.push(stack.start(&input).await);
        }
        let mut finished: Vec<Finished> = Vec::new();
        for execution in &started {
            finished.push(stack.finished(execution).await);
        }
        let (deployed, superseded): (Vec<_>, Vec<_>) = finished
            .iter()
            .partition(|finished| finished.state() == "SUCCEEDED");
        assert!((1..=2).contains(&deployed.len()), "{} builds", deployed.len());
        for one in &superseded {
            assert_state(one, "SUPERSEDED");
            assert!(one.build.is_null(), "a superseded execution builds nothing");
            let by = one.output["superseded_by"].as_str().expect("the name of another");
            let place = |arn: &str| started.iter().position(|execution| execution == arn);
            assert!(place(by) > place(&one.execution), "replaced by a newer one");
        }
        // Executions that waited are counted by the one that replaced them, which knows only their module.
        let lines = stack.lines("acquire-lock").await;
        let of_module = lines.iter().filter(|line| line["module"] == id.to_string());
        let counted: f64 = of_module
            .filter_map(|line| line["ModulesSuperseded"].as_f64())
            .sum();
        assert!(
            (counted - superseded.len() as f64).abs() < 0.1,
            "{counted} of {}",
            superseded.len()
        );
        assert_state(&finished[9], "SUCCEEDED");
        assert_eq!(stored_tag(stack, &id).await, "push-9");
        stack.released(&id).await;
    });
}

#[test]
fn stopping_an_execution_stops_its_build_and_wakes_the_waiting_one() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("stopped");
        assert_state(&stack.deploy(&id, &tagged("good", 0)).await, "SUCCEEDED");
        let before = stack.parameters(&id).await;

        let long = stack.input(&id, &tagged("stopped", 600), json!({})).await;
        let long = stack.start(&long).await;
        let build = stack.build_of(&long).await;
        let next = stack.input(&id, &tagged("next", 0), json!({})).await;
        let next = stack.start(&next).await;
        eventually("the second execution to wait", || async {
            let history = stack.history(&next).await;
            let waits = |e: &Value| e["stateEnteredEventDetails"]["name"] == "WaitForLock";
            history.iter().any(waits).then_some(())
        })
        .await;
        // No deployment runs meanwhile, so the stop left everything that is stored after it.
        stop(stack, &next, "first the other").await;
        stop(stack, &long, "not today").await;
        assert_eq!(stack.finished(&long).await.status, "ABORTED");
        let status = eventually("the status ABORTED", || async {
            let status = stack.parameter(&id, "status").await;
            (status["state"] == "ABORTED").then_some(status)
        })
        .await;
        assert_eq!(status["execution"], long.as_str());
        assert_eq!(status["build_id"], build.as_str());
        assert_eq!(status["error"], "Changed.My.Mind");
        assert_eq!(status["reason"], "the execution was stopped: not today");
        stack.released(&id).await;
        assert_eq!(stack.build(&build).await["buildStatus"], "STOPPED");
        let after = stack.parameters(&id).await;
        for name in ["md5", "metadata", "outputs"] {
            assert_eq!(before[name], after[name], "{name}");
        }
        let report = format!("reports/{id}/{}.json", long.rsplit(':').next().unwrap());
        assert!(stack.object(&report).await.is_some(), "it has a report");
        // A waiting execution may find the holder stopped before the stop's event arrives: then two clean up after it,
        // and both may count.
        let aborted = stack
            .measured("end-execution", Metric::ModulesAborted, &long)
            .await;
        assert!(aborted == [1.0] || aborted == [1.0, 1.0], "{aborted:?}");

        let again = stack.deploy(&id, &tagged("good", 0)).await;
        assert_state(&again, "SUCCEEDED");
        assert_eq!(again.reasons, ["last deployment was stopped"]);
    });
}

#[test]
fn a_waiting_execution_is_woken_when_the_holder_is_stopped() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("woken");
        let long = stack.input(&id, &tagged("stopped", 600), json!({})).await;
        let long = stack.start(&long).await;
        let build = stack.build_of(&long).await;
        let next = stack.input(&id, &tagged("next", 0), json!({})).await;
        let next = stack.start(&next).await;
        eventually("the registration of who waits", || async {
            let lock = stack.object(&format!("locks/{id}.json")).await?;
            let lock: Value = serde_json::from_slice(&lock).unwrap();
            (lock["waiter"]["execution"] == next.as_str()).then_some(())
        })
        .await;
        stop(stack, &long, "make room").await;
        let next = stack.finished(&next).await;
        assert_state(&next, "SUCCEEDED");
        assert_eq!(stack.build(&build).await["buildStatus"], "STOPPED");
        let ended = stack.build(&build).await;
        assert!(
            interval(&next.build).0 >= interval(&ended).1,
            "the builds overlap"
        );
        assert_eq!(stored_tag(stack, &id).await, "next");
        stack.released(&id).await;
    });
}

#[test]
fn a_failed_execution_leaves_no_build_behind() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("orphan");
        let project = format!("{}-orphan", stack.about().project_name);
        let more = json!({"build": {"project_name": project}});
        let first = stack.deploy_with(&id, &tagged("first", 0), more.clone()).await;
        assert_state(&first, "SUCCEEDED");
        // The build runs, but its id is lost, and the retry is not allowed to look for it.
        let lost = Rule::new("codebuild", "StartBuild", Action::LoseAnswer).times(3);
        let lost = stack.rule(lost.contains(&project));
        let refused = Action::Refuse {
            status: 400,
            code: "AccessDeniedException".to_owned(),
            message: "User is not authorized".to_owned(),
        };
        let refused = Rule::new("codebuild", "ListBuildsForProject", refused).times(1);
        let refused = stack.rule(refused.contains(&project));
        let input = stack.input(&id, &tagged("orphan", 600), more).await;
        let finished = stack.execute(&input).await;
        assert_eq!((lost.applied(), refused.applied()), (3, 1));
        assert_eq!(
            (finished.status.as_str(), finished.error.as_str()),
            ("FAILED", "AccessDenied")
        );
        stack.released(&id).await;
        let listed = json!({"projectName": project});
        let listed = stack
            .call("codebuild", "CodeBuild_20161006.ListBuildsForProject", listed)
            .await;
        let ids = listed["ids"].as_array().unwrap();
        assert_eq!(
            ids.len(),
            2,
            "the first's, and one however often it was asked for"
        );
        let mut builds = ids.iter().filter_map(Value::as_str);
        let orphan = builds.find(|id| Some(*id) != first.build_id()).unwrap();
        assert_eq!(stack.build(orphan).await["buildStatus"], "STOPPED");
        assert_eq!(stack.parameter(&id, "status").await["state"], "FAILED");
    });
}

/// Puts another execution's lock in the place of a module's.
async fn plant(stack: &TestStack, id: &ModuleId, holder: &str, started_at: &str) {
    let lock = json!({
        "holder": {"execution": holder, "started_at": started_at},
        "fence": 1,
        "run": "0123456789abcdef0123456789abcdef",
    });
    stack
        .put(&format!("locks/{id}.json"), lock.to_string().into_bytes())
        .await;
}

#[test]
fn an_execution_that_lost_its_lock_writes_nothing() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("fenced");
        assert_state(&stack.deploy(&id, &tagged("good", 0)).await, "SUCCEEDED");
        stack.released(&id).await;
        let input = stack.input(&id, &tagged("late", 3), json!({})).await;
        let execution = stack.start(&input).await;
        stack.build_of(&execution).await;
        let before = stack.parameters(&id).await;
        plant(
            stack,
            &id,
            "arn:aws:states:us-east-1:1:execution:other:newer",
            "2030-01-01T00:00:00Z",
        )
        .await;
        let finished = stack.finished(&execution).await;
        assert_eq!(
            (finished.status.as_str(), finished.error.as_str()),
            ("FAILED", "LockLost")
        );
        assert!(
            finished
                .cause
                .contains("held by arn:aws:states:us-east-1:1:execution:other:newer"),
            "{}",
            finished.cause
        );
        assert_eq!(stack.parameters(&id).await, before, "nothing was written");
    });
}

#[test]
fn a_lock_whose_execution_has_ended_is_taken_over_though_its_event_was_lost() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("taken-over");
        let dead = stack.deploy(&id, &tagged("one", 0)).await;
        stack.released(&id).await;
        plant(stack, &id, &dead.execution, "2020-01-01T00:00:00Z").await;
        let next = stack.deploy(&id, &tagged("two", 0)).await;
        assert_state(&next, "SUCCEEDED");
        assert_eq!(stored_tag(stack, &id).await, "two");
        stack.released(&id).await;
    });
}

#[test]
fn an_input_and_a_plan_too_long_for_a_state_travel_through_s3() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("long");
        // 240,000 bytes of input: below Step Functions' 262,144, but too much to leave room beside it.
        let long = "x".repeat(240_000 / 20);
        let parameters: serde_json::Map<String, Value> =
            (0..19).map(|i| (format!("long-{i}"), json!(long))).collect();
        let module = Module::running(
            "build",
            &["seedfarmer metadata add -k Length -v \"${#SEEDFARMER_PARAMETER_LONG_18}\""],
        );
        let more = json!({"parameters": parameters});
        let finished = stack.deploy_with(&id, &module, more.clone()).await;
        assert_state(&finished, "SUCCEEDED");
        let length = &stack.parameter(&id, "metadata").await["Length"];
        assert_eq!(
            length
                .as_str()
                .map(str::to_owned)
                .or(length.as_u64().map(|l| l.to_string())),
            Some(long.len().to_string())
        );
        let plans = stack.keys("plans/").await;
        let name = finished.execution.rsplit(':').next().unwrap();
        for file in ["input", "plan"] {
            assert!(plans.contains(&format!("plans/{name}/{file}.json")), "{plans:?}");
        }
        let bad = Module::running("build", &["false"]);
        let failed = stack.deploy_with(&id, &bad, more).await;
        assert_eq!(failed.error, "BuildFailed");
        assert_eq!(stack.parameter(&id, "status").await["state"], "FAILED");
    });
}
