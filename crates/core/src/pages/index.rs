//! The index of a project: the state of each module and deployment, and the durations of their last executions.
//!
//! An update is a pure function of the index and the state that one execution has reached. Events arrive twice and in any
//! order, so an entry is a set of executions, and everything else follows from the set: the newest execution is the current
//! state, the others are the trend. Of an execution the end counts, whenever the event of its start arrives. Only the newest
//! one can be in progress: the executions of a module or deployment follow each other. A destruction removes all earlier
//! executions. So a destroyed module keeps that one execution, and a module that is deployed again starts a new trend. A
//! refusal changes no state, so it stands beside the executions until a newer one has begun.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::execution_event::{ExecutionState, IndexKey};
use super::report_view::RUNNING;
use crate::ids::{DeploymentId, ExecutionArn, ModuleId, Name};
use crate::storage_layout;

/// Number of executions in a trend.
pub const TREND: usize = 20;
/// Number of destroyed modules or deployments that are kept.
pub const GONE: usize = 50;
/// The state of a request that changed nothing.
const REFUSED: &str = "REFUSED";
/// The start of the index's data in its page. No other text in a page can contain this: the templates escape quotes.
const BEGIN: &str = "<script type=\"application/json\" id=\"seedflow-index\">";
const END: &str = "</script>";

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

/// A module or a deployment with its executions, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The newest execution, and those of the others that did something.
    pub runs: Vec<IndexedExecution>,
    /// The newest request that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<IndexedExecution>,
}

/// The executions around the one on a page, as far as the index knew them when the page was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// The module's or deployment's name in the index.
    pub name: String,
    /// The key of the page of the execution before.
    pub previous: Option<String>,
    /// The key of the page of the execution after, if there already is one.
    pub next: Option<String>,
    /// The key of the page of the deployment's execution that this one is part of.
    pub deployment: Option<String>,
}

/// An execution and the state that it has reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IndexedExecution {
    /// When it reached its state.
    pub at: Timestamp,
    /// The execution's ARN.
    pub execution: String,
    /// Its state.
    pub state: String,
    /// Its duration.
    #[serde(rename = "ms", default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<i64>,
    /// Whether it has a page.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub page: bool,
    /// Why it was started, or the name of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Why it failed or was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The name of the deployment's execution that started this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The author of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The branch of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The address of the commit's repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
}

impl IndexedExecution {
    fn of(ended: &ExecutionState) -> Self {
        Self {
            at: ended.at,
            execution: ended.execution.as_str().to_owned(),
            state: ended.state.clone(),
            milliseconds: ended.milliseconds,
            page: ended.has_report,
            why: ended.why.clone(),
            cause: ended.cause.clone(),
            part_of: ended.part_of.as_ref().map(|whole| whole.name().to_owned()),
            commit: ended.commit.clone(),
            author: ended.author.clone(),
            branch: ended.branch.clone(),
            repository: ended.repository.clone(),
        }
    }

    /// Whether the execution has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == RUNNING
    }

    /// Whether the execution did something, and has ended.
    fn worked(&self) -> bool {
        self.state != "UNCHANGED" && !self.is_running()
    }

    /// What counts of two states of one execution: an end, and of two ends the later one.
    fn counts(&self) -> (bool, &Self) {
        (!self.is_running(), self)
    }

    fn destroyed(&self) -> bool {
        self.state == "DESTROYED"
    }

    /// The execution as the trend shows it.
    fn short(self) -> Self {
        Self {
            why: None,
            cause: None,
            part_of: None,
            commit: None,
            author: None,
            branch: None,
            repository: None,
            ..self
        }
    }
}

impl Entry {
    /// The execution that is the current state.
    #[must_use]
    pub fn newest(&self) -> Option<&IndexedExecution> {
        self.runs.first()
    }

    /// The newest execution that has a page.
    #[must_use]
    pub fn newest_page(&self) -> Option<&IndexedExecution> {
        self.runs.iter().find(|run| run.page)
    }

