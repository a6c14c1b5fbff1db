//! Places for concurrent builds, the queue, and tokens.

use std::time::Duration;

use seedflow_core::console::LogUrl;
use serde_json::json;

use crate::stack::{phases, spec, stack, stack_with};

fn waiting_for(file: &std::path::Path) -> serde_json::Value {
    let command = format!("until [ -e {} ]; do sleep 0.01; done", file.display());
    json!({"buildspecOverride": spec(json!({"build": {"commands": [command]}}))})
}

#[tokio::test]
async fn builds_wait_for_a_place_and_then_are_refused() {
    let stack = stack_with(|config| (config.concurrent_builds, config.queued_builds) = (1, 1)).await;
    let go = stack.file("go");
    let first = stack.start(waiting_for(&go)).await.unwrap();
    stack
        .until(&first, |build| build["currentPhase"] == "BUILD")
        .await;
    let second = stack.start(waiting_for(&go)).await.unwrap();
    let queued = stack
        .until(&second, |build| build["currentPhase"] == "QUEUED")
        .await;
    assert_eq!(phases(&queued), ["SUBMITTED SUCCEEDED", "QUEUED -"]);
    let error = stack.start(waiting_for(&go)).await.unwrap_err();
    assert_eq!(error.code, "AccountLimitExceededException");
    assert_eq!(
        error.message,
        "Cannot have more than 1 builds in queue for the account"
    );
    std::fs::write(&go, "").unwrap();
    for id in [first, second] {
        assert_eq!(stack.ended(&id).await["buildStatus"], "SUCCEEDED");
    }
    assert!(
        stack.start(waiting_for(&go)).await.is_ok(),
        "the places are free again"
    );
}

#[tokio::test]
async fn a_queued_build_can_time_out_and_be_stopped() {
    let stack = stack_with(|config| {
        config.concurrent_builds = 0;
        config.minute = Duration::from_millis(10);
    })
    .await;
    let build = stack.run(json!({"queuedTimeoutInMinutesOverride": 5})).await;
    assert_eq!(build["buildStatus"], "TIMED_OUT");
    assert_eq!(
        phases(&build),
        ["SUBMITTED SUCCEEDED", "QUEUED TIMED_OUT", "COMPLETED -"]
    );
    let id = stack.start(json!({})).await.unwrap();
    stack.call("StopBuild", json!({"id": id})).await.unwrap();
    let stopped = stack.ended(&id).await;
    assert_eq!(
        phases(&stopped),
        ["SUBMITTED SUCCEEDED", "QUEUED STOPPED", "COMPLETED -"]
    );
    // It never had a log: a link that names none, and neither group nor stream.
    let link = stopped["logs"]["deepLink"].as_str().unwrap();
    assert!(link.ends_with("#logEvent:group=null;stream=null"), "{link}");
    assert_eq!(
        (stopped["logs"].get("groupName"), LogUrl::parse(link)),
        (None, None)
    );
    stack.codebuild.set_limits(1, 0);
    assert_eq!(stack.run(json!({})).await["buildStatus"], "SUCCEEDED");
}

#[tokio::test]
async fn a_token_starts_one_build_and_serves_nothing_else() {
    let stack = stack().await;
    let (first, second) = tokio::join!(
        stack.start(json!({"idempotencyToken": "t"})),
        stack.start(json!({"idempotencyToken": "t"}))
    );
    let id = first.unwrap();
    assert_eq!(second.unwrap(), id);
    stack.ended(&id).await;
    assert_eq!(
        stack.start(json!({"idempotencyToken": "t"})).await.unwrap(),
        id,
        "also when it has ended"
    );
    let error = stack
        .start(json!({"idempotencyToken": "t", "sourceVersion": "2"}))
        .await
        .unwrap_err();
    assert_eq!(error.code, "InvalidInputException");
    assert_ne!(stack.start(json!({"idempotencyToken": "u"})).await.unwrap(), id);
    let listed = stack
        .call("ListBuildsForProject", json!({"projectName": "p"}))
        .await
        .unwrap();
    assert_eq!(listed["ids"].as_array().unwrap().len(), 2);
    let sorted = json!({"projectName": "p", "sortOrder": "DESCENDING"});
    let error = stack.call("ListBuildsForProject", sorted).await.unwrap_err();
    assert_eq!(error.code, "InvalidInputException");
}

#[tokio::test]
async fn builds_are_refused_as_aws_refuses_them() {
    let stack = stack().await;
    let error = stack.start(json!({"projectName": "none"})).await.unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
    assert_eq!(
        error.message,
        "Project cannot be found: arn:aws:codebuild:us-east-1:123456789012:project/none"
    );
    for overrides in [
        json!({"timeoutInMinutesOverride": 4}),
        json!({"queuedTimeoutInMinutesOverride": 481}),
        json!({"environmentVariablesOverride": [{"name": "A", "value": "b", "type": "OTHER"}]}),
        json!({"environmentVariablesOverride": [{"name": "CODEBUILD_A", "value": "b"}]}),
        json!({"environmentVariablesOverride": [{"name": "A", "value": "b".repeat(4097)}]}),
        json!({"sourceTypeOverride": "S3"}),
        json!({"sourceTypeOverride": "GIT"}),
        json!({"computeTypeOverride": "SMALL"}),
    ] {
        assert_eq!(
            stack.start(overrides.clone()).await.unwrap_err().code,
            "InvalidInputException",
            "{overrides}"
        );
    }
}

#[tokio::test]
async fn thirty_builds_run_at_once() {
    let stack = stack_with(|config| config.concurrent_builds = 30).await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(
            stack
                .start(json!({"buildspecOverride": spec(json!({"build": {"commands": ["echo done"]}}))}))
                .await
                .unwrap(),
        );
    }
    for (id, number) in ids.iter().zip(1..) {
        let build = stack.ended(id).await;
        assert_eq!(build["buildStatus"], "SUCCEEDED");
        assert_eq!(build["buildNumber"], number);
        assert_eq!(stack.output(&build), ["done"]);
    }
}
