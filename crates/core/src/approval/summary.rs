//! What statuses, reports, pages and events say of an approval.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::request::ApprovalRequest;
use super::verdict::{Verdict, VerdictState};

/// How far an approval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApprovalState {
    /// Nobody has decided yet.
    Waiting,
    /// The plan may run.
    Approved,
    /// An approver said no.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// It was approved, and something has changed before it ran.
    Void,
    /// A newer execution deploys instead.
    Superseded,
    /// The execution was ended from outside.
    Ended,
    /// A state that a newer version wrote.
    #[serde(other)]
    Unknown,
}

impl ApprovalState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Void => "VOID",
            Self::Superseded => "SUPERSEDED",
            Self::Ended => "ENDED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// An approval that a plan waits for, or waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalSummary {
    /// How far it is.
    pub state: ApprovalState,
    /// The request.
    #[serde(flatten)]
    pub request: ApprovalRequest,
    /// The principal that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was decided on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Why it was decided so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ApprovalSummary {
    /// A request and what was decided on it, if anything.
    #[must_use]
    pub fn of(request: ApprovalRequest, verdict: Option<&Verdict>) -> Self {
        Self {
            state: verdict.map_or(ApprovalState::Waiting, |verdict| match verdict.state {
                VerdictState::Approved => ApprovalState::Approved,
                VerdictState::Rejected => ApprovalState::Rejected,
                VerdictState::Expired => ApprovalState::Expired,
                VerdictState::Superseded => ApprovalState::Superseded,
            }),
            by: verdict.and_then(|verdict| verdict.by.clone()),
            at: verdict.map(|verdict| verdict.at),
            reason: verdict.and_then(|verdict| verdict.reason.clone()),
            request,
        }
    }

    /// The same approval in another state.
    #[must_use]
    pub fn in_state(self, state: ApprovalState) -> Self {
        Self { state, ..self }
    }

    /// Of a plan that was refused: an approval of it counts for nothing, because something has changed since.
    #[must_use]
    pub fn of_refused(request: ApprovalRequest, verdict: Option<&Verdict>) -> Self {
        let summary = Self::of(request, verdict);
        match summary.state {
            ApprovalState::Approved => summary.in_state(ApprovalState::Void),
            _ => summary,
        }
    }

    /// Whether the plan still waits.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.state == ApprovalState::Waiting
    }

    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let by = self
            .by
            .as_deref()
            .map(|by| format!(" by {by}"))
            .unwrap_or_default();
        let at = self.at.map(|at| format!(" at {at:.0}")).unwrap_or_default();
        let reason = self.reason.as_deref().map(|reason| format!(": {reason}"));
        let reason = reason.unwrap_or_default();
        match self.state {
            ApprovalState::Waiting => format!("waits for an approval until {:.0}", self.request.expires_at),
            ApprovalState::Approved => format!("approved{by}{at}{reason}"),
            ApprovalState::Rejected => format!("rejected{by}{at}{reason}"),
            ApprovalState::Expired => "nobody decided in time".to_owned(),
            ApprovalState::Void => format!("approved{by}{at}, and void: the plan changed before it ran"),
            ApprovalState::Ended => "the execution was ended while it waited".to_owned(),
            ApprovalState::Superseded => "replaced by a newer execution".to_owned(),
            ApprovalState::Unknown => "in a state that this version doesn't know".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn an_approval_of_a_plan_that_was_refused_is_void() {
        let request: ApprovalRequest = serde_json::from_value(json!({
            "project": "p", "deployment": "d", "execution": "x:one", "plan": "c0ffee", "reasons": ["r"],
            "expires_after_seconds": 9, "commit": "c2", "requested_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-02T00:00:00Z",
        }))
        .unwrap();
        let state = |verdict: Option<&str>| {
            let verdict = verdict.map(|state| {
                let verdict = json!({"state": state, "plan": "c0ffee", "at": "2026-01-01T00:00:00Z"});
                serde_json::from_value::<Verdict>(verdict).unwrap()
            });
            ApprovalSummary::of_refused(request.clone(), verdict.as_ref()).state
        };
        assert_eq!(state(Some("APPROVED")), ApprovalState::Void);
        assert_eq!(state(Some("REJECTED")), ApprovalState::Rejected);
        assert_eq!(state(None), ApprovalState::Waiting);
    }
}
