//! The times of an execution's steps, and their durations.
//!
//! A timeline is assembled when an execution's end is recorded, from facts that are available there. The lock has the
//! start of the execution and the time its lock was granted, the status has the start of the deployment, and CodeBuild
//! has the build's times. These are the clocks of three services, and CodeBuild's events have whole seconds, so a
//! negative duration counts as unknown.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::module::status::Status;
use crate::workflow::build_outcome::BuildOutcome;
use crate::workflow::lock::Lease;

/// The times of one execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The execution was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_started_at: Option<Timestamp>,
    /// The lock was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_acquired_at: Option<Timestamp>,
    /// A deployment was decided on; `None` if there was nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// The build was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_started_at: Option<Timestamp>,
    /// The build had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_ended_at: Option<Timestamp>,
    /// The end was recorded.
    pub recorded_at: Timestamp,
}

impl Timeline {
    /// The times of the execution that wrote `status`, if known.
    #[must_use]
    pub fn new<S>(lock: &Lease<S>, status: &Status, build: Option<&BuildOutcome>) -> Self {
        Self {
            execution_started_at: lock.started_at,
            lock_acquired_at: lock.acquired_at,
            build_started_at: build.and_then(|build| build.started_at),
            build_ended_at: build.and_then(|build| build.ended_at),
            started_at: status.started_at,
            recorded_at: status.updated_at,
        }
    }

    /// The time until the lock was granted.
    #[must_use]
    pub fn waiting(&self) -> Option<SignedDuration> {
        between(self.execution_started_at?, self.lock_acquired_at?)
    }

    /// The duration of the build, with CodeBuild's own preparations.
    #[must_use]
    pub fn build(&self) -> Option<SignedDuration> {
        between(self.build_started_at?, self.build_ended_at?)
    }

    /// The time from the execution's start to its record.
    #[must_use]
    pub fn total(&self) -> Option<SignedDuration> {
        between(self.execution_started_at?, self.recorded_at)
    }

    /// The time besides build and waiting.
    #[must_use]
    pub fn overhead(&self) -> Option<SignedDuration> {
        let rest = self.total()? - self.waiting()? - self.build().unwrap_or_default();
        (!rest.is_negative()).then_some(rest)
    }
}

fn between(from: Timestamp, to: Timestamp) -> Option<SignedDuration> {
    let took = to.duration_since(from);
    (!took.is_negative()).then_some(took)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn timeline(times: [i64; 6]) -> Timeline {
        let at = |second| (second >= 0).then(|| Timestamp::from_second(second).unwrap());
        let [started, acquired, began, build, built, recorded] = times.map(at);
        Timeline {
            execution_started_at: started,
            lock_acquired_at: acquired,
            started_at: began,
            build_started_at: build,
            build_ended_at: built,
            recorded_at: recorded.unwrap(),
        }
    }

    #[test]
    fn what_is_neither_waiting_nor_build_is_overhead() {
        let seconds = |took: Option<SignedDuration>| took.map(|took| took.as_secs());
        let built = timeline([100, 110, 111, 112, 172, 174]);
        let times = [built.waiting(), built.build(), built.overhead(), built.total()];
        assert_eq!(times.map(seconds), [Some(10), Some(60), Some(4), Some(74)]);
        let skipped = timeline([100, 100, -1, -1, -1, 101]);
        assert_eq!(
            [skipped.build(), skipped.overhead()].map(seconds),
            [None, Some(1)]
        );
    }

    #[test]
    fn clocks_that_disagree_give_no_duration() {
        let odd = timeline([100, 99, 100, 112, 111, 200]);
        assert_eq!((odd.waiting(), odd.build(), odd.overhead()), (None, None, None));
        assert_eq!(odd.total().unwrap().as_secs(), 100);
        // Whole seconds of the build, milliseconds of the rest.
        let rounded = timeline([100, 100, 100, 100, 103, 102]);
        assert_eq!(rounded.overhead(), None);
    }
}
