//! The outcome of a plan: the results that the state machine collected, compared with the plan.
//!
//! The state machine passes on each execution's name and its end. A planned module execution without a result was never
//! started, because something before it failed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::plan::{Plan, PlannedAction};
use super::rollback::{After, NextRollback};
use super::status::DeploymentStatus;
use crate::error::excerpt;
use crate::ids::ExecutionArn;
use crate::module::explanation::Explained;
use crate::module::metadata_reference::ModuleRef;
use crate::module::status::State;

/// The error of a deployment with failed modules; its reason quotes their reasons.
pub const FAILED: &str = "DeploymentFailed";

/// The end of an execution of the module workflow, as the state machine passes it on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedExecution {
    /// The execution's name.
    pub name: String,
    /// How it ended, as it reports itself.
    pub state: End,
}

/// How a module ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum End {
    /// It was deployed.
    Succeeded,
    /// Nothing had changed.
    Unchanged,
    /// It was destroyed.
    Destroyed,
    /// Another execution deploys it instead.
    Superseded,
    /// It failed.
    Failed,
    /// Something before it failed.
    NotStarted,
}

impl End {
    /// Its name in counts and on pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Unchanged => "UNCHANGED",
            Self::Destroyed => "DESTROYED",
            Self::Superseded => "SUPERSEDED",
            Self::Failed => "FAILED",
            Self::NotStarted => "NOT_STARTED",
        }
    }

    /// Whether the plan was fulfilled.
    fn is_good(self) -> bool {
        matches!(self, Self::Succeeded | Self::Unchanged | Self::Destroyed)
    }
}

/// A module and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModuleResult {
    /// The module.
    #[serde(flatten)]
    pub module: ModuleRef,
    /// The result.
    pub state: End,
    /// The execution's name, if the module has one in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
}

/// Why a module failed, from the report of its execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The reason, as it was reported.
    pub reason: String,
    /// One sentence for people.
    pub cause: String,
}

/// Maximum length of a reason.
const MAX_REASON: usize = 200;

impl Failed {
    /// With a reason of a readable length.
    #[must_use]
    pub fn new(reason: &str, cause: &str) -> Self {
        Self {
            reason: excerpt(reason, MAX_REASON),
            cause: cause.to_owned(),
        }
    }
}

/// The outcome of a whole plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentOutcome {
    /// The result of each module, in the order of the plan.
    pub results: Vec<ModuleResult>,
}

impl DeploymentOutcome {
    /// Compares the ends with the plan. If one execution has two ends, the last counts.
    #[must_use]
    pub fn of(plan: &Plan, ended: &[EndedExecution]) -> Self {
        let ended: BTreeMap<&str, End> = ended.iter().map(|end| (end.name.as_str(), end.state)).collect();
        let results = plan.modules.iter().map(|planned| ModuleResult {
            module: planned.module.clone(),
            state: match (&planned.execution, planned.action) {
                (Some(execution), _) => ended.get(execution.as_str()).copied().unwrap_or(End::NotStarted),
                (None, PlannedAction::Unchanged) => End::Unchanged,
                (None, _) => End::NotStarted,
            },
            execution: planned.execution.clone(),
        });
        Self {
            results: results.collect(),
        }
    }

