//! What a deployment needs of its targets, and what is wrong with them. Planning reports all problems at once: those of
//! targets that modules go to, and those of targets where the plan destroys modules.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Plan, PlannedAction, PlannedModule};
use super::state::DeploymentState;
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::module::destroy;
use crate::module::metadata_reference::ModuleRef;
use crate::target::Target;

/// The longest message: it travels through the states and into the status.
const MAX_MESSAGE: usize = 8000;

/// What a manifest says of its targets that only planning can judge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetsAsked {
    /// The targets in which modules may not be deployed, with the messages.
    pub unlisted: BTreeMap<Target, String>,
    /// The paths of the roles of builds, which have to be those of the targets.
    pub role_paths: Vec<NamedRolePath>,
}

/// The path of the roles of builds that a manifest names for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRolePath {
    /// The target.
    pub target: Target,
    /// The path.
    pub path: String,
    /// The manifest, the line and the field.
    pub at: String,
}

/// What is wrong with the targets of a plan.
#[derive(Debug, Default)]
pub struct TargetProblems {
    ready: BTreeSet<Target>,
    unready: BTreeSet<Target>,
    messages: Vec<String>,
}

impl TargetProblems {
    /// Those that are known from a manifest.
    #[must_use]
    pub fn of(asked: &TargetsAsked) -> Self {
        let mut problems = Self::default();
        for (target, message) in &asked.unlisted {
            problems.add_unready(target, message.clone());
        }
        problems
    }

    /// Whether nothing can be done in a target. What it has is not known then.
    #[must_use]
    pub fn is_unready(&self, target: &Target) -> bool {
        self.unready.contains(target)
    }

    /// Adds a target in which nothing can be done.
    pub fn add_unready(&mut self, target: &Target, message: String) {
        self.unready.insert(target.clone());
        self.add(message);
    }

    /// Adds what a ready target doesn't allow. The targets of an account may have one message together.
    pub fn add(&mut self, message: String) {
        if !self.messages.contains(&message) {
            self.messages.push(message);
        }
    }

    /// Notes that a target is ready.
    pub fn add_ready(&mut self, target: &Target) {
        self.ready.insert(target.clone());
    }

    /// Whether it was found out whether a target is ready.
    #[must_use]
    pub fn is_checked(&self, target: &Target) -> bool {
        self.ready.contains(target) || self.is_unready(target)
    }

    /// All problems as one error of this name.
    ///
    /// # Errors
    /// With a line for each problem.
    pub fn refuse(&self, name: ErrorName) -> Result<()> {
        if self.messages.is_empty() {
            return Ok(());
        }
        Err(Error::new(name, excerpt(&self.messages.join("\n"), MAX_MESSAGE)))
    }
}

/// The targets where a plan destroys modules, with these: modules that leave, and those that move. What left nothing is only
/// forgotten, which needs no target.
#[must_use]
pub fn left(plan: &Plan, state: &DeploymentState) -> BTreeMap<Target, Vec<ModuleRef>> {
    let goes = |planned: &&PlannedModule| planned.action == PlannedAction::Destroy || planned.moves;
    let mut left: BTreeMap<Target, Vec<ModuleRef>> = BTreeMap::new();
    for planned in plan.modules.iter().filter(goes) {
        let (group, module) = (planned.module.group.clone(), planned.module.module.clone());
        let status = state.status_of(&plan.deployment.module(group, module));
        // What belongs to another module is not planned to be destroyed.
        let there = status.map(|status| status.filter(destroy::is_or_may_be_there));
        if let Ok(Some(target)) = there.map(|status| status.and_then(|status| status.target)) {
            left.entry(target).or_default().push(planned.module.clone());
        }
    }
    left
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_problems_of_all_targets_are_one_error() {
        let targets: Vec<Target> = [
            "222222222222/eu-west-1",
            "222222222222/us-east-1",
            "333333333333/eu-west-1",
            "444444444444/eu-west-1",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let unlisted = targets[..2]
            .iter()
            .map(|target| (target.clone(), "not listed".to_owned()));
        let mut problems = TargetProblems::of(&TargetsAsked {
            unlisted: unlisted.collect(),
            role_paths: Vec::new(),
        });
        problems.add_unready(&targets[2], "not ready".to_owned());
        problems.add("another path".to_owned());
        let unready: Vec<bool> = targets.iter().map(|target| problems.is_unready(target)).collect();
        assert_eq!(unready, [true, true, true, false]);
        let error = problems.refuse(ErrorName::InvalidManifest).unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidManifest);
        assert_eq!(error.message, "not listed\nnot ready\nanother path");
        assert!(
            TargetProblems::of(&TargetsAsked::default())
                .refuse(ErrorName::Refused)
                .is_ok()
        );
    }
}
