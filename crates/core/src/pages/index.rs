//! The index of a project: the state of each module and deployment, and the durations of their last executions.
//!
//! An update is a pure function of the index and the state that one execution has reached. Events arrive twice and in any
//! order, so an entry is a set of executions, and everything else follows from the set: the newest execution is the
//! current state, the others are the trend. The end of an execution counts, even if the event of its start arrives later.
//! Only the newest one can be in progress: the executions of a module or deployment follow each other. A destruction
//! removes all earlier executions. So a destroyed module keeps that one execution, and a module that is deployed again
//! starts a new trend. A refusal changes no state, so it is kept beside the executions until a newer one has begun, or
//! until the deployment of a module has succeeded ([`crate::deployment::current`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::execution_event::{ExecutionState, IndexKey};
pub use super::index_entry::{Around, Drifted, Entry, IndexedExecution};
use crate::drift::record::{DriftRecord, DriftState};
use crate::ids::{DeploymentId, ExecutionArn, ModuleId, Name};
use crate::storage_layout;

/// Number of destroyed modules or deployments that are kept.
pub const GONE: usize = 50;
/// The state of a request that changed nothing.
const REFUSED: &str = "REFUSED";
/// The start of the index's data in its page. No other text in a page can contain this: the templates escape quotes.
pub(super) const BEGIN: &str = "<script type=\"application/json\" id=\"seedflow-index\">";
pub(super) const END: &str = "</script>";

/// The data of a project's page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The modules, by `{deployment}/{group}/{module}`.
    #[serde(default)]
    pub modules: BTreeMap<String, Entry>,
    /// The deployments, by name.
    #[serde(default)]
    pub deployments: BTreeMap<String, Entry>,
}

impl Index {
    /// The index after an execution has reached a state.
    #[must_use]
    pub fn with(mut self, reached: &ExecutionState) -> Self {
        if let IndexKey::Module(id) = &reached.key {
            // It has its own entry now, and nothing is deployed under these.
            let former = reached.former_names.iter().map(|former| name_of(&former.id(id)));
            for gone in former.filter(|gone| *gone != name_of(id)) {
                self.modules.remove(&gone);
            }
        }
        let (entries, name) = match &reached.key {
            IndexKey::Module(id) => (&mut self.modules, name_of(id)),
            IndexKey::Deployment(id) => (&mut self.deployments, id.deployment.to_string()),
        };
        let entry = entries.entry(name).or_default();
        let run = IndexedExecution::of(reached);
        if reached.state == REFUSED {
            entry.refuse(run);
        } else {
            entry.add(run);
        }
        purge(entries);
        self
    }

    /// The index after a check for drift. A module that it doesn't know is left out.
    #[must_use]
    pub fn with_drift(mut self, record: &DriftRecord) -> Self {
        if let Some(entry) = self.modules.get_mut(&name_of(&record.module)) {
            entry.drift = (record.known.state == DriftState::Drifted).then(|| Drifted {
                at: record.checked_at,
                what: record.line(),
            });
        }
        self
    }

    /// The execution of a module's newest page, and the pages around it.
    #[must_use]
    pub fn newest_page(&self, id: &ModuleId) -> Option<(ExecutionArn, Around)> {
        let name = name_of(id);
        let entry = self.modules.get(&name)?;
        let run = entry.newest_page()?;
        let execution = ExecutionArn::new(run.execution.as_str());
        let around = entry.around(&id.project, &name, &execution, None);
        let part_of = run.part_of.as_deref().map(ExecutionArn::new);
        let deployment =
            part_of.and_then(|whole| storage_layout::page_of(&id.project, id.deployment.as_str(), &whole));
        Some((execution, Around { deployment, ..around }))
    }

    /// The pages around that of a module's execution, which has reached its state.
    #[must_use]
    pub fn around_module(&self, id: &ModuleId, reached: &ExecutionState) -> Around {
        let name = name_of(id);
        let entry = self.modules.get(&name).cloned().unwrap_or_default();
        let part_of = reached.part_of.as_ref();
        Around {
            deployment: part_of
                .and_then(|whole| storage_layout::page_of(&id.project, id.deployment.as_str(), whole)),
            ..entry.around(&id.project, &name, &reached.execution, Some(reached.at))
        }
    }

    /// The pages around that of a deployment's execution.
    #[must_use]
    pub fn around_deployment(&self, id: &DeploymentId, execution: &ExecutionArn) -> Around {
        let name = id.deployment.as_str();
        let entry = self.deployments.get(name).cloned().unwrap_or_default();
        entry.around(&id.project, name, execution, None)
    }

    /// The state of a deployment's execution; `None` if it isn't the newest one.
    #[must_use]
    pub fn deployment(&self, id: &DeploymentId, execution: &ExecutionArn) -> Option<&IndexedExecution> {
        let newest = self.deployments.get(id.deployment.as_str())?.newest()?;
        (newest.execution == execution.as_str()).then_some(newest)
    }