    /// The executions that did something, the oldest first.
    #[must_use]
    pub fn trend(&self) -> Vec<&IndexedExecution> {
        self.runs.iter().filter(|run| run.worked()).rev().collect()
    }

    /// The key of the newest page.
    pub(super) fn page_key(&self, project: &Name, name: &str) -> Option<String> {
        let execution = ExecutionArn::new(self.newest_page()?.execution.as_str());
        storage_layout::page_of(project, name, &execution)
    }

    fn is_gone(&self) -> bool {
        self.newest().is_some_and(IndexedExecution::destroyed)
    }

    /// Whether any of its executions deployed it.
    #[must_use]
    pub fn was_deployed(&self) -> bool {
        self.runs.iter().any(|run| run.state == "SUCCEEDED")
    }

    /// The refusal that no newer execution has followed.
    #[must_use]
    pub fn refusal(&self) -> Option<&IndexedExecution> {
        let newest = self.newest().map(|run| run.at);
        self.refused.as_ref().filter(|refused| newest < Some(refused.at))
    }

    fn refuse(&mut self, run: IndexedExecution) {
        if self.refused.as_ref() < Some(&run) {
            self.refused = Some(run);
        }
    }

    fn add(&mut self, mut run: IndexedExecution) {
        if let Some(known) = self
            .runs
            .iter()
            .position(|known| known.execution == run.execution)
        {
            let known = self.runs.swap_remove(known);
            let page = run.page || known.page;
            run = if known.counts() > run.counts() { known } else { run };
            run.page = page;
        }
        self.runs.push(run);
        // The newest first.
        self.runs.sort_unstable_by(|one, other| other.cmp(one));
        if let Some(last) = self.runs.iter().position(IndexedExecution::destroyed) {
            self.runs.truncate(last + 1);
        }
        let mut position = 0;
        self.runs.retain(|run| {
            position += 1;
            position == 1 || run.worked()
        });
        self.runs.truncate(TREND);
        let mut position = 0;
        for run in &mut self.runs {
            position += 1;
            if position > 1 {
                *run = run.clone().short();
            }
        }
    }

    /// The pages before and after an execution.
    fn around(&self, project: &Name, name: &str, execution: &ExecutionArn, at: Option<Timestamp>) -> Around {
        let own = self.runs.iter().find(|run| run.execution == execution.as_str());
        let at = own.map(|run| run.at).or(at);
        let others = || {
            self.runs
                .iter()
                .filter(|run| run.page && run.execution != execution.as_str())
        };
        let page = |run: &IndexedExecution| {
            storage_layout::page_of(project, name, &ExecutionArn::new(run.execution.as_str()))
        };
        Around {
            name: name.to_owned(),
            previous: others()
                .find(|run| at.is_none_or(|at| run.at < at))
                .and_then(page),
            next: others()
                .rfind(|run| at.is_some_and(|at| run.at > at))
                .and_then(page),
            deployment: None,
        }
    }
}

impl Index {
    /// The index after an execution has reached a state.
    #[must_use]
    pub fn with(mut self, reached: &ExecutionState) -> Self {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::AwsEnvironment;
    use crate::pages::{PageContext, index_page};
    use proptest::prelude::*;

    const STATES: [&str; 6] = [
        "SUCCEEDED",
        "UNCHANGED",
        "FAILED",
        "ABORTED",
        "DESTROYED",
        "REFUSED",
    ];

    fn ended(module: usize, at: i64, state: &str) -> ExecutionState {
        ExecutionState {
            key: IndexKey::Module(ModuleId::parse("p", "d", "g", &format!("m{module}")).unwrap()),
            state: state.to_owned(),
            execution: ExecutionArn::new(format!("arn:aws:states:r:1:execution:x:e{at}")),
            at: Timestamp::from_second(at).unwrap(),
            milliseconds: Some(at * 10),
            has_report: state != "UNCHANGED" && state != RUNNING,
            part_of: Some(ExecutionArn::new("arn:aws:states:r:1:execution:d:whole")),
            cause: None,
            repository: None,
            why: Some(format!("because of {at} </script><b>&")),
            commit: None,
            author: Some("\u{202e}Jane".to_owned()),
            branch: None,
        }
    }

    fn all<'a>(events: impl IntoIterator<Item = &'a ExecutionState>) -> Index {
        events
            .into_iter()
            .fold(Index::default(), |index, ended| index.with(ended))
    }

