//! Events that can't be processed are kept and run again as docs/operations.md describes: the document's own commands
//! run here.

use std::path::Path;
use std::process::{Command, Output};

use seedflow_e2e::{Action, Caller, Module, Rule, TestStack, eventually, run};
use serde_json::{Value, json};

use super::{STACK, assert_state};

const OPERATIONS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md"));

/// The commands after a text in the document's section on the queue.
fn commands(after: &str) -> &'static str {
    let (_, section) = OPERATIONS
        .split_once("\n## Messages in the queue")
        .expect("the section");
    let (_, rest) = section.split_once(after).unwrap_or_else(|| panic!("{after}"));
    let (_, rest) = rest.split_once("```bash\n").expect("commands");
    rest.split_once("```").expect("their end").0
}

/// A shell of an operator of the stack.
struct Operator<'a> {
    stack: &'a TestStack,
    folder: tempfile::TempDir,
}

impl<'a> Operator<'a> {
    fn of(stack: &'a TestStack) -> Self {
        Self {
            stack,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn run(&self, commands: &str) -> Output {
        let about = self.stack.about();
        let path = format!(
            "{}:{}",
            self.stack.bin().display(),
            std::env::var("PATH").unwrap()
        );
        // Version 1 of the command sends SQS requests to AWS, whatever AWS_ENDPOINT_URL says.
        let commands =
            format!("aws() {{ command aws --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"; }}\n{commands}");
        let mut bash = Command::new("bash");
        bash.args(["-c", &commands])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("AWS_ENDPOINT_URL", &about.endpoint)
            .env("AWS_DEFAULT_REGION", &about.region)
            .env("AWS_ACCESS_KEY_ID", &about.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &about.secret_access_key)
            .env("STACK", "seedflow")
            .env("STATE_MACHINE", &about.state_machine_arn)
            .env("QUEUE", self.stack.output("FailedEventsQueueUrl").unwrap());
        tokio::task::spawn_blocking(move || bash.output())
            .await
            .unwrap()
            .unwrap()
    }

    /// Receives messages as the document describes, until one contains a text.
    async fn take(&self, text: &str) -> Value {
        let take = commands("Take one message.");
        eventually("a message in the queue", || async {
            let output = self.run(take).await;
            let body = serde_json::from_slice(&output.stdout).ok()?;
            Some(body).filter(|body: &Value| body.to_string().contains(text))
        })
        .await
    }

    /// Runs the commands for the received message, then those that delete it.
    async fn again(&self, kind: &str) {
        let field = commands("Take one message.");
        // Without the commands that receive the message and print it.
        let field = &field[field.find("field()").unwrap()..field.rfind("field").unwrap()];
        let delete = commands("of whatever kind it was");
        let output = self
            .run(&format!("set -e\n{field}\n{}\n{delete}", commands(kind)))
            .await;
        assert!(
            output.status.success(),
            "{kind} {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The answer of an invoked function.
    fn answer(&self) -> Value {
        let answer = std::fs::read(Path::new(self.folder.path()).join("answer.json")).unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}

/// CodeBuild's event as it arrives at the function.
fn event(stack: &TestStack, build: &str) -> Value {
    let about = stack.about();
    let (project, _) = build.split_once(':').unwrap();
    json!({
        "version": "0", "id": "kept", "account": about.account, "region": about.region, "resources": [],
        "source": "aws.codebuild", "detail-type": "CodeBuild Build State Change", "time": "2026-01-01T00:00:00Z",
        "detail": {
            "build-status": "SUCCEEDED",
            "project-name": project,
            "build-id": format!("arn:aws:codebuild:{}:{}:build/{build}", about.region, about.account),
        },
    })
}

fn forbidden() -> Action {
    Action::Refuse {
        status: 403,
        code: "AccessDenied".to_owned(),
        message: "a policy that somebody changed".to_owned(),
    }
}

#[test]
fn the_end_of_a_build_that_could_not_be_delivered_is_kept_and_delivered_again() {
    run(async {
        let stack = STACK.get().await;
        let id = stack.module_id("kept");
        let project = format!("{}-kept", stack.about().project_name);
        let go = tempfile::tempdir().unwrap();
        let module = Module::running(
            "build",
            &[&format!(
                "until [ -e {}/go ]; do sleep 0.2; done",
                go.path().display()
            )],
        );
        let input = stack
            .input(&id, &module, json!({"build": {"project_name": project}}))
            .await;
        let execution = stack.start(&input).await;
        let build = stack.build_of(&execution).await;
        let callback = format!("callbacks/{build}");
        eventually("the registration", || async { stack.object(&callback).await }).await;

        // The event itself is lost, so that the tested one is the only one.
        let lost = stack.rule(Rule::new("events", "PutEvents", Action::Discard).contains(&project));
        let unreadable = Rule::new("s3", "GetObject", forbidden()).caller(Caller::Functions);
        let unreadable = stack.rule(unreadable.contains(&project));
        std::fs::write(go.path().join("go"), "").unwrap();
        eventually("the end of the build", || async {
            (stack.build(&build).await["buildComplete"] == true).then_some(())
        })
        .await;
        // An asynchronous invocation is retried, and a failure goes to the function's destination. The same is true for
        // EventBridge's deliveries.
        let invoked = stack
            .client()
            .invoke_later("seedflow-build-event", &event(stack, &build))
            .await;
        invoked.unwrap();

        let operator = Operator::of(stack);
        let message = operator.take(&build).await;
        assert_eq!(
            message["responsePayload"]["errorType"], "AccessDenied",
            "{message}"
        );
        assert_eq!(unreadable.applied(), 3, "it was tried again twice");
        assert!(
            stack.object(&callback).await.is_some(),
            "the execution still waits"
        );

        drop(unreadable);
        operator.again("With `requestPayload`").await;
        assert_eq!(operator.answer(), json!({"end": "Answered"}));
        assert_state(&stack.finished(&execution).await, "SUCCEEDED");
        drop(lost);

        // A message of EventBridge's own failed deliveries has the event as its body; a second delivery does no harm.
        let queue = stack.output("FailedEventsQueueUrl").unwrap();
        let undelivered = json!({"QueueUrl": queue, "MessageBody": event(stack, &build).to_string()});
        stack.call("sqs", "AmazonSQS.SendMessage", undelivered).await;
        operator.take(&build).await;
        operator.again("With `detail-type`").await;
        assert_eq!(operator.answer(), json!({"end": "Dropped"}));

        the_end_of_an_execution_that_could_not_be_cleaned_up_after(stack, &operator).await;
    });
}

/// Part of the one test, since two would receive each other's messages from the queue.
async fn the_end_of_an_execution_that_could_not_be_cleaned_up_after(
    stack: &TestStack,
    operator: &Operator<'_>,
) {
    let id = stack.module_id("kept-lock");
    let lock = format!("locks/{id}.json");
    let locked = Rule::new("s3", "DeleteObject", forbidden()).caller(Caller::Functions);
    let locked = stack.rule(locked.contains(&lock));
    let finished = stack.deploy(&id, &Module::running("build", &["true"])).await;
    assert_state(&finished, "SUCCEEDED");

    let message = operator.take(&finished.execution).await;
    assert_eq!(message["failed"], "end-execution");
    assert_eq!(message["error"], "AccessDenied", "{message}");
    assert!(stack.object(&lock).await.is_some(), "the lock stays");
    drop(locked);
    operator.again("With `failed`").await;
    stack.released(&id).await;

    // The same, if EventBridge had not delivered the event.
    let undelivered = json!({"detail-type": "Step Functions Execution Status Change", "detail": {"executionArn": finished.execution}});
    let queue = stack.output("FailedEventsQueueUrl").unwrap();
    let undelivered = json!({"QueueUrl": queue, "MessageBody": undelivered.to_string()});
    stack.call("sqs", "AmazonSQS.SendMessage", undelivered).await;
    operator.take(&finished.execution).await;
    operator.again("With `detail-type`").await;
}
