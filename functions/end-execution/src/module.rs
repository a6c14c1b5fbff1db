//! The end of an execution that deployed a module.

use jiff::{SignedDuration, Timestamp};
use seedflow_aws::log;
use seedflow_aws::sfn::Described;
use seedflow_core::error::{ErrorName, Result};
use seedflow_core::event::ModuleStateChange;
use seedflow_core::history::{Trace, trace};
use seedflow_core::ids::{BuildId, ExecutionArn, ModuleId, Slot};
use seedflow_core::lock::{Held, Lock, Turn, Want};
use seedflow_core::metric::Measurement;
use seedflow_core::report::Report;
use seedflow_core::status::{Failure, Status};
use seedflow_core::subject::Subject;
use seedflow_core::timeline::Timeline;

use crate::{Function, Next, state_of, wait, wait_for};

impl Function {
    pub(crate) async fn end_of_module(
        &self,
        module: &ModuleId,
        execution: &ExecutionArn,
        described: Option<Described>,
        now: Timestamp,
    ) -> Result<Next> {
        if let Some(build) = described.as_ref().and_then(deployed_by) {
            self.records.work.delete(&build.callback_key()).await?;
        }
        // An execution that Step Functions has forgotten left nothing but its lock, if that.
        if let Some(described) = described.filter(|described| state_of(described).is_some()) {
            let wait = match self.locks.settle(module, &Want::Stop(execution.clone())).await? {
                Some(Turn::Acquired(lock)) => {
                    self.clean_up(execution, module, &lock, &described, now).await?
                }
                _ => self.still_claiming(execution, &described, now).await?,
            };
            if let Some(wait) = wait {
                return Ok(wait_for(wait));
            }
        }
        self.release(module, execution).await
    }

    /// Makes an end that came from outside true, and says how long to wait until it is.
    async fn clean_up(
        &self,
        execution: &ExecutionArn,
        module: &ModuleId,
        lock: &Lock,
        described: &Described,
        now: Timestamp,
    ) -> Result<Option<SignedDuration>> {
        let trace = trace(&self.step_functions.history(execution).await?);
        let build = self.build(&trace, lock).await?;
        let stopping = match &build {
            Some(build) => self.stop(build).await?,
            None => false,
        };
        self.record(execution, &lock.held(module), described, build.as_ref(), now)
            .await?;
        let wait = wait(
            stopping,
            trace.working,
            described.stopped_at,
            self.longest_write,
            now,
        );
        if let (None, Some(build)) = (wait, &build) {
            self.records.work.delete(&build.callback_key()).await?;
        }
        Ok(wait)
    }

    /// The build that the execution started, if it did.
    async fn build(&self, trace: &Trace, lock: &Lock) -> Result<Option<BuildId>> {
        match (&trace.build_id, &trace.searched) {
            (Some(build), _) => Ok(Some(build.clone())),
            (None, Some(project)) => self.codebuild.find(project, &lock.run).await,
            (None, None) => Ok(None),
        }
    }

    /// Whether the build still runs; it is told to stop then.
    async fn stop(&self, build: &BuildId) -> Result<bool> {
        match self.codebuild.read(build).await {
            Ok(Some(_)) => Ok(false),
            Ok(None) => {
                self.codebuild.stop(build).await?;
                log::learned(&Subject::default().with_build(Some(build)));
                tracing::info!("stopped");
                Ok(true)
            }
            Err(error) if error.name == ErrorName::BuildNotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes how the execution ended, if it hasn't said so itself.
    async fn record(
        &self,
        execution: &ExecutionArn,
        lock: &Held,
        described: &Described,
        build: Option<&BuildId>,
        now: Timestamp,
    ) -> Result<()> {
        let module = &lock.of;
        let Some(state) = state_of(described) else {
            return Ok(());
        };
        let stored = self.records.parameters.stored(module, &[Slot::Status]).await?;
        let before = match stored.status_of(module) {
            // The path belongs to another module, which it stays.
            Err(error) if error.name == ErrorName::StateConflict => return Ok(()),
            before => before?,
        };
        let failure = failure(described, build);
        let Some(status) = Status::end(state, before.as_ref(), module, execution, &failure, now) else {
            return Ok(());
        };
        let timeline = Timeline::new(lock, &status, None);
        self.records
            .write_report(&Report::of_failure(module, &status, Some(&timeline), None))
            .await?;
        // Told before it is written, not after: whoever finds it written leaves it alone, so after a crash in between
        // nobody would be told.
        let (part_of, bucket) = (lock.part_of.as_ref(), self.records.work.name());
        let event = ModuleStateChange::of(module, &status, &timeline, part_of, bucket);
        self.events.send(&event).await;
        self.records.write_status(module, &stored, &status).await?;
        let about = Subject::module(execution, module).with_build(build);
        self.metrics
            .write(&Measurement::end_of_module(state, &timeline), &about);
        Ok(())
    }
}

/// The build of an execution that succeeded.
fn deployed_by(described: &Described) -> Option<BuildId> {
    BuildId::parse(described.output.get("build_id")?.as_str()?).ok()
}

pub(crate) fn failure(described: &Described, build: Option<&BuildId>) -> Failure {
    let (error, reason) = match described.status.as_str() {
        "ABORTED" => ("ExecutionAborted", "the execution was stopped"),
        "TIMED_OUT" => ("States.Timeout", "the execution timed out"),
        _ => ("ExecutionFailed", "the execution failed and could not record why"),
    };
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Failure {
        error: given(&described.error).unwrap_or_else(|| error.to_owned()),
        reason: match given(&described.cause) {
            Some(cause) => format!("{reason}: {cause}"),
            None => reason.to_owned(),
        },
        build_id: build.cloned(),
        outcome: None,
    }
}
