//! The functions one by one over the real Runtime API: saved events, and every handler run again.

use seedflow_e2e::{Action, Finished, Module, Rule, TestStack, eventually, run};
use seedflow_local::aws_api::ApiError;
use serde_json::{Value, json};

use super::{STACK, assert_state};

async fn invoke(stack: &TestStack, function: &str, event: &Value) -> Result<Value, ApiError> {
    stack
        .client()
        .invoke(&format!("seedflow-{function}"), event)
        .await
}

fn event(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn events_as_aws_sends_them() {
    run(async {
        let stack = STACK.get().await;
        let sample = event(include_str!("../../events/build-state-change.json"));
        // A build of a project that isn't ours: no execution waits, and that is not an error.
        let foreign = invoke(stack, "build-event", &sample).await;
        assert_eq!(foreign.expect("an answer")["end"], "Dropped");
        let gaps = event(include_str!("../../events/build-state-change-with-gaps.json"));
        assert_eq!(
            invoke(stack, "build-event", &gaps).await.expect("an answer")["end"],
            "Dropped"
        );
        let mut running = sample.clone();
        running["detail"]["build-status"] = json!("IN_PROGRESS");
        assert_eq!(
            invoke(stack, "build-event", &running).await.expect("an answer")["end"],
            "Running"
        );

        // Without id or status there is nothing to answer: an error, so that the event is kept in the queue.
        for (field, value) in [
            ("build-id", Value::Null),
            ("build-id", json!("no id")),
            ("build-status", json!("DONE")),
            ("build-status", json!(7)),
        ] {
            let mut broken = sample.clone();
            broken["detail"][field] = value;
            let error = invoke(stack, "build-event", &broken).await.expect_err("an error");
            assert_eq!(error.code, "InvalidInput", "{error}");
            assert!(
                error.message.contains(if field == "build-id" {
                    "build"
                } else {
                    "detail.build-status"
                }),
                "{error}"
            );
        }
        let phase = event(include_str!("../../events/build-phase-change.json"));
        let error = invoke(stack, "build-event", &phase).await.expect_err("an error");
        assert!(
            error
                .message
                .starts_with("detail.build-status: expected a text, found nothing"),
            "{error}"
        );
    });
}

#[test]
fn an_event_is_confirmed_before_anybody_is_answered_and_may_have_gaps() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("gaps");
        let project = format!("{}-gaps", stack.about().project_name);
        let gate = tempfile::tempdir().unwrap();
        let gate = gate.path().join("open");
        let wait = format!("until [ -e '{}' ]; do sleep 0.2; done; exit 3", gate.display());
        let input = stack
            .input(
                &id,
                &Module::running("build", &[&wait]),
                json!({"build": {"project_name": project}}),
            )
            .await;
        // CodeBuild's own event doesn't arrive.
        let lost = stack.rule(Rule::new("events", "PutEvents", Action::Discard).contains(&project));
        let execution = stack.start(&input).await;
        let build = stack.build_of(&execution).await;
        let callback = format!("callbacks/{build}");
        let registered = eventually("the registration", || async { stack.object(&callback).await }).await;

        // Forged events of both kinds: the build is still running, and so is the execution.
        let mut succeeded = event(include_str!("../../events/build-state-change.json"));
        succeeded["detail"]["build-status"] = json!("SUCCEEDED");
        (succeeded["account"], succeeded["region"]) = (json!("111122223333"), json!("us-east-1"));
        let arn = json!(format!("arn:aws:codebuild:us-east-1:111122223333:build/{build}"));
        succeeded["detail"]["build-id"] = arn.clone();
        let error = invoke(stack, "build-event", &succeeded)
            .await
            .expect_err("an error");
        assert_eq!(error.code, "ServiceUnavailable", "{error}");
        assert!(error.message.contains("but CodeBuild says that"), "{error}");
        assert_eq!(stack.object(&callback).await, Some(registered));
        let lock = format!("locks/{id}.json");
        let held = stack.object(&lock).await.expect("a lock");
        let ended = |more: Value| {
            let mut ended = json!({"executionArn": execution, "status": "SUCCEEDED", "input": input.to_string(), "output": "{}"});
            for (field, value) in more.as_object().unwrap() {
                ended[field] = value.clone();
            }
            ended
        };
        for (more, answer) in [
            // Its description may be a moment old, so it is read again before the function gives up.
            (
                json!({"began_at": "2999-01-01T00:00:00Z"}),
                json!({"wait_seconds": 5}),
            ),
            (
                json!({"began_at": "2026-01-01T00:00:00Z"}),
                json!({"done": "unconfirmed"}),
            ),
            (json!({}), json!({"done": "unconfirmed"})),
        ] {
            let answered = invoke(stack, "end-execution", &ended(more)).await;
            assert_eq!(answered.expect("an answer"), answer);
        }
        assert_eq!(stack.object(&lock).await, Some(held));

        std::fs::write(&gate, "").unwrap();
        eventually("the end of the build", || async {
            (stack.build(&build).await["buildComplete"] == true).then_some(())
        })
        .await;
        let mut gaps = event(include_str!("../../events/build-state-change-with-gaps.json"));
        gaps["detail"]["build-id"] = arn;
        assert_eq!(
            invoke(stack, "build-event", &gaps).await.expect("an answer")["end"],
            "Answered"
        );
        let finished = stack.finished(&execution).await;
        assert_eq!(finished.error, "BuildFailed");
        // The reason is CodeBuild's, which the event doesn't contain.
        assert!(finished.cause.contains("exit status 3"), "{}", finished.cause);
        drop(lost);
    });
}

