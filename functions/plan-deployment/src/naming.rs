//! The first call: which deployment the execution locks.

use jiff::Timestamp;
use seedflow_aws::runtime::log;
use seedflow_aws::stores::plans;
use seedflow_core::deployment::input::{DeploymentAction, DeploymentInput};
use seedflow_core::error::Result;
use seedflow_core::ids::{AwsEnvironment, DeploymentId, ExecutionArn};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::telemetry::log_context::LogContext;
use serde_json::Value;

use crate::answer::Named;
use crate::handler::Handler;
use crate::repository;
use crate::repository::Asked;

impl Handler {
    /// Reads the name, and stores it for later functions.
    pub async fn name(
        &self,
        input: Value,
        execution: &ExecutionArn,
        environment: &AwsEnvironment,
    ) -> Result<Named> {
        let input = plans::first_input(&self.modules.work, &self.step_functions, input, execution).await?;
        let request = DeploymentInput::parse(&input, &self.limits)?;
        let (deployment, origin) = match &request.action {
            DeploymentAction::Destroy { deployment } | DeploymentAction::Rollback { deployment, .. } => {
                let deployment = DeploymentId {
                    project: request.project.clone(),
                    deployment: deployment.clone(),
                };
                (deployment, CommitInfo::default())
            }
            DeploymentAction::Deploy { source, options, .. } => {
                let asked = Asked {
                    request: &request,
                    source,
                    fetched: &[],
                    options,
                    environment,
                    maxima: &self.limits.maxima,
                };
                let (found, origin) = repository::name(self.stores(), &asked).await?;
                request.check_deployment(&found)?;
                (found, origin)
            }
        };
        log::add_log_context(&LogContext::deployment(execution, &deployment));
        plans::store_name(&self.modules.work, execution, &deployment).await?;
        Ok(Named {
            deployment,
            whole: request.is_whole(),
            plan_only: request.plan_only,
            record_refusal: request.record_refusal,
            origin,
            place: request.place(Timestamp::now()),
            started_by: request.started_by,
        })
    }
}
