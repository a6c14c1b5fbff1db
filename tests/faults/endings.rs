//! Every call of `end-execution` is refused every time. The lock is released nevertheless, the next execution deploys,
//! and the queue of failed events contains the work that could not be done.
//!
//! If the refused call releases the lock itself, the lock is not released: the next execution takes it over. Here that
//! happens half a minute after the holder's end ([`FUNCTION`](crate::FUNCTION)), on AWS half an hour.

use std::path::PathBuf;

use seedflow_core::deployment::planner::SHARED_NAME;
use seedflow_core::target::Target;
use seedflow_e2e::{
    Action, Caller, Finished, Module, ModuleId, Repository, Rule, TestStack, assert_explained, eventually,
    module_id, run,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::{STACK, TARGET};

/// IAM's refusal in the words of each service (the services' pages of common errors; Amazon S3, "Error responses").
fn denied(service: &str) -> Action {
    let (status, code) = match service {
        "s3" => (403, "AccessDenied"),
        _ => (400, "AccessDeniedException"),
    };
    Action::Refuse {
        status,
        code: code.to_owned(),
        message: "a policy that somebody changed".to_owned(),
    }
}

/// The end of the execution that is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// It succeeds.
    Well,
    /// It is stopped while its build runs.
    Stopped,
    /// It fails: the answer to StartBuild is lost, and the build is not found.
    Orphaned,
    /// It succeeds while another waits.
    Awaited,
}

/// The state of the lock afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    Released,
    /// It stays until the next execution takes it over.
    TakenOver,
    /// It can't be read until that is allowed again.
    Unreadable,
}

/// A refused call: its name here, service and operation; a text that it contains (`{row}`, `{project}` of CodeBuild,
/// `{execution}`); the number of earlier calls of its kind.
type Call = (&'static str, &'static str, &'static str, &'static str, u32);

struct EndCase {
    call: Call,
    ends: Ends,
    lock: Lock,
    /// Whether the status could not be written.
    unwritten: bool,
    /// Whether the module is in a target.
    there: bool,
}

const LOCK: &str = "/locks/faults/dev/{row}/m.json";
const STATUS: &str = "/dev/{row}-m/status\"";

#[rustfmt::skip]
fn cases() -> Vec<EndCase> {
    use Ends::*;
    let row = |call, ends| EndCase { call, ends, lock: Lock::Released, unwritten: false, there: false };
    let unwritten = |row: EndCase| EndCase { unwritten: true, ..row };
    let lock = |lock, row: EndCase| EndCase { lock, ..row };
    let there = |row: EndCase| EndCase { there: true, ..row };
    vec![
        row(("end-describe", "states", "DescribeExecution", "{execution}", 0), Stopped),
        row(("end-describe-success", "states", "DescribeExecution", "{execution}", 0), Well),
        row(("end-history", "states", "GetExecutionHistory", "{execution}", 0), Stopped),
        // The first is that of check-status.
        row(("end-read-build", "codebuild", "BatchGetBuilds", "{project}", 1), Stopped),
        row(("end-stop-build", "codebuild", "StopBuild", "{project}", 0), Stopped),
        there(row(("end-read-build-there", "codebuild", "BatchGetBuilds", "{project}", 1), Stopped)),
        there(row(("end-stop-build-there", "codebuild", "StopBuild", "{project}", 0), Stopped)),
        there(row(("end-find-build-there", "codebuild", "ListBuildsForProject", "{project}", 0), Orphaned)),
        row(("end-find-build", "codebuild", "ListBuildsForProject", "{project}", 0), Orphaned),
        // The first is that of check-md5.
        unwritten(row(("end-read-status", "ssm", "GetParameters", STATUS, 1), Stopped)),
        row(("end-report", "s3", "PutObject", "/reports/faults/dev/{row}/m/", 0), Stopped),
        // The first is that of the start.
        unwritten(row(("end-write-status", "ssm", "PutParameter", STATUS, 1), Stopped)),
        row(("end-unregister", "s3", "DeleteObject", "/callbacks/{project}", 0), Stopped),
        row(("end-unregister-success", "s3", "DeleteObject", "/callbacks/{project}", 0), Well),
        // The first takes the lock, the second marks it as stopped.
        row(("end-mark-lock", "s3", "PutObject", LOCK, 1), Stopped),
        // The first is the read before the start is written.
        lock(Lock::Unreadable, row(("end-find-lock", "s3", "GetObject", LOCK, 1), Stopped)),
        lock(Lock::TakenOver, row(("end-free-lock", "s3", "DeleteObject", LOCK, 0), Stopped)),
        lock(Lock::TakenOver, row(("end-free-lock-success", "s3", "DeleteObject", LOCK, 0), Well)),
        row(("end-wake", "states", "SendTaskSuccess", "\\\"group\\\":\\\"{row}\\\"", 0), Awaited),
        lock(Lock::TakenOver, row(("end-hand-over", "s3", "PutObject", "\"handed_over\":{\"by\":\"{execution}", 0), Awaited)),
    ]
}

