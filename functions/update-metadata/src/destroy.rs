//! Records that a module was destroyed: removes everything that is stored of it, the status last.
//!
//! The bundles and the record are removed first: from then on the module counts as not deployed, and the next destruction
//! removes the rest without a build. After a crash at any step, the next try of this execution or the next execution does
//! the rest. None of them takes the module for unchanged, because its last execution didn't succeed.
//!
//! The report is written before the status is removed. For a module without a status nothing is left to do, and nothing is
//! reported, because the module may never have existed.

use jiff::Timestamp;
use seedflow_aws::stores::stored_lock;
use seedflow_core::error::Result;
use seedflow_core::ids::{ExecutionArn, ModuleId, ParameterKind};
use seedflow_core::module::destroy;
use seedflow_core::module::destroy::DestroyStep;
use seedflow_core::module::report::Report;
use seedflow_core::module::status::{State, Status};
use seedflow_core::module::timeline::Timeline;
use seedflow_core::workflow::lock::Lease;
use serde_json::{Value, json};

use crate::handler::{Handler, SucceededBuild};

/// A destruction, for its report and its event.
struct Recorded<'a> {
    lock: &'a Lease,
    status: &'a Status,
    timeline: &'a Timeline,
    report: &'a Report<'a>,
}

impl Handler {
    /// Records a destruction after the module's destroy phases have run.
    pub(crate) async fn destroyed(&self, done: SucceededBuild<'_>, now: Timestamp) -> Result<Value> {
        let SucceededBuild {
            execution,
            lock,
            plan,
            build,
        } = done;
        let module = &plan.module;
        let stored = self
            .modules
            .parameters
            .stored(module, &[ParameterKind::Status])
            .await?;
        let before = stored.status_of(module)?;
        let reasons = before.as_ref().map(|status| status.reasons.clone());
        let reasons = reasons.unwrap_or_default();
        let status = Status::destroy(before.as_ref(), module, execution, Some(build), &reasons, now)
            .started_by(lock.started_by.as_ref());
        // The last check before the first removal.
        stored_lock::ensure_held(&self.modules.work, lock, execution).await?;
        let timeline = Timeline::new(lock, &status, Some(build));
        let report = Report::of_destruction(plan, &status, &timeline, build);
        let recorded = Recorded {
            lock,
            status: &status,
            timeline: &timeline,
            report: &report,
        };
        self.remove(&destroy::STEPS, &recorded).await?;
        // A repeated call finds no status.
        if before.is_some() {
            self.measure(module, &status, &timeline);
        }
        tracing::info!("recorded a destruction");
        Ok(json!({
            "state": status.state, "module": module, "execution": execution, "build_id": build.build_id, "reasons": reasons,
        }))
    }

    /// Removes what is stored of a module that is not deployed.
    pub(crate) async fn purge(
        &self,
        execution: &ExecutionArn,
        lock: &Lease,
        now: Timestamp,
    ) -> Result<Value> {
        let module = &lock.of;
        let stored = self
            .modules
            .parameters
            .stored(module, &ParameterKind::ALL)
            .await?;
        let before = stored.status_of(module)?;
        let answer = |state: State, reason: &str| json!({"state": state, "module": module, "execution": execution, "reasons": [reason]});
        if ParameterKind::ALL.iter().all(|kind| stored.text(*kind).is_none()) {
            return Ok(answer(State::Unchanged, "nothing is deployed"));
        }
        let reason = "nothing was deployed, or no build of the module ever ran; its stored state is removed";
        let reasons = [reason.to_owned()];
        let status = Status::destroy(before.as_ref(), module, execution, None, &reasons, now)
            .started_by(lock.started_by.as_ref());
        stored_lock::ensure_held(&self.modules.work, lock, execution).await?;
        let timeline = Timeline::new(lock, &status, None);
        let report = Report::of_failure(module, &status, Some(&timeline), None);
        let recorded = Recorded {
            lock,
            status: &status,
            timeline: &timeline,
            report: &report,
        };
        self.remove(&destroy::STEPS, &recorded).await?;
        self.measure(module, &status, &timeline);
        tracing::info!("purged");
        Ok(answer(status.state, reason))
    }

    /// Removes the bundle and its published copy. The copy stays if another project's module with the same three names has
    /// replaced it since: its key has no project.
    pub(crate) async fn drop_bundles(&self, module: &ModuleId) -> Result<()> {
        let work = &self.modules.work;
        // The record is removed after the bundles, so without a record they are gone.
        let Some(record) = self.modules.record(module).await? else {
            return Ok(());
        };
        for kept in record.bundle.iter().chain(&record.published) {
            if kept.bucket == work.name() {
                work.delete(&kept.key).await?;
            } else if self.bundles.version(&kept.key).await? == kept.version_id {
                self.bundles.delete(&kept.key).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, steps: &[DestroyStep], recorded: &Recorded<'_>) -> Result<()> {
        let module = &recorded.lock.of;
        for step in steps {
            match step {
                DestroyStep::DropBundles => self.drop_bundles(module).await?,
                DestroyStep::DropRecord => self.modules.work.delete(&module.record_key()).await?,
                DestroyStep::DropParameters => {
                    let parameters = &self.modules.parameters;
                    parameters.delete(module, &destroy::OF_A_SUCCESS).await?;
                    for name in recorded.status.former_names.iter() {
                        self.unmark(&name.id(module)).await?;
                    }
                }
                DestroyStep::DropValues => self.modules.delete_values(module).await?,
                DestroyStep::Report => self.modules.write_report(recorded.report).await?,
                DestroyStep::Publish => {
                    self.publish(recorded.lock, recorded.status, recorded.timeline)
                        .await
                }
                DestroyStep::DropStatus => {
                    let status = [ParameterKind::Status];
                    self.modules.parameters.delete(module, &status).await?;
                }
            }
        }
        Ok(())
    }
}
