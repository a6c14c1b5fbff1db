//! Secrets that a module gets by reference, and task tokens. After a success and after a failure, all stored data of
//! the stack is searched for them. Each kind of place is also searched for a text that must be there.

use seedflow_e2e::{Finished, Module, TestStack, eventually, run};
use seedflow_local::client::deployment;
use serde_json::{Value, json};

use super::{STACK, assert_state};

/// All stored data of one kind of place: the name of each item, and its text.
type Kept = Vec<(String, String)>;

/// A queue that receives every event of the default bus from now on.
struct Events {
    queue: String,
}

impl Events {
    async fn gather(stack: &TestStack) -> Self {
        let name = "seedflow-secrets-events";
        let made = stack
            .call("sqs", "AmazonSQS.CreateQueue", json!({"QueueName": name}))
            .await;
        let about = stack.about();
        let arn = format!("arn:aws:sqs:{}:{}:{name}", about.region, about.account);
        let everything = json!({"source": [{"prefix": ""}]}).to_string();
        stack
            .call(
                "events",
                "AWSEvents.PutRule",
                json!({"Name": name, "EventPattern": everything}),
            )
            .await;
        let target = json!({"Rule": name, "Targets": [{"Id": "queue", "Arn": arn}]});
        stack.call("events", "AWSEvents.PutTargets", target).await;
        Self {
            queue: made["QueueUrl"].as_str().unwrap().to_owned(),
        }
    }

    async fn kept(&self, stack: &TestStack) -> Kept {
        let mut kept = Kept::new();
        loop {
            let call = json!({"QueueUrl": self.queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 600});
            let answer = stack.call("sqs", "AmazonSQS.ReceiveMessage", call).await;
            let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return kept;
            }
            kept.extend(
                messages
                    .iter()
                    .map(|message| ("event".to_owned(), message["Body"].to_string())),
            );
        }
    }
}

async fn objects(stack: &TestStack) -> Kept {
    let mut kept = Kept::new();
    for bucket in [&stack.about().work_bucket, &stack.about().bundle_bucket] {
        for key in stack.client().list_objects(bucket, "").await.unwrap() {
            // Removed since then, if another test goes on.
            if let Some(content) = stack.object_of(bucket, &key).await {
                kept.push((key, String::from_utf8_lossy(&content).into_owned()));
            }
        }
    }
    kept
}

async fn logs(stack: &TestStack) -> Kept {
    let answer = stack
        .call("logs", "Logs_20140328.DescribeLogGroups", json!({}))
        .await;
    let mut kept = Kept::new();
    for group in answer["logGroups"].as_array().unwrap() {
        let mut call = json!({"logGroupName": group["logGroupName"], "limit": 10_000});
        loop {
            let page = stack
                .call("logs", "Logs_20140328.FilterLogEvents", call.clone())
                .await;
            let lines = page["events"].as_array().into_iter().flatten();
            kept.extend(lines.map(|line| (group["logGroupName"].to_string(), line["message"].to_string())));
            if page["nextToken"].is_null() {
                break;
            }
            call["nextToken"] = page["nextToken"].clone();
        }
    }
    kept
}

async fn parameters(stack: &TestStack) -> Kept {
    let found = deployment::parameters(stack.client(), "/sf").await.unwrap();
    found
        .into_iter()
        .map(|parameter| (parameter.name, parameter.value))
        .collect()
}

/// Of both state machines.
async fn histories(stack: &TestStack) -> Kept {
    let workflow = &stack.about().state_machine_arn;
    let mut kept = Kept::new();
    for machine in [
        workflow.clone(),
        workflow.replace("deploy-module", "end-execution"),
    ] {
        let call = json!({"stateMachineArn": machine, "maxResults": 1000});
        let answer = stack
            .call("states", "AWSStepFunctions.ListExecutions", call)
            .await;
        for execution in answer["executions"].as_array().unwrap() {
            let execution = execution["executionArn"].as_str().unwrap();
            kept.push((
                execution.to_owned(),
                json!(stack.history(execution).await).to_string(),
            ));
        }
    }
    kept
}

/// The places that contain a text.
fn find(kept: &Kept, text: &str) -> Vec<String> {
    let found = kept.iter().filter(|(_, content)| content.contains(text));
    found.map(|(name, _)| name.clone()).collect()
}

