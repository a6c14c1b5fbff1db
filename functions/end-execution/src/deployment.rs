//! The end of an execution that deployed a whole deployment.
//!
//! When an execution is stopped, Step Functions tries to stop the executions that it waits for (Step Functions Developer
//! Guide, "Run a Job (.sync)"), and doesn't guarantee it. So the executions of modules that it has started and not seen end are
//! stopped here. Each of them has its own event, which starts its cleanup.

use jiff::{SignedDuration, Timestamp};
use seedflow_aws::stores::plans;
use seedflow_core::deployment::plan::Plan;
use seedflow_core::deployment::report;
use seedflow_core::deployment::status::DeploymentStatus;
use seedflow_core::error::Result;
use seedflow_core::events::{DeploymentStateChange, ReportAt};
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::status::Failure;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::Measurement;
use seedflow_core::workflow::ending::{Described, Holds, STOPPING};
use seedflow_core::workflow::execution_history::{Started, trace};
use serde_json::json;

use crate::answer::{Next, wait_for};
use crate::handler::Handler;
use crate::refused::Refused;

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
        let history = refused.note(self.step_functions.history(execution).await)?;
        let mut appears = None;
        if let Some(plan) = plan.flatten() {
            let started = match &history {
                Some(history) => Started::read(history),
                // At worst everything in its plan, until its end.
                None => Started {
                    names: plan.executions().map(str::to_owned).collect(),
                    last: described.stopped_at,
                },
            };
            let all_known = self.stop_modules(&started, refused).await?;
            appears = started.may_appear(now).filter(|_| !all_known);
            self.record_end(&plan, execution, described, refused, now).await?;
        }
        let working = history.is_none_or(|history| trace(&history).working);
        let look_again = appears.map(|wait| wait.min(STOPPING));
        Ok(described.keeps_lock(look_again, working, self.longest_write, now))
    }

    /// Stops the executions of modules that may still run; returns whether Step Functions knows all of them. One that it
    /// doesn't know was just started, or never. One that was stopped, or that can't be stopped, isn't waited for: it holds its
    /// module's own lock until everything of it has ended.
    async fn stop_modules(&self, started: &Started, refused: &mut Refused) -> Result<bool> {
        let mut all_known = true;
        for name in &started.names {
            let execution = ExecutionArn::of(&self.deploy_module, name);
            let cause = "the deployment that this execution belongs to was ended";
            let stopped = self.step_functions.stop(&execution, "DeploymentAborted", cause);
            all_known &= refused.note(stopped.await)?.unwrap_or(true);
        }
        Ok(all_known)
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
            let status = DeploymentStatus::new(state, execution, now).failed(&failure.error, &failure.reason);
            refused.unwritten(json!(status));
            return Ok(());
        };
        let waited = DeploymentStatus::end_of_wait(before.as_ref(), execution, &failure, now);
        let kept = waited.clone().map(|status| status.keeping(before.as_ref()));
        let Some(status) = waited.or_else(|| DeploymentStatus::end(before, state, execution, &failure, now))
        else {
            return Ok(());
        };
        let key = plan.deployment.report_key(execution);
        let previews = match &plan.approval {
            Some(_) => refused.note(plans::find_previews(&self.modules.work, execution).await)?,
            None => None,
        };
        let previews = previews.flatten().map(|previews| previews.results());
        let text = report::report(plan, &status, &[], &previews.unwrap_or_default()).to_string();
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
