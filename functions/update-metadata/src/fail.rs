//! Records a failure: the status is FAILED with the reason; md5, metadata and outputs stay those of the last success.
//!
//! The input is an error that the state machine caught, or the outcome of a build that didn't succeed. The module is that
//! of the lock. An execution that never got the lock, because its names are invalid or the lock was not available, has
//! nothing to write. It ends with the error itself.

use jiff::Timestamp;
use seedflow_aws::stores::fence;
use seedflow_core::error::{ErrorName, Result};
use seedflow_core::ids::{BuildId, ExecutionArn, ParameterKind};
use seedflow_core::module::report::Report;
use seedflow_core::module::status::{Failure, Status};
use seedflow_core::module::timeline::Timeline;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::{Measurement, Metric};
use seedflow_core::workflow::build_outcome::BuildOutcome;
use seedflow_core::workflow::lock::Lease;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::handler::Handler;

/// A failure, as the state machine passes it.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum FailureInput {
    /// The outcome of the build.
    Build { build: Box<BuildOutcome> },
    /// A caught error: its name and its cause, in the format of Step Functions.
    Caught {
        error: String,
        cause: String,
        build_id: Option<BuildId>,
    },
}

impl Handler {
    pub(crate) async fn fail(
        &self,
        execution: &ExecutionArn,
        lock: Option<Lease>,
        handed: FailureInput,
        now: Timestamp,
    ) -> Result<Value> {
        let failure = failure(handed);
        let recorded = match &lock {
            Some(lock) => self.record(execution, lock, &failure, now).await?,
            None => false,
        };
        if !recorded {
            let about = match &lock {
                Some(lock) => LogContext::module(execution, &lock.of),
                None => LogContext::execution(execution),
            };
            self.metrics
                .write(&Measurement::one(Metric::ModulesFailed), &about);
        }
        tracing::info!(error = failure.error, recorded, "recorded a failure");
        Ok(json!({"state": "FAILED", "error": failure.error, "cause": failure.reason, "recorded": recorded}))
    }

    /// Records the failure. `false` if the status may not be written, because the path belongs to another module or another
    /// execution holds the lock.
    async fn record(
        &self,
        execution: &ExecutionArn,
        lock: &Lease,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<bool> {
        let module = &lock.of;
        let stored = self
            .store
            .parameters
            .stored(module, &[ParameterKind::Status])
            .await?;
        let before = match stored.status_of(module) {
            Err(error) if error.name == ErrorName::StateConflict => return Ok(false),
            before => before?,
        };
        let status = Status::fail(before.as_ref(), module, execution, failure, now);
        match fence::check(&self.store.work, lock, execution).await {
            Err(error) if error.name == ErrorName::LockLost => return Ok(false),
            held => held?,
        }
        let build = failure.outcome.as_ref();
        let timeline = Timeline::new(lock, &status, build);
        self.store
            .write_report(&Report::of_failure(module, &status, Some(&timeline), build))
            .await?;
        self.store.write_status(module, &stored, &status).await?;
        if !status.repeats(before.as_ref()) {
            self.measure(module, &status, &timeline);
        }
        self.publish(lock, &status, &timeline).await;
        Ok(true)
    }
}

fn failure(handed: FailureInput) -> Failure {
    match handed {
        FailureInput::Build { build } => Failure {
            error: build.status.error_name().unwrap_or("BuildFailed").to_owned(),
            reason: build.explain(),
            build_id: Some(build.build_id.clone()),
            outcome: Some(*build),
        },
        FailureInput::Caught {
            error,
            cause,
            build_id,
        } => Failure {
            reason: readable(&error, &cause),
            error,
            build_id,
            outcome: None,
        },
    }
}

/// The message in the cause of a Lambda function's error (`{"errorType", "errorMessage", …}`), or the cause itself.
fn readable(error: &str, cause: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(cause).ok();
    let message = parsed
        .as_ref()
        .and_then(|cause| cause.get("errorMessage"))
        .and_then(Value::as_str);
    match message.unwrap_or(cause) {
        "" => format!("{error}, without a cause"),
        message => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_failure_reads_the_same_however_it_came() {
        let caught: FailureInput = serde_json::from_value(json!({
            "error": "InvalidInput", "cause": "{\"errorType\":\"InvalidInput\",\"errorMessage\":\"group: expected a text, found 7\"}"
        }))
        .unwrap();
        assert_eq!((failure(caught).reason), "group: expected a text, found 7");
        let timeout: FailureInput =
            serde_json::from_value(json!({"error": "States.Timeout", "cause": "", "build_id": "p:u"}))
                .unwrap();
        let timeout = failure(timeout);
        assert_eq!(
            (timeout.reason.as_str(), timeout.build_id.unwrap().as_str()),
            ("States.Timeout, without a cause", "p:u")
        );
        let build: FailureInput =
            serde_json::from_value(json!({"build": {"build_id": "p:u", "status": "STOPPED"}})).unwrap();
        let build = failure(build);
        assert_eq!(
            (build.error.as_str(), build.reason.as_str()),
            ("BuildStopped", "build stopped")
        );
    }
}
