//! The policies of deployments, in the work bucket (decision 58). No function of Seedflow writes them.

use seedflow_core::error::Result;
use seedflow_core::ids::DeploymentId;
use seedflow_core::policy::rego::MAX_REGO_BYTES;
use seedflow_core::policy::{MAX_BYTES, StoredPolicy};

use crate::services::s3::Bucket;

/// The policy of a deployment; `None` if it has none.
pub async fn of(bucket: &Bucket, deployment: &DeploymentId) -> Result<Option<StoredPolicy>> {
    let found = bucket.get(&deployment.policy_key(), MAX_BYTES).await?;
    Ok(found.map(|(text, _)| StoredPolicy::of(deployment, &text)))
}

/// Whether a deployment has rules in Rego.
pub async fn has_rego(bucket: &Bucket, deployment: &DeploymentId) -> Result<bool> {
    Ok(rego(bucket, deployment).await?.is_some())
}

/// The rules in Rego of a deployment; `None` if it has none.
pub async fn rego(bucket: &Bucket, deployment: &DeploymentId) -> Result<Option<Vec<u8>>> {
    let found = bucket.get(&deployment.rego_key(), MAX_REGO_BYTES).await?;
    Ok(found.map(|(text, _)| text))
}
