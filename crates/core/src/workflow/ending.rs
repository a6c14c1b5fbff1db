//! Confirms that an execution has ended before its clean-up, and decides what the clean-up waits for.
//!
//! The clean-up starts from an event or from a claimant that found the execution's lock; neither is trusted (decision
//! 33). Anyone who may change an EventBridge rule can forge the event. Step Functions' answers are eventually
//! consistent: for a moment an ended execution may be described as running, and a new one as unknown (API reference,
//! DescribeExecution). If a description does not confirm the end, it is read again for some time; after that nothing is
//! done.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::ids::{BuildId, ExecutionArn};
use crate::workflow::lock::{Lock, LockOutcome, Seen, VISIBLE_AFTER};

/// The longest time until an end is visible.
pub const CONFIRM_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// The pause before the next read.
pub const READ_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// The pause before reading again what was stopped.
pub const STOPPING: SignedDuration = SignedDuration::from_secs(3);

/// The pause before reading again a build that can't be stopped.
const UNSTOPPABLE: SignedDuration = SignedDuration::from_mins(2);

/// How long a build that can't be stopped keeps its lock from being taken over: CodeBuild ends it after at most 36
/// hours, and 8 hours in its queue.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(44);

/// The status of an execution in Step Functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionStatus {
    /// It is running, or has a status that this version does not know: nothing is cleaned up on a guess.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It timed out.
    TimedOut,
    /// It was stopped.
    Aborted,
}

/// An execution as Step Functions describes it.
#[derive(Debug, Clone)]
pub struct Described {
    /// The status.
    pub status: ExecutionStatus,
    /// The input; null if it is not JSON.
    pub input: Value,
    /// The output; null unless the execution succeeded.
    pub output: Value,
    /// When it was started, if that was described.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
    /// The error with which it ended, or that StopExecution was given.
    pub error: Option<String>,
    /// The cause of the error.
    pub cause: Option<String>,
}

impl Described {
    /// The state of an execution for the lock protocol; `None` is an execution that Step Functions doesn't know.
    #[must_use]
    pub fn seen(described: Option<&Self>) -> Seen {
        match described {
            None => Seen::Unknown,
            Some(described) if described.status == ExecutionStatus::Running => Seen::Running,
            Some(described) => Seen::Ended(described.stopped_at),
        }
    }

    /// Whether it ended without success. Only such an execution can leave more than its lock.
    #[must_use]
    pub fn is_unsuccessful(&self) -> bool {
        self.status == ExecutionStatus::Failed || self.is_cut_off()
    }

    /// Whether it was ended from outside, perhaps in the middle of a function's call.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        matches!(self.status, ExecutionStatus::Aborted | ExecutionStatus::TimedOut)
    }

    /// The build of an execution that succeeded.
    #[must_use]
    pub fn build_id(&self) -> Option<BuildId> {
        BuildId::parse(self.output.get("build_id")?.as_str()?).ok()
    }

    /// How long its lock has to be kept: until what was stopped has ended (`stopping` is the pause before reading it
    /// again), and until a function that was called for the execution can no longer be running, since a write in
    /// progress can't be cancelled.
    #[must_use]
    pub fn keeps_lock(
        &self,
        stopping: Option<SignedDuration>,
        working: bool,
        longest_write: SignedDuration,
        now: Timestamp,
    ) -> Option<SignedDuration> {
        let stopped_at = self.stopped_at;
        let since = stopped_at.map_or(SignedDuration::ZERO, |stopped| now.duration_since(stopped));
        let function = (working && since < longest_write).then(|| longest_write - since);
        stopping.max(function)
    }
}

/// Whether an ended execution holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// The execution holds it.
    It(Box<Lock>),
    /// Another execution holds it, or none.
    Not,
    /// The lock can't be read.
    Unknown,
}

impl Holds {
    /// By the outcome of the request to stop the execution's writes.
    #[must_use]
    pub fn after_stop(outcome: Option<LockOutcome>) -> Self {
        match outcome {
            Some(LockOutcome::Acquired(lock)) => Self::It(Box::new(lock)),
            _ => Self::Not,
        }
    }

    /// By the lock as it was read; `None` if it can't be read.
    #[must_use]
    pub fn read(lock: Option<Option<Lock>>, execution: &ExecutionArn) -> Self {
        match lock {
            Some(Some(lock)) if lock.holder.execution == *execution => Self::It(Box::new(lock)),
            Some(_) => Self::Not,
            None => Self::Unknown,
        }
    }
}

/// The build that an ended execution left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftBuild {
    /// It has ended, it does not exist, or its state is unknown.
    Nothing,
    /// It ends in a moment.
    Stopping,
    /// It runs and can't be stopped.
    Running,
}

