//! The start of a deployment, before its first module.

use jiff::Timestamp;
use seedflow_aws::stores::plans;
use seedflow_core::approval::ApprovalSummary;
use seedflow_core::deployment::status::DeploymentStatus;
use seedflow_core::error::Result;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::status::State;
use serde_json::{Value, json};

use crate::handler::Handler;

impl Handler {
    pub async fn start(&self, execution: &ExecutionArn, now: Timestamp) -> Result<Value> {
        let plan = plans::deployment(&self.modules.work, execution).await?;
        let approval = match &plan.approval {
            Some(_) => self.approval(&plan.deployment, execution).await?,
            None => None,
        };
        let status = DeploymentStatus {
            started_at: Some(now),
            started_by: plan.started_by.clone(),
            approval: approval.map(|(request, verdict)| ApprovalSummary::of(request, verdict.as_ref())),
            previous_state: plan.previous_state,
            commit_info: plan.commit_info.clone(),
            groups: plan.attempted_groups.clone(),
            rollback: plan.rollback.clone(),
            ..DeploymentStatus::new(State::InProgress, execution, now)
        };
        let report = self.first_report(&plan, &status).await?;
        self.modules
            .write_deployment_status(&plan.deployment, &status)
            .await?;
        self.publish(&plan.deployment, &status, Some(&report)).await;
        Ok(json!({"state": status.state}))
    }
}