/// Deploys a module that prints the secret and publishes its digest; also returns the token for which the execution
/// waited.
async fn deploy(stack: &TestStack, test: &str, last: &str) -> (Finished, String) {
    let go = tempfile::tempdir().unwrap();
    let module = Module::running(
        "build",
        &[
            "echo \"the secret is $SEEDFARMER_PARAMETER_SECRET\"",
            "DIGEST=$(printf '%s' \"$SEEDFARMER_PARAMETER_SECRET\" | sha256sum | cut -c 1-64)",
            "echo \"the digest is $DIGEST\"",
            "[ -n \"$SEEDFARMER_PARAMETER_PARAMETER\" ] || exit 3",
            "seedfarmer metadata add -k Digest -v \"$DIGEST\"",
            &format!("until [ -e {}/go ]; do sleep 0.2; done", go.path().display()),
            last,
        ],
    );
    // The build waits while all objects are searched, which takes long where many tests share the machine.
    let references = json!({"build": {"timeout_minutes": 480}, "parameters": {
        "secret": {"secrets_manager": "seedflow-examples/planted"},
        "parameter": {"parameter_store": "/seedflow-examples/planted"},
    }});
    let id = stack.module_id(test);
    let execution = stack.start(&stack.input(&id, &module, references).await).await;
    let callback = format!("callbacks/{}", stack.build_of(&execution).await);
    let registered = eventually("the registration", || async { stack.object(&callback).await }).await;
    let registered: Value = serde_json::from_slice(&registered).unwrap();
    let token = registered["token"].as_str().unwrap().to_owned();
    assert_eq!(
        find(&objects(stack).await, &token),
        [callback],
        "it is found while it is there"
    );
    std::fs::write(go.path().join("go"), "").unwrap();
    let finished = stack.finished(&execution).await;
    stack.released(&id).await;
    (finished, token)
}

#[test]
fn secrets_by_reference_and_task_tokens_are_kept_nowhere() {
    run(async {
        let stack = STACK.get().await;
        let events = Events::gather(stack).await;
        let planted = ["secret", "parameter"].map(|kind| format!("planted-{kind}-{}", uuid::Uuid::new_v4()));
        let [secret, parameter] = &planted;
        let create = json!({"Name": "seedflow-examples/planted", "SecretString": secret});
        stack
            .call("secretsmanager", "secretsmanager.CreateSecret", create)
            .await;
        let put = json!({"Name": "/seedflow-examples/planted", "Value": parameter, "Type": "SecureString"});
        stack.call("ssm", "AmazonSSM.PutParameter", put).await;

        let (succeeded, first) = deploy(stack, "secrets", "true").await;
        assert_state(&succeeded, "SUCCEEDED");
        let (failed, second) = deploy(stack, "secrets-of-a-failure", "exit 1").await;
        assert_state(&failed, "FAILED");
        let metadata = stack.parameter(&stack.module_id("secrets"), "metadata").await;
        let digest = metadata["Digest"].as_str().expect("the digest of the secret");

        let places = [
            ("objects", objects(stack).await, "\"Digest\""),
            ("logs", logs(stack).await, digest),
            ("parameters", parameters(stack).await, digest),
            ("histories", histories(stack).await, "seedflow-examples/planted"),
            ("events", events.kept(stack).await, failed.build_id().unwrap()),
        ];
        for (place, kept, there) in &places {
            assert!(
                !find(kept, there).is_empty(),
                "{place} are searched: {} of them",
                kept.len()
            );
            for value in &planted {
                assert_eq!(find(kept, value), Vec::<String>::new(), "{place}");
            }
        }
        let [(_, objects, _), (_, logs, _), ..] = &places;
        for test in ["secrets", "secrets-of-a-failure"] {
            let report = format!("reports/{}/", stack.module_id(test));
            assert!(
                objects.iter().any(|(key, _)| key.starts_with(&report)),
                "{test}: a report"
            );
        }
        assert!(
            !find(logs, "the secret is ***").is_empty(),
            "it was printed, and masked"
        );

        // On AWS they are in the history, for users who may read it; here not even there.
        for token in [first, second] {
            for (place, kept, _) in &places {
                assert_eq!(find(kept, &token), Vec::<String>::new(), "a token in {place}");
            }
        }
    });
}
