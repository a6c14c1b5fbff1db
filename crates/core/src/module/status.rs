//! The `status` parameter: the result of a module's last execution.
//!
//! The functions below compute a status from the previous one and from an event; the time is an argument. A status
//! names group and module, because the parameter's path joins them by a hyphen. `a-b`/`c` and `a`/`b-c` would share a
//! path, and [`Status::check_owner`] detects that.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::console::LogUrl;
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::ids::{BuildId, ExecutionArn, ModuleId};
use crate::module::cause;
use crate::module::commit_info::CommitInfo;
use crate::module::refusal::Refusal;
use crate::workflow::build_outcome::BuildOutcome;

/// The longest reason: the whole status should stay within Parameter Store's cheap 4 KB.
const MAX_REASON: usize = 1000;

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
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The final state of the previous execution. If the stored status is ours, still IN_PROGRESS or a refusal, that state is
    /// its `previous_state`.
    #[must_use]
    pub fn before(state: Self, previous: Option<Self>, is_ours: bool) -> Option<Self> {
        if is_ours || matches!(state, Self::InProgress | Self::Refused) {
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
    /// Whether deployments that did not succeed may have left resources, for a module that was never deployed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attempted: bool,
    /// The commit of the bundle that was last deployed, or should have been.
    #[serde(flatten)]
    pub commit_info: CommitInfo,
    /// Why the module was deployed, or that nothing had changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The name of the error of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The phase of the build that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The reason of the failure, as it was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it failed: one sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The last request, if it was refused before anything ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
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
            started_at: None,
            deployed_at: None,
            build_id: None,
            log_url: None,
            attempted: before.is_some_and(|s| s.attempted),
            commit_info: CommitInfo::default(),
            reasons: Vec::new(),
            error: None,
            phase: None,
            reason: None,
            cause: None,
            refused: None,
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
            reasons: reasons.to_vec(),
            refused: None,
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
            phase: failure.outcome.as_ref().and_then(|o| o.failed_phase.clone()),
            error: Some(failure.error.clone()),
            reason: Some(excerpt(&failure.reason, MAX_REASON)),
            cause: Some(cause::of_error(&failure.error, &failure.reason)),
            ..new
        }
    }

    /// The same status with the cause that was found, if one was.
    #[must_use]
    pub fn with_cause(self, found: Option<&str>) -> Self {
        Self {
            cause: found.map(cause::line).or(self.cause),
            ..self
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
        Self {
            state: State::Refused,
            started_at: None,
            reasons: Vec::new(),
            commit_info: failure.commit_info.clone(),
            refused: Some(refusal),
            ..Self::fail(before, module, execution, failure, now)
        }
    }

    /// The status to store for a refusal: the stored one with the refusal beside it. A module without a status gets that
    /// of the refusal.
    #[must_use]
    pub fn beside(self, stored: Option<&Self>) -> Self {
        match stored {
            Some(stored) if stored.state != State::Refused => Self {
                refused: self.refused,
                ..stored.clone()
            },
            _ => self,
        }
    }

    /// Whether an error refused the request of this execution before anything ran: it concerns the request, and the
    /// execution has not begun to deploy.
    #[must_use]
    pub fn is_refusal(before: Option<&Self>, execution: &ExecutionArn, failure: &Failure) -> bool {
        let has_begun = before.is_some_and(|s| s.execution == *execution && s.state != State::Refused);
        failure.build_id.is_none() && !has_begun && Refusal::is_by(&failure.error)
    }

    /// Whether the status has the refusal of this execution.
    #[must_use]
    pub fn has_refused(&self, execution: &ExecutionArn) -> bool {
        self.refused
            .as_ref()
            .is_some_and(|refused| refused.execution == *execution)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::workflow::build_outcome::BuildStatus;

    fn module() -> ModuleId {
        ModuleId::parse("p", "d", "g", "m").unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn failure() -> Failure {
        let outcome = BuildOutcome {
            failed_phase: Some("BUILD".into()),
            ..BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Failed)
        };
        Failure {
            error: "BuildFailed".into(),
            reason: "x".repeat(5000),
            build_id: Some(outcome.build_id.clone()),
            outcome: Some(outcome),
            commit_info: CommitInfo::default(),
        }
    }

    #[test]
    fn a_failure_keeps_when_it_was_last_deployed_and_fits() {
        let execution = ExecutionArn::new("e1");
        let good = Status::succeed(
            None,
            &module(),
            &execution,
            &BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded),
            at(10),
        );
        let again = ExecutionArn::new("e2");
        let started = Status::start(
            Some(&good),
            &module(),
            &again,
            &["bundle changed".to_owned()],
            at(20),
        );
        let failed = Status::fail(Some(&started), &module(), &again, &failure(), at(30));
        assert_eq!(
            (failed.deployed_at, failed.started_at, failed.phase.as_deref()),
            (Some(at(10)), Some(at(20)), Some("BUILD"))
        );
        assert!(
            failed
                .cause
                .as_deref()
                .is_some_and(|cause| cause.starts_with("Xxx"))
        );
        let found = failed.clone().with_cause(Some("Queue failed:\nwhy"));
        assert_eq!(found.cause.as_deref(), Some("Queue failed: why"));
        assert_eq!(failed.clone().with_cause(None), failed);
        assert_eq!(failed.reasons, ["bundle changed"]);
        assert!(serde_json::to_string(&failed).unwrap().len() < 4096);
    }

    #[test]
    fn a_status_says_which_commit_its_own_execution_deploys() {
        let of =
            |commit: &'static str| CommitInfo::from_metadata(|name| (name == "commit").then_some(commit));
        let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
        let (one, two) = (ExecutionArn::new("e1"), ExecutionArn::new("e2"));
        let mut started = Status::start(None, &module(), &one, &[], at(1));
        started.commit_info = of("c1");
        let good = Status::succeed(Some(&started), &module(), &one, &build, at(2));
        assert_eq!(good.commit_info, of("c1"));
        assert_eq!(
            Status::fail(Some(&started), &module(), &one, &failure(), at(2)).commit_info,
            of("c1")
        );
        // Unchanged if nothing was deployed. Unknown if the next execution never got that far; the last one's commit
        // does not count.
        assert_eq!(
            Status::touch(Some(&good), &module(), &two, &[], at(3)).commit_info,
            of("c1")
        );
        assert_eq!(
            Status::fail(Some(&good), &module(), &two, &failure(), at(3)).commit_info,
            CommitInfo::default()
        );
    }

    #[test]
    fn an_end_from_outside_is_written_unless_the_execution_had_written_its_own() {
        let execution = ExecutionArn::new("e");
        let end = |before: Option<&Status>| {
            Status::end(State::Aborted, before, &module(), &execution, &failure(), at(9))
        };
        let started = Status::start(None, &module(), &execution, &[], at(1));
        let aborted = end(Some(&started)).unwrap();
        assert_eq!((aborted.state, aborted.started_at), (State::Aborted, Some(at(1))));
        let others = Status::start(None, &module(), &ExecutionArn::new("f"), &[], at(1));
        assert_eq!(end(Some(&others)).unwrap().execution, execution);
        assert!(end(None).is_some());
        let failed = Status::fail(None, &module(), &execution, &failure(), at(2));
        assert_eq!(end(Some(&failed)), None);
        assert_eq!(end(Some(&aborted)), None);
    }

    fn refused() -> Failure {
        Failure {
            error: "InvalidDeployspec".into(),
            reason: "build_type: found \"TINY\"".into(),
            build_id: None,
            outcome: None,
            commit_info: CommitInfo::of_commit(Some("c2"), None),
        }
    }

    #[test]
    fn a_refusal_leaves_the_state_as_it_was_until_the_next_start() {
        let [one, two, three] = ["e1", "e2", "e3"].map(ExecutionArn::new);
        let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
        let good = Status::succeed(None, &module(), &one, &build, at(10));
        let refuse = |before| Status::refuse(before, &module(), &two, &refused(), at(20));
        let refusal = refuse(Some(&good));
        assert_eq!(
            (
                refusal.state,
                refusal.previous_state,
                refusal.commit_info.commit()
            ),
            (State::Refused, Some(State::Succeeded), Some("c2"))
        );
        let stored = refusal.clone().beside(Some(&good));
        assert_eq!(
            stored,
            Status {
                refused: refusal.refused.clone(),
                ..good.clone()
            }
        );
        assert!(stored.has_refused(&two) && !stored.has_refused(&one));
        // Nothing is to be written at the end of such an execution, and a repeated call says the same.
        let end = Status::end(State::Failed, Some(&stored), &module(), &two, &refused(), at(21));
        assert_eq!(end, None);
        assert_eq!(refuse(Some(&stored)), refusal);
        for next in [Status::start, Status::touch] {
            let next = next(Some(&stored), &module(), &three, &[], at(30));
            assert_eq!(
                (next.refused, next.previous_state),
                (None, Some(State::Succeeded))
            );
        }
        // What was never deployed has the refusal only, and no final state of an earlier execution.
        let first = refuse(None).beside(None);
        assert_eq!((first.state, first.previous_state), (State::Refused, None));
        let again = Status::refuse(Some(&first), &module(), &three, &refused(), at(30)).beside(Some(&first));
        assert_eq!((again.state, again.has_refused(&three)), (State::Refused, true));
        assert_eq!(
            Status::start(Some(&again), &module(), &three, &[], at(40)).previous_state,
            None
        );
    }

    #[test]
    fn what_has_begun_or_is_a_service_in_trouble_fails_and_is_not_refused() {
        let [one, two] = ["e1", "e2"].map(ExecutionArn::new);
        let started = Status::start(None, &module(), &one, &[], at(1));
        assert!(!Status::is_refusal(Some(&started), &one, &refused()));
        assert!(Status::is_refusal(Some(&started), &two, &refused()));
        assert!(Status::is_refusal(None, &one, &refused()));
        let denied = Failure {
            error: "AccessDenied".into(),
            ..refused()
        };
        assert!(!Status::is_refusal(None, &one, &denied));
        assert!(!Status::is_refusal(None, &one, &failure()));
    }

    #[test]
    fn touching_changes_states_time_execution_and_reasons_only() {
        let good = Status::succeed(
            None,
            &module(),
            &ExecutionArn::new("e1"),
            &BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded),
            at(10),
        );
        let touched = Status::touch(Some(&good), &module(), &ExecutionArn::new("e2"), &[], at(20));
        assert_eq!(
            touched,
            Status {
                state: State::Unchanged,
                previous_state: Some(State::Succeeded),
                updated_at: at(20),
                execution: ExecutionArn::new("e2"),
                ..good
            }
        );
    }

    #[test]
    fn a_status_says_what_the_last_ended_execution_left() {
        let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
        let [one, two, three] = ["e1", "e2", "e3"].map(ExecutionArn::new);
        let failed = Status::fail(None, &module(), &one, &failure(), at(1));
        assert_eq!(failed.previous_state, None);
        let started = Status::start(Some(&failed), &module(), &two, &[], at(2));
        let good = Status::succeed(Some(&started), &module(), &two, &build, at(3));
        assert_eq!(
            (started.previous_state, good.previous_state),
            (Some(State::Failed), Some(State::Failed))
        );
        // It is unchanged when written twice.
        let again = Status::succeed(Some(&good), &module(), &two, &build, at(4));
        assert_eq!(again.previous_state, Some(State::Failed));
        // An execution that never wrote its end has no final state.
        let next = Status::fail(Some(&started), &module(), &three, &failure(), at(5));
        assert_eq!(next.previous_state, Some(State::Failed));
        let end = Status::end(State::Aborted, Some(&started), &module(), &two, &failure(), at(5));
        assert_eq!(end.unwrap().previous_state, Some(State::Failed));
        let touched = Status::touch(Some(&good), &module(), &three, &[], at(6));
        assert_eq!(touched.previous_state, Some(State::Succeeded));
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
    fn a_repeated_write_is_known_as_one() {
        let execution = ExecutionArn::new("e");
        let first = Status::fail(None, &module(), &execution, &failure(), at(1));
        assert!(Status::fail(Some(&first), &module(), &execution, &failure(), at(2)).repeats(Some(&first)));
        assert!(
            !Status::fail(
                Some(&first),
                &module(),
                &ExecutionArn::new("f"),
                &failure(),
                at(2)
            )
            .repeats(Some(&first))
        );
        assert!(!first.repeats(None));
    }

    #[test]
    fn another_module_at_the_same_path_is_noticed() {
        let one = ModuleId::parse("p", "d", "a-b", "c").unwrap();
        let other = ModuleId::parse("p", "d", "a", "b-c").unwrap();
        assert_eq!(
            one.parameter(crate::ids::ParameterKind::Status),
            other.parameter(crate::ids::ParameterKind::Status)
        );
        let status = Status::start(None, &one, &ExecutionArn::new("e"), &[], at(1));
        assert!(status.check_owner(&one).is_ok());
        assert_eq!(
            status.check_owner(&other).unwrap_err().name,
            ErrorName::StateConflict
        );
    }

    #[test]
    fn a_state_of_a_newer_version_reads_as_unknown() {
        assert_eq!(
            serde_json::from_str::<State>("\"PAUSED\"").unwrap(),
            State::Unknown
        );
    }
}
