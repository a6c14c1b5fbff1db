//! The interim state of a module's check, which the state machine passes from step to step.
//!
//! A module's stacks are the stack whose outputs are recorded, the stack of its own role, and the stacks nested in both
//! (decision 65). Its deployspec may have phases that look for drift (decision 67). Each stack is looked at until
//! CloudFormation has compared it, and the build of the phases until it has ended. A step may run again: it then waits
//! for the detection that runs already.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::phases::PhasesCheck;
use crate::error::Error;
use crate::ids::{BuildFolder, ExecutionArn, ModuleId};
use crate::module::codebuild::read_only::Section;
use crate::module::deployed_record::DeployedModule;
use crate::target::Target;

/// How many stacks of a module are checked: the rest is reported as not checked.
const MAX_STACKS: usize = 20;
/// How long CloudFormation may take for a batch of modules; "up to several minutes" for a stack (CloudFormation API
/// reference, DetectStackDrift).
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);

/// The check of one module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleCheck {
    /// The module.
    pub module: ModuleId,
    /// What is checked; `None` before the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
}

/// What is checked of a module, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The execution whose deployment is checked.
    pub deployed_by: ExecutionArn,
    /// Where the module is; at home if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Its stacks.
    pub stacks: Vec<StackCheck>,
    /// Whether it has more than are checked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub too_many: bool,
    /// The check by its drift phases; `None` if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<PhasesCheck>,
}

/// The check of one stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackCheck {
    /// Its name, or the ARN of a nested stack.
    pub stack: String,
    /// How far it is.
    pub progress: Progress,
}

/// How far the check of a stack is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Progress {
    /// CloudFormation has not started yet: nobody asked, or it could not.
    Pending {
        /// Why it could not.
        why: Option<String>,
    },
    /// CloudFormation compares.
    Running {
        /// The id of the detection.
        detection: String,
    },
    /// CloudFormation has compared all that it can.
    Compared {
        /// CloudFormation's word for the stack, such as `IN_SYNC`.
        state: String,
        /// Why some resources could not be compared.
        why: Option<String>,
    },
    /// The stack does not exist.
    Missing,
    /// It can't be checked.
    Unchecked {
        /// Why.
        why: String,
    },
}

/// What CloudFormation says when it is asked to detect drift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// A detection with this id.
    Detection(String),
    /// The stack does not exist.
    Missing,
    /// Not now: the stack is being changed, or another detection of it runs.
    Busy(String),
}

/// What CloudFormation says of a detection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detection {
    /// It runs.
    Running,
    /// It has ended.
    Ended {
        /// The state of the stack.
        state: String,
        /// Why it failed for some resources, if it did.
        why: Option<String>,
    },
}

impl Begun {
    /// The check of a module as it is deployed now; `run` is a new folder for a build.
    #[must_use]
    pub fn of(deployed: &DeployedModule, run: BuildFolder) -> Self {
        let phases = Section::Drift.phases(&deployed.deployspec);
        let own = [deployed.options.stack_name.as_str()].into_iter();
        let role = deployed.module_stack.as_ref();
        let mut begun = Self {
            deployed_by: deployed.execution.clone(),
            target: deployed.options.target.clone(),
            stacks: Vec::new(),
            too_many: false,
            phases: phases.map(|_| PhasesCheck::new(run)),
        };
        begun.add(own.chain(role.map(|stack| stack.names.stack.as_str())));
        begun
    }

