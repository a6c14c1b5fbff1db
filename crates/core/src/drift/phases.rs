//! The interim state of a check by the `drift` phases of a module's deployspec, which run in a read-only build (decision
//! 67).
//!
//! One step chooses the build's folder, and the next one starts the build. So a step that runs again knows the folder and
//! asks CodeBuild for the same build.

use serde::{Deserialize, Serialize};

use super::state::DriftState;
use crate::console::LogUrl;
use crate::error::{Error, ErrorName, excerpt};
use crate::ids::{BuildFolder, BuildId};
use crate::module::codebuild::read_only::Ending;

/// How many builds of a batch run at once: CodeBuild's quota is for deployments, too.
pub const AT_ONCE: usize = 5;
/// How many lines of the output are kept, and how many bytes of all lines: ten modules share a payload.
pub const MAX_LINES: usize = 30;
const MAX_OUTPUT: usize = 6000;
/// The longest reason.
const MAX_REASON: usize = 400;
/// The name of their result among the resources that differ.
pub const NAME: &str = "drift phases";

/// The check of one module by its phases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum PhasesCheck {
    /// The build has not started yet.
    Pending {
        /// Its folder.
        run: BuildFolder,
        /// Why it could not start.
        why: Option<String>,
    },
    /// The build runs, or waits for a machine.
    Running {
        /// The build.
        build: BuildId,
    },
    /// It is known what the phases say, or that they say nothing.
    Done {
        /// What they say.
        found: PhasesDrift,
    },
}

/// What the phases say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhasesDrift {
    /// Whether the module has drifted.
    pub state: DriftState,
    /// Why that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the command that said so printed last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
    /// The log of the build in the console.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "LogUrl::lenient"
    )]
    pub log_url: Option<LogUrl>,
}

impl PhasesDrift {
    fn unknown(why: &str) -> Self {
        Self {
            state: DriftState::Unknown,
            reason: Some(excerpt(why, MAX_REASON)),
            output: Vec::new(),
            log_url: None,
        }
    }

    /// What the end of the build says. Output is kept where somebody has to look at it.
    #[must_use]
    pub fn of(ending: &Ending, output: Vec<String>, log_url: Option<LogUrl>) -> Self {
        let (state, reason, output) = match ending {
            Ending::Succeeded => (DriftState::InSync, None, Vec::new()),
            Ending::Differs => (DriftState::Drifted, None, bounded(output)),
            Ending::Failed { why } => (
                DriftState::Unknown,
                Some(excerpt(why, MAX_REASON)),
                bounded(output),
            ),
        };
        Self {
            state,
            reason,
            output,
            log_url,
        }
    }
}

/// The last lines, as many as there is room for.
fn bounded(lines: Vec<String>) -> Vec<String> {
    let mut room = MAX_OUTPUT;
    let mut kept: Vec<String> = lines
        .into_iter()
        .rev()
        .take(MAX_LINES)
        .take_while(|line| {
            let fits = line.len() < room;
            room = room.saturating_sub(line.len() + 1);
            fits
        })
        .collect();
    kept.reverse();
    kept
}

impl PhasesCheck {
    /// The check of a module whose build has this folder.
    #[must_use]
    pub const fn new(run: BuildFolder) -> Self {
        Self::Pending { run, why: None }
    }

    /// The check after its build was started; without one the deployspec has no such phases.
    #[must_use]
    pub fn started(build: Option<BuildId>) -> Self {
        build.map_or_else(
            || Self::unknown("the deployspec has no drift phases"),
            |build| Self::Running { build },
        )
    }

    fn unknown(why: &str) -> Self {
        Self::Done {
            found: PhasesDrift::unknown(why),
        }
    }

    /// The check after a call failed: one that passes is made again. A build that was started a moment ago may not be visible yet.
    #[must_use]
    pub fn failed(self, error: &Error) -> Self {
        match (
            error.name.passes() || error.name == ErrorName::BuildNotFound,
            self,
        ) {
            (true, Self::Pending { run, .. }) => Self::Pending {
                run,
                why: Some(excerpt(&error.message, MAX_REASON)),
            },
            (true, other) => other,
            (false, _) => Self::unknown(&error.message),
        }
    }

