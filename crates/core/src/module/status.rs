//! The `status` parameter: the result of a module's last execution.
//!
//! The functions below compute a status from the previous one and from an event; the time is an argument. A status
//! names group and module, because the parameter's path joins them by a hyphen. `a-b`/`c` and `a`/`b-c` would share a
//! path, and [`Status::check_owner`] detects that.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::console::LogUrl;
use crate::error::{Error, ErrorName, Result};
use crate::ids::{BuildId, ExecutionArn, ModuleId};
use crate::module::commit_info::CommitInfo;
use crate::module::explanation::{Explained, Explanation, explained};
use crate::module::former_names::FormerNames;
use crate::module::metadata_reference::ModuleRef;
use crate::module::refusal::Refusal;
pub use crate::module::state::State;
use crate::started_by::StartedBy;
use crate::target::Target;
use crate::workflow::build_outcome::BuildOutcome;

/// The content of the `status` parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The execution's state.
    pub state: State,
    /// The final state of the previous execution: a success after a failure is a recovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_state: Option<State>,
    /// When this was written, UTC.
    pub updated_at: Timestamp,
    /// The parameter's group.
    pub group: String,
    /// The parameter's module.
    pub module: String,
    /// The execution that wrote it.
    pub execution: ExecutionArn,
    /// Who started that execution, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<StartedBy>,
    /// When that execution began to deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the module was last deployed successfully.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed_at: Option<Timestamp>,
    /// The build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<BuildId>,
    /// The URL of the build's log.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "LogUrl::lenient"
    )]
    pub log_url: Option<LogUrl>,
    /// Where the module is; at home if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The names that the module had before it was renamed.
    #[serde(default, skip_serializing_if = "FormerNames::is_empty")]
    pub former_names: FormerNames,
    /// Whether deployments that did not succeed may have left resources, for a module that was never deployed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attempted: bool,
    /// The commit of the bundle that was last deployed, or should have been.
    #[serde(flatten)]
    pub commit_info: CommitInfo,
    /// Why the module was deployed, or that nothing had changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Why it failed or was refused.
    #[serde(flatten)]
    pub why: Explanation,
}

/// A failure as the state machine passes it on: the error's name, the message, and the build if there was one.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The error's name.
    pub error: String,
    /// The message.
    pub reason: String,
    /// The build that failed or was running.
    pub build_id: Option<BuildId>,
    /// The outcome of the failed build.
    pub outcome: Option<BuildOutcome>,
    /// The commit of the files that were refused, if they could be read.
    pub commit_info: CommitInfo,
}

/// The errors of the steps between the start of a deployment and its build.
const BEFORE_THE_BUILD: [ErrorName; 5] = [
    ErrorName::InvalidModuleStack,
    ErrorName::ModuleStackFailed,
    ErrorName::ModuleStackTimedOut,
    ErrorName::RoleNotReady,
    ErrorName::AccountLimitExceeded,
];

impl Failure {
    /// Whether it is certain that no build was started.
    fn is_before_the_build(&self) -> bool {
        self.build_id.is_none() && BEFORE_THE_BUILD.iter().any(|name| name.as_str() == self.error)
    }
}

impl Status {
    fn new(
        state: State,
        before: Option<&Self>,
        module: &ModuleId,
        execution: &ExecutionArn,
        now: Timestamp,
    ) -> Self {
        Self {
            state,
            previous_state: before
                .and_then(|s| State::before(s.state, s.previous_state, s.execution == *execution)),
            updated_at: now,
            group: module.group.to_string(),
            module: module.module.to_string(),
            execution: execution.clone(),
            started_by: None,
            started_at: None,
            deployed_at: None,
            build_id: None,
            log_url: None,
            target: before.and_then(|s| s.target.clone()),
            former_names: before.map(|s| s.former_names.clone()).unwrap_or_default(),
            attempted: before.is_some_and(|s| s.attempted),
            commit_info: CommitInfo::default(),
            reasons: Vec::new(),
            why: Explanation::default(),
        }
    }

    /// A deployment has begun.
    #[must_use]
    pub fn start(
        before: Option<&Self>,
        module: &ModuleId,
        execution: &ExecutionArn,
        reasons: &[String],
        now: Timestamp,
    ) -> Self {
        Self {
            started_at: Some(now),
            deployed_at: before.and_then(|s| s.deployed_at),
            reasons: reasons.to_vec(),
            ..Self::new(State::InProgress, before, module, execution, now)
        }
    }

    /// The module was renamed, and its deployment under the new name has begun. `from` is its status under the old one.
    #[must_use]
    pub fn rename(
        from: Option<&Self>,
        old: &ModuleRef,
        former_names: FormerNames,
        module: &ModuleId,
        execution: &ExecutionArn,
        now: Timestamp,
    ) -> Self {
        let reasons = [rename_reason(old)];
        Self {
            former_names,
            ..Self::start(from, module, execution, &reasons, now)
        }
    }

    /// Nothing had changed. Only state, time and execution are new; the rest is from the last success.
    #[must_use]
    pub fn touch(
        before: Option<&Self>,
        module: &ModuleId,
        execution: &ExecutionArn,
        reasons: &[String],
        now: Timestamp,
    ) -> Self {
        let new = Self::new(State::Unchanged, before, module, execution, now);
        Self {
            state: new.state,
            previous_state: new.previous_state,
            updated_at: now,
            execution: new.execution.clone(),
            started_by: None,
            reasons: reasons.to_vec(),
            why: Explanation::default(),
            ..before.cloned().unwrap_or(new)
        }
    }

