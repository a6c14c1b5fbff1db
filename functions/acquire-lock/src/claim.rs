//! The claim of an execution on a lock, and the care for a lock whose holder has ended.

use jiff::Timestamp;
use seedflow_aws::runtime::log;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::telemetry::metric::Measurement;
use seedflow_core::telemetry::observed::Observed;
use seedflow_core::workflow::callback::Registration;
use seedflow_core::workflow::lock::{Blocker, Claimant, Lock, LockOutcome, LockRequest, Lockable};

use crate::handler::Handler;

impl Handler {
    /// Claims a lock; with a registration, the execution waits if another one holds it.
    pub async fn claim<S: Lockable + Observed>(
        &self,
        of: &S,
        claimant: Claimant,
        waiting: Option<Registration>,
    ) -> Result<LockOutcome> {
        let about = of.log_context(Some(&claimant.execution));
        log::add_log_context(&about);
        let waits = waiting.is_some();
        let request = LockRequest::of(claimant, waiting);
        let outcome = self.outcome(of, &request).await?;
        let outcome = match self.blocker(of, &request, &outcome).await? {
            Some(lock) => self.look_after(of, lock, request, outcome).await?,
            None => outcome,
        };
        tracing::info!(outcome = outcome.as_str(), "claimed");
        // An execution that waits is answered by its token, and counted when that answer is sent.
        if let (LockOutcome::Superseded(_), false) = (&outcome, waits) {
            self.metrics.write(&Measurement::one(S::SUPERSEDED), &about);
        }
        Ok(outcome)
    }

    /// The outcome of a claim; a claim always has one.
    async fn outcome<S: Lockable + Observed>(&self, of: &S, request: &LockRequest) -> Result<LockOutcome> {
        self.locks
            .apply(of, request)
            .await?
            .ok_or_else(|| Error::new(ErrorName::Refused, "lock: a claim was decided without an outcome"))
    }

    /// The lock of another execution, if the claimant may be its next holder.
    async fn blocker<S: Lockable + Observed>(
        &self,
        of: &S,
        request: &LockRequest,
        outcome: &LockOutcome,
    ) -> Result<Option<Lock>> {
        match outcome.blocker(request) {
            Some(Blocker::Lock(lock)) => Ok(Some(lock.clone())),
            Some(Blocker::Holder(holder)) => {
                let found = self.locks.find(of).await?;
                Ok(found.filter(|lock| lock.holder.execution == *holder))
            }
            None => Ok(None),
        }
    }

    /// Handles a lock whose holder has ended. The first claimant that finds it starts `end-execution`, which then has time
    /// to stop a build and to release the lock. A claimant after that time takes the lock over (decision 33).
    async fn look_after<S: Lockable + Observed>(
        &self,
        of: &S,
        lock: Lock,
        request: LockRequest,
        outcome: LockOutcome,
    ) -> Result<LockOutcome> {
        if !self.locks.ensure_cleanup(of, &lock).await? {
            return Ok(outcome);
        }
        match lock.after_the_holder_ended(request, Timestamp::now(), self.take_over) {
            Some(request @ LockRequest::TakeOver(..)) => {
                let from = lock.holder.execution.as_str();
                tracing::warn!(from, "taken over: nobody could release the lock");
                self.outcome(of, &request).await
            }
            Some(request) => {
                self.locks.apply(of, &request).await?;
                Ok(outcome)
            }
            None => Ok(outcome),
        }
    }
}
