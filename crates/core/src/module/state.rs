//! The state of an execution, of a module or of a whole deployment, in statuses, reports and events.

use serde::{Deserialize, Serialize};

/// The state of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// A build was started or is about to start.
    InProgress,
    /// The module was deployed.
    Succeeded,
    /// Nothing had changed since the last success.
    Unchanged,
    /// The deployment failed; md5, metadata and outputs are those of the last success.
    Failed,
    /// The execution was stopped or timed out; md5, metadata and outputs are those of the last success.
    Aborted,
    /// The module was destroyed. Nothing of it is stored any more, so only outputs and reports have this state.
    Destroyed,
    /// The request was refused before anything ran. The stored state stays as it was, so only events, reports and the status
    /// of a module that was never deployed have this state (decision 51).
    Refused,
    /// The plan of a deployment waits for a person. Nothing has started, so the stored state stays as it was, as of a refusal
    /// (decision 59).
    WaitingForApproval,
    /// A state that a newer version wrote.
    #[serde(other)]
    Unknown,
}

impl State {
    /// The text in the parameter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Unchanged => "UNCHANGED",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
            Self::Destroyed => "DESTROYED",
            Self::Refused => "REFUSED",
            Self::WaitingForApproval => "WAITING_FOR_APPROVAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// What a deployment with this state did, in a sentence: "the last deployment failed".
    #[must_use]
    pub const fn did(self) -> &'static str {
        match self {
            Self::InProgress => "is in progress",
            Self::Succeeded => "succeeded",
            Self::Unchanged => "found nothing changed",
            Self::Failed => "failed",
            Self::Aborted => "was stopped",
            Self::Destroyed => "was a destruction",
            Self::Refused => "was refused",
            Self::WaitingForApproval => "waits for an approval",
            Self::Unknown => "has a state that this version doesn't know",
        }
    }

    /// The final state of the previous execution. If the stored status is ours, still IN_PROGRESS, a refusal or a wait, that state is
    /// its `previous_state`.
    #[must_use]
    pub fn before(state: Self, previous: Option<Self>, is_ours: bool) -> Option<Self> {
        if is_ours || matches!(state, Self::InProgress | Self::Refused | Self::WaitingForApproval) {
            previous
        } else {
            Some(state)
        }
    }

    /// Whether this state recovers from the previous one.
    #[must_use]
    pub fn recovers(self, previous: Option<Self>) -> bool {
        matches!(self, Self::Succeeded | Self::Unchanged | Self::Destroyed)
            && matches!(previous, Some(Self::Failed | Self::Aborted))
    }
}

/// The word for a state of a module, a deployment or a phase of a build (docs/glossary.md), the same in all tables and
/// sentences.
#[must_use]
pub fn word(state: &str) -> String {
    match state {
        "SUCCEEDED" => "deployed".to_owned(),
        "ABORTED" => "stopped".to_owned(),
        other => other.to_lowercase().replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_state_is_a_word_for_people() {
        let states = [
            "SUCCEEDED",
            "ABORTED",
            "NOT_STARTED",
            "SUPERSEDED",
            "TIMED_OUT",
            "IN_PROGRESS",
        ];
        assert_eq!(
            states.map(word),
            [
                "deployed",
                "stopped",
                "not started",
                "superseded",
                "timed out",
                "in progress"
            ]
        );
    }

    #[test]
    fn a_good_state_after_a_bad_one_is_a_recovery() {
        assert!(State::Succeeded.recovers(Some(State::Failed)));
        assert!(State::Unchanged.recovers(Some(State::Aborted)));
        assert!(State::Destroyed.recovers(Some(State::Failed)));
        assert!(!State::InProgress.recovers(Some(State::Failed)));
        assert!(!State::Failed.recovers(Some(State::Failed)));
        assert!(!State::Succeeded.recovers(Some(State::Unchanged)));
        assert!(!State::Succeeded.recovers(None));
    }

    #[test]
    fn a_state_of_a_newer_version_reads_as_unknown() {
        assert_eq!(
            serde_json::from_str::<State>("\"PAUSED\"").unwrap(),
            State::Unknown
        );
    }
}
