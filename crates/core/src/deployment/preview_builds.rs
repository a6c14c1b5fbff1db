//! The builds of previews, a step at a time: what is stored beside the plan between two steps.
//!
//! A step starts builds up to a maximum, looks at the running builds, and stores the results of builds that ended. A step
//! that runs again finds the stored state as it was, and a build that was started and not noted is found by its
//! idempotency token. A problem with one module is that module's result. The time for all previews is bounded, and a
//! build that nobody waits for ends by itself.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::previews::{MAX_OUTPUT, Preview, PreviewState, end_of};
use crate::ids::{BuildFolder, BuildId, ModuleId};
use crate::module::codebuild::read_only::{DIFFERS, Ending};
use crate::module::metadata_reference::ModuleRef;
use crate::module::plan::Plan;

/// How many builds run at once.
pub const AT_ONCE: usize = 10;
/// How long all previews of a plan may take. What has not ended then is not waited for.
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);

/// The previews of a plan, as far as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Previews {
    /// When the first step began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// The modules, in the order of the plan.
    pub modules: Vec<ModulePreview>,
}

/// The preview of a module, as far as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModulePreview {
    /// The module.
    #[serde(flatten)]
    pub module: ModuleRef,
    /// How far it is.
    pub progress: Progress,
}

/// How far the preview of a module is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Progress {
    /// It has not started.
    Pending {
        /// What would be deployed.
        plan: Box<Plan>,
        /// The folder of its build.
        run: BuildFolder,
    },
    /// It runs.
    Running {
        /// The build.
        build: BuildId,
    },
    /// It has ended, or nothing ran.
    Ended {
        /// How.
        state: PreviewState,
        /// Why it failed, or why nothing ran.
        reason: Option<String>,
        /// The end of what its commands printed.
        output: String,
    },
}

impl Progress {
    /// Nothing runs, for this reason.
    #[must_use]
    pub fn not_run(reason: impl Into<String>) -> Self {
        Self::Ended {
            state: PreviewState::NotRun,
            reason: Some(reason.into()),
            output: String::new(),
        }
    }

    /// It could not be started, or not be looked at.
    #[must_use]
    pub fn failed(reason: impl Into<String>, output: &str) -> Self {
        Self::Ended {
            state: PreviewState::Failed,
            reason: Some(reason.into()),
            output: end_of(output, MAX_OUTPUT),
        }
    }

    /// How a build ended, with what it printed. Tools such as `terraform plan -detailed-exitcode` end with 2 if something
    /// changes, which is not a failure.
    #[must_use]
    pub fn of(ending: &Ending, output: &str) -> Self {
        let reason = match ending {
            Ending::Succeeded => None,
            Ending::Differs => Some(format!("exit status {DIFFERS}: something changes")),
            Ending::Failed { why } => return Self::failed(why, output),
        };
        Self::Ended {
            state: PreviewState::Succeeded,
            reason,
            output: end_of(output, MAX_OUTPUT),
        }
    }
}

