//! The `status` parameter of a deployment: the result of its last execution.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::current::Whole;
use super::rollback::{DeploymentRollback, NextRollback};
use crate::approval::{ApprovalState, ApprovalSummary};
use crate::ids::ExecutionArn;
use crate::module::commit_info::CommitInfo;
use crate::module::explanation::{Explained, Explanation, explained};
use crate::module::refusal::Refusal;
use crate::module::status::{Failure, State};
use crate::started_by::StartedBy;

/// The maximum number of modules that a status names.
const MAX_NAMED: usize = 20;

/// The content of the parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentStatus {
    /// The deployment's state.
    pub state: State,
    /// The final state of the previous execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_state: Option<State>,
    /// When this was written, UTC.
    pub updated_at: Timestamp,
    /// The execution that wrote this.
    pub execution: ExecutionArn,
    /// When that execution began to deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Who started that execution, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<StartedBy>,
    /// The commit that is or was deployed.
    #[serde(flatten)]
    pub commit_info: CommitInfo,
    /// The groups in the order in which they were deployed: a later destruction runs in reverse.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The number of modules for each end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<String, usize>,
    /// The failed modules, up to twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// Of a rollback, to what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<DeploymentRollback>,
    /// The approval that the plan of the last execution waits or waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalSummary>,
    /// Why it failed or was refused.
    #[serde(flatten)]
    pub why: Explanation,
}

impl DeploymentStatus {
    /// A status of an execution, with nothing but its state.
    #[must_use]
    pub fn new(state: State, execution: &ExecutionArn, now: Timestamp) -> Self {
        Self {
            state,
            previous_state: None,
            updated_at: now,
            execution: execution.clone(),
            started_at: None,
            started_by: None,
            commit_info: CommitInfo::default(),
            groups: Vec::new(),
            modules: BTreeMap::new(),
            failed: Vec::new(),
            rollback: None,
            approval: None,
            why: Explanation::default(),
        }
    }

    /// The request of an execution was refused before anything ran. The report and the event have this status; the
    /// deployment keeps its own ([`DeploymentStatus::beside`]).
    #[must_use]
    pub fn refuse(
        before: Option<&Self>,
        execution: &ExecutionArn,
        (error, cause): (&str, &str),
        commit_info: &CommitInfo,
        now: Timestamp,
    ) -> Self {
        let status = Self {
            commit_info: commit_info.clone(),
            why: Explanation {
                refused: Some(Refusal::new(execution, Some(error), cause, commit_info, now)),
                ..Explanation::of_failure(error, cause)
            },
            ..Self::new(State::Refused, execution, now)
        };
        status.after(before)
    }

    /// The plan of an execution waits for a person. The report and the event have this status; the deployment keeps its own
    /// ([`DeploymentStatus::keeping`]).
    #[must_use]
    pub fn wait(before: Option<&Self>, approval: ApprovalSummary, now: Timestamp) -> Self {
        let status = Self {
            started_by: approval.request.started_by.clone(),
            commit_info: approval.request.commit_info.clone(),
            ..Self::new(State::WaitingForApproval, &approval.request.execution, now)
        };
        Self {
            approval: Some(approval),
            ..status.after(before)
        }
    }

    /// The execution was ended from outside while its plan waited; `None` if it didn't wait.
    #[must_use]
    pub fn end_of_wait(
        before: Option<&Self>,
        execution: &ExecutionArn,
        failure: &Failure,
        now: Timestamp,
    ) -> Option<Self> {
        let approval = before?.approval.as_ref()?;
        if !approval.waits() || approval.request.execution != *execution {
            return None;
        }
        let why = (failure.error.as_str(), failure.reason.as_str());
        let status = Self::refuse(before, execution, why, &approval.request.commit_info, now);
        Some(Self {
            started_by: approval.request.started_by.clone(),
            approval: Some(approval.clone().in_state(ApprovalState::Ended)),
            ..status
        })
    }

