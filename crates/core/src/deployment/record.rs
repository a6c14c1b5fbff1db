//! The record of a deployment, by which a whole deployment is rolled back (decision 62).
//!
//! Each success of a whole deployment writes it anew, with the modules, the order of the groups, and the time. The bucket
//! keeps earlier versions, as it does for the records of modules (decision 52). The state of a module at that time is in
//! the newest of the module's own records that is not later.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::outcome::{DeploymentOutcome, End};
use super::plan::Plan;
use super::planner::{PlannableGroup, PlannableModule};
use super::rollback::{DeploymentRollback, To};
use super::state::DeploymentState;
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::ids::{DeploymentId, ExecutionArn, ModuleId, Name};
use crate::module::commit_info::CommitInfo;
use crate::module::deployed_record::DeployedModule;
use crate::module::metadata_reference::ModuleRef;
use crate::module::state::State;

/// The number of versions in which a rollback looks, the newest first.
pub const MAX_VERSIONS: i32 = 1000;
/// The maximum size of a record: a thousand modules with the longest names.
pub const MAX_BYTES: u64 = 1024 * 1024;
/// The longest list of modules in an error.
const MAX_NAMED: usize = 2000;

/// A deployment as it was when an execution had ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// The deployment.
    #[serde(flatten)]
    pub deployment: DeploymentId,
    /// The execution.
    pub execution: ExecutionArn,
    /// When it had ended.
    pub ended_at: Timestamp,
    /// The commit of its repository.
    #[serde(flatten)]
    pub commit_info: CommitInfo,
    /// The groups in their order.
    pub groups: Vec<String>,
    /// All modules.
    pub modules: Vec<ModuleRef>,
}

impl DeploymentRecord {
    /// The record of an execution that has ended; `None` if a rollback can't go back to it. It covered everything and all
    /// modules succeeded. One that changed nothing is what was recorded before, unless the state before was bad.
    #[must_use]
    pub fn of(
        plan: &Plan,
        outcome: &DeploymentOutcome,
        execution: &ExecutionArn,
        now: Timestamp,
    ) -> Option<Self> {
        let was_good = matches!(plan.previous_state, Some(State::Succeeded | State::Unchanged));
        let is_known = outcome.state() == State::Unchanged && was_good;
        let stays = |end: End| matches!(end, End::Succeeded | End::Unchanged);
        let modules: Vec<ModuleRef> = outcome
            .results
            .iter()
            .filter(|result| stays(result.state))
            .map(|result| result.module.clone())
            .collect();
        (plan.whole && outcome.is_good() && !is_known && !modules.is_empty()).then(|| Self {
            deployment: plan.deployment.clone(),
            execution: execution.clone(),
            ended_at: now,
            commit_info: plan.commit_info.clone(),
            groups: plan.groups.clone(),
            modules,
        })
    }

    /// Whether this is what is deployed: the same modules, and none failed or was deployed since.
    #[must_use]
    pub fn is_deployed(&self, state: &DeploymentState) -> bool {
        let then: BTreeSet<&ModuleRef> = self.modules.iter().collect();
        let deployed = state.deployed();
        let now: BTreeSet<&ModuleRef> = deployed.iter().collect();
        let is_as_then = |module: &&ModuleRef| {
            let status = state.status_of(&self.id(module)).ok().flatten();
            status.is_some_and(|status| {
                matches!(status.state, State::Succeeded | State::Unchanged)
                    && status.deployed_at.is_some_and(|at| at <= self.ended_at)
            })
        };
        then == now && then.iter().all(is_as_then)
    }

    /// The id of one of its modules.
    #[must_use]
    pub fn id(&self, module: &ModuleRef) -> ModuleId {
        self.deployment
            .module(module.group.clone(), module.module.clone())
    }

