//! The modules of a deployment's execution, as its page shows them.
//!
//! After the end the report has the result of each module. Until then the report has the plan only, and the index has what
//! is known of each module: the execution that it is in, and how that ended.

use jiff::Timestamp;

use super::index::{Index, IndexedExecution};
use super::report_view::{Deployment, Module, ModuleResult, PlannedModule, Reports};
use super::state;
use crate::ids::{DeploymentId, ExecutionArn};
use crate::storage_layout::page_of;

/// A module of the deployment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub group: String,
    pub module: String,
    pub state: String,
    /// Why it is deployed.
    pub reasons: String,
    /// Why it failed.
    pub cause: Option<String>,
    /// Whether the cause may quote the module's build.
    pub by_build: bool,
    /// From the start to the end, or to now.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The key of its page; of an unchanged module that of its last report.
    pub page: Option<String>,
    /// Whether it was deployed before.
    pub deployed_before: bool,
}

impl Row {
    /// `{group}/{module}`
    pub fn name(&self) -> String {
        format!("{}/{}", self.group, self.module)
    }

    /// Whether nothing was to be done.
    pub fn is_unchanged(&self) -> bool {
        self.state == "UNCHANGED"
    }

    pub fn has_failed(&self) -> bool {
        state::is_trouble(&self.state)
    }
}

/// What the rows are made of.
pub(super) struct Sources<'a> {
    pub id: &'a DeploymentId,
    pub report: &'a Deployment,
    pub modules: &'a Reports,
    pub index: &'a Index,
    pub now: Timestamp,
}

impl Sources<'_> {
    /// All modules in the order of the plan.
    pub fn rows(&self) -> Vec<Row> {
        if self.report.results.is_empty() {
            return self
                .report
                .plan
                .iter()
                .map(|planned| self.planned(planned))
                .collect();
        }
        self.report
            .results
            .iter()
            .map(|ended| self.ended(ended))
            .collect()
    }

    /// A module that ended, by the deployment's report.
    fn ended(&self, ended: &ModuleResult) -> Row {
        let planned = self.report.plan.iter().find(|planned| planned.is(ended));
        let report = self.modules.get(&(ended.group.clone(), ended.module.clone()));
        let (whole, entry) = self.indexed(&ended.group, &ended.module);
        let own = ended.execution.as_deref().filter(|_| report.is_some());
        let page = match own {
            Some(execution) => page_of(&self.id.project, &whole, &ExecutionArn::new(execution)),
            None => entry
                .filter(|_| ended.state == "UNCHANGED")
                .and_then(|entry| entry.page_key(&self.id.project, &whole)),
        };
        let failed = report.filter(|_| state::is_trouble(&ended.state));
        Row {
            group: ended.group.clone(),
            module: ended.module.clone(),
            state: ended.state.clone(),
            reasons: planned
                .map(|planned| planned.reasons.join(", "))
                .unwrap_or_default(),
            cause: failed.and_then(|module| module.status.cause()).map(str::to_owned),
            by_build: report.is_some_and(Module::quotes_build),
            span: report.and_then(Module::span),
            page,
            deployed_before: report.is_some_and(|module| module.status.deployed_at.is_some()),
        }
    }

    /// A module of a deployment whose results aren't known, by the index.
    fn planned(&self, planned: &PlannedModule) -> Row {
        let (whole, entry) = self.indexed(&planned.group, &planned.module);
        let name = ExecutionArn::new(self.report.execution.as_str())
            .name()
            .to_owned();
        let newest = entry.and_then(|entry| entry.newest());
        let own = newest.filter(|run| run.part_of.as_deref() == Some(name.as_str()));
        let state = match own {
            Some(run) => run.state.as_str(),
            None if planned.action == "unchanged" && planned.execution.is_none() => "UNCHANGED",
            None if self.report.waits() => to_do(&planned.action),
            None if self.report.is_running() => "WAITING",
            None => "NOT_STARTED",
        };
        let page = match own.filter(|run| run.page) {
            Some(run) => page_of(
                &self.id.project,
                &whole,
                &ExecutionArn::new(run.execution.as_str()),
            ),
            None => entry
                .filter(|_| state == "UNCHANGED")
                .and_then(|entry| entry.page_key(&self.id.project, &whole)),
        };
        Row {
            group: planned.group.clone(),
            module: planned.module.clone(),
            state: state.to_owned(),
            reasons: planned.reasons.join(", "),
            cause: own
                .filter(|run| state::is_trouble(&run.state))
                .and_then(|run| run.cause.clone()),
            by_build: state == "FAILED",
            span: own.and_then(|run| span(run, self.now)),
            page,
            deployed_before: entry.is_some_and(|entry| entry.was_deployed()),
        }
    }

    fn indexed(&self, group: &str, module: &str) -> (String, Option<&super::index::Entry>) {
        let whole = format!("{}/{group}/{module}", self.id.deployment);
        let entry = self.index.modules.get(&whole);
        (whole, entry)
    }
}

/// What is planned for a module, before anything starts.
fn to_do(action: &str) -> &'static str {
    match action {
        "deploy" => "TO_DEPLOY",
        "destroy" => "TO_DESTROY",
        _ => "TO_CHECK",
    }
}

/// From the start of an execution to its end, or to now.
fn span(run: &IndexedExecution, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    if run.is_running() {
        return Some((run.at, now.max(run.at)));
    }
    let start = run.at.as_millisecond().checked_sub(run.milliseconds?)?;
    Some((Timestamp::from_millisecond(start).ok()?, run.at))
}

impl PlannedModule {
    fn is(&self, ended: &ModuleResult) -> bool {
        self.group == ended.group && self.module == ended.module
    }
}
