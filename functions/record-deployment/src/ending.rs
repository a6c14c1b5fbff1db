//! The end of a deployment, from the results of all its modules.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use seedflow_aws::runtime::log;
use seedflow_aws::stores::plans;
use seedflow_core::deployment::outcome::{DeploymentOutcome, End, EndedExecution, Failed};
use seedflow_core::deployment::plan::Plan;
use seedflow_core::deployment::record;
use seedflow_core::deployment::record::DeploymentRecord;
use seedflow_core::deployment::report;
use seedflow_core::deployment::status::DeploymentStatus;
use seedflow_core::error::{Error, Result};
use seedflow_core::ids::{DeploymentId, ExecutionArn};
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::status::State;
use seedflow_core::pages::report_view::Module;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::{Measurement, Metric};
use seedflow_core::workflow::lock::Lease;
use serde_json::{Value, json};

use crate::handler::{Handler, MAX_REPORT};

/// Maximum number of failed modules with their cause.
const MAX_CAUSES: usize = 10;

impl Handler {
    pub async fn end(
        &self,
        execution: &ExecutionArn,
        lock: &Lease<DeploymentId>,
        results: &[EndedExecution],
        now: Timestamp,
    ) -> Result<Value> {
        let plan = plans::deployment(&self.modules.work, execution).await?;
        log::add_log_context(&LogContext::deployment(execution, &plan.deployment));
        let outcome = DeploymentOutcome::of(&plan, results);
        let before = self.modules.deployment_status(&plan.deployment).await?;
        if plan.leaves_nothing && plan.modules.is_empty() && before.is_none() {
            // Nothing existed before and nothing exists now: no status is written. Nothing is reported either, since the
            // deployment may never have existed.
            return Ok(json!({"state": State::Unchanged, "deployment": plan.deployment, "modules": {}}));
        }
        let causes = self.causes(&plan, &outcome).await?;
        let status = outcome.status(
            &plan,
            before.as_ref(),
            execution,
            |module| causes.get(module).cloned(),
            now,
        );
        let next = outcome.next_rollback(&plan, &status, lock.started_at.unwrap_or(now));
        let status = match &next {
            Some(next) => status.followed_by(next),
            None => status,
        };
        if let Some(record) = DeploymentRecord::of(&plan, &outcome, execution, now) {
            self.write_record(&record).await?;
        }
        let is_gone = plan.leaves_nothing && outcome.is_good();
        let status = match is_gone {
            true => DeploymentStatus {
                state: State::Destroyed,
                ..status
            },
            false => status,
        };
        // The report before the status: a reader who sees the final state finds the report.
        let report = self.report(&plan, &outcome, &status).await?;
        self.write_end(&plan.deployment, &status, &report, is_gone)
            .await?;
        if !before.is_some_and(|before| before.is_final_of(execution)) {
            let took = lock.started_at.map(|started| now.duration_since(started));
            self.measure(&plan.deployment, &outcome, &status, took);
        }
        tracing::info!(state = status.state.as_str(), modules = ?status.modules, "recorded");
        Ok(json!({
            "state": status.state, "deployment": plan.deployment, "origin": plan.commit_info, "modules": status.modules, "failed": status.failed,
            "error": status.why.error, "cause": status.why.reason, "report": report, "roll_back": next,
        }))
    }

    /// Writes and publishes the final status. That of a deployment that is gone is removed instead.
    async fn write_end(
        &self,
        deployment: &DeploymentId,
        status: &DeploymentStatus,
        report: &str,
        is_gone: bool,
    ) -> Result<()> {
        if !is_gone {
            self.modules.write_deployment_status(deployment, status).await?;
        }
        self.publish(deployment, status, Some(report)).await;
        if is_gone {
            // After the event: a repeated call that finds no status sends no event.
            self.modules.delete_deployment_status(deployment).await?;
        }
        Ok(())
    }

    fn measure(
        &self,
        deployment: &DeploymentId,
        outcome: &DeploymentOutcome,
        status: &DeploymentStatus,
        took: Option<SignedDuration>,
    ) {
        let skipped = outcome
            .ended(End::Unchanged)
            .filter(|result| result.execution.is_none());
        let measured = Measurement::end_of_deployment(status.state, took).and_count(
            Some(Metric::ModulesUnchanged),
            u32::try_from(skipped.count()).unwrap_or(u32::MAX),
        );
        self.metrics
            .write(&measured, &LogContext::deployment(&status.execution, deployment));
    }

    /// Writes the record by which the deployment can be rolled back to this execution. A repeated call leaves alone what it
    /// wrote before: each write counts as a success that is kept.
    async fn write_record(&self, record: &DeploymentRecord) -> Result<()> {
        let key = record.deployment.record_key();
        let stored = self.modules.work.get(&key, record::MAX_BYTES).await?;
        let found = stored.and_then(|(bytes, _)| serde_json::from_slice::<DeploymentRecord>(&bytes).ok());
        if found.is_some_and(|found| found.execution == record.execution) {
            return Ok(());
        }
        let text = serde_json::to_string(record).map_err(|e| Error::unwritable("the record", &e))?;
        self.modules.work.put(&key, text).await
    }

    /// Why modules failed, from the reports of their executions: a status may be that of a later one already.
    async fn causes(&self, plan: &Plan, outcome: &DeploymentOutcome) -> Result<BTreeMap<ModuleRef, Failed>> {
        let mut causes = BTreeMap::new();
        for result in outcome.ended(End::Failed).take(MAX_CAUSES) {
            let module = &result.module;
            let id = plan
                .deployment
                .module(module.group.clone(), module.module.clone());
            let Some(execution) = result.execution.as_deref() else {
                continue;
            };
            let key = id.report_key(&ExecutionArn::new(execution));
            if let Some((bytes, _)) = self.modules.work.get(&key, MAX_REPORT).await?
                && let Ok(report) = serde_json::from_slice::<Module>(&bytes)
                && let Some(failed) = report.failed()
            {
                causes.insert(module.clone(), failed);
            }
        }
        Ok(causes)
    }

    async fn report(
        &self,
        plan: &Plan,
        outcome: &DeploymentOutcome,
        status: &DeploymentStatus,
    ) -> Result<String> {
        let key = plan.deployment.report_key(&status.execution);
        let previews = self.previews(plan, &status.execution).await?;
        let report = report::report(plan, status, &outcome.results, &previews);
        self.modules.work.put(&key, report.to_string()).await?;
        Ok(key)
    }
}