impl LeftBuild {
    /// The pause before the build is read again, and until when the lock has to be kept from claimants. `lock` is the
    /// execution's, if it could be read; `ended_at` is the end of the execution.
    #[must_use]
    pub fn next(
        self,
        lock: Option<&Lock>,
        ended_at: Timestamp,
    ) -> (Option<SignedDuration>, Option<Timestamp>) {
        let kept_until = ended_at + KEPT_FOR;
        let is_kept = lock.is_some_and(|lock| lock.kept_until >= Some(kept_until));
        match self {
            Self::Nothing => (None, None),
            Self::Stopping if is_kept => (Some(UNSTOPPABLE), None),
            Self::Stopping => (Some(STOPPING), None),
            Self::Running => {
                let keep = lock.is_some() && !is_kept;
                (Some(UNSTOPPABLE), keep.then_some(kept_until))
            }
        }
    }
}

/// The result of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The execution has ended, or Step Functions has deleted it.
    Ended,
    /// Not confirmed yet: read again after this pause.
    NotYet(SignedDuration),
    /// Not confirmed: do nothing in its name.
    Unconfirmed,
}

/// Whether an execution's end is confirmed. The inputs are Step Functions' answer; the lock that the execution may hold
/// or wait for, `None` if it is not known; and the time of the first look, `None` if there is no further look.
#[must_use]
pub fn known(
    seen: Seen,
    execution: &ExecutionArn,
    lock: Option<Option<&Lock>>,
    first_look: Option<Timestamp>,
    now: Timestamp,
) -> Known {
    let ended = match (seen, lock) {
        (Seen::Ended(_), _) => true,
        (Seen::Running, _) | (Seen::Unknown, None) => false,
        (Seen::Unknown, Some(lock)) => lock
            .and_then(|lock| lock.names_since(execution))
            .is_none_or(|since| now.duration_since(since) >= VISIBLE_AFTER),
    };
    let in_time = first_look.is_some_and(|first| now.duration_since(first) < CONFIRM_WITHIN);
    match (ended, in_time) {
        (true, _) => Known::Ended,
        (false, true) => Known::NotYet(READ_AGAIN),
        (false, false) => Known::Unconfirmed,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_end_that_step_functions_does_not_show_yet_is_looked_at_again_for_five_minutes() {
        let me = ExecutionArn::new("e");
        let at = |seen, first: Option<i64>, now| known(seen, &me, None, first.map(second), second(now));
        assert_eq!(at(Seen::Ended(None), None, 0), Known::Ended);
        for seen in [Seen::Running, Seen::Unknown] {
            assert_eq!(at(seen, Some(100), 100), Known::NotYet(READ_AGAIN), "{seen:?}");
            assert_eq!(at(seen, Some(100), 399), Known::NotYet(READ_AGAIN), "{seen:?}");
            assert_eq!(at(seen, Some(100), 400), Known::Unconfirmed, "{seen:?}");
            assert_eq!(at(seen, None, 100), Known::Unconfirmed, "{seen:?}");
        }
    }

    #[test]
    fn one_that_step_functions_does_not_know_has_ended_if_its_lock_is_old() {
        let lock: Lock = serde_json::from_value(json!({
            "holder": {"execution": "holder", "started_at": "1970-01-01T00:00:00Z"},
            "acquired_at": "1970-01-01T01:00:00Z", "fence": 1, "run": "0123456789abcdef0123456789abcdef",
            "waiter": {"execution": "waiter", "started_at": "1970-01-01T02:00:00Z", "token": "t", "entered_at": "", "attempt": 0},
        }))
        .unwrap();
        let at = |execution: &str, now| {
            let execution = ExecutionArn::new(execution);
            known(Seen::Unknown, &execution, Some(Some(&lock)), None, second(now))
        };
        assert_eq!(at("holder", 3600 + 599), Known::Unconfirmed);
        assert_eq!(at("holder", 3600 + 600), Known::Ended);
        assert_eq!(at("waiter", 7200 + 599), Known::Unconfirmed);
        assert_eq!(at("waiter", 7200 + 600), Known::Ended);
        // The lock holds nothing of this execution that could be released.
        assert_eq!(at("other", 0), Known::Ended);
        assert_eq!(
            known(
                Seen::Unknown,
                &ExecutionArn::new("e"),
                Some(None),
                None,
                second(0)
            ),
            Known::Ended
        );
    }

    #[test]
    fn an_execution_holds_only_a_lock_that_names_it() {
        let lock: Lock = serde_json::from_value(json!({
            "holder": {"execution": "me", "started_at": "1970-01-01T00:00:00Z"},
            "acquired_at": "1970-01-01T01:00:00Z", "fence": 1, "run": "0123456789abcdef0123456789abcdef",
        }))
        .unwrap();
        let me = ExecutionArn::new("me");
        let mine = Holds::It(Box::new(lock.clone()));
        assert_eq!(Holds::after_stop(Some(LockOutcome::Acquired(lock.clone()))), mine);
        assert_eq!(
            Holds::after_stop(Some(LockOutcome::Held(lock.clone()))),
            Holds::Not
        );
        assert_eq!(Holds::after_stop(None), Holds::Not);
        assert_eq!(Holds::read(Some(Some(lock.clone())), &me), mine);
        assert_eq!(
            Holds::read(Some(Some(lock)), &ExecutionArn::new("other")),
            Holds::Not
        );
        assert_eq!(Holds::read(Some(None), &me), Holds::Not);
        assert_eq!(Holds::read(None, &me), Holds::Unknown);
    }

    fn ended(status: ExecutionStatus, error: Option<&str>, stopped_at: Option<i64>) -> Described {
        Described {
            status,
            input: Value::Null,
            output: Value::Null,
            started_at: None,
            stopped_at: stopped_at.map(second),
            error: error.map(str::to_owned),
            cause: None,
        }
    }

    #[test]
    fn only_an_execution_that_ended_without_success_leaves_more_than_its_lock() {
        use ExecutionStatus::{Aborted, Failed, Running, Succeeded, TimedOut};
        let of = |status| {
            let described = ended(status, None, Some(7));
            (described.is_unsuccessful(), described.is_cut_off())
        };
        let found = [Running, Succeeded, Failed, TimedOut, Aborted].map(of);
        let expected = [
            (false, false),
            (false, false),
            (true, false),
            (true, true),
            (true, true),
        ];
        assert_eq!(found, expected);
        assert_eq!(Described::seen(None), Seen::Unknown);
        let seen = |status| Described::seen(Some(&ended(status, None, Some(7))));
        assert_eq!(
            (seen(Running), seen(Succeeded)),
            (Seen::Running, Seen::Ended(Some(second(7))))
        );
        let output = json!({"build_id": "p:u"});
        let build = Described {
            output,
            ..ended(Succeeded, None, None)
        }
        .build_id();
        assert_eq!(build, BuildId::parse("p:u").ok());
    }

    #[test]
    fn the_lock_is_kept_while_anything_may_still_happen_in_its_name() {
        let longest = SignedDuration::from_secs(120);
        let wait = |stopping: bool, working, stopped_at, now| {
            let described = ended(ExecutionStatus::Aborted, None, stopped_at);
            let wait = described.keeps_lock(stopping.then_some(STOPPING), working, longest, second(now));
            wait.map(|wait| wait.as_secs())
        };
        let seconds = |stopping, working, now| wait(stopping, working, Some(1000), now);
        assert_eq!(seconds(false, false, 1000), None);
        assert_eq!(seconds(true, false, 1000), Some(3));
        assert_eq!(seconds(false, true, 1030), Some(90));
        assert_eq!(seconds(true, true, 1118), Some(3));
        assert_eq!(seconds(false, true, 1120), None);
        // A clock that is behind Step Functions' clock only makes the wait longer.
        assert_eq!(seconds(false, true, 990), Some(130));
        assert_eq!(wait(false, true, None, 5), Some(120));
    }

    #[test]
    fn a_build_that_can_not_be_stopped_keeps_the_lock_until_codebuild_ends_it() {
        let lock: Lock = serde_json::from_value(json!({
            "holder": {"execution": "e", "started_at": "1970-01-01T00:00:00Z"},
            "acquired_at": "1970-01-01T01:00:00Z", "fence": 1, "run": "0123456789abcdef0123456789abcdef",
        }))
        .unwrap();
        let until = second(0) + KEPT_FOR;
        let kept = Lock {
            kept_until: Some(until),
            ..lock.clone()
        };
        let next = |left: LeftBuild, lock| left.next(lock, second(0));
        for lock in [None, Some(&lock), Some(&kept)] {
            assert_eq!(next(LeftBuild::Nothing, lock), (None, None));
        }
        assert_eq!(next(LeftBuild::Stopping, Some(&lock)), (Some(STOPPING), None));
        assert_eq!(next(LeftBuild::Stopping, Some(&kept)), (Some(UNSTOPPABLE), None));
        assert_eq!(
            next(LeftBuild::Running, Some(&lock)),
            (Some(UNSTOPPABLE), Some(until))
        );
        // The lock is marked once, and only by its holder.
        assert_eq!(next(LeftBuild::Running, Some(&kept)), (Some(UNSTOPPABLE), None));
        assert_eq!(next(LeftBuild::Running, None), (Some(UNSTOPPABLE), None));
    }
}
