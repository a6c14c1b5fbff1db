//! Which stored states are still current (decision 53).
//!
//! A status describes its own last execution, and later executions don't correct it. For example, a module that failed in
//! a deployment was rolled back by an execution of its own. Or a request for a module was refused, and the whole
//! deployment has succeeded since. So all code that shows statuses asks here.

use jiff::Timestamp;

use crate::module::state::State;

/// What is shown of a failed deployment whose failed modules have all succeeded since.
pub const RECOVERED: &str = "RECOVERED";

/// The last execution of a deployment.
#[derive(Debug, Clone, Copy)]
pub struct Whole<'a> {
    /// Its state.
    pub state: &'a str,
    /// When it began, or the earliest time that is known of it.
    pub began: Timestamp,
    /// All modules that failed in it, `group/module`; empty if not all are known.
    pub failed: &'a [String],
}

impl Whole<'_> {
    /// Whether the deployment has failed, and each module that failed in it has succeeded by itself since. `module` returns
    /// the last state of a module and when it was reached, if it is known.
    #[must_use]
    pub fn has_recovered<'m>(&self, module: impl Fn(&str) -> Option<(&'m str, Timestamp)>) -> bool {
        let is_good_now =
            |name: &String| module(name).is_some_and(|(state, at)| is_good(state) && at > self.began);
        self.state == State::Failed.as_str() && !self.failed.is_empty() && self.failed.iter().all(is_good_now)
    }

    /// Whether a refusal of one of its modules is outdated: the whole deployment was accepted and has succeeded
    /// since.
    #[must_use]
    pub fn outdates(&self, refused_at: Timestamp) -> bool {
        is_good(self.state) && self.began > refused_at
    }
}

fn is_good(state: &str) -> bool {
    [State::Succeeded, State::Unchanged, State::Destroyed]
        .iter()
        .any(|good| good.as_str() == state)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn whole<'a>(state: &'a str, failed: &'a [String]) -> Whole<'a> {
        Whole {
            state,
            began: at(100),
            failed,
        }
    }

    #[test]
    fn a_deployment_recovers_with_the_last_of_its_failed_modules() {
        let failed = ["g/a".to_owned(), "g/b".to_owned()];
        let recovered = |state, a, b| {
            whole(state, &failed).has_recovered(|name| match name {
                "g/a" => a,
                _ => b,
            })
        };
        let good = Some(("SUCCEEDED", at(101)));
        assert!(recovered("FAILED", good, good));
        assert!(recovered("FAILED", good, Some(("UNCHANGED", at(101)))));
        assert!(recovered("FAILED", good, Some(("DESTROYED", at(101)))));
        assert!(!recovered("FAILED", good, None));
        assert!(!recovered("FAILED", good, Some(("FAILED", at(101)))));
        assert!(!recovered("FAILED", good, Some(("IN_PROGRESS", at(101)))));
        // Its failure isn't known yet: this success is of an earlier deployment.
        assert!(!recovered("FAILED", good, Some(("SUCCEEDED", at(99)))));
        assert!(!recovered("ABORTED", good, good));
        assert!(!recovered("IN_PROGRESS", good, good));
    }

    #[test]
    fn a_deployment_that_failed_for_another_reason_does_not_recover_by_its_modules() {
        assert!(!whole("FAILED", &[]).has_recovered(|_| Some(("SUCCEEDED", at(101)))));
    }

    #[test]
    fn a_refusal_is_current_until_the_deployment_succeeds() {
        for (state, refused, outdated) in [
            ("SUCCEEDED", 99, true),
            ("UNCHANGED", 99, true),
            ("SUCCEEDED", 100, false),
            ("SUCCEEDED", 101, false),
            ("FAILED", 99, false),
            ("IN_PROGRESS", 99, false),
        ] {
            assert_eq!(
                whole(state, &[]).outdates(at(refused)),
                outdated,
                "{state} {refused}"
            );
        }
    }
}