    /// Adds stacks that are not known yet.
    pub fn add<'a>(&mut self, stacks: impl IntoIterator<Item = &'a str>) {
        for stack in stacks {
            if self.stacks.iter().any(|known| known.stack == stack) {
                continue;
            }
            if self.stacks.len() == MAX_STACKS {
                self.too_many = true;
                return;
            }
            self.stacks.push(StackCheck {
                stack: stack.to_owned(),
                progress: Progress::Pending { why: None },
            });
        }
    }

    /// Whether the module was deployed again since, so that what was found is out of date.
    #[must_use]
    pub fn is_of(&self, deployed: Option<&DeployedModule>) -> bool {
        deployed.is_some_and(|deployed| deployed.execution == self.deployed_by)
    }

    /// Whether there is nothing to wait for.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let phases = self.phases.as_ref();
        self.stacks.iter().all(|stack| stack.progress.is_settled())
            && phases.is_none_or(|phases| phases.found().is_some())
    }

    /// The stacks that say something about the module. One with drift phases need not have a stack of its own, which is the
    /// first; the other ones were there.
    pub fn reported(&self) -> &[StackCheck] {
        match self.stacks.as_slice() {
            [own, others @ ..] if self.phases.is_some() && own.progress == Progress::Missing => others,
            all => all,
        }
    }

    /// Whether its drift phases wait for their build.
    #[must_use]
    pub fn needs_a_build(&self) -> bool {
        matches!(self.phases, Some(PhasesCheck::Pending { .. }))
    }

    /// Whether its drift phases run.
    #[must_use]
    pub fn runs_a_build(&self) -> bool {
        self.phases.as_ref().is_some_and(PhasesCheck::runs)
    }

    /// Ends the checks of all stacks, because they can't be reached.
    pub fn refuse_stacks(&mut self, error: &Error) {
        for check in &mut self.stacks {
            check.progress = Progress::Unchecked {
                why: error.message.clone(),
            };
        }
    }

    /// Ends the checks that still wait, because the time for them is over.
    pub fn give_up(&mut self, began_at: Timestamp, now: Timestamp) {
        if now.duration_since(began_at) < PATIENCE {
            return;
        }
        self.phases.iter_mut().for_each(PhasesCheck::give_up);
        for stack in self.stacks.iter_mut() {
            let why = match &stack.progress {
                Progress::Pending { why: Some(why) } => why.clone(),
                Progress::Pending { why: None } | Progress::Running { .. } => {
                    "CloudFormation had not compared it after 30 minutes".to_owned()
                }
                Progress::Compared { .. } | Progress::Missing | Progress::Unchecked { .. } => continue,
            };
            stack.progress = Progress::Unchecked { why };
        }
    }
}

impl Progress {
    const fn is_settled(&self) -> bool {
        matches!(
            self,
            Self::Compared { .. } | Self::Missing | Self::Unchecked { .. }
        )
    }

    /// The progress after CloudFormation was asked to start.
    #[must_use]
    pub fn started(answer: Started) -> Self {
        match answer {
            Started::Detection(detection) => Self::Running { detection },
            Started::Busy(why) => Self::Pending { why: Some(why) },
            Started::Missing => Self::Missing,
        }
    }

    /// The progress after CloudFormation was asked how far it is.
    #[must_use]
    pub fn looked(self, answer: Detection) -> Self {
        match answer {
            Detection::Running => self,
            Detection::Ended { state, why } => Self::Compared { state, why },
        }
    }

    /// The progress after a call failed: one that passes is made again.
    #[must_use]
    pub fn failed(self, error: &Error) -> Self {
        match error.name.passes() {
            true => self,
            false => Self::Unchecked {
                why: error.message.clone(),
            },
        }
    }
}

