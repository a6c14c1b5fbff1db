//! The end of an execution that deployed a module.

use jiff::{SignedDuration, Timestamp};
use seedflow_aws::runtime::log;
use seedflow_core::error::{ErrorName, Result};
use seedflow_core::events::ModuleStateChange;
use seedflow_core::ids::{AwsEnvironment, BuildId, ExecutionArn, ModuleId, ParameterKind, split_target};
use seedflow_core::module::report::Report;
use seedflow_core::module::status::{Failure, Status};
use seedflow_core::module::timeline::Timeline;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::Measurement;
use seedflow_core::workflow::ending::{Described, Holds, LeftBuild};
use seedflow_core::workflow::execution_history::Trace;
use seedflow_core::workflow::lock::{Lease, Lock, LockRequest};
use serde_json::json;

use crate::answer::{Next, wait_for};
use crate::handler::Handler;
use crate::refused::Refused;

impl Handler {
    pub(crate) async fn end_of_module(
        &self,
        module: &ModuleId,
        execution: &ExecutionArn,
        described: Option<Described>,
        refused: &mut Refused,
        now: Timestamp,
    ) -> Result<Next> {
        if let Some(build) = described.as_ref().and_then(Described::build_id) {
            self.unregister(&build, refused).await?;
        }
        // An execution that Step Functions no longer knows left at most its lock.
        if let Some(described) = described.filter(Described::is_unsuccessful) {
            let lock = match self.stop_writing(module, execution, refused).await? {
                Holds::It(lock) => Some(Some(lock)),
                Holds::Unknown => Some(None),
                Holds::Not => None,
            };
            let wait = match lock {
                Some(lock) => {
                    self.clean_up(execution, module, lock.as_deref(), &described, refused, now)
                        .await?
                }
                None => self.still_claiming(execution, &described, refused, now).await?,
            };
            if let Some(wait) = wait {
                return Ok(wait_for(wait));
            }
        }
        self.release(module, execution, refused).await
    }

    /// Removes the registration of a build: no token is to be answered for it any more.
    async fn unregister(&self, build: &BuildId, refused: &mut Refused) -> Result<()> {
        let deleted = self.modules.work.delete(&build.callback_key()).await;
        refused.note(deleted).map(drop)
    }

    /// Stops the build and records the end. Returns how long to wait before the lock may be released. Without the lock,
    /// which may be unreadable, only the build is stopped: everything else belongs to the lock's holder.
    async fn clean_up(
        &self,
        execution: &ExecutionArn,
        module: &ModuleId,
        lock: Option<&Lock>,
        described: &Described,
        refused: &mut Refused,
        now: Timestamp,
    ) -> Result<Option<SignedDuration>> {
        let trace = self.trace(execution, described, refused).await?;
        // An execution runs where this function does.
        let home = AwsEnvironment::from_arn(execution.as_str())?;
        let build = refused.note(self.build(&trace, lock, &home).await)?.flatten();
        let left = match &build {
            Some(build) => self.stop(build, &home, refused).await?,
            None => LeftBuild::Nothing,
        };
        if let Some(lock) = lock {
            self.record(
                execution,
                &lock.held(module),
                described,
                build.as_ref(),
                refused,
                now,
            )
            .await?;
        }
        let (look_again, keep_until) = left.next(lock, described.stopped_at.unwrap_or(now));
        if let Some(until) = keep_until {
            let keep = LockRequest::Keep(execution.clone(), until);
            refused.note(self.locks.apply(module, &keep).await)?;
        }
        let wait = described.keeps_lock(look_again, trace.working, self.longest_write, now);
        if let (None, Some(build)) = (wait, &build) {
            self.unregister(build, refused).await?;
        }
        Ok(wait)
    }