    /// Whether the whole plan was fulfilled.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.results.iter().all(|result| result.state.is_good())
    }

    /// The modules with this end.
    pub fn ended(&self, state: End) -> impl Iterator<Item = &ModuleResult> {
        self.results.iter().filter(move |result| result.state == state)
    }

    /// The number of modules for each end.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for result in &self.results {
            *counts.entry(result.state.as_str().to_owned()).or_default() += 1;
        }
        counts
    }

    /// The state of the deployment.
    #[must_use]
    pub fn state(&self) -> State {
        if !self.is_good() {
            State::Failed
        } else if self.results.iter().all(|result| result.state == End::Unchanged) {
            State::Unchanged
        } else {
            State::Succeeded
        }
    }

    /// A summary of the failures, for people; `why` returns why a module failed, if it is known.
    #[must_use]
    pub fn explain(&self, why: impl Fn(&ModuleRef) -> Option<Failed>) -> String {
        let mut parts: Vec<String> = self
            .ended(End::Failed)
            .map(|result| match why(&result.module) {
                Some(failed) => format!("{} failed: {}", result.module, failed.reason),
                None => format!("{} failed", result.module),
            })
            .collect();
        parts.extend(
            self.ended(End::Superseded)
                .map(|result| format!("another execution deploys {} in place of this one", result.module)),
        );
        let left = self.ended(End::NotStarted).count();
        if left > 0 {
            parts.push(format!("{left} of later groups never started"));
        }
        parts.push("correct the cause and start it again: what succeeded isn't done again".to_owned());
        parts.join("; ")
    }

    /// The cause of the first failed module, `group/module: cause`.
    fn cause(&self, why: impl Fn(&ModuleRef) -> Option<Failed>) -> Option<String> {
        let first = self.ended(End::Failed).next()?;
        Some(format!("{}: {}", first.module, why(&first.module)?.cause))
    }

    /// The deployment's status.
    #[must_use]
    pub fn status(
        &self,
        plan: &Plan,
        before: Option<&DeploymentStatus>,
        execution: &ExecutionArn,
        why: impl Fn(&ModuleRef) -> Option<Failed>,
        now: Timestamp,
    ) -> DeploymentStatus {
        let started = before.filter(|before| before.execution == *execution);
        let failed: Vec<String> = self
            .ended(End::Failed)
            .map(|result| result.module.to_string())
            .collect();
        let status = DeploymentStatus {
            started_at: started.and_then(|before| before.started_at),
            approval: started.and_then(|before| before.approval.clone()),
            previous_state: plan.previous_state,
            started_by: plan.started_by.clone(),
            commit_info: plan.commit_info.clone(),
            groups: match self.is_good() {
                true => plan.groups.clone(),
                false => plan.attempted_groups.clone(),
            },
            modules: self.counts(),
            rollback: plan.rollback.clone(),
            ..DeploymentStatus::new(self.state(), execution, now)
        };
        let status = status.naming(&failed);
        if self.is_good() {
            return status;
        }
        let (reason, cause) = (self.explain(&why), self.cause(&why));
        // A rollback that started by itself also has what it was to undo.
        let after = plan
            .rollback
            .as_ref()
            .and_then(|rollback| rollback.after.as_ref());
        let both = |text: String| match after {
            Some(after) => after.and_then(&text),
            None => text,
        };
        status
            .failed(FAILED, &both(reason))
            .with_cause(cause.map(both).as_deref())
    }

    /// The rollback that follows, if the plan asks for one and a module failed. `started_at` is when the execution was
    /// started.
    #[must_use]
    pub fn next_rollback(
        &self,
        plan: &Plan,
        status: &DeploymentStatus,
        started_at: Timestamp,
    ) -> Option<NextRollback> {
        let to = plan.on_failure_to.as_ref()?;
        self.ended(End::Failed).next()?;
        let cause = status.why.cause.as_ref().or(status.why.reason.as_ref());
        let after = After {
            execution: status.execution.clone(),
            started_at,
            cause: cause.cloned().unwrap_or_default(),
        };
        Some(NextRollback::new(&plan.deployment, to, &after))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::plan::PlannedModule;
    use super::*;
    use crate::ids::DeploymentId;
    use crate::ids::Name;
    use crate::module::commit_info::CommitInfo;

    fn planned(module: &str, action: PlannedAction, execution: Option<&str>) -> PlannedModule {
        let name = |text: &str| Name::parse("name", text).unwrap();
        PlannedModule {
            module: ModuleRef {
                group: name("g"),
                module: name(module),
            },
            action,
            moves: false,
            renamed_from: None,
            reasons: Vec::new(),
            changes: Vec::new(),
            definition: None,
            redeploy_if_changed: Vec::new(),
            execution: execution.map(str::to_owned),
        }
    }

    fn plan() -> Plan {
        let name = |text: &str| Name::parse("name", text).unwrap();
        Plan {
            deployment: DeploymentId {
                project: name("p"),
                deployment: name("d"),
            },
            started_by: None,
            commit_info: CommitInfo::default(),
            previous_state: None,
            groups: vec!["g".into(), "f".into()],
            attempted_groups: vec!["f".into(), "g".into()],
            modules: vec![
                planned("a", PlannedAction::Deploy, Some("e-a")),
                planned("b", PlannedAction::Unchanged, None),
                planned("c", PlannedAction::Unchanged, Some("e-c")),
                planned("d", PlannedAction::Destroy, Some("e-d")),
            ],
            leaves_nothing: false,
            whole: true,
            rollback: None,
            on_failure_to: None,
            sources: Vec::new(),
            warnings: Vec::new(),
            policy: None,
            rules: None,
            rego: None,
            approval_for_rules: None,
            approval: None,
            parts: BTreeMap::new(),
            previews: crate::deployment::preview_builds::Previews::default(),
        }
    }

    fn ended(name: &str, state: End) -> EndedExecution {
        EndedExecution {
            name: name.to_owned(),
            state,
        }
    }

    #[test]
    fn a_module_without_a_result_never_started() {
        let outcome = DeploymentOutcome::of(
            &plan(),
            &[ended("e-a", End::Succeeded), ended("e-c", End::Failed)],
        );
        let states: Vec<End> = outcome.results.iter().map(|result| result.state).collect();
        assert_eq!(
            states,
            [End::Succeeded, End::Unchanged, End::Failed, End::NotStarted]
        );
        let execution = ExecutionArn::new("e");
        let why = |_: &ModuleRef| {
            Some(Failed {
                reason: "build failed".to_owned(),
                cause: "The build failed".to_owned(),
            })
        };
        let status = outcome.status(&plan(), None, &execution, why, Timestamp::UNIX_EPOCH);
        assert_eq!(
            (status.state, status.failed),
            (State::Failed, vec!["g/c".to_owned()])
        );
        assert_eq!(status.groups, ["f", "g"], "the order of the last success");
        assert_eq!(status.why.cause.unwrap(), "g/c: The build failed");
        assert_eq!(
            status.why.reason.unwrap(),
            "g/c failed: build failed; 1 of later groups never started; correct the cause and start it again: what succeeded isn't done again"
        );
    }

    #[test]
    fn a_deployment_of_which_nothing_changed_is_unchanged() {
        let nothing = Plan {
            modules: vec![planned("b", PlannedAction::Unchanged, None)],
            ..plan()
        };
        assert_eq!(DeploymentOutcome::of(&nothing, &[]).state(), State::Unchanged);
        let all = [
            ended("e-a", End::Succeeded),
            ended("e-c", End::Unchanged),
            ended("e-d", End::Destroyed),
        ];
        let outcome = DeploymentOutcome::of(&plan(), &all);
        assert_eq!(outcome.state(), State::Succeeded);
        let execution = ExecutionArn::new("e");
        let status = outcome.status(&plan(), None, &execution, |_| None, Timestamp::UNIX_EPOCH);
        assert_eq!(status.groups, ["g", "f"]);
    }
}
