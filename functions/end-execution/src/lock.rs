//! The lock of an execution that has ended: which one it is, whether the execution holds it, and its release.

use jiff::{SignedDuration, Timestamp};
use seedflow_aws::stores::plans;
use seedflow_core::deployment::input::Locked;
use seedflow_core::error::Result;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::input::DeployInput;
use seedflow_core::telemetry::observed::Observed;
use seedflow_core::workflow::ending::{Described, Holds};
use seedflow_core::workflow::execution_history::{self, Trace};
use seedflow_core::workflow::lock::{LockRequest, Lockable};
use serde_json::Value;

use crate::answer::Next;
use crate::handler::Handler;
use crate::refused::Refused;

impl Handler {
    /// The lock of an execution: that of a module, which its input names, or that of a deployment, whose name was stored
    /// before its lock was taken.
    pub async fn locked(
        &self,
        execution: &ExecutionArn,
        input: &Value,
        refused: &mut Refused,
    ) -> Result<Option<Locked>> {
        if execution.is_of(&self.deploy_module) {
            return Ok(DeployInput::module(input, &self.limits).ok().map(Locked::Module));
        }
        let named = match refused.note(plans::find_name(&self.modules.work, execution).await)? {
            Some(named) => named,
            // The output of the state that reads the name also has it.
            None => {
                let history = refused.note(self.step_functions.history(execution).await)?;
                history.and_then(|history| execution_history::deployment(&history))
            }
        };
        Ok(named.map(Locked::Deployment))
    }

    /// Blocks further writes of the execution. Returns whether it holds the lock.
    pub async fn stop_writing<S: Lockable + Observed>(
        &self,
        of: &S,
        execution: &ExecutionArn,
        refused: &mut Refused,
    ) -> Result<Holds> {
        let stopped = self.locks.apply(of, &LockRequest::Stop(execution.clone())).await;
        if let Some(outcome) = refused.note(stopped)? {
            return Ok(Holds::after_stop(outcome));
        }
        // The lock can't be marked, which makes no difference once the functions of the execution have ended.
        Ok(Holds::read(refused.note(self.locks.find(of).await)?, execution))
    }

    /// Releases the lock, which grants it to the waiting execution. If AWS refuses that, the next claimant takes it over.
    pub async fn release<S: Lockable + Observed>(
        &self,
        of: &S,
        execution: &ExecutionArn,
        refused: &mut Refused,
    ) -> Result<Next> {
        let released = self
            .locks
            .apply(of, &LockRequest::Release(execution.clone()))
            .await;
        let done = match refused.note(released)? {
            Some(_) => "released",
            None => "not released",
        };
        tracing::info!(done);
        Ok(Next::Done { done })
    }

    /// What the execution may have left; if its history can't be read, everything that is possible.
    pub async fn trace(
        &self,
        execution: &ExecutionArn,
        described: &Described,
        refused: &mut Refused,
    ) -> Result<Trace> {
        let history = refused.note(self.step_functions.history(execution).await)?;
        Ok(match history {
            Some(history) => execution_history::trace(&history),
            None => Trace::unknown(&described.input, &self.limits.codebuild_project),
        })
    }

    /// How long an execution that was stopped without a lock may still acquire one, because acquire-lock was running for
    /// it.
    pub async fn still_claiming(
        &self,
        execution: &ExecutionArn,
        described: &Described,
        refused: &mut Refused,
        now: Timestamp,
    ) -> Result<Option<SignedDuration>> {
        if !described.is_cut_off() {
            return Ok(None);
        }
        let trace = self.trace(execution, described, refused).await?;
        Ok(described.keeps_lock(None, trace.working, self.longest_write, now))
    }
}
