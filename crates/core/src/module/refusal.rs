//! A refusal: a request that was refused before anything ran (decision 51).
//!
//! It changes nothing of a module or a deployment, so the status keeps its state and has the refusal beside it. The next
//! request that is accepted removes it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::ErrorName;
use crate::ids::ExecutionArn;
use crate::module::cause;
use crate::module::commit_info::CommitInfo;

/// The errors of a module's request that is refused before anything runs. All other errors are failures: the request may
/// be right.
const REFUSALS: [ErrorName; 10] = [
    ErrorName::InvalidInput,
    ErrorName::SourceNotFound,
    ErrorName::InvalidBundle,
    ErrorName::InvalidDeployspec,
    ErrorName::InvalidModuleStack,
    ErrorName::StateConflict,
    ErrorName::DeniedByPolicy,
    ErrorName::PolicyNotEvaluated,
    ErrorName::ApprovalRequired,
    ErrorName::ApprovalVoid,
];

/// The errors of files that `seedflow check` finds, too.
const FOUND_BY_CHECK: [ErrorName; 4] = [
    ErrorName::InvalidInput,
    ErrorName::InvalidManifest,
    ErrorName::InvalidDeployspec,
    ErrorName::InvalidModuleStack,
];

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// When it was refused, UTC.
    pub at: Timestamp,
    /// The execution that was refused.
    pub execution: ExecutionArn,
    /// The name of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why: one sentence for people.
    pub cause: String,
    /// The commit of the files that were refused, if they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Refusal {
    /// A refusal of an execution.
    #[must_use]
    pub fn new(
        execution: &ExecutionArn,
        error: Option<&str>,
        cause: &str,
        commit_info: &CommitInfo,
        now: Timestamp,
    ) -> Self {
        Self {
            at: now,
            execution: execution.clone(),
            error: error.map(str::to_owned),
            cause: cause::of_error(error.unwrap_or_default(), cause),
            commit: commit_info.commit().map(str::to_owned),
        }
    }

    /// Whether an error of a module's check refuses its request.
    #[must_use]
    pub fn is_by(error: &str) -> bool {
        REFUSALS.iter().any(|name| name.as_str() == error)
    }

    /// Whether `seedflow check` finds this error too, because files are wrong.
    #[must_use]
    pub fn is_found_by_check(error: Option<&str>) -> bool {
        FOUND_BY_CHECK.iter().any(|name| Some(name.as_str()) == error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_request_is_refused_and_a_service_in_trouble_is_a_failure() {
        for name in [
            "InvalidInput",
            "SourceNotFound",
            "InvalidBundle",
            "InvalidDeployspec",
            "InvalidModuleStack",
            "StateConflict",
            "DeniedByPolicy",
            "PolicyNotEvaluated",
            "ApprovalRequired",
            "ApprovalVoid",
        ] {
            assert!(Refusal::is_by(name), "{name}");
        }
        for name in [
            "BuildFailed",
            "AccessDenied",
            "Refused",
            "Throttled",
            "Lambda.Unknown",
        ] {
            assert!(!Refusal::is_by(name), "{name}");
        }
    }

    #[test]
    fn a_long_cause_is_cut_and_what_is_unknown_is_left_out() {
        let execution = ExecutionArn::new("e");
        let commit = CommitInfo::of_commit(Some("c1"), None);
        let refusal = Refusal::new(
            &execution,
            None,
            &"x".repeat(9000),
            &commit,
            Timestamp::UNIX_EPOCH,
        );
        assert!(refusal.cause.chars().count() <= cause::MAX_CAUSE + 1);
        assert_eq!(refusal.commit.as_deref(), Some("c1"));
        let unknown = Refusal::new(
            &execution,
            None,
            "no",
            &CommitInfo::default(),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(
            serde_json::json!(unknown),
            serde_json::json!({"at": "1970-01-01T00:00:00Z", "execution": "e", "cause": "No"})
        );
    }
}