/// How many seconds to wait before the next look: the first stacks are compared in seconds, large ones in minutes. Half an
/// hour of looks are some 35.
#[must_use]
pub fn pause(began_at: Timestamp, now: Timestamp) -> u32 {
    match now.duration_since(began_at).as_secs() {
        ..=20 => 5,
        21..=120 => 20,
        _ => 60,
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::ErrorName;
    use crate::module::codebuild::request::tests::plan;
    use crate::module::deployspec::Phases;
    use crate::module::role::{ModuleStack, RoleAndStackName};
    use serde_json::json;

    pub(in crate::drift) fn folder() -> BuildFolder {
        BuildFolder::from_random([1; 16])
    }

    pub(in crate::drift) fn deployed(execution: &str) -> DeployedModule {
        let plan = plan(json!({"stack_name": "my-project-net"}), true);
        let mut deployed =
            DeployedModule::new(&plan, &ExecutionArn::new(execution), None, Timestamp::UNIX_EPOCH);
        deployed.module_stack = Some(ModuleStack {
            names: RoleAndStackName {
                role: "r".to_owned(),
                stack: "seedflow-module-vpc".to_owned(),
            },
            template: String::new(),
            parameters: Vec::new(),
        });
        deployed
    }

    #[test]
    fn the_stacks_of_a_module_are_its_own_that_of_its_role_and_the_nested_ones() {
        let mut begun = Begun::of(&deployed("e1"), folder());
        let nested = "arn:aws:cloudformation:r:1:stack/my-project-net-Data-1/0";
        begun.add([nested, nested]);
        let names: Vec<&str> = begun.stacks.iter().map(|stack| stack.stack.as_str()).collect();
        assert_eq!(names, ["my-project-net", "seedflow-module-vpc", nested]);
        let many: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
        begun.add(many.iter().map(String::as_str));
        assert_eq!((begun.stacks.len(), begun.too_many), (MAX_STACKS, true));
    }

    #[test]
    fn a_module_with_drift_phases_need_not_have_a_stack() {
        let mut module = deployed("e1");
        let reported = |module: &DeployedModule| {
            let mut begun = Begun::of(module, folder());
            for check in &mut begun.stacks {
                check.progress = Progress::started(Started::Missing);
            }
            let stacks: Vec<String> = begun.reported().iter().map(|check| check.stack.clone()).collect();
            (stacks.len(), begun.phases.is_some())
        };
        assert_eq!(reported(&module), (2, false));
        module.deployspec.drift = Some(Phases::default());
        assert_eq!(reported(&module), (2, false));
        module.deployspec.drift = Some(Phases {
            build: vec!["look".to_owned()],
            ..Phases::default()
        });
        assert_eq!(reported(&module), (1, true));
    }

    #[test]
    fn a_module_is_settled_when_its_stacks_and_its_phases_are() {
        let mut begun = Begun::of(&deployed("e1"), folder());
        begun.phases = Some(PhasesCheck::new(folder()));
        begun.refuse_stacks(&Error::new(ErrorName::Refused, "no target"));
        assert!(!begun.is_settled());
        begun.give_up(Timestamp::UNIX_EPOCH, Timestamp::from_second(1799).unwrap());
        assert!(!begun.is_settled());
        begun.give_up(Timestamp::UNIX_EPOCH, Timestamp::from_second(1800).unwrap());
        assert!(begun.is_settled());
    }

    #[test]
    fn what_another_execution_deployed_since_is_not_what_was_checked() {
        let begun = Begun::of(&deployed("e1"), folder());
        assert!(begun.is_of(Some(&deployed("e1"))));
        assert!(!begun.is_of(Some(&deployed("e2"))) && !begun.is_of(None));
    }

    #[test]
    fn a_stack_is_waited_for_until_it_was_compared_and_half_an_hour_at_most() {
        let mut begun = Begun::of(&deployed("e1"), folder());
        let busy = Progress::started(Started::Busy("it is in UPDATE_IN_PROGRESS".to_owned()));
        let running = Progress::started(Started::Detection("d".to_owned())).looked(Detection::Running);
        let throttled = running
            .clone()
            .failed(&Error::new(ErrorName::Throttled, "slow down"));
        assert_eq!(throttled, running);
        begun.stacks[0].progress = busy;
        begun.stacks[1].progress = running;
        begun.give_up(Timestamp::UNIX_EPOCH, Timestamp::from_second(1799).unwrap());
        assert!(!begun.is_settled());
        begun.give_up(Timestamp::UNIX_EPOCH, Timestamp::from_second(1800).unwrap());
        let why: Vec<Progress> = begun.stacks.iter().map(|stack| stack.progress.clone()).collect();
        assert!(begun.is_settled());
        assert_eq!(
            why[0],
            Progress::Unchecked {
                why: "it is in UPDATE_IN_PROGRESS".to_owned()
            }
        );
        assert!(matches!(&why[1], Progress::Unchecked { why } if why.contains("30 minutes")));
    }

    #[test]
    fn a_refused_call_settles_a_stack_with_its_reason() {
        let pending = Progress::Pending { why: None };
        let refused = pending.failed(&Error::new(ErrorName::AccessDenied, "no right"));
        assert_eq!(
            refused,
            Progress::Unchecked {
                why: "no right".to_owned()
            }
        );
    }

    #[test]
    fn looks_get_rarer_so_that_an_execution_has_room_for_them() {
        let (mut now, mut looks) = (0, 0);
        while now < PATIENCE.as_secs() {
            now += i64::from(pause(Timestamp::UNIX_EPOCH, Timestamp::from_second(now).unwrap()));
            looks += 1;
        }
        assert!((30..45).contains(&looks), "{looks}");
    }
}
