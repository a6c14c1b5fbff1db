//! Waits until nothing runs any more, and runs again what is in the queue of failed events.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use seedflow_core::storage_layout::prefix;
use serde_json::{Value, json};

use super::stack::SoakStack;

/// How long executions, builds and what cleans up after them may take once the faults are off.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long something may be left after nothing runs any more.
const LEFT_BEHIND: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(500);

/// What was left once nothing ran any more.
#[derive(Debug, Default)]
pub struct Quiescence {
    /// How many failed events were run again.
    pub run_again: usize,
    /// What was left all the same: keys of callbacks and locks, and messages that can't be run again.
    pub left: Vec<String>,
}

/// Waits until nothing runs and nothing is left, or until what is left stays.
pub async fn wait_for_quiescence(soak: &SoakStack, modules: usize) -> Result<Quiescence> {
    let begun = Instant::now();
    let mut rest = Quiescence::default();
    let mut quiet_since = None;
    loop {
        rest.left = run_failed_events_again(soak, &mut rest.run_again).await?;
        let busy = busy(soak, modules).await?;
        rest.left.extend(left_behind(soak).await?);
        match (busy, quiet_since) {
            (None, _) if rest.left.is_empty() => return Ok(rest),
            (None, None) => quiet_since = Some(Instant::now()),
            (None, Some(since)) if since.elapsed() > LEFT_BEHIND => return Ok(rest),
            (None, Some(_)) => {}
            (Some(what), _) if begun.elapsed() > PATIENCE => {
                bail!(
                    "still running {} s after the last fault: {what}",
                    PATIENCE.as_secs()
                )
            }
            (Some(_), _) => quiet_since = None,
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What still runs.
async fn busy(soak: &SoakStack, modules: usize) -> Result<Option<String>> {
    let machine = &soak.stack().connection().state_machine_arn;
    for machine in [machine.clone(), end_execution(machine)] {
        let running = soak.running(&machine).await?;
        if running > 0 {
            return Ok(Some(format!("{running} executions of {machine}")));
        }
    }
    for module in 0..modules {
        let builds = soak.builds(module).await?;
        if let Some(build) = builds.iter().find(|build| build.end.is_none()) {
            return Ok(Some(format!("the build {}", build.id)));
        }
    }
    Ok(None)
}

/// The state machine that cleans up; both are named after the stack.
fn end_execution(deploy_module: &str) -> String {
    deploy_module.replace("-deploy-module", "-end-execution")
}

/// The function that hands over a build's end, which is named after the stack as well.
fn build_event(deploy_module: &str) -> String {
    let name = deploy_module.rsplit(':').next().unwrap_or_default();
    name.replace("-deploy-module", "-build-event")
}

async fn left_behind(soak: &SoakStack) -> Result<Vec<String>> {
    let bucket = &soak.stack().connection().work_bucket;
    let mut left = Vec::new();
    for folder in [prefix::CALLBACKS, prefix::LOCKS] {
        let keys = soak.api().list_objects(bucket, folder).await;
        left.extend(keys.with_context(|| format!("cannot list {folder}"))?);
    }
    Ok(left)
}

/// Handles each message of the queue as docs/operations.md describes, and deletes it. Returns those that can't be run
/// again.
async fn run_failed_events_again(soak: &SoakStack, count: &mut usize) -> Result<Vec<String>> {
    let queue = soak
        .stack()
        .output("FailedEventsQueueUrl")
        .context("the stack has no queue")?;
    let mut refused = Vec::new();
    let call = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
    let received = soak.api().json("sqs", "AmazonSQS.ReceiveMessage", &call).await;
    let received = received.context("cannot read the queue of failed events")?;
    for message in received["Messages"].as_array().into_iter().flatten() {
        let body = message["Body"].as_str().unwrap_or_default();
        let event: Value = serde_json::from_str(body).unwrap_or_default();
        if run_again(soak, &event).await? {
            *count += 1;
        } else {
            refused.push(format!("the message {body}"));
        }
        let call = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
        let deleted = soak.api().json("sqs", "AmazonSQS.DeleteMessage", &call).await;
        deleted.context("cannot delete a failed event")?;
    }
    Ok(refused)
}

/// Whether the event could be run again.
async fn run_again(soak: &SoakStack, event: &Value) -> Result<bool> {
    let machine = &soak.stack().connection().state_machine_arn;
    if event["failed"] == "end-execution" {
        let input = json!({"execution": event["execution"]}).to_string();
        let call = json!({"stateMachineArn": end_execution(machine), "input": input});
        let started = soak
            .api()
            .json("states", "AWSStepFunctions.StartExecution", &call)
            .await;
        started.context("cannot start end-execution again")?;
        return Ok(true);
    }
    if event["requestPayload"].is_object() {
        let answered = soak
            .api()
            .invoke(&build_event(machine), &event["requestPayload"])
            .await;
        answered.context("cannot run build-event again")?;
        return Ok(true);
    }
    Ok(false)
}
