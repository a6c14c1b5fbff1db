//! A plan that waits for an approval: what is asked, and what was decided.

use jiff::Timestamp;
use seedflow_aws::runtime::log;
use seedflow_aws::stores::approvals::Approval;
use seedflow_aws::stores::plans;
use seedflow_core::approval::{ApprovalRequest, ApprovalSummary, Verdict};
use seedflow_core::deployment::status::DeploymentStatus;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{DeploymentId, ExecutionArn};
use seedflow_core::telemetry::log_context::LogContext;
use serde_json::{Value, json};

use crate::handler::Handler;

impl Handler {
    /// Stores what is asked of an approver, and writes that the plan waits: the report, the wait beside the stored state, and
    /// the event.
    pub async fn wait(&self, execution: &ExecutionArn, now: Timestamp) -> Result<Value> {
        let plan = plans::deployment(&self.modules.work, execution).await?;
        let Some(needed) = &plan.approval else {
            let message = format!(
                "{}: expected a plan that needs an approval, found one that needs none",
                execution.deployment_key()
            );
            return Err(Error::new(ErrorName::Refused, message));
        };
        log::add_log_context(&LogContext::deployment(execution, &plan.deployment));
        let request = ApprovalRequest::new(
            &plan.deployment,
            execution,
            needed,
            plan.started_by.clone(),
            &plan.commit_info,
            now,
        );
        let request = self
            .approval_of(&plan.deployment, execution)
            .store_request(request)
            .await?;
        let seconds_left = request.seconds_left(now);
        let before = self.modules.deployment_status(&plan.deployment).await?;
        let status = DeploymentStatus::wait(before.as_ref(), ApprovalSummary::of(request, None), now);
        let report = self.first_report(&plan, &status).await?;
        let kept = status.clone().keeping(before.as_ref());
        self.modules
            .write_deployment_status(&plan.deployment, &kept)
            .await?;
        self.publish(&plan.deployment, &status, Some(&report)).await;
        tracing::info!(reasons = ?needed.reasons, seconds_left, "waits for an approval");
        Ok(json!({"seconds_left": seconds_left}))
    }

    fn approval_of<'a>(&'a self, deployment: &'a DeploymentId, execution: &'a ExecutionArn) -> Approval<'a> {
        Approval {
            bucket: &self.modules.work,
            deployment,
            execution,
        }
    }

    /// What was asked of an approver, and what was decided; `None` if the execution's plan needed no approval.
    pub async fn approval(
        &self,
        deployment: &DeploymentId,
        execution: &ExecutionArn,
    ) -> Result<Option<(ApprovalRequest, Option<Verdict>)>> {
        let approval = self.approval_of(deployment, execution);
        match approval.request().await? {
            Some(request) => Ok(Some((request, approval.verdict().await?))),
            None => Ok(None),
        }
    }
}