    /// The status to store for an execution that has not changed anything, because it was refused or waits: the stored one
    /// with the refusal and the approval beside it.
    #[must_use]
    pub fn keeping(self, stored: Option<&Self>) -> Self {
        let approval = self.approval.clone();
        let is_wait = self.state == State::WaitingForApproval;
        let before = stored.and_then(|stored| stored.why.refused.clone());
        let mut kept = self.beside(stored);
        if is_wait && kept.why.refused.is_none() {
            kept.why.refused = before;
        }
        if approval.is_some() {
            kept.approval = approval;
        }
        kept
    }

    /// The same status with a failure.
    #[must_use]
    pub fn failed(self, error: &str, reason: &str) -> Self {
        Self {
            why: Explanation {
                refused: self.why.refused,
                ..Explanation::of_failure(error, reason)
            },
            ..self
        }
    }

    /// The same status, with the rollback that follows.
    #[must_use]
    pub fn followed_by(mut self, next: &NextRollback) -> Self {
        let reason = self.why.reason.unwrap_or_default();
        let to = next.input["to"].as_str().unwrap_or_default();
        self.why.reason = Some(format!("{reason}; it is rolled back to {to} by {}", next.name));
        self
    }

    /// The final status of an execution that ended without writing one. `None` if it has written one, or if the stored
    /// status is another execution's.
    #[must_use]
    pub fn end(
        before: Option<Self>,
        state: State,
        execution: &ExecutionArn,
        failure: &Failure,
        now: Timestamp,
    ) -> Option<Self> {
        let before =
            before.filter(|before| before.execution == *execution && before.state == State::InProgress)?;
        let status = Self {
            state,
            updated_at: now,
            ..before
        };
        Some(status.failed(&failure.error, &failure.reason))
    }

    /// Whether this is the final status of an execution: a repeated call then counts nothing.
    #[must_use]
    pub fn is_final_of(&self, execution: &ExecutionArn) -> bool {
        self.execution == *execution && self.state != State::InProgress
    }

    /// The same status with the failed modules.
    #[must_use]
    pub fn naming(self, failed: &[String]) -> Self {
        Self {
            failed: failed.iter().take(MAX_NAMED).cloned().collect(),
            ..self
        }
    }

    /// All modules that failed, if the status names all of them.
    #[must_use]
    pub fn all_failed(&self) -> &[String] {
        match self.modules.get(State::Failed.as_str()) == Some(&self.failed.len()) {
            true => &self.failed,
            false => &[],
        }
    }

    /// What decides whether this status, and refusals of its modules, are still current.
    #[must_use]
    pub fn whole(&self) -> Whole<'_> {
        Whole {
            state: self.state.as_str(),
            began: self.started_at.unwrap_or(self.updated_at),
            failed: self.all_failed(),
        }
    }

    /// The final state of the execution before the one that writes now.
    #[must_use]
    pub fn state_before(&self, execution: &ExecutionArn) -> Option<State> {
        State::before(self.state, self.previous_state, self.execution == *execution)
    }

    /// The same status after a previous one: with its final state, and with its groups if this status does not know
    /// them.
    #[must_use]
    pub fn after(self, before: Option<&Self>) -> Self {
        let groups = match before {
            Some(before) if self.groups.is_empty() => before.groups.clone(),
            _ => self.groups,
        };
        Self {
            groups,
            previous_state: before.and_then(|before| before.state_before(&self.execution)),
            ..self
        }
    }
}