    /// The build succeeded and everything else is written.
    #[must_use]
    pub fn succeed(
        before: Option<&Self>,
        module: &ModuleId,
        execution: &ExecutionArn,
        build: &BuildOutcome,
        now: Timestamp,
    ) -> Self {
        let ours = before.filter(|s| s.execution == *execution);
        Self {
            started_at: ours.and_then(|s| s.started_at),
            reasons: ours.map(|s| s.reasons.clone()).unwrap_or_default(),
            commit_info: ours.map(|s| s.commit_info.clone()).unwrap_or_default(),
            deployed_at: Some(now),
            attempted: false,
            build_id: Some(build.build_id.clone()),
            log_url: build.log_url.clone(),
            ..Self::new(State::Succeeded, before, module, execution, now)
        }
    }

    /// The module was destroyed, or its remaining state was removed. Only the report contains this status.
    #[must_use]
    pub fn destroy(
        before: Option<&Self>,
        module: &ModuleId,
        execution: &ExecutionArn,
        build: Option<&BuildOutcome>,
        reasons: &[String],
        now: Timestamp,
    ) -> Self {
        let ours = before.filter(|s| s.execution == *execution);
        Self {
            started_at: ours.and_then(|s| s.started_at),
            reasons: reasons.to_vec(),
            deployed_at: before.and_then(|s| s.deployed_at),
            build_id: build.map(|b| b.build_id.clone()),
            log_url: build.and_then(|b| b.log_url.clone()),
            ..Self::new(State::Destroyed, before, module, execution, now)
        }
    }

    /// The execution failed.
    #[must_use]
    pub fn fail(
        before: Option<&Self>,
        module: &ModuleId,
        execution: &ExecutionArn,
        failure: &Failure,
        now: Timestamp,
    ) -> Self {
        let ours = before.filter(|s| s.execution == *execution);
        let new = Self::new(State::Failed, before, module, execution, now);
        let started_at = ours.and_then(|s| s.started_at);
        let deployed_at = before.and_then(|s| s.deployed_at);
        let has_built = started_at.is_some() && !failure.is_before_the_build();
        Self {
            started_at,
            reasons: ours.map(|s| s.reasons.clone()).unwrap_or_default(),
            commit_info: ours.map(|s| s.commit_info.clone()).unwrap_or_default(),
            deployed_at,
            attempted: new.attempted || (deployed_at.is_none() && has_built),
            build_id: failure.build_id.clone(),
            log_url: failure.outcome.as_ref().and_then(|o| o.log_url.clone()),
            why: Explanation {
                phase: failure.outcome.as_ref().and_then(|o| o.failed_phase.clone()),
                ..Explanation::of_failure(&failure.error, &failure.reason)
            },
            ..new
        }
    }

    /// The request of an execution was refused before anything ran. The report and the event have this status; the module
    /// keeps its own ([`Status::beside`]).
    #[must_use]
    pub fn refuse(
        before: Option<&Self>,
        module: &ModuleId,
        execution: &ExecutionArn,
        failure: &Failure,
        now: Timestamp,
    ) -> Self {
        let refusal = Refusal::new(
            execution,
            Some(&failure.error),
            &failure.reason,
            &failure.commit_info,
            now,
        );
        let failed = Self::fail(before, module, execution, failure, now);
        Self {
            state: State::Refused,
            started_at: None,
            reasons: Vec::new(),
            commit_info: failure.commit_info.clone(),
            why: Explanation {
                refused: Some(refusal),
                ..failed.why
            },
            ..failed
        }
    }

    /// Whether an error refused the request of this execution before anything ran: it concerns the request, and the
    /// execution has not begun to deploy.
    #[must_use]
    pub fn is_refusal(before: Option<&Self>, execution: &ExecutionArn, failure: &Failure) -> bool {
        let has_begun = before.is_some_and(|s| s.execution == *execution && s.state != State::Refused);
        failure.build_id.is_none() && !has_begun && Refusal::is_by(&failure.error)
    }

    /// The execution was ended from outside, or ended without a status. This is the status to write for it; `None` if
    /// it had already written its end.
    #[must_use]
    pub fn end(
        state: State,
        before: Option<&Self>,
        module: &ModuleId,
        execution: &ExecutionArn,
        failure: &Failure,
        now: Timestamp,
    ) -> Option<Self> {
        let is_written = before.is_some_and(|s| {
            s.has_refused(execution) || (s.execution == *execution && s.state != State::InProgress)
        });
        (!is_written).then(|| Self {
            state,
            ..Self::fail(before, module, execution, failure, now)
        })
    }

    /// The same status with who started its execution.
    #[must_use]
    pub fn started_by(self, started_by: Option<&StartedBy>) -> Self {
        Self {
            started_by: started_by.cloned(),
            ..self
        }
    }

    /// Whether the same execution already wrote this, except for the time: a repeated call changes nothing.
    #[must_use]
    pub fn repeats(&self, stored: Option<&Self>) -> bool {
        stored.is_some_and(|stored| {
            Self {
                updated_at: stored.updated_at,
                deployed_at: stored.deployed_at,
                ..self.clone()
            } == *stored
        })
    }

    /// Refuses a status that belongs to another module with the same path.
    pub fn check_owner(&self, module: &ModuleId) -> Result<()> {
        if self.group == module.group.as_str() && self.module == module.module.as_str() {
            return Ok(());
        }
        Err(Error::new(
            ErrorName::StateConflict,
            format!(
                "{}: found the status of group \"{}\", module \"{}\", which shares this path with group \"{}\", module \"{}\"; rename one of them",
                module.parameter(crate::ids::ParameterKind::Status),
                self.group,
                self.module,
                module.group,
                module.module
            ),
        ))
    }
}

/// The reason for which a module is deployed after it was renamed.
#[must_use]
pub fn rename_reason(old: &ModuleRef) -> String {
    format!("renamed from {old}")
}

explained!(Status);

#[cfg(test)]
mod tests;
