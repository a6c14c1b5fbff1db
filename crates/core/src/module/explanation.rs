//! Why an execution failed or was refused, as the status of a module or of a deployment keeps it.
//!
//! `reason` is the failure as it was reported, and `cause` is one sentence for people (decision 49). A refusal before
//! anything ran is stored beside the state, which does not change (decision 51).

use serde::{Deserialize, Serialize};

use crate::error::excerpt;
use crate::ids::ExecutionArn;
use crate::module::cause;
use crate::module::refusal::Refusal;
use crate::module::state::State;

/// The longest reason: the whole status should stay within Parameter Store's cheap 4 KB.
const MAX_REASON: usize = 1000;

/// The fields of a status that explain a failure or a refusal; all are empty after a success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The name of the error of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The phase of the build that failed; only of a module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The reason of the failure, as it was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it failed: one sentence for people. That of a deployment with a failed module begins with `group/module: `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The last request, if it was refused before anything ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
}

impl Explanation {
    /// The explanation of a failure.
    #[must_use]
    pub fn of_failure(error: &str, reason: &str) -> Self {
        Self {
            error: Some(error.to_owned()),
            reason: Some(excerpt(reason, MAX_REASON)),
            cause: Some(cause::of_error(error, reason)),
            ..Self::default()
        }
    }

    /// The cause, or else the reason.
    #[must_use]
    pub fn cause_or_reason(&self) -> Option<&str> {
        self.cause.as_deref().or(self.reason.as_deref())
    }
}

/// A status of a module or of a deployment, which may have failed or been refused.
pub trait Explained: Clone {
    /// The state.
    fn state(&self) -> State;

    /// Why it failed or was refused.
    fn why(&self) -> &Explanation;

    /// The same, to change it.
    fn why_mut(&mut self) -> &mut Explanation;

    /// The same status with the cause that was found, if one was.
    #[must_use]
    fn with_cause(mut self, found: Option<&str>) -> Self {
        if let Some(found) = found {
            self.why_mut().cause = Some(cause::line(found));
        }
        self
    }

    /// The status to store for a refusal: the stored one with the refusal beside it. What has no status gets that of the
    /// refusal.
    #[must_use]
    fn beside(self, stored: Option<&Self>) -> Self {
        match stored {
            Some(stored) if !matches!(stored.state(), State::Refused | State::WaitingForApproval) => {
                let mut stays = stored.clone();
                stays.why_mut().refused = self.why().refused.clone();
                stays
            }
            _ => self,
        }
    }

    /// Whether the status has the refusal of this execution.
    fn has_refused(&self, execution: &ExecutionArn) -> bool {
        let refused = self.why().refused.as_ref();
        refused.is_some_and(|refused| refused.execution == *execution)
    }
}

/// Implements [`Explained`] for a status, by its fields `state` and `why`.
macro_rules! explained {
    ($status:ty) => {
        impl Explained for $status {
            fn state(&self) -> State {
                self.state
            }

            fn why(&self) -> &Explanation {
                &self.why
            }

            fn why_mut(&mut self) -> &mut Explanation {
                &mut self.why
            }
        }
    };
}
pub(crate) use explained;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_status_keeps_a_short_reason_and_the_cause_that_is_known() {
        let why = Explanation::of_failure("BuildFailed", &"x".repeat(5000));
        assert_eq!(why.reason.as_deref().unwrap().chars().count(), MAX_REASON + 1);
        assert!(why.cause.as_deref().unwrap().starts_with("Xxx"));
        assert_eq!(why.cause_or_reason(), why.cause.as_deref());
        let old = Explanation {
            reason: Some("exit 3".to_owned()),
            ..Explanation::default()
        };
        assert_eq!(old.cause_or_reason(), Some("exit 3"));
        assert_eq!(serde_json::to_string(&Explanation::default()).unwrap(), "{}");
    }
}