    /// Ends a check that still waits, because the time for it is over. CodeBuild ends the build.
    pub fn give_up(&mut self) {
        match self {
            Self::Pending { why: Some(why), .. } => *self = Self::unknown(why),
            Self::Pending { why: None, .. } => *self = Self::unknown("they had not begun after 30 minutes"),
            Self::Running { .. } => *self = Self::unknown("they had not ended after 30 minutes"),
            Self::Done { .. } => {}
        }
    }

    /// What the phases say, once that is known.
    #[must_use]
    pub const fn found(&self) -> Option<&PhasesDrift> {
        match self {
            Self::Done { found } => Some(found),
            Self::Pending { .. } | Self::Running { .. } => None,
        }
    }

    /// Whether its build runs.
    #[must_use]
    pub const fn runs(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pending() -> PhasesCheck {
        PhasesCheck::new(BuildFolder::from_random([1; 16]))
    }

    fn running() -> PhasesCheck {
        PhasesCheck::started(Some(BuildId::parse("seedflow-read-only:0").unwrap()))
    }

    fn reason(check: &PhasesCheck) -> &str {
        check.found().unwrap().reason.as_deref().unwrap()
    }

    #[test]
    fn each_ending_is_a_state_and_only_what_needs_a_look_has_output() {
        let of = |ending: &Ending| PhasesDrift::of(ending, vec!["~ size".to_owned()], None);
        let good = of(&Ending::Succeeded);
        assert_eq!((good.state, good.output.len()), (DriftState::InSync, 0));
        let differs = of(&Ending::Differs);
        assert_eq!((differs.state, differs.reason), (DriftState::Drifted, None));
        assert_eq!(differs.output, ["~ size"]);
        let failed = of(&Ending::Failed {
            why: "exit 1".to_owned(),
        });
        assert_eq!(
            (failed.state, failed.reason.as_deref()),
            (DriftState::Unknown, Some("exit 1"))
        );
        assert_eq!(failed.output, ["~ size"]);
    }

    #[test]
    fn the_end_of_an_output_is_kept_in_a_bounded_size() {
        let lines: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        assert_eq!(
            bounded(lines),
            (70..100).map(|n| n.to_string()).collect::<Vec<_>>()
        );
        let long = bounded(vec!["ü".repeat(300); 40]);
        assert!(long.iter().map(String::len).sum::<usize>() <= MAX_OUTPUT && long.len() > 5);
    }

    #[test]
    fn a_call_that_passes_is_made_again_and_another_is_the_reason() {
        let slow = Error::new(ErrorName::AccountLimitExceeded, "queue full");
        assert_eq!(running().failed(&slow), running());
        let unseen = Error::new(ErrorName::BuildNotFound, "not visible yet");
        assert_eq!(running().failed(&unseen), running());
        let mut waits = pending().failed(&slow);
        assert!(matches!(&waits, PhasesCheck::Pending { why: Some(why), .. } if why == "queue full"));
        waits.give_up();
        assert_eq!(reason(&waits), "queue full");
        let refused = running().failed(&Error::new(ErrorName::AccessDenied, "no right"));
        assert_eq!(reason(&refused), "no right");
    }

    #[test]
    fn a_build_that_never_ends_or_begins_is_given_up() {
        for (mut check, word) in [(pending(), "begun"), (running(), "ended")] {
            check.give_up();
            assert!(reason(&check).contains(word), "{check:?}");
        }
        let mut done = PhasesCheck::Done {
            found: PhasesDrift::of(&Ending::Succeeded, Vec::new(), None),
        };
        let before = done.clone();
        done.give_up();
        assert_eq!(done, before);
    }

    #[test]
    fn a_check_travels_as_it_is() {
        for check in [pending(), running(), PhasesCheck::started(None)] {
            let text = serde_json::to_string(&check).unwrap();
            assert_eq!(serde_json::from_str::<PhasesCheck>(&text).unwrap(), check);
        }
    }
}
