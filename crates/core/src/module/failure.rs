//! The failure of an execution: its build or a function failed, or the execution ended without recording its failure.

use serde::Deserialize;
use serde_json::Value;

use crate::ids::{BuildId, ExecutionArn};
use crate::module::commit_info::CommitInfo;
use crate::module::status::{Failure, State, Status};
use crate::module::{deployed_record, destroy};
use crate::workflow::build_outcome::BuildOutcome;
use crate::workflow::ending::{Described, ExecutionStatus};

/// A failure, as the state machine passes it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum FailureInput {
    /// The outcome of the build.
    Build {
        /// The outcome.
        build: Box<BuildOutcome>,
    },
    /// A caught error, in the format of Step Functions.
    Caught {
        /// Its name.
        error: String,
        /// Its cause.
        cause: String,
        /// The build, if there was one.
        build_id: Option<BuildId>,
        /// The commit of the files that were refused, if they could be read.
        #[serde(default)]
        origin: CommitInfo,
    },
}

impl From<FailureInput> for Failure {
    fn from(input: FailureInput) -> Self {
        match input {
            FailureInput::Build { build } => Self {
                error: build.status.error_name().unwrap_or("BuildFailed").to_owned(),
                reason: build.explain(),
                build_id: Some(build.build_id.clone()),
                outcome: Some(*build),
                commit_info: CommitInfo::default(),
            },
            FailureInput::Caught {
                error,
                cause,
                build_id,
                origin,
            } => Self {
                reason: readable(&error, &cause),
                error,
                build_id,
                outcome: None,
                commit_info: origin,
            },
        }
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

impl Failure {
    /// The same failure; if it is that of destroy phases, it says how they can be repaired. `before` is the status that
    /// the failure replaces.
    #[must_use]
    pub fn with_repair(self, before: Option<&Status>, execution: &ExecutionArn) -> Self {
        let destroys = before.is_some_and(|s| s.execution == *execution && s.reasons == [destroy::REASON]);
        if !destroys || self.outcome.is_none() {
            return self;
        }
        Self {
            reason: format!("{}; {}", self.reason, deployed_record::REPAIR),
            ..self
        }
    }

    /// The final state of an execution that ended without recording one, and its failure. `None` if it succeeded or still
    /// runs.
    #[must_use]
    pub fn of_end(described: &Described, build: Option<&BuildId>) -> Option<(State, Self)> {
        let (state, error, reason) = match described.status {
            ExecutionStatus::Running | ExecutionStatus::Succeeded => return None,
            ExecutionStatus::Aborted => (State::Aborted, "ExecutionAborted", "the execution was stopped"),
            ExecutionStatus::TimedOut => (State::Aborted, "States.Timeout", "the execution timed out"),
            ExecutionStatus::Failed => (
                State::Failed,
                "ExecutionFailed",
                "the execution failed and could not record why",
            ),
        };
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let failure = Self {
            error: given(&described.error).unwrap_or_else(|| error.to_owned()),
            reason: match given(&described.cause) {
                Some(cause) => format!("{reason}: {cause}"),
                None => reason.to_owned(),
            },
            build_id: build.cloned(),
            outcome: None,
            commit_info: CommitInfo::default(),
        };
        Some((state, failure))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn failure(input: Value) -> Failure {
        serde_json::from_value::<FailureInput>(input).unwrap().into()
    }

    #[test]
    fn a_failure_reads_the_same_from_all_sources() {
        let caught = failure(json!({
            "error": "InvalidInput", "cause": "{\"errorType\":\"InvalidInput\",\"errorMessage\":\"group: expected a text, found 7\"}"
        }));
        assert_eq!(caught.reason, "group: expected a text, found 7");
        let timeout = failure(json!({"error": "States.Timeout", "cause": "", "build_id": "p:u"}));
        assert_eq!(
            (timeout.reason.as_str(), timeout.build_id.unwrap().as_str()),
            ("States.Timeout, without a cause", "p:u")
        );
        let build = failure(json!({"build": {"build_id": "p:u", "status": "STOPPED"}}));
        assert_eq!(
            (build.error.as_str(), build.reason.as_str()),
            ("BuildStopped", "build stopped")
        );
    }

    #[test]
    fn an_end_without_a_record_is_explained_by_its_status_and_by_what_step_functions_was_given() {
        let of = |status, error: Option<&str>, cause: Option<&str>| {
            let described = Described {
                started_at: None,
                status,
                input: Value::Null,
                output: Value::Null,
                stopped_at: None,
                error: error.map(str::to_owned),
                cause: cause.map(str::to_owned),
            };
            let (state, failure) = Failure::of_end(&described, BuildId::parse("p:u").ok().as_ref())?;
            assert_eq!(failure.build_id, BuildId::parse("p:u").ok());
            Some((state, failure.error, failure.reason))
        };
        let is = |state, error: &str, reason: &str| Some((state, error.to_owned(), reason.to_owned()));
        let stopped = of(ExecutionStatus::Aborted, Some(""), None);
        assert_eq!(
            stopped,
            is(State::Aborted, "ExecutionAborted", "the execution was stopped")
        );
        let given = of(
            ExecutionStatus::Aborted,
            Some("DeploymentAborted"),
            Some("it was ended"),
        );
        let expected = is(
            State::Aborted,
            "DeploymentAborted",
            "the execution was stopped: it was ended",
        );
        assert_eq!(given, expected);
        let timed_out = of(ExecutionStatus::TimedOut, None, None);
        assert_eq!(
            timed_out,
            is(State::Aborted, "States.Timeout", "the execution timed out")
        );
        let (state, error, _) = of(ExecutionStatus::Failed, None, None).unwrap();
        assert_eq!((state, error.as_str()), (State::Failed, "ExecutionFailed"));
        for status in [ExecutionStatus::Running, ExecutionStatus::Succeeded] {
            assert_eq!(of(status, None, None), None);
        }
    }
}