    /// Whether the page of a deployment's execution is still made of the index: no end with results is known of it.
    #[must_use]
    pub fn is_open(&self, id: &DeploymentId, execution: &ExecutionArn) -> bool {
        let entry = self.deployments.get(id.deployment.as_str());
        let known = entry.and_then(|entry| entry.runs.iter().find(|run| run.execution == execution.as_str()));
        known.is_none_or(|run| run.is_running() || run.state == "ABORTED")
    }

    /// What the page of a deployment's execution shows while it runs: two indexes for which this is the same lead to the
    /// same page.
    #[must_use]
    pub fn progress(&self, id: &DeploymentId, execution: &ExecutionArn) -> Vec<&IndexedExecution> {
        let prefix = format!("{}/", id.deployment);
        let own = self
            .modules
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .filter_map(|(_, entry)| entry.newest())
            .filter(|run| run.part_of.as_deref() == Some(execution.name()));
        self.deployment(id, execution).into_iter().chain(own).collect()
    }

    /// Whether the last execution of a deployment failed, and each module that failed in it has succeeded since.
    pub(super) fn has_recovered(&self, deployment: &str) -> bool {
        let newest = self.deployments.get(deployment).and_then(Entry::newest);
        newest.is_some_and(|run| {
            run.whole().has_recovered(|module| {
                let entry = self.modules.get(&format!("{deployment}/{module}"))?;
                entry.newest().map(|run| (run.state.as_str(), run.at))
            })
        })
    }

    /// The refusal of a module or a deployment that nothing has followed: no execution of its own, and of a module no
    /// success of its deployment.
    pub(super) fn refusal<'a>(&self, name: &str, entry: &'a Entry) -> Option<&'a IndexedExecution> {
        let refusal = entry.refusal()?;
        let deployment = name.split_once('/').map(|(deployment, _)| deployment);
        let whole = deployment.and_then(|name| self.deployments.get(name)?.newest());
        (!whole.is_some_and(|run| run.whole().outdates(refusal.at))).then_some(refusal)
    }

    /// Whether the index has the end of an execution.
    #[must_use]
    pub fn has_ended(&self, execution: &str) -> bool {
        let entries = self.modules.values().chain(self.deployments.values());
        let mut runs = entries.flat_map(|entry| &entry.runs);
        runs.any(|run| run.execution == execution && !run.is_running())
    }

    /// Whether anything is in progress.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let entries = self.modules.values().chain(self.deployments.values());
        entries
            .filter_map(Entry::newest)
            .any(IndexedExecution::is_running)
    }

    /// The index in a page; `None` if the page has none that can be parsed.
    #[must_use]
    pub fn read(page: &str) -> Option<Self> {
        let (_, data) = page.split_once(BEGIN)?;
        let (data, _) = data.split_once(END)?;
        serde_json::from_str(data).ok()
    }

    /// The keys of the newest pages of everything that exists: first deployments, then modules.
    pub fn pages(&self, project: &Name) -> impl Iterator<Item = (&str, String)> {
        let entries = self.deployments.iter().chain(&self.modules);
        entries.filter_map(|(name, entry)| Some((name.as_str(), entry.page_key(project, name)?)))
    }

    /// The HTML element with the index's data.
    pub(super) fn data(&self) -> String {
        // Keys are strings only, so this can't fail.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{BEGIN}{}{END}", escape_for_script(&json))
    }
}

/// The name of a module in the index.
fn name_of(id: &ModuleId) -> String {
    format!("{}/{}/{}", id.deployment, id.group, id.module)
}

/// JSON in which an HTML parser can find neither the end of its element nor the start of another (HTML standard,
/// "Restrictions for contents of script elements"). The escapes mean the same characters.
fn escape_for_script(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// Keeps only the newest of the destroyed modules or deployments.
fn purge(entries: &mut BTreeMap<String, Entry>) {
    let mut gone: Vec<(Timestamp, String)> = entries
        .iter()
        .filter(|(_, entry)| entry.is_gone())
        .filter_map(|(name, entry)| Some((entry.newest()?.at, name.clone())))
        .collect();
    gone.sort_unstable();
    let many = gone.len().saturating_sub(GONE);
    for (_, name) in gone.into_iter().take(many) {
        entries.remove(&name);
    }
}

/// Entries with their names.
type Named<'a> = Vec<(&'a str, &'a Entry)>;

/// The entries that exist, and those that were destroyed.
pub(super) fn live_and_gone(entries: &BTreeMap<String, Entry>) -> (Named<'_>, Named<'_>) {
    entries
        .iter()
        .map(|(name, entry)| (name.as_str(), entry))
        .partition(|(_, entry)| !entry.is_gone())
}