    /// The groups to plan with, from the records of the modules at that time.
    #[must_use]
    pub fn plannable(&self, records: &[DeployedModule]) -> Vec<PlannableGroup> {
        let mut names: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        // A group that the order doesn't have comes last.
        names.extend(self.modules.iter().map(|module| module.group.as_str()));
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(*name));
        let groups = names.into_iter().filter_map(|name| {
            let modules: Vec<PlannableModule> = records
                .iter()
                .filter(|record| record.module.group.as_str() == name)
                .map(plannable)
                .collect();
            (!modules.is_empty())
                .then(|| Name::parse("group", name).ok())
                .flatten()
                .map(|name| PlannableGroup {
                    name,
                    concurrency: None,
                    modules,
                })
        });
        groups.collect()
    }

    /// What a plan says of the rollback to this record.
    #[must_use]
    pub fn rollback(&self) -> DeploymentRollback {
        DeploymentRollback {
            to: self.execution.name().to_owned(),
            ended_at: self.ended_at,
            after: None,
        }
    }
}

/// A module as it was, in the form that the planner takes.
fn plannable(record: &DeployedModule) -> PlannableModule {
    PlannableModule {
        id: record.module.clone(),
        options: crate::module::input::Options {
            force_update: false,
            ..record.options.clone().unresolved()
        },
        digest: record.fingerprint.bundle.clone(),
        deployspec: Vec::new(),
        deployspec_digest: record.fingerprint.deployspec.clone(),
        input: input(record),
    }
}

/// The input of the execution that deploys a module as it was.
fn input(record: &DeployedModule) -> Value {
    let mut input = json!(record.module);
    input["action"] = json!("rollback");
    input["to"] = json!(record.execution.name());
    input["only_changes"] = json!(true);
    input
}

/// What a rollback looks for in the records of a deployment, which are given one by one, the newest first.
#[derive(Debug)]
pub struct Search<'a> {
    deployment: &'a DeploymentId,
    to: To,
    state: &'a DeploymentState,
    found: Option<DeploymentRecord>,
}

impl<'a> Search<'a> {
    /// A search for an execution, or without one for the last success that is not what is deployed now.
    #[must_use]
    pub const fn new(deployment: &'a DeploymentId, to: To, state: &'a DeploymentState) -> Self {
        Self {
            deployment,
            to,
            state,
            found: None,
        }
    }

    /// Looks at the next record, an older one. Returns whether the search is over.
    pub fn look_at(&mut self, record: DeploymentRecord) -> bool {
        let is_wanted = match &self.to {
            Some(to) => record.execution.name() == to.as_str(),
            None => !record.is_deployed(self.state),
        };
        if is_wanted {
            self.found = Some(record);
        }
        is_wanted
    }

    /// The record to go back to.
    ///
    /// # Errors
    /// `SourceNotFound` if there is none.
    pub fn end(self) -> Result<DeploymentRecord> {
        let Self {
            deployment,
            to,
            found,
            ..
        } = self;
        found.ok_or_else(|| {
            let expected = match to {
                Some(to) => format!("the execution {to} to have deployed all of it and succeeded"),
                None => "an earlier execution that deployed all of it and succeeded".to_owned(),
            };
            Error::new(
                ErrorName::SourceNotFound,
                format!(
                    "{deployment}: expected {expected}, found none among the records that are kept (template parameter KeptSuccesses); `seedflow history {} --project {}` lists the executions, and an older repository can be deployed again",
                    deployment.deployment, deployment.project
                ),
            )
        })
    }
}

/// The error of a rollback for which something is missing; each with its module.
#[must_use]
pub fn missing(record: &DeploymentRecord, missing: &[(ModuleId, String)]) -> Error {
    let named: Vec<String> = missing
        .iter()
        .map(|(module, why)| format!("{}/{}: {why}", module.group, module.module))
        .collect();
    Error::new(
        ErrorName::SourceNotFound,
        format!(
            "nothing was started: {}; without these, the state after {} can't be deployed again as a whole; roll back the other modules one by one, or deploy a working repository",
            excerpt(&named.join("; "), MAX_NAMED),
            record.execution.name(),
        ),
    )
}

#[cfg(test)]
mod tests;