explained!(DeploymentStatus);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::approval::ApprovalRequest;

    #[test]
    fn an_end_is_written_once_and_only_over_the_executions_own_status() {
        let (me, now) = (ExecutionArn::new("me"), Timestamp::UNIX_EPOCH);
        let failure = Failure {
            error: "ExecutionAborted".into(),
            reason: "the execution was stopped".into(),
            build_id: None,
            outcome: None,
            commit_info: CommitInfo::default(),
        };
        let end = |before| DeploymentStatus::end(before, State::Aborted, &me, &failure, now);
        let running = DeploymentStatus {
            groups: vec!["g".into()],
            ..DeploymentStatus::new(State::InProgress, &me, now)
        };
        let ended = end(Some(running.clone())).unwrap();
        assert_eq!((ended.state, &ended.groups), (State::Aborted, &running.groups));
        assert_eq!(ended.why.error.as_deref(), Some("ExecutionAborted"));
        assert_eq!(ended.why.cause.as_deref(), Some("The execution was stopped"));
        assert!(ended.is_final_of(&me) && !running.is_final_of(&me));
        let other = DeploymentStatus::new(State::InProgress, &ExecutionArn::new("other"), now);
        assert!(!ended.is_final_of(&other.execution));
        for before in [None, Some(ended), Some(other)] {
            assert_eq!(end(before), None);
        }
    }

    #[test]
    fn a_plan_that_waits_leaves_the_state_as_it_was_until_it_is_decided_on() {
        let (one, two) = (ExecutionArn::new("x:one"), ExecutionArn::new("x:two"));
        let now = Timestamp::UNIX_EPOCH;
        let good = DeploymentStatus {
            groups: vec!["g".into()],
            ..DeploymentStatus::new(State::Succeeded, &one, now)
        };
        let request: ApprovalRequest = serde_json::from_value(serde_json::json!({
            "project": "p", "deployment": "d", "execution": two, "plan": "c0ffee", "reasons": ["r"], "expires_after_seconds": 9,
            "commit": "c2", "requested_at": now, "expires_at": now,
        }))
        .unwrap();
        let waiting = DeploymentStatus::wait(Some(&good), ApprovalSummary::of(request, None), now);
        assert_eq!(
            (
                waiting.state,
                waiting.previous_state,
                waiting.commit_info.commit()
            ),
            (State::WaitingForApproval, Some(State::Succeeded), Some("c2"))
        );
        let stored = waiting.clone().keeping(Some(&good));
        assert_eq!((stored.state, &stored.execution), (State::Succeeded, &one));
        assert!(stored.approval.as_ref().unwrap().waits());
        assert_eq!(
            DeploymentStatus::wait(Some(&stored), stored.approval.clone().unwrap(), now),
            waiting
        );
        // Of a deployment that was never deployed, the wait is the state until it is refused.
        let first = waiting.clone().keeping(None);
        assert_eq!(first.state, State::WaitingForApproval);
        let failure = Failure {
            error: "ExecutionAborted".into(),
            reason: "the execution was stopped".into(),
            build_id: None,
            outcome: None,
            commit_info: CommitInfo::default(),
        };
        assert_eq!(
            DeploymentStatus::end_of_wait(Some(&stored), &one, &failure, now),
            None
        );
        for before in [&stored, &first] {
            let ended = DeploymentStatus::end_of_wait(Some(before), &two, &failure, now).unwrap();
            let kept = ended.keeping(Some(before));
            assert_eq!(kept.approval.as_ref().unwrap().state, ApprovalState::Ended);
            assert_eq!(
                DeploymentStatus::end_of_wait(Some(&kept), &two, &failure, now),
                None
            );
            let expected = if before.state == State::Succeeded {
                State::Succeeded
            } else {
                State::Refused
            };
            assert_eq!(kept.state, expected);
        }
    }

    #[test]
    fn a_refusal_leaves_the_state_as_it_was() {
        let (one, two) = (ExecutionArn::new("one"), ExecutionArn::new("two"));
        let now = Timestamp::UNIX_EPOCH;
        let good = DeploymentStatus {
            groups: vec!["g".into()],
            ..DeploymentStatus::new(State::Succeeded, &one, now)
        };
        let commit = CommitInfo::of_commit(Some("c2"), None);
        let why = ("InvalidManifest", "deployment.yaml:6: path: found nothing");
        let refusal = DeploymentStatus::refuse(Some(&good), &two, why, &commit, now);
        assert_eq!(
            (
                refusal.state,
                refusal.previous_state,
                refusal.commit_info.commit()
            ),
            (State::Refused, Some(State::Succeeded), Some("c2"))
        );
        let stored = refusal.clone().beside(Some(&good));
        assert!(stored.has_refused(&two));
        assert_eq!(
            DeploymentStatus {
                why: Explanation::default(),
                ..stored.clone()
            },
            good
        );
        assert_eq!(
            DeploymentStatus::refuse(Some(&stored), &two, why, &commit, now),
            refusal
        );
        let first = DeploymentStatus::refuse(None, &two, why, &commit, now).beside(None);
        assert_eq!((first.state, first.state_before(&one)), (State::Refused, None));
    }
}