    /// The build that the execution started, if any.
    async fn build(
        &self,
        trace: &Trace,
        lock: Option<&Lock>,
        home: &AwsEnvironment,
    ) -> Result<Option<BuildId>> {
        match (&trace.build_id, &trace.searched, lock) {
            (Some(build), ..) => Ok(Some(build.clone())),
            (None, Some(searched), Some(lock)) => {
                let (target, project) = split_target(searched);
                let codebuild = self.codebuild.at(target.as_ref(), home).await?;
                let found = codebuild.find(project, &lock.run).await?;
                Ok(found.map(|build| build.at(target.as_ref())))
            }
            _ => Ok(None),
        }
    }

    /// Stops a running build. If the build can't be read, StopBuild's answer has its state. If it can be neither read nor
    /// stopped, its state is unknown, and it can't hold the lock.
    async fn stop(&self, build: &BuildId, home: &AwsEnvironment, refused: &mut Refused) -> Result<LeftBuild> {
        let codebuild = self.codebuild.at(build.target().as_ref(), home).await;
        // A target that doesn't let Seedflow in any more: whether the build runs is unknown, and it can't hold the lock.
        let Some(codebuild) = refused.note(codebuild)? else {
            return Ok(LeftBuild::Nothing);
        };
        let read = match codebuild.read(build).await {
            Err(error) if error.name == ErrorName::BuildNotFound => return Ok(LeftBuild::Nothing),
            read => refused.note(read)?,
        };
        if let Some(Some(_)) = read {
            return Ok(LeftBuild::Nothing);
        }
        let runs = read.is_some();
        let Some(ended) = refused.note(codebuild.stop(build).await)? else {
            return Ok(if runs {
                LeftBuild::Running
            } else {
                LeftBuild::Nothing
            });
        };
        if ended {
            return Ok(LeftBuild::Nothing);
        }
        log::add_log_context(&LogContext::default().with_build(Some(build)));
        tracing::info!("stopped");
        Ok(LeftBuild::Stopping)
    }

    /// Writes the final status, unless the execution has written it.
    async fn record(
        &self,
        execution: &ExecutionArn,
        lock: &Lease,
        described: &Described,
        build: Option<&BuildId>,
        refused: &mut Refused,
        now: Timestamp,
    ) -> Result<()> {
        let module = &lock.of;
        let Some((state, failure)) = Failure::of_end(described, build) else {
            return Ok(());
        };
        let stored = self
            .modules
            .parameters
            .stored(module, &[ParameterKind::Status])
            .await;
        let Some(stored) = refused.note(stored)? else {
            // It is unknown whether the execution has written its status, so this one is not written.
            let status = Status::end(state, None, module, execution, &failure, now)
                .map(|status| status.started_by(lock.started_by.as_ref()));
            refused.unwritten(json!(status));
            return Ok(());
        };
        let before = match stored.status_of(module) {
            // The path belongs to another module, and stays its own.
            Err(error) if error.name == ErrorName::StateConflict => return Ok(()),
            before => before?,
        };
        let Some(status) = Status::end(state, before.as_ref(), module, execution, &failure, now) else {
            return Ok(());
        };
        let status = status.started_by(lock.started_by.as_ref());
        let timeline = Timeline::new(lock, &status, None);
        let report = Report::of_failure(module, &status, Some(&timeline), None);
        refused.note(self.modules.write_report(&report).await)?;
        // The event is sent before the status is written, not after: a repeated call that finds the status skips both, so
        // after a crash in between the event would never be sent.
        let (part_of, bucket) = (lock.part_of.as_ref(), self.modules.work.name());
        let event = ModuleStateChange::of(module, &status, &timeline, part_of, bucket);
        if !refused.is_announced() {
            self.events.send(&event).await;
        }
        let written = self.modules.write_status(module, &stored, &status).await;
        if refused.note(written)?.is_none() {
            refused.unwritten(json!(status));
        }
        if !refused.is_announced() {
            let about = LogContext::module(execution, module)
                .in_target(status.target.as_ref())
                .with_build(build);
            self.metrics
                .write(&Measurement::end_of_module(state, &timeline), &about);
        }
        Ok(())
    }
}
