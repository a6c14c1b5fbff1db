//! Decides whether a module has to be deployed, and why.
//!
//! A module is unchanged if its combined hash equals that of the last success, its last status is SUCCEEDED or
//! UNCHANGED, and no update is forced (docs/architecture.md). Everything else is a change with its reasons.

use crate::error::excerpt;
use crate::module::fingerprint::Fingerprint;
use crate::module::status::{State, Status};

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeDecision {
    /// Whether the module has to be deployed.
    pub changed: bool,
    /// The reasons, for people; for an unchanged module, the time of its last success.
    pub reasons: Vec<String>,
    /// Whether to store the fingerprint of an unchanged module again, because it contains more than the stored one. It
    /// may name the upstream modules, which decide what may be destroyed. Or it has the times at which the referenced
    /// parameters were written, which identify a parameter that is created again. The values are the same, so nothing
    /// is deployed.
    pub renews: bool,
}

impl ChangeDecision {
    /// The decision for a module that is deployed for a request's reason.
    #[must_use]
    pub fn because(self, cause: RequestReason) -> Self {
        if !self.changed && !cause.forces {
            return self;
        }
        let changes = self.reasons.into_iter().filter(|_| self.changed);
        Self {
            changed: true,
            reasons: [cause.reason].into_iter().chain(changes).collect(),
            renews: false,
        }
    }
}

/// Why a request deploys a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestReason {
    /// The reason, for people.
    pub reason: String,
    /// Whether the module is deployed even if nothing changed.
    pub forces: bool,
}

/// Decides from the new fingerprint and the stored state.
#[must_use]
pub fn decide(
    now: &Fingerprint,
    stored: Option<&Fingerprint>,
    status: Option<&Status>,
    force: bool,
) -> ChangeDecision {
    let mut reasons = Vec::new();
    if force {
        reasons.push("forced".to_owned());
    }
    match (stored, status) {
        (None, None) => reasons.push("first deployment".to_owned()),
        // A status without a fingerprint: no success yet, or the md5 was removed or damaged.
        (None, Some(status)) => reasons.push(match status.state {
            State::Succeeded | State::Unchanged => "stored md5 missing or unreadable".to_owned(),
            State::Refused => "first deployment".to_owned(),
            state => format!("first deployment, after one that {}", state.did()),
        }),
        (Some(stored), status) => {
            reasons.extend(now.differences(stored));
            reasons.extend(state_reason(status));
            reasons.extend(stored.tainted_at.map(|at| format!("tainted at {at:.0}")));
        }
    }
    match (reasons.is_empty(), status) {
        (true, Some(status)) => unchanged(now, stored, status),
        _ => ChangeDecision {
            changed: true,
            reasons: short(&reasons),
            renews: false,
        },
    }
}

fn unchanged(now: &Fingerprint, stored: Option<&Fingerprint>, status: &Status) -> ChangeDecision {
    let before = stored
        .map(|stored| stored.consumes.as_slice())
        .unwrap_or_default();
    let mut reasons = vec![unchanged_since(status)];
    let added = now.consumes.iter().filter(|of| !before.contains(of));
    reasons.extend(added.map(|of| format!("the same value, now of {of}")));
    let gone = before.iter().filter(|of| !now.consumes.contains(of));
    reasons.extend(gone.map(|of| format!("no more of {of}")));
    if stored.is_some_and(|stored| stored.modified != now.modified) {
        reasons.push("the times of its parameters are stored".to_owned());
    }
    ChangeDecision {
        changed: false,
        renews: reasons.len() > 1,
        reasons: short(&reasons),
    }
}

/// Cuts the reasons to fit into a state's payload and into the status: an input may have thousands of parameters.
fn short(reasons: &[String]) -> Vec<String> {
    let mut short: Vec<String> = reasons
        .iter()
        .take(10)
        .map(|reason| excerpt(reason, 120))
        .collect();
    if reasons.len() > 10 {
        short.push(format!("and {} more", reasons.len() - 10));
    }
    short
}

fn state_reason(status: Option<&Status>) -> Option<String> {
    match status.map(|s| s.state) {
        Some(State::Succeeded | State::Unchanged) => None,
        Some(state) => Some(format!("last deployment {}", state.did())),
        None => Some("stored status missing or unreadable".to_owned()),
    }
}

