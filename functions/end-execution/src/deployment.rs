//! The end of an execution that deployed a whole deployment.
//!
//! When an execution is stopped, Step Functions tries to stop the executions that it waits for (Step Functions Developer
//! Guide, "Run a Job (.sync)"); the local emulator doesn't. So the plan's executions that still run are stopped here. Each
//! of them has its own event, which starts its cleanup.

use jiff::{SignedDuration, Timestamp};
use seedflow_aws::stores::plans;
use seedflow_core::deployment::plan::Plan;
use seedflow_core::deployment::report;
use seedflow_core::deployment::status::Status;
use seedflow_core::error::Result;
use seedflow_core::events::{DeploymentStateChange, ReportAt};
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::status::Failure;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::Measurement;
use seedflow_core::workflow::ending::{Described, STOPPING};
use serde_json::json;

use crate::refused::Refused;
use crate::{Handler, Holds, Next, wait_for};

impl Handler {
    pub(crate) async fn end_of_deployment(
        &self,
        deployment: &DeploymentId,
        execution: &ExecutionArn,
        described: Option<Described>,
        refused: &mut Refused,
        now: Timestamp,
    ) -> Result<Next> {
        // An execution that Step Functions no longer knows left at most its lock.
        if let Some(described) = described.filter(Described::is_unsuccessful) {
            let wait = match self.stop_writing(deployment, execution, refused).await? {
                Holds::It(_) => self.stop_deployment(execution, &described, refused, now).await?,
                // It can't be read whether the execution holds the lock. So the lock can't be released either; a claimant
                // takes it over.
                Holds::Unknown => None,
                Holds::Not => self.still_claiming(execution, &described, refused, now).await?,
            };
            if let Some(wait) = wait {
                return Ok(wait_for(wait));
            }
        }
        self.release(deployment, execution, refused).await
    }

    /// Stops the deployment's executions and records its end. Returns how long to wait before the lock may be released.
    async fn stop_deployment(
        &self,
        execution: &ExecutionArn,
        described: &Described,
        refused: &mut Refused,
        now: Timestamp,
    ) -> Result<Option<SignedDuration>> {
        let plan = refused.note(plans::find_deployment(&self.modules.work, execution).await)?;
        let mut stopping = None;
        if let Some(plan) = plan.flatten() {
            let found = self.stop_modules(&plan, refused).await?;
            stopping = (found || described.may_have_unlisted(now)).then_some(STOPPING);
            self.record_end(&plan, execution, described, refused, now).await?;
        }
        let trace = self.trace(execution, described, refused).await?;
        Ok(described.keeps_lock(stopping, trace.working, self.longest_write, now))
    }

    /// Stops the running executions of modules; `true` if there were any. An execution that can't be stopped isn't waited
    /// for: it holds its module's own lock until it ends.
    async fn stop_modules(&self, plan: &Plan, refused: &mut Refused) -> Result<bool> {
        let running = self.step_functions.running(&self.deploy_module).await;
        let running = refused.note(running)?.unwrap_or_default();
        let ours = |execution: &&ExecutionArn| {
            let name = Some(execution.name());
            plan.modules
                .iter()
                .any(|planned| planned.execution.as_deref() == name)
        };
        let mut found = false;
        for execution in running.iter().filter(ours) {
            let cause = "the deployment that this execution belongs to was ended";
            let stopped = self.step_functions.stop(execution, "DeploymentAborted", cause);
            found |= refused.note(stopped.await)?.is_some();
        }
        Ok(found)
    }

    /// Writes the final status of the deployment, unless the execution has written it.
    async fn record_end(
        &self,
        plan: &Plan,
        execution: &ExecutionArn,
        described: &Described,
        refused: &mut Refused,
        now: Timestamp,
    ) -> Result<()> {
        let Some((state, failure)) = Failure::of_end(described, None) else {
            return Ok(());
        };
        let before = self.modules.deployment_status(&plan.deployment).await;
        let Some(before) = refused.note(before)? else {
            // It is unknown whether the execution has written its status, so this one is not written.
            let status = Status::new(state, execution, now).failed(&failure.error, &failure.reason);
            refused.unwritten(json!(status));
            return Ok(());
        };
        let waited = Status::end_of_wait(before.as_ref(), execution, &failure, now);
        let kept = waited.clone().map(|status| status.keeping(before.as_ref()));
        let Some(status) = waited.or_else(|| Status::end(before, state, execution, &failure, now)) else {
            return Ok(());
        };
        let key = plan.deployment.report_key(execution);
        let text = report::report(plan, &status, &[]).to_string();
        let written = refused.note(self.modules.work.put(&key, text).await)?;
        let report = written.map(|()| ReportAt {
            bucket: self.modules.work.name().to_owned(),
            key,
        });
        // Before the status, as for a module.
        let event = DeploymentStateChange::of(&plan.deployment, &status, report);
        if !refused.is_announced() {
            self.events.send(&event).await;
        }
        let written = self
            .modules
            .write_deployment_status(&plan.deployment, kept.as_ref().unwrap_or(&status))
            .await;
        if refused.note(written)?.is_none() {
            refused.unwritten(json!(status));
        }
        if refused.is_announced() {
            return Ok(());
        }
        let took = described.stopped_at.zip(status.started_at);
        let took = took.map(|(stopped, started)| stopped.duration_since(started));
        let about = LogContext::deployment(execution, &plan.deployment);
        self.metrics
            .write(&Measurement::end_of_deployment(status.state, took), &about);
        Ok(())
    }
}
