//! Plans and inputs that are too long for a state's payload, stored in the work bucket (decision 7).

use seedflow_core::deployment;
use seedflow_core::deployment::plan_parts::PlanParts;
use seedflow_core::deployment::preview_builds::Previews;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::plan::{Plan, PlanHandle};
use seedflow_core::module::stored_input::StoredInput;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::services::s3::Bucket;

/// A module's plan consists of an input of at most 256 KB, a deployspec and metadata of at most 64 KB each, and as much
/// again for JSON escapes. A deployment's plan has a thousand modules with ten reasons each.
const MAX_STORED: u64 = 4 * 1024 * 1024;

/// Stores a plan if it is too long for a payload.
pub async fn store(bucket: &Bucket, plan: Plan, execution: &ExecutionArn) -> Result<PlanHandle> {
    let (handle, stored) = PlanHandle::new(plan, execution);
    if let (PlanHandle::Stored { plan_key }, Some(text)) = (&handle, stored) {
        bucket.put(plan_key, text).await?;
    }
    Ok(handle)
}

/// The plan of a handle: inline or stored.
pub async fn load(bucket: &Bucket, handle: PlanHandle) -> Result<Plan> {
    match handle {
        PlanHandle::Inline(plan) => Ok(*plan),
        PlanHandle::Stored { plan_key } => read(bucket, &plan_key).await,
    }
}

/// The input of an execution, for the function of its first state. An input that was too long to be sent is read from Step
/// Functions, and stored for later functions ([`input`]).
#[cfg(feature = "sfn")]
pub async fn first_input(
    bucket: &Bucket,
    step_functions: &crate::services::sfn::StepFunctions,
    sent: Value,
    execution: &ExecutionArn,
) -> Result<Value> {
    if !sent.is_null() {
        return Ok(sent);
    }
    let described = step_functions.describe(execution).await?.ok_or_else(|| {
        let message = "Step Functions DescribeExecution: expected the execution that asks, found none; it may not be visible yet";
        Error::new(ErrorName::ServiceUnavailable, message)
    })?;
    bucket
        .put(&execution.input_key(), described.input.to_string())
        .await?;
    Ok(described.input)
}

/// The input of an execution: as the state machine sent it. If it was too long for that, it is read from the object that
/// the function of the first state stored ([`first_input`]). A planner's input names the object that the planner stored.
pub async fn input(bucket: &Bucket, sent: Value, execution: &ExecutionArn) -> Result<Value> {
    let input = match sent {
        Value::Null => read(bucket, &execution.input_key()).await?,
        sent => sent,
    };
    match StoredInput::of(&input)? {
        Some(stored) => stored.check(read(bucket, &stored.key).await?),
        None => Ok(input),
    }
}

/// Stores the name of the deployment whose lock an execution is about to take; the function that releases the lock reads
/// it.
pub async fn store_name(bucket: &Bucket, execution: &ExecutionArn, deployment: &DeploymentId) -> Result<()> {
    // Keys are strings only, so this can't fail.
    let text = serde_json::to_string(deployment).unwrap_or_default();
    bucket.put(&execution.name_key(), text).await
}

/// The stored name; `None` if the execution ended before it was read, and so without a lock.
pub async fn find_name(bucket: &Bucket, execution: &ExecutionArn) -> Result<Option<DeploymentId>> {
    find(bucket, &execution.name_key()).await
}

/// The plan of a whole deployment, as the planner stored it for its execution.
pub async fn deployment(bucket: &Bucket, execution: &ExecutionArn) -> Result<deployment::plan::Plan> {
    read(bucket, &execution.deployment_key()).await
}

/// Stores the plan of a whole deployment.
pub async fn store_deployment(
    bucket: &Bucket,
    execution: &ExecutionArn,
    plan: &deployment::plan::Plan,
) -> Result<()> {
    // Keys are strings only, so this can't fail.
    let text = serde_json::to_string(plan).unwrap_or_default();
    bucket.put(&execution.deployment_key(), text).await
}

/// The same; `None` if the execution ended before there was a plan.
pub async fn find_deployment(
    bucket: &Bucket,
    execution: &ExecutionArn,
) -> Result<Option<deployment::plan::Plan>> {
    find(bucket, &execution.deployment_key()).await
}

/// Stores the parts of a plan that waits for an approval.
pub async fn store_parts(bucket: &Bucket, execution: &ExecutionArn, parts: &PlanParts) -> Result<()> {
    // Keys are strings only, so this can't fail.
    let text = serde_json::to_string(parts).unwrap_or_default();
    bucket.put(&execution.plan_parts_key(), text).await
}

/// The previews of a plan; `None` if it has none.
pub async fn find_previews(bucket: &Bucket, execution: &ExecutionArn) -> Result<Option<Previews>> {
    find(bucket, &execution.previews_key()).await
}

/// Stores the previews of a plan, as far as they are.
pub async fn store_previews(bucket: &Bucket, execution: &ExecutionArn, previews: &Previews) -> Result<()> {
    // Keys are strings only, so this can't fail.
    let text = serde_json::to_string(previews).unwrap_or_default();
    bucket.put(&execution.previews_key(), text).await
}

/// The parts of the plan that was approved.
///
/// # Errors
/// `ApprovalVoid` if what is stored is not what the approval names.
pub async fn approved_parts(bucket: &Bucket, execution: &ExecutionArn, hash: &str) -> Result<PlanParts> {
    let key = execution.plan_parts_key();
    let found: Option<PlanParts> = find(bucket, &key).await?;
    let approved = found.filter(|parts| parts.hash() == hash);
    approved.ok_or_else(|| {
        Error::new(
            ErrorName::ApprovalVoid,
            format!("nothing was started. {key}: expected the approved plan, found another one or none; start the deployment again"),
        )
    })
}

async fn find<T: DeserializeOwned>(bucket: &Bucket, key: &str) -> Result<Option<T>> {
    let found = bucket.get(key, MAX_STORED).await?;
    let parse = |(bytes, _): (Vec<u8>, _)| parse(key, &bytes);
    found.map(parse).transpose()
}

async fn read<T: DeserializeOwned>(bucket: &Bucket, key: &str) -> Result<T> {
    let found = find(bucket, key).await?;
    found.ok_or_else(|| unusable(key, "it is gone"))
}

fn parse<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| unusable(key, &e.to_string()))
}

fn unusable(key: &str, why: &str) -> Error {
    Error::new(
        ErrorName::Refused,
        format!("{key}: what an earlier state stored there can't be read: {why}; start a new execution"),
    )
}