impl Previews {
    /// Whether a build is still to be started.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.pending().next().is_some()
    }

    fn pending(&self) -> impl Iterator<Item = &ModulePreview> {
        let is_pending = |module: &&ModulePreview| matches!(module.progress, Progress::Pending { .. });
        self.modules.iter().filter(is_pending)
    }

    /// The modules that have something to run.
    #[must_use]
    pub fn to_run(&self) -> BTreeSet<ModuleId> {
        let pending = self.pending();
        let plans = pending.filter_map(|module| match &module.progress {
            Progress::Pending { plan, .. } => Some(plan.module.clone()),
            _ => None,
        });
        plans.collect()
    }

    /// The modules whose builds are to be started now.
    pub fn to_start(&mut self) -> impl Iterator<Item = &mut ModulePreview> {
        let running = self.running().count();
        let is_pending = |module: &&mut ModulePreview| matches!(module.progress, Progress::Pending { .. });
        let free = AT_ONCE.saturating_sub(running);
        self.modules.iter_mut().filter(is_pending).take(free)
    }

    /// The modules whose builds run.
    pub fn running(&self) -> impl Iterator<Item = (&ModuleRef, &BuildId)> {
        self.modules.iter().filter_map(|module| match &module.progress {
            Progress::Running { build } => Some((&module.module, build)),
            _ => None,
        })
    }

    /// Notes how far the preview of a module is.
    pub fn set(&mut self, of: &ModuleRef, progress: Progress) {
        if let Some(found) = self.modules.iter_mut().find(|module| module.module == *of) {
            found.progress = progress;
        }
    }

    /// Ends what has not ended in time.
    pub fn give_up(&mut self, now: Timestamp) {
        let began_at = *self.began_at.get_or_insert(now);
        if now.duration_since(began_at) < PATIENCE {
            return;
        }
        for module in &mut self.modules {
            let minutes = PATIENCE.as_mins();
            module.progress = match &module.progress {
                Progress::Pending { .. } => {
                    Progress::not_run(format!("it had not started after {minutes} minutes"))
                }
                Progress::Running { build } => {
                    let id = build.as_str();
                    Progress::failed(
                        format!("the build {id} had not ended after {minutes} minutes"),
                        "",
                    )
                }
                Progress::Ended { .. } => continue,
            };
        }
    }

    /// How many seconds to wait before the next step; `None` if all have ended.
    #[must_use]
    pub fn wait_seconds(&self, now: Timestamp) -> Option<u32> {
        let is_open = |module: &ModulePreview| !matches!(module.progress, Progress::Ended { .. });
        if !self.modules.iter().any(is_open) {
            return None;
        }
        let began_at = self.began_at.unwrap_or(now);
        Some(match now.duration_since(began_at).as_secs() {
            ..=20 => 3,
            21..=120 => 10,
            _ => 30,
        })
    }

    /// What is shown of them. What has not ended is shown as not run.
    #[must_use]
    pub fn results(&self) -> Vec<Preview> {
        let results = self.modules.iter().map(|module| match &module.progress {
            Progress::Ended {
                state,
                reason,
                output,
            } => Preview {
                module: module.module.clone(),
                state: *state,
                reason: reason.clone(),
                output: output.clone(),
            },
            Progress::Pending { .. } | Progress::Running { .. } => {
                Preview::not_run(module.module.clone(), "its result was not waited for")
            }
        });
        results.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::module::codebuild::request::tests::plan;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn module(number: usize) -> ModuleRef {
        serde_json::from_value(json!({"group": "g", "module": format!("m{number}")})).unwrap()
    }

    fn pending(count: usize) -> Previews {
        let modules = (0..count).map(|number| ModulePreview {
            module: module(number),
            progress: Progress::Pending {
                plan: Box::new(plan(json!({}), true)),
                run: BuildFolder::from_random([7; 16]),
            },
        });
        Previews {
            began_at: None,
            modules: modules.collect(),
        }
    }

    fn running() -> Progress {
        Progress::Running {
            build: BuildId::parse("seedflow:1").unwrap(),
        }
    }

    #[test]
    fn some_builds_run_at_once_and_the_next_start_as_others_end() {
        let mut previews = pending(AT_ONCE + 2);
        assert!(previews.has_pending());
        for module in previews.to_start() {
            module.progress = running();
        }
        assert_eq!(
            (previews.running().count(), previews.to_start().count()),
            (AT_ONCE, 0)
        );
        previews.set(&module(3), Progress::of(&Ending::Succeeded, "done"));
        let next: Vec<ModuleRef> = previews.to_start().map(|next| next.module.clone()).collect();
        assert_eq!(next, [module(AT_ONCE)]);
    }

    #[test]
    fn all_of_it_is_bounded_in_time() {
        let mut previews = pending(3);
        previews.give_up(at(100));
        assert_eq!(previews.began_at, Some(at(100)));
        previews.set(&module(0), running());
        previews.set(&module(1), Progress::of(&Ending::Succeeded, "done"));
        previews.give_up(at(100 + 30 * 60 - 1));
        assert_eq!(previews.wait_seconds(at(101)), Some(3));
        assert_eq!(previews.wait_seconds(at(100 + 30 * 60 - 1)), Some(30));
        previews.give_up(at(100 + 30 * 60));
        assert_eq!(previews.wait_seconds(at(100 + 30 * 60)), None);
        let lines: Vec<String> = previews.results().iter().map(Preview::line).collect();
        assert_eq!(
            lines,
            [
                "preview failed: the build seedflow:1 had not ended after 30 minutes",
                "preview succeeded",
                "preview not run: it had not started after 30 minutes",
            ]
        );
    }

    #[test]
    fn a_build_that_says_that_something_changes_is_no_failure() {
        let mut previews = pending(3);
        previews.set(&module(0), Progress::of(&Ending::Differs, "+ a"));
        let failed = Ending::Failed {
            why: "exit status 1".to_owned(),
        };
        previews.set(&module(1), Progress::of(&failed, "the state is missing"));
        let results = previews.results();
        let states: Vec<PreviewState> = results.iter().map(|result| result.state).collect();
        use PreviewState::{Failed, NotRun, Succeeded};
        assert_eq!(states, [Succeeded, Failed, NotRun]);
        assert_eq!(
            results[0].line(),
            "preview succeeded: exit status 2: something changes"
        );
        assert_eq!(
            (results[1].output.as_str(), results[0].output.as_str()),
            ("the state is missing", "+ a")
        );
        let text = serde_json::to_string(&previews).unwrap();
        assert_eq!(serde_json::from_str::<Previews>(&text).unwrap(), previews);
    }
}
