//! Confirms that an execution has ended before its clean-up.
//!
//! The clean-up starts from an event or from a claimant that found the execution's lock; neither is trusted (decision
//! 33). Anyone who may change an EventBridge rule can forge the event. Step Functions' answers are eventually
//! consistent: for a moment an ended execution may be described as running, and a new one as unknown (API reference,
//! DescribeExecution). If a description does not confirm the end, it is read again for some time; after that nothing is
//! done.

use jiff::{SignedDuration, Timestamp};

use crate::ids::ExecutionArn;
use crate::workflow::lock::{Lock, Seen, VISIBLE_AFTER};

/// The longest time until an end is visible.
pub const CONFIRM_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// The pause before the next read.
pub const READ_AGAIN: SignedDuration = SignedDuration::from_secs(5);

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
}
