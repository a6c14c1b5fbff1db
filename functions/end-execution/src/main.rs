//! `end-execution`: what has to be true when an execution has ended, however it ended.
//!
//! Its build doesn't run on, its module's status says how it ended, nobody is registered for its build, and the module's
//! lock goes to who waits. An execution that ended by itself has done all but the last; one that was stopped, timed out
//! or failed without a word has not. Called by a state machine of its own until it has nothing more to wait for:
//! for a stopped build to end, and for a function that still ran when the execution was stopped. Each call looks at
//! everything anew, so it may run any number of times, and for an execution that left nothing it does nothing.

use jiff::{SignedDuration, Timestamp};
use seedflow_aws::codebuild::CodeBuild;
use seedflow_aws::lambda::Invocation;
use seedflow_aws::locks::Locks;
use seedflow_aws::records::Records;
use seedflow_aws::s3::Bucket;
use seedflow_aws::sfn::{Described, StepFunctions};
use seedflow_aws::ssm::ParameterStore;
use seedflow_aws::{config, lambda};
use seedflow_core::error::{ErrorName, Result};
use seedflow_core::history::{Trace, trace};
use seedflow_core::ids::{BuildId, ExecutionArn, ModuleId, Slot};
use seedflow_core::lock::{Lock, Turn, Want};
use seedflow_core::report::Report;
use seedflow_core::request::{Limits, Request};
use seedflow_core::status::{Failure, State, Status};
use serde::{Deserialize, Serialize};

/// How long to wait before looking again at a build that was told to stop.
const STOPPING: SignedDuration = SignedDuration::from_secs(3);

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    /// Known to who starts it by hand of another execution; an event has only the execution.
    #[serde(default)]
    module: Option<ModuleId>,
}

/// What the state machine does next.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Next {
    /// Call again after a while.
    Wait { wait_seconds: i64 },
    /// Nothing.
    Done { done: &'static str },
}

struct Function {
    limits: Limits,
    /// How long a function that writes may run at most.
    longest_write: SignedDuration,
    step_functions: StepFunctions,
    locks: Locks,
    codebuild: CodeBuild,
    records: Records,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load().await;
    let limits = config::limits()?;
    let work = Bucket::new(&aws, limits.work_bucket.clone());
    let step_functions =
        StepFunctions::new(&aws).with_end_execution(config::setting("END_EXECUTION_STATE_MACHINE")?);
    let longest = config::number_setting("LONGEST_WRITE_SECONDS")?;
    let function = Function {
        limits,
        longest_write: SignedDuration::from_secs(i64::try_from(longest).unwrap_or(i64::MAX)),
        locks: Locks::new(work.clone(), step_functions.clone()),
        step_functions,
        codebuild: CodeBuild::new(&aws),
        records: Records {
            parameters: ParameterStore::new(&aws),
            work,
        },
    };
    lambda::run(async |invocation| function.end(invocation, Timestamp::now()).await).await
}

impl Function {
    async fn end(&self, Invocation { event, .. }: Invocation<Event>, now: Timestamp) -> Result<Next> {
        let Event { execution, module } = event;
        let described = self.step_functions.describe(&execution).await?;
        if described.as_ref().is_some_and(|described| !described.has_ended()) {
            return Ok(Next::Done {
                done: "still running",
            });
        }
        let named = described
            .as_ref()
            .and_then(|described| Request::module(&described.input, &self.limits).ok());
        let Some(module) = module.or(named) else {
            return Ok(Next::Done {
                done: "names no module",
            });
        };
        if let Some(build) = described.as_ref().and_then(deployed_by) {
            self.records.work.delete(&build.callback_key()).await?;
        }
        // An execution that Step Functions has forgotten left nothing but its lock, if that.
        let unfinished = described.filter(|described| state_of(described).is_some());
        if let Some(described) = unfinished {
            let wait = match self.locks.settle(&module, &Want::Stop(execution.clone())).await? {
                Some(Turn::Acquired(lock)) => {
                    self.clean_up(&execution, &module, &lock, &described, now).await?
                }
                _ => self.still_claiming(&execution, &described, now).await?,
            };
            if let Some(wait) = wait {
                tracing::info!(execution = execution.as_str(), %module, seconds = wait.as_secs(), "waiting");
                return Ok(Next::Wait {
                    wait_seconds: wait.as_secs().max(1),
                });
            }
        }
        self.locks
            .settle(&module, &Want::Release(execution.clone()))
            .await?;
        tracing::info!(execution = execution.as_str(), %module, "released");
        Ok(Next::Done { done: "released" })
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
        self.record(execution, module, described, build.as_ref(), now)
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

    /// How long an execution that was stopped without a lock may yet take one, because acquire-lock was running for it.
    async fn still_claiming(
        &self,
        execution: &ExecutionArn,
        described: &Described,
        now: Timestamp,
    ) -> Result<Option<SignedDuration>> {
        if state_of(described) != Some(State::Aborted) {
            return Ok(None);
        }
        let trace = trace(&self.step_functions.history(execution).await?);
        Ok(wait(
            false,
            trace.working,
            described.stopped_at,
            self.longest_write,
            now,
        ))
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
                tracing::info!(%build, "stopped");
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
        module: &ModuleId,
        described: &Described,
        build: Option<&BuildId>,
        now: Timestamp,
    ) -> Result<()> {
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
        self.records
            .write_report(&Report::of_failure(module, &status, None))
            .await?;
        self.records.write_status(module, &stored, &status).await
    }
}

/// The build of an execution that succeeded. `check-status` may have died after the build's event was answered, and
/// then its registration is still there.
fn deployed_by(described: &Described) -> Option<BuildId> {
    BuildId::parse(described.output.get("build_id")?.as_str()?).ok()
}

/// The state of a module whose execution ended so; `None` where it ended well.
fn state_of(described: &Described) -> Option<State> {
    match described.status.as_str() {
        "ABORTED" | "TIMED_OUT" => Some(State::Aborted),
        "FAILED" => Some(State::Failed),
        _ => None,
    }
}

fn failure(described: &Described, build: Option<&BuildId>) -> Failure {
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

/// How long the lock has to be kept still: until a stopped build has ended, and until a function that was called for
/// the execution can't be running any more, since what it has begun to write nobody can take back.
fn wait(
    stopping: bool,
    working: bool,
    stopped_at: Option<Timestamp>,
    longest_write: SignedDuration,
    now: Timestamp,
) -> Option<SignedDuration> {
    let build = stopping.then_some(STOPPING);
    let since = stopped_at.map_or(SignedDuration::ZERO, |stopped| now.duration_since(stopped));
    let function = (working && since < longest_write).then(|| longest_write - since);
    build.max(function)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_lock_is_kept_while_anything_may_still_happen_in_its_name() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let longest = SignedDuration::from_secs(120);
        let seconds = |stopping, working, now| {
            wait(stopping, working, at(1000), longest, at(now).unwrap()).map(|wait| wait.as_secs())
        };
        assert_eq!(seconds(false, false, 1000), None);
        assert_eq!(seconds(true, false, 1000), Some(3));
        assert_eq!(seconds(false, true, 1030), Some(90));
        assert_eq!(seconds(true, true, 1118), Some(3));
        assert_eq!(seconds(false, true, 1120), None);
        // A clock behind Step Functions' only makes it longer.
        assert_eq!(seconds(false, true, 990), Some(130));
        assert_eq!(wait(false, true, None, longest, at(5).unwrap()), Some(longest));
    }
}
