//! What was decided on a plan that waited. It is stored once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::request::ApprovalRequest;
use crate::error::{Error, ErrorName, ErrorOutput};
use crate::ids::ExecutionArn;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VerdictState {
    /// The plan may run.
    Approved,
    /// An approver said no.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// A newer execution deploys in its place.
    Superseded,
}

impl VerdictState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
            Self::Superseded => "SUPERSEDED",
        }
    }
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was decided.
    pub state: VerdictState,
    /// The hash of the plan.
    pub plan: String,
    /// When.
    pub at: Timestamp,
    /// The principal that decided, as AWS identified it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The execution that deploys instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<ExecutionArn>,
}

/// The answer to the waiting task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What was decided.
    pub state: VerdictState,
    /// The hash of the plan.
    pub plan: String,
    /// Why nothing runs; null if the plan was approved.
    pub refused: Option<ErrorOutput>,
}

impl Verdict {
    /// Nobody decided in time.
    #[must_use]
    pub fn expired(request: &ApprovalRequest, now: Timestamp) -> Self {
        Self {
            state: VerdictState::Expired,
            plan: request.needed.plan.clone(),
            at: now,
            by: None,
            reason: None,
            superseded_by: None,
        }
    }

    /// A newer execution deploys instead.
    #[must_use]
    pub fn superseded(request: &ApprovalRequest, by: &ExecutionArn, now: Timestamp) -> Self {
        Self {
            state: VerdictState::Superseded,
            superseded_by: Some(by.clone()),
            ..Self::expired(request, now)
        }
    }

    /// The answer to the waiting task.
    #[must_use]
    pub fn answer(&self) -> Answer {
        Answer {
            state: self.state,
            plan: self.plan.clone(),
            refused: self.refused(),
        }
    }

    fn refused(&self) -> Option<ErrorOutput> {
        let by = self.by.as_deref().unwrap_or("an approver");
        let (name, cause) = match self.state {
            VerdictState::Approved => return None,
            VerdictState::Rejected => {
                let reason = self.reason.as_deref().unwrap_or("no reason was given");
                (
                    ErrorName::ApprovalRejected,
                    format!("the plan was rejected by {by}: {reason}"),
                )
            }
            VerdictState::Expired => (
                ErrorName::ApprovalExpired,
                "the plan waited for an approval, and nobody decided in time; start it again".to_owned(),
            ),
            VerdictState::Superseded => {
                let newer = self.superseded_by.as_ref().map_or_else(
                    || "a newer execution".to_owned(),
                    |by| format!("the newer execution {}", by.name()),
                );
                (
                    ErrorName::PlanSuperseded,
                    format!("the plan waited for an approval, and {newer} deploys in its place"),
                )
            }
        };
        Some(Error::new(name, cause).into())
    }
}
