//! Runs the core's lock protocol with S3 and Step Functions (decision 21).

use jiff::Timestamp;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::telemetry::metric::Measurement;
use seedflow_core::telemetry::observed::Observed;
use seedflow_core::workflow::callback::ETag;
use seedflow_core::workflow::ending::Described;
use seedflow_core::workflow::lock::{Lock, LockOutcome, LockRequest, Lockable, NewLease};
use seedflow_core::workflow::lock_decision::{LockDecision, LockWrite, decide};

use crate::runtime::metrics::Metrics;
use crate::services::s3::{Bucket, Conditional, Expect};
use crate::services::sfn::{Reached, StepFunctions};
use crate::stores::build_folder::new_folder;
use crate::stores::stored_lock;

/// Maximum number of conflicting writes. A module has few claimants, and each conflict means that one of them made
/// progress.
const MAX_CONFLICTS: usize = 30;

/// All locks, in the work bucket.
#[derive(Debug, Clone)]
pub struct Locks {
    bucket: Bucket,
    step_functions: StepFunctions,
    metrics: Metrics,
}

impl Locks {
    /// The locks of the work bucket.
    #[must_use]
    pub fn new(bucket: Bucket, step_functions: StepFunctions, metrics: Metrics) -> Self {
        Self {
            bucket,
            step_functions,
            metrics,
        }
    }

    /// Carries out a request, and returns its outcome.
    pub async fn apply<S: Lockable + Observed>(
        &self,
        of: &S,
        request: &LockRequest,
    ) -> Result<Option<LockOutcome>> {
        let key = of.lock_key();
        // A claim usually finds no lock, and a conditional write finds that out without a read.
        let mut found = match request {
            LockRequest::Claim(_) => None,
            _ => stored_lock::read(&self.bucket, &key).await?,
        };
        for _ in 0..MAX_CONFLICTS {
            let (lock, tag) = found.map_or((None, None), |(lock, tag)| (Some(lock), Some(tag)));
            let decision = decide(request, lock.as_ref(), &fresh());
            if self.write(&key, &decision, tag).await? {
                self.answer(of, &decision).await?;
                return Ok(decision.outcome);
            }
            found = stored_lock::read(&self.bucket, &key).await?;
        }
        Err(Error::new(
            ErrorName::ServiceUnavailable,
            format!("{key}: {MAX_CONFLICTS} writes in a row found the lock changed; it is tried again"),
        ))
    }

    /// Whether the condition held.
    async fn write(&self, key: &str, decision: &LockDecision, tag: Option<ETag>) -> Result<bool> {
        let done = match (&decision.write, tag) {
            (None, _) | (Some(LockWrite::Delete), None) => return Ok(true),
            (Some(LockWrite::Delete), Some(tag)) => self.bucket.delete_if(key, &tag).await?,
            (Some(LockWrite::Put(lock)), tag) => {
                // Keys are strings only, so this can't fail.
                let text = serde_json::to_string(lock).unwrap_or_default();
                let expect = tag.map_or(Expect::Nothing, Expect::Tag);
                self.bucket.put_if(key, text, expect).await?
            }
        };
        Ok(matches!(done, Conditional::Done(_)))
    }

    async fn answer<S: Lockable + Observed>(&self, of: &S, decision: &LockDecision) -> Result<()> {
        for (token, outcome) in &decision.answers {
            let reached = self.step_functions.answer(token, &outcome.response(of)).await?;
            match (reached, outcome) {
                (Reached::Nobody, LockOutcome::Acquired(lock)) => {
                    self.ensure_cleanup(of, lock).await?;
                }
                // A token is answered once, so each superseded execution is counted once.
                (Reached::Task, LockOutcome::Superseded(_)) => {
                    self.metrics
                        .write(&Measurement::one(S::SUPERSEDED), &of.log_context(None));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Starts the end-execution state machine for the holder of a lock if it has ended, in case its event was lost or
    /// arrived before it took the lock. Returns whether it has ended.
    pub async fn ensure_cleanup<S: Lockable>(&self, of: &S, lock: &Lock) -> Result<bool> {
        let execution = &lock.holder.execution;
        let described = self.step_functions.describe(execution).await?;
        let has_ended = lock.has_ended(Described::seen(described.as_ref()), Timestamp::now());
        if has_ended {
            self.step_functions.start_end(execution, of).await?;
        }
        Ok(has_ended)
    }

    /// Reads the stored lock.
    pub async fn find<S: Lockable>(&self, of: &S) -> Result<Option<Lock>> {
        let found = stored_lock::read(&self.bucket, &of.lock_key()).await?;
        Ok(found.map(|(lock, _)| lock))
    }
}

fn fresh() -> NewLease {
    NewLease {
        now: Timestamp::now(),
        run: new_folder(),
    }
}
