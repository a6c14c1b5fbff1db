//! Whether an execution has ended, for anyone who cleans up after it.
//!
//! An event says so, or somebody who found its lock; neither is believed. The event may be forged by anyone who may change a
//! rule of EventBridge, and what Step Functions answers is eventually consistent: an execution that has ended may be
//! described as running for a moment, and one that was started a moment ago as unknown (API reference, DescribeExecution). So
//! a description that doesn't confirm the end is read again for a while, and then nothing is done.

use jiff::{SignedDuration, Timestamp};

use crate::ids::ExecutionArn;
use crate::workflow::lock::{Lock, Seen, VISIBLE_AFTER};

/// How long an end may take to become visible.
pub const CONFIRM_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// How long to wait before reading again.
pub const READ_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// What is known of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The execution has ended, or was forgotten.
    Ended,
    /// Not confirmed yet: to be read again after so long.
    NotYet(SignedDuration),
    /// Not confirmed: nothing is to be done in its name.
    Unconfirmed,
}

/// What is known of an execution's end: by what Step Functions answers; by the lock that it may hold or wait for, `None` where
/// nobody knows which that is; and by when the first look at it was, `None` where nobody will look again.
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
        // The lock has nothing of its that could be taken.
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
}