/// The content of the queue of failed events, for all rows.
static DEAD_LETTERS: Mutex<Vec<Value>> = Mutex::const_new(Vec::new());

/// The message about an execution that could not be cleaned up.
async fn dead_letter(stack: &TestStack, execution: &str) -> Value {
    let queue = stack.output("FailedEventsQueueUrl").expect("a queue").to_owned();
    eventually(&format!("a message about {execution}"), || async {
        let mut received = DEAD_LETTERS.lock().await;
        let call = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
        let answer = stack.call("sqs", "AmazonSQS.ReceiveMessage", call).await;
        for message in answer["Messages"].as_array().into_iter().flatten() {
            let delete = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
            stack.call("sqs", "AmazonSQS.DeleteMessage", delete).await;
            let body = message["Body"].as_str().expect("a body");
            received.push(serde_json::from_str(body).expect("JSON"));
        }
        let ours =
            |message: &&Value| message["execution"] == execution && message["failed"] == "end-execution";
        received.iter().find(ours).cloned()
    })
    .await
}

/// A build that ends when its file exists.
struct Gate(PathBuf);

impl Gate {
    fn new(stack: &TestStack, row: &str) -> Self {
        let gates = stack.folder().join("gates");
        std::fs::create_dir_all(&gates).expect("a folder");
        Self(gates.join(row))
    }

    fn module(&self) -> Module {
        // The token is registered before, and check-status needs a moment to read the build after that.
        let wait = format!("until [ -e '{}' ]; do sleep 0.1; done; sleep 1", self.0.display());
        Module::running("build", &[&wait])
    }

    fn open(&self) {
        std::fs::write(&self.0, "").expect("a file");
    }
}

async fn stop(stack: &TestStack, execution: &str) {
    let call = json!({"executionArn": execution, "error": "Stopped", "cause": "no {{more}}"});
    stack.call("states", "AWSStepFunctions.StopExecution", call).await;
}

fn deployed(row: &str, finished: &Finished) {
    assert_eq!(
        finished.state(),
        "SUCCEEDED",
        "{row}: {} {}",
        finished.error,
        finished.cause
    );
}

impl EndCase {
    fn rule(&self, project: &str, execution: &str) -> Rule {
        let (row, service, operation, contains, skip) = self.call;
        let text = contains
            .replace("{row}", row)
            .replace("{project}", project)
            .replace("{execution}", execution);
        Rule::new(service, operation, denied(service))
            .contains(&text)
            .skip(skip)
            .caller(Caller::Functions)
    }

    async fn run(self) {
        let stack = STACK.get().await;
        let (row, _, operation, contains, _) = self.call;
        let id = module_id("faults", "dev", row, "m");
        let project = format!("{}-{row}_", stack.about().project_name);
        let target: Option<Target> = self.there.then(|| TARGET.parse().expect("a target"));
        let api = target
            .as_ref()
            .map_or_else(|| stack.client().clone(), |target| stack.api_in(target));
        let mut more = json!({"build": {"project_name": project}});
        if let Some(target) = &target {
            more["target"] = json!(target);
        }
        let gate = Gate::new(stack, row);
        let input = stack.input(&id, &gate.module(), more.clone()).await;
        let early = (!contains.contains("{execution}")).then(|| stack.rule(self.rule(&project, "")));
        let lost = (self.ends == Ends::Orphaned).then(|| {
            let lost = Rule::new("codebuild", "StartBuild", Action::LoseAnswer);
            stack.rule(lost.contains(&project).skip(1).times(3))
        });
        let execution = stack.start(&input).await;
        let rule = early.unwrap_or_else(|| stack.rule(self.rule(&project, &execution)));
        let next = self.end(stack, &id, &project, &gate, &execution).await;

        let message = dead_letter(stack, &execution).await;
        let cause = message["cause"].as_str().unwrap_or_default();
        assert!(
            message["error"] == "AccessDenied" && cause.contains(operation),
            "{row}: {message}"
        );
        let state = if self.unwritten {
            json!("ABORTED")
        } else {
            Value::Null
        };
        assert_eq!(message["unwritten"]["state"], state, "{row}: {message}");
        if self.unwritten {
            assert_explained(&message["unwritten"]);
        }
        gate.open();
        drop(lost);

        if self.lock == Lock::Released && next.is_none() {
            stack.released(&id).await;
        }
        assert!(rule.applied() > 0, "{row}");
        // An execution that takes the lock over, or waits for it, continues while the call is refused; the others make
        // such calls themselves.
        let still = (self.lock == Lock::TakenOver || next.is_some()).then_some(rule);
        let finished = match next {
            Some(next) => stack.finished(&next).await,
            None => {
                let module = Module::running("build", &["true"]);
                stack.deploy_with(&id, &module, more).await
            }
        };
        deployed(row, &finished);
        drop(still);
        eventually(&format!("{row}: the end of all builds"), || async {
            let builds = stack.builds_in(&api, &project).await;
            builds
                .iter()
                .all(|build| build["buildComplete"] == true)
                .then_some(())
        })
        .await;
    }

