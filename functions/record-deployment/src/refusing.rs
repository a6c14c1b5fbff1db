//! A deployment that was refused before anything was started.

use jiff::Timestamp;
use seedflow_aws::stores::plans;
use seedflow_core::approval::ApprovalSummary;
use seedflow_core::deployment::report;
use seedflow_core::deployment::status::DeploymentStatus;
use seedflow_core::error::Result;
use seedflow_core::ids::{DeploymentId, ExecutionArn};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::explanation::Explained;
use seedflow_core::module::status::State;
use seedflow_core::started_by::StartedBy;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::Measurement;
use seedflow_core::workflow::lock::Lease;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::handler::Handler;

/// What was refused, and why.
#[derive(Deserialize)]
pub(crate) struct Refusal {
    /// Null if another execution holds it.
    pub(crate) lock: Option<Lease<DeploymentId>>,
    deployment: DeploymentId,
    error: String,
    cause: String,
    /// The commit that was refused, if it could be read.
    origin: Option<Box<CommitInfo>>,
    /// Who started the execution, if known.
    #[serde(default)]
    started_by: Option<StartedBy>,
}

impl Handler {
    /// Records a refusal, and answers how the execution ends.
    pub async fn record_refusal(
        &self,
        execution: &ExecutionArn,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<Value> {
        let Refusal {
            lock,
            deployment,
            error,
            cause,
            origin,
            started_by,
        } = refusal;
        let before = self.modules.deployment_status(&deployment).await?;
        let why = (error.as_str(), cause.as_str());
        let origin = origin.unwrap_or_default();
        let status = DeploymentStatus::refuse(before.as_ref(), execution, why, &origin, now);
        let approval = self.approval(&deployment, execution).await?;
        let replaced = approval
            .as_ref()
            .and_then(|(_, verdict)| verdict.as_ref()?.superseded_by.clone());
        let approval =
            approval.map(|(request, verdict)| ApprovalSummary::of_refused(request, verdict.as_ref()));
        let status = DeploymentStatus {
            approval,
            started_by,
            ..status
        };
        self.refuse(&deployment, before.as_ref(), status, lock.is_some())
            .await?;
        Ok(match replaced {
            Some(by) => json!({"state": "SUPERSEDED", "superseded_by": by, "error": error, "cause": cause}),
            None => json!({"state": State::Refused, "error": error, "cause": cause}),
        })
    }

    /// Records a refusal: its report, the refusal beside the stored state unless another execution holds the lock, and the
    /// event.
    async fn refuse(
        &self,
        deployment: &DeploymentId,
        before: Option<&DeploymentStatus>,
        status: DeploymentStatus,
        is_locked: bool,
    ) -> Result<()> {
        let execution = &status.execution;
        let key = deployment.report_key(execution);
        let report = match &status.approval {
            // What an approver has seen.
            Some(_) => {
                let plan = plans::deployment(&self.modules.work, execution).await?;
                let previews = self.previews(&plan, execution).await?;
                report::report(&plan, &status, &[], &previews)
            }
            None => json!({
                "deployment": deployment, "execution": execution, "written_at": status.updated_at, "status": status,
                "plan": [], "results": [],
            }),
        };
        self.modules.work.put(&key, report.to_string()).await?;
        if !before.is_some_and(|before| before.has_refused(execution)) {
            if is_locked {
                let stays = status.clone().keeping(before);
                self.modules.write_deployment_status(deployment, &stays).await?;
            }
            let measured = Measurement::end_of_deployment(status.state, None);
            self.metrics
                .write(&measured, &LogContext::deployment(execution, deployment));
        }
        self.publish(deployment, &status, Some(&key)).await;
        Ok(())
    }
}