/// A function's answer in an execution: the first field of that name in the output of a task.
async fn answered(stack: &TestStack, finished: &Finished, field: &str) -> Value {
    let history = stack.history(&finished.execution).await;
    let found = history.iter().find_map(|event| {
        let output = event["taskSucceededEventDetails"]["output"].as_str()?;
        let output: Value = serde_json::from_str(output).ok()?;
        Some(output["Payload"][field].clone()).filter(Value::is_object)
    });
    found.unwrap_or_else(|| panic!("no {field} in the history"))
}

/// Restores an execution's lock of its module, so that its functions may write once more.
async fn hold_again(stack: &TestStack, execution: &str, lock: &Value) {
    let held = json!({
        "holder": {"execution": execution, "started_at": "2026-01-01T00:00:00Z"},
        "fence": lock["fence"], "run": lock["run"],
    });
    let module =
        ["project", "deployment", "group", "module"].map(|name| lock["of"][name].as_str().expect("a name"));
    let key = format!("locks/{}.json", module.join("/"));
    stack.put(&key, held.to_string().into_bytes()).await;
}

#[test]
fn every_handler_may_run_again() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("again");
        let input = stack
            .input(
                &id,
                &Module::running("build", &["seedfarmer metadata add -k A -v b"]),
                json!({}),
            )
            .await;
        let finished = stack.execute(&input).await;
        assert_state(&finished, "SUCCEEDED");
        stack.released(&id).await;
        let plan = answered(stack, &finished, "plan").await;
        let lock = answered(stack, &finished, "lock").await;
        hold_again(stack, &finished.execution, &lock).await;
        let (execution, build_id) = (json!(finished.execution), finished.build_id().expect("a build"));

        // The same build, however often it is requested.
        let started = invoke(
            stack,
            "start-build",
            &json!({"execution": execution, "lock": lock, "plan": plan, "attempt": 0}),
        )
        .await;
        assert_eq!(started.expect("an answer")["build_id"], build_id);

        // A late copy of check-status: the token is answered already, and nothing stays registered.
        let token = json!({"token": "AAAAlong-gone", "build_id": build_id, "entered_at": "2026-01-01T00:00:00Z", "attempt": 0});
        assert_eq!(
            invoke(stack, "check-status", &token).await.expect("an answer")["end"],
            "Answered"
        );
        assert_eq!(stack.object(&format!("callbacks/{build_id}")).await, None);

        // A success that is recorded twice writes nothing the second time.
        let before = stack.parameters(&id).await;
        let success = json!({"action": "succeed", "execution": execution, "lock": lock, "plan": plan, "build": {"build_id": build_id, "status": "SUCCEEDED",
            "log_url": stack.parameter(&id, "status").await["log_url"],
            "log_group": stack.parameter(&id, "metadata").await["CloudWatchLogGroup"],
            "log_stream": stack.parameter(&id, "metadata").await["CloudWatchLogStream"]}});
        assert_eq!(
            invoke(stack, "update-metadata", &success)
                .await
                .expect("an answer")["state"],
            "SUCCEEDED"
        );
        assert_eq!(stack.parameters(&id).await, before);

        // Neither does a failure.
        hold_again(stack, "arn:later", &lock).await;
        let failure = json!({"action": "fail", "execution": "arn:later", "lock": lock, "failure": {"error": "Refused", "cause": "why"}});
        invoke(stack, "update-metadata", &failure)
            .await
            .expect("an answer");
        let failed = stack.parameters(&id).await;
        assert_eq!(
            invoke(stack, "update-metadata", &failure)
                .await
                .expect("an answer")["recorded"],
            true
        );
        assert_eq!(stack.parameters(&id).await, failed);
        assert_eq!(stack.parameter(&id, "status").await["reason"], "why");

        // An end that is reported twice, and the end of an execution that no longer holds anything.
        for _ in 0..2 {
            let ended = invoke(stack, "end-execution", &json!({"execution": execution})).await;
            assert_eq!(ended.expect("an answer")["done"], "released");
        }
        assert_eq!(stack.parameters(&id).await, failed, "the status of another stays");
    });
}

#[test]
fn an_event_of_the_wrong_shape_is_reported_without_its_content() {
    run(async {
        let stack = STACK.get().await;
        let error = invoke(
            stack,
            "check-status",
            &json!({"token": 1234567, "build_id": "p:u", "entered_at": "", "attempt": 0}),
        )
        .await
        .expect_err("an error");
        assert_eq!(error.code, "InvalidInput");
        assert!(!error.message.contains("1234567"), "{error}");
        let unknown = json!({"token": "secret-token", "build_id": "seedflow:not-there", "entered_at": "2026-01-01T00:00:00Z", "attempt": 0});
        let error = invoke(stack, "check-status", &unknown)
            .await
            .expect_err("an error");
        assert_eq!(error.code, "BuildNotFound");
        assert!(!error.message.contains("secret-token"), "{error}");
    });
}