    /// Brings the execution to its end; the execution that waits for it, if one does.
    async fn end(
        &self,
        stack: &TestStack,
        id: &ModuleId,
        project: &str,
        gate: &Gate,
        execution: &str,
    ) -> Option<String> {
        if self.ends == Ends::Orphaned {
            let failed = stack.finished(execution).await;
            assert_eq!(failed.error, "AccessDenied", "{}", failed.cause);
            return None;
        }
        let callbacks = if self.there {
            format!("callbacks/{TARGET}/{project}")
        } else {
            format!("callbacks/{project}")
        };
        eventually("the registration of a token", || async {
            stack.keys(&callbacks).await.into_iter().next()
        })
        .await;
        let mut next = None;
        match self.ends {
            Ends::Stopped => stop(stack, execution).await,
            Ends::Well | Ends::Orphaned => gate.open(),
            Ends::Awaited => {
                let module = Module::running("build", &["true"]);
                let input = stack
                    .input(id, &module, json!({"build": {"project_name": project}}))
                    .await;
                let waits = stack.start(&input).await;
                eventually("the registration of who waits", || async {
                    let lock = stack.object(&format!("locks/{id}.json")).await?;
                    let lock: Value = serde_json::from_slice(&lock).ok()?;
                    (lock["waiter"]["execution"] == waits.as_str()).then_some(())
                })
                .await;
                gate.open();
                next = Some(waits);
            }
        }
        stack.finished(execution).await;
        next
    }
}

#[test]
fn the_next_execution_deploys_after_any_refusal_at_the_end_of_a_module() {
    run(async {
        let mut running = JoinSet::new();
        for row in cases() {
            running.spawn(row.run());
        }
        running.join_all().await;
    });
}

/// A call at the end of a whole deployment: its name here, service and operation, a text that it contains (`{row}` is
/// the project, `{name}` the execution's name), and whether the status is not written. StopExecution of a module isn't
/// here: as on AWS, the executions for which a stopped one waits are stopped with it, so `end-execution` finds none to
/// stop.
type OfDeployment = (&'static str, &'static str, &'static str, &'static str, bool);
#[rustfmt::skip]
const OF_DEPLOYMENTS: [OfDeployment; 5] = [
    ("end-read-name", "s3", "GetObject", "/plans/{name}/name.json", false),
    ("end-read-plan", "s3", "GetObject", "/plans/{name}/deployment.json", false),
    ("end-read-deployment", "ssm", "GetParameters", "/sf/{row}/dev/status\"", true),
    ("end-write-deployment", "ssm", "PutParameter", "/sf/{row}/dev/status\"", true),
    ("end-stop-modules", "states", "StopExecution", ":network-vpc-{start}", false),
];

async fn end_of_deployment((row, service, operation, contains, unwritten): OfDeployment) {
    let stack = STACK.get().await;
    let gate = Gate::new(stack, row);
    let repository =
        Repository::deploying(&[("network", &[("vpc", &[])])]).module("modules/network-vpc", &gate.module());
    let input = stack.repository_input(row, &repository, json!({})).await;
    let execution = stack.start_deployment(&input).await;
    let vpc = module_id(row, "dev", "network", "vpc");
    eventually("a build", || async {
        let status = stack.parameter(&vpc, "status").await;
        stack.build_of(status["execution"].as_str()?).await;
        Some(())
    })
    .await;
    let name = execution.rsplit(':').next().expect("a name");
    // Names of modules' executions have the beginning of that of their deployment.
    let start = name.get(..SHARED_NAME).unwrap_or(name);
    let text = contains
        .replace("{row}", row)
        .replace("{name}", name)
        .replace("{start}", start);
    let rule = Rule::new(service, operation, denied(service))
        .contains(&text)
        .caller(Caller::Functions);
    let rule = stack.rule(rule);
    stop(stack, &execution).await;

    let message = dead_letter(stack, &execution).await;
    let cause = message["cause"].as_str().unwrap_or_default();
    assert!(
        message["error"] == "AccessDenied" && cause.contains(operation),
        "{row}: {message}"
    );
    let state = if unwritten { json!("ABORTED") } else { Value::Null };
    assert_eq!(message["unwritten"]["state"], state, "{row}: {message}");
    if unwritten {
        assert_explained(&message["unwritten"]);
    }
    stack.deployment_released(row).await;
    assert!(rule.applied() > 0, "{row}");
    drop(rule);
    gate.open();
    deployed(row, &stack.deploy_repository(row, &repository, json!({})).await);
    stack.deployment_released(row).await;
}

#[test]
fn the_next_deployment_succeeds_after_any_refusal_at_the_end_of_one() {
    run(async {
        let mut running = JoinSet::new();
        for call in OF_DEPLOYMENTS {
            running.spawn(end_of_deployment(call));
        }
        running.join_all().await;
    });
}