    fn state_of(index: &Index) -> &str {
        &index.modules["d/g/m0"].newest().unwrap().state
    }

    #[test]
    fn an_older_end_that_comes_late_changes_no_state() {
        let (failed, good) = (ended(0, 10, "FAILED"), ended(0, 20, "SUCCEEDED"));
        let index = all([&good, &failed, &good]);
        assert_eq!(state_of(&index), "SUCCEEDED");
        assert_eq!(index.modules["d/g/m0"].trend().len(), 2);
    }

    #[test]
    fn of_two_ends_of_one_execution_the_later_counts() {
        let failed = ended(0, 10, "FAILED");
        let aborted = ExecutionState {
            at: Timestamp::from_second(11).unwrap(),
            state: "ABORTED".to_owned(),
            ..failed.clone()
        };
        for index in [all([&failed, &aborted]), all([&aborted, &failed])] {
            assert_eq!(
                (state_of(&index), index.modules["d/g/m0"].runs.len()),
                ("ABORTED", 1)
            );
        }
    }

    /// The start of the execution that ends a second later.
    fn begun(ended: &ExecutionState) -> ExecutionState {
        ExecutionState {
            at: Timestamp::from_second(ended.at.as_second() - 1).unwrap(),
            state: RUNNING.to_owned(),
            milliseconds: None,
            has_report: false,
            ..ended.clone()
        }
    }

    #[test]
    fn an_end_counts_whenever_the_start_arrives() {
        let good = ended(0, 10, "SUCCEEDED");
        let start = begun(&good);
        // A clock that is behind: the end seems to come before the start.
        let late_start = ExecutionState {
            at: Timestamp::from_second(11).unwrap(),
            ..start.clone()
        };
        for events in [
            [&start, &good],
            [&good, &start],
            [&late_start, &good],
            [&good, &late_start],
        ] {
            let index = all(events);
            assert_eq!(state_of(&index), "SUCCEEDED");
            assert!(!index.is_live());
        }
        let index = all([&good, &begun(&ended(0, 20, "FAILED"))]);
        assert_eq!(state_of(&index), RUNNING);
        assert!(index.is_live());
        // What follows shows that it has ended, though nothing was heard of its end.
        let index = all([&start, &ended(0, 30, "UNCHANGED")]);
        assert_eq!(
            (state_of(&index), index.modules["d/g/m0"].runs.len()),
            ("UNCHANGED", 1)
        );
    }

    #[test]
    fn a_refusal_stands_beside_the_state_until_something_newer_runs() {
        let (good, refused) = (ended(0, 10, "SUCCEEDED"), ended(0, 20, "REFUSED"));
        let index = all([&refused, &good]);
        assert_eq!(state_of(&index), "SUCCEEDED");
        let refusal = |index: &Index| index.modules["d/g/m0"].refusal().map(|run| run.at.as_second());
        assert_eq!(refusal(&index), Some(20));
        assert_eq!(
            refusal(&all([&refused, &ended(0, 15, "REFUSED"), &good])),
            Some(20)
        );
        assert_eq!(refusal(&all([&refused, &good, &ended(0, 30, "FAILED")])), None);
    }

    #[test]
    fn a_page_leads_to_those_before_and_after_it() {
        let events = [10, 20, 30].map(|at| ended(0, at, "SUCCEEDED"));
        let id = ModuleId::parse("p", "d", "g", "m0").unwrap();
        let index = all(&events);
        let around = index.around_module(&id, &events[1]);
        assert_eq!(around.previous.as_deref(), Some("reports/p/d/g/m0/e10.html"));
        assert_eq!(around.next.as_deref(), Some("reports/p/d/g/m0/e30.html"));
        assert_eq!(around.deployment.as_deref(), Some("reports/p/d/whole.html"));
        // A page is written before the index knows its execution.
        let newest = index.around_module(&id, &ended(0, 40, "FAILED"));
        assert_eq!(newest.previous.as_deref(), Some("reports/p/d/g/m0/e30.html"));
        assert_eq!(newest.next, None);
    }

