//! The policies of deployments, in the work bucket (decision 58). No function of Seedflow writes them.

use seedflow_core::error::Result;
use seedflow_core::ids::DeploymentId;
use seedflow_core::policy::{MAX_BYTES, StoredPolicy};

use crate::services::s3::Bucket;

/// The policy of a deployment; `None` if it has none.
pub async fn of(bucket: &Bucket, deployment: &DeploymentId) -> Result<Option<StoredPolicy>> {
    let found = bucket.get(&deployment.policy_key(), MAX_BYTES).await?;
    Ok(found.map(|(text, _)| StoredPolicy::of(deployment, &text)))
}