fn unchanged_since(status: &Status) -> String {
    let since = status.deployed_at.unwrap_or(status.updated_at);
    format!("unchanged since the deployment of {since:.0}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{ExecutionArn, ModuleId};
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn print(hash: &str) -> Fingerprint {
        Fingerprint {
            hash: hash.into(),
            bundle: hash.into(),
            deployspec: "d".into(),
            configuration: "c".into(),
            parts: Default::default(),
            modified: Default::default(),
            consumes: Vec::new(),
            tainted_at: None,
        }
    }

    fn status(state: State) -> Status {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        Status {
            state,
            target: None,
            ..Status::start(
                None,
                &module,
                &ExecutionArn::new("e"),
                &[],
                Timestamp::from_second(1_700_000_000).unwrap(),
            )
        }
    }

    #[test]
    fn thousands_of_changed_parameters_are_ten_reasons_and_a_count() {
        let parts = |value: &str| {
            let name = |i| format!("parameter p{i:04}");
            (0..5000).map(|i| (name(i), value.to_owned())).collect()
        };
        let of = |hash: &str| Fingerprint {
            configuration: hash.into(),
            parts: parts(hash),
            ..print(hash)
        };
        let decision = decide(&of("2"), Some(&of("1")), Some(&status(State::Succeeded)), false);
        assert!(decision.changed);
        assert_eq!(decision.reasons.len(), 11, "{:?}", decision.reasons);
        let last = decision.reasons.last().map(String::as_str);
        assert_eq!(last, Some("and 4991 more"));
    }

    #[test]
    fn each_reason_is_named() {
        let good = status(State::Succeeded);
        let reasons = |stored: Option<&str>, last: Option<State>, force| {
            decide(
                &print("1"),
                stored.map(print).as_ref(),
                last.map(status).as_ref(),
                force,
            )
            .reasons
        };
        assert_eq!(reasons(None, None, false), ["first deployment"]);
        assert_eq!(
            reasons(Some("2"), Some(State::Succeeded), false),
            ["bundle changed"]
        );
        assert_eq!(
            reasons(Some("1"), Some(State::Failed), false),
            ["last deployment failed"]
        );
        assert_eq!(
            reasons(Some("1"), Some(State::InProgress), false),
            ["last deployment is in progress"]
        );
        assert_eq!(reasons(Some("1"), Some(State::Unchanged), true), ["forced"]);
        assert_eq!(
            reasons(Some("1"), None, false),
            ["stored status missing or unreadable"]
        );
        assert_eq!(
            reasons(None, Some(State::Succeeded), false),
            ["stored md5 missing or unreadable"]
        );
        assert_eq!(
            reasons(None, Some(State::Failed), false),
            ["first deployment, after one that failed"]
        );
        let unchanged = decide(&print("1"), Some(&print("1")), Some(&good), false);
        assert_eq!(
            unchanged,
            ChangeDecision {
                changed: false,
                reasons: vec!["unchanged since the deployment of 2023-11-14T22:13:20Z".into()],
                renews: false,
            }
        );
    }

    #[test]
    fn a_fingerprint_of_an_older_version_learns_when_parameters_were_written() {
        let good = status(State::Succeeded);
        let now = Fingerprint {
            modified: [("parameter".to_owned(), Timestamp::UNIX_EPOCH)].into(),
            ..print("1")
        };
        let renewed = decide(&now, Some(&print("1")), Some(&good), false);
        assert!(!renewed.changed && renewed.renews, "{renewed:?}");
        assert!(!decide(&now, Some(&now), Some(&good), false).renews);
    }

    #[test]
    fn the_same_values_of_other_modules_change_nothing_but_whose_they_are() {
        let good = status(State::Succeeded);
        let of = |modules: &[&str]| Fingerprint {
            consumes: modules.iter().map(|of| (*of).to_owned()).collect(),
            ..print("1")
        };
        let decided = |now: &[&str], before: &[&str]| {
            let decision = decide(&of(now), Some(&of(before)), Some(&good), false);
            assert!(!decision.changed, "{now:?} {before:?}");
            (decision.renews, decision.reasons[1..].to_vec())
        };
        assert_eq!(decided(&["g/a"], &["g/a"]), (false, vec![]));
        let (others, reasons) = decided(&["g/b"], &["g/a"]);
        assert_eq!(
            (others, reasons),
            (
                true,
                vec!["the same value, now of g/b".into(), "no more of g/a".into()]
            )
        );
        assert!(decided(&[], &["g/a"]).0 && decided(&["g/a"], &[]).0);
    }

    proptest! {
        #[test]
        fn unchanged_is_said_exactly_then(same in any::<bool>(), has_md5 in any::<bool>(), state in 0..6usize, force in any::<bool>()) {
            let states = [Some(State::Succeeded), Some(State::Unchanged), Some(State::Failed), Some(State::InProgress), Some(State::Unknown), None];
            let stored = has_md5.then(|| print(if same { "1" } else { "2" }));
            let decision = decide(&print("1"), stored.as_ref(), states[state].map(status).as_ref(), force);
            let expected = same && has_md5 && state < 2 && !force;
            prop_assert_eq!(decision.changed, !expected);
            prop_assert!(!decision.reasons.is_empty());
        }
    }
}