    #[test]
    fn what_changed_nothing_does_not_push_the_trend_out() {
        let mut events = vec![ended(0, 1, "SUCCEEDED")];
        events.extend((2..100).map(|at| ended(0, at, "UNCHANGED")));
        let index = all(&events);
        let entry = &index.modules["d/g/m0"];
        assert_eq!((state_of(&index), entry.trend().len()), ("UNCHANGED", 1));
        assert_eq!(entry.newest_page().unwrap().state, "SUCCEEDED");
    }

    #[test]
    fn a_destroyed_module_leaves_one_run_and_begins_anew() {
        let mut events = vec![ended(0, 1, "SUCCEEDED"), ended(0, 2, "DESTROYED")];
        let gone = all(&events);
        assert_eq!(live_and_gone(&gone.modules).1.len(), 1);
        assert_eq!(gone.modules["d/g/m0"].runs.len(), 1);
        events.push(ended(0, 3, "SUCCEEDED"));
        assert_eq!(live_and_gone(&all(&events).modules).0.len(), 1);
        let many: Vec<ExecutionState> = (0..GONE + 10).map(|m| ended(m, m as i64, "DESTROYED")).collect();
        let index = all(&many);
        assert_eq!(index.modules.len(), GONE);
        assert!(!index.modules.contains_key("d/g/m0"), "the oldest goes first");
    }

    #[test]
    fn a_module_leads_to_its_last_page() {
        let index = all(&[ended(0, 1, "SUCCEEDED"), ended(0, 2, "UNCHANGED")]);
        let project = Name::parse("project", "p").unwrap();
        let pages: Vec<_> = index.pages(&project).collect();
        assert_eq!(pages, [("d/g/m0", "reports/p/d/g/m0/e1.html".to_owned())]);
        let environment = AwsEnvironment::from_arn("arn:aws:lambda:r:1:f").unwrap();
        let page = index_page::render(
            &index,
            &PageContext {
                environment: &environment,
                bucket: "b",
                now: Timestamp::UNIX_EPOCH,
            },
            &project,
        );
        assert!(page.contains("href=\"../reports/p/d/g/m0/e1.html\""), "{page}");
    }

    #[test]
    fn a_page_without_data_that_can_be_read_has_none() {
        for page in ["", "<html>", &format!("{BEGIN}{{"), &format!("{BEGIN}[1]{END}")] {
            assert_eq!(Index::read(page), None, "{page}");
        }
    }

    proptest! {
        /// Duplicates and order make no difference: the index is the same, and it can be parsed from its page.
        #[test]
        fn order_and_repetition_change_nothing(
            events in prop::collection::vec((0..3usize, 0..6usize, any::<bool>()), 1..60),
            order in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..200),
        ) {
            let mut reached: Vec<ExecutionState> = Vec::new();
            for (i, (module, state, starts)) in events.iter().enumerate() {
                let end = ended(*module, 2 * i as i64 + 1, STATES[*state]);
                if *starts && STATES[*state] != "REFUSED" {
                    reached.push(begun(&end));
                }
                reached.push(end);
            }
            let events = reached;
            let mut mixed: Vec<&ExecutionState> = events.iter().collect();
            for (one, other) in &order {
                let (one, other) = (one.index(mixed.len()), other.index(mixed.len()));
                mixed.swap(one, other);
                if mixed.len() < 160 {
                    mixed.push(mixed[one]);
                }
            }
            let index = all(&events);
            prop_assert_eq!(&all(mixed), &index);
            let environment = AwsEnvironment::from_arn("arn:aws:lambda:r:1:f").unwrap();
            let page = index_page::render(&index, &PageContext { environment: &environment, bucket: "b", now: Timestamp::UNIX_EPOCH }, &Name::parse("project", "p").unwrap());
            prop_assert_eq!(Index::read(&page), Some(index));
        }
    }
}
