//! Records a failure: the status is FAILED with the reason; md5, metadata and outputs stay those of the last success.
//!
//! A request that was refused before anything ran is recorded beside the state, which stays as it was (decision 51).
//!
//! The input is an error that the state machine caught, or the outcome of a build that didn't succeed. The module is that
//! of the lock. An execution that never got the lock, because its names are invalid or the lock was not available, has
//! nothing to write. It ends with the error itself. The cause of a build's failure is read from its log and its stack
//! (decision 49).

use jiff::Timestamp;
use seedflow_aws::stores::stored_lock;
use seedflow_core::error::{ErrorName, Result};
use seedflow_core::ids::{AwsEnvironment, ExecutionArn, ParameterKind};
use seedflow_core::module::explanation::Explained;
use seedflow_core::module::failure::FailureInput;
use seedflow_core::module::report::Report;
use seedflow_core::module::status::{Failure, Status};
use seedflow_core::module::timeline::Timeline;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::{Measurement, Metric};
use seedflow_core::workflow::lock::Lease;
use serde_json::{Value, json};

use crate::handler::Handler;

impl Handler {
    pub(crate) async fn fail(
        &self,
        execution: &ExecutionArn,
        lock: Option<Lease>,
        failure: FailureInput,
        at: (&AwsEnvironment, Timestamp),
    ) -> Result<Value> {
        let failure = Failure::from(failure);
        let (recorded, failure) = match &lock {
            Some(lock) => self.record(execution, lock, failure, at).await?,
            None => (false, failure),
        };
        if !recorded {
            let about = match &lock {
                Some(lock) => LogContext::module(execution, &lock.of),
                None => LogContext::execution(execution),
            };
            let metric = if Status::is_refusal(None, execution, &failure) {
                Metric::ModulesRefused
            } else {
                Metric::ModulesFailed
            };
            self.metrics.write(&Measurement::one(metric), &about);
        }
        tracing::info!(error = failure.error, recorded, "recorded a failure");
        Ok(json!({"state": "FAILED", "error": failure.error, "cause": failure.reason, "recorded": recorded}))
    }

    /// Records the failure, and returns it as recorded. `false` if it may not be written, because the path belongs to
    /// another module or another execution holds the lock.
    async fn record(
        &self,
        execution: &ExecutionArn,
        lock: &Lease,
        failure: Failure,
        (home, now): (&AwsEnvironment, Timestamp),
    ) -> Result<(bool, Failure)> {
        let module = &lock.of;
        let stored = self
            .modules
            .parameters
            .stored(module, &[ParameterKind::Status])
            .await?;
        let before = match stored.status_of(module) {
            Err(error) if error.name == ErrorName::StateConflict => {
                return self.refuse_beside_another(execution, lock, failure, now).await;
            }
            before => before?,
        };
        let former_names = before.as_ref().map(|before| before.former_names.clone());
        let named = former_names.unwrap_or_default().of_resources(module);
        let cause = self
            .find_cause((&named, execution), &failure, before.as_ref(), home)
            .await;
        let failure = failure.with_repair(before.as_ref(), execution);
        let refuses = Status::is_refusal(before.as_ref(), execution, &failure);
        let next = if refuses { Status::refuse } else { Status::fail };
        let status = next(before.as_ref(), module, execution, &failure, now)
            .started_by(lock.started_by.as_ref())
            .with_cause(cause.as_deref());
        if !self.holds(lock, execution).await? {
            return Ok((false, failure));
        }
        let build = failure.outcome.as_ref();
        let timeline = Timeline::new(lock, &status, build);
        self.modules
            .write_report(&Report::of_failure(module, &status, Some(&timeline), build))
            .await?;
        let is_repeated = if refuses {
            before
                .as_ref()
                .is_some_and(|before| before.has_refused(execution))
        } else {
            status.repeats(before.as_ref())
        };
        if !is_repeated {
            let stays = if refuses {
                status.clone().beside(before.as_ref())
            } else {
                status.clone()
            };
            self.modules.write_status(module, &stored, &stays).await?;
            self.measure(module, &status, &timeline);
        }
        self.publish(lock, &status, &timeline).await;
        Ok((true, failure))
    }

    /// Records the refusal of a module whose path belongs to another one. The status there is the other's, so this one has
    /// report, event and metric only.
    async fn refuse_beside_another(
        &self,
        execution: &ExecutionArn,
        lock: &Lease,
        failure: Failure,
        now: Timestamp,
    ) -> Result<(bool, Failure)> {
        let module = &lock.of;
        if !Status::is_refusal(None, execution, &failure) || !self.holds(lock, execution).await? {
            return Ok((false, failure));
        }
        let status =
            Status::refuse(None, module, execution, &failure, now).started_by(lock.started_by.as_ref());
        let timeline = Timeline::new(lock, &status, None);
        self.modules
            .write_report(&Report::of_failure(module, &status, Some(&timeline), None))
            .await?;
        self.measure(module, &status, &timeline);
        self.publish(lock, &status, &timeline).await;
        Ok((true, failure))
    }

    /// Whether the execution still holds its lock.
    async fn holds(&self, lock: &Lease, execution: &ExecutionArn) -> Result<bool> {
        match stored_lock::ensure_held(&self.modules.work, lock, execution).await {
            Err(error) if error.name == ErrorName::LockLost => Ok(false),
            held => held.map(|()| true),
        }
    }
}
