//! The index of a project: the state of each module and deployment, and the durations of their last executions.
//!
//! An update is a pure function of the index and one ended execution. Events about ends arrive twice and in any order, so
//! an entry is a set of executions, and everything else follows from the set: the newest execution is the current state,
//! the others are the trend. A destruction removes all earlier executions. So a destroyed module keeps that one execution,
//! and a module that is deployed again starts a new trend.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::execution_event::{ExecutionEnd, IndexKey};
use crate::ids::{ExecutionArn, Name};
use crate::storage_layout;

/// Number of executions in a trend.
pub const TREND: usize = 20;
/// Number of destroyed modules or deployments that are kept.
pub const GONE: usize = 50;
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
}

/// An execution that has ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IndexedExecution {
    /// When it ended.
    pub at: Timestamp,
    /// The execution's ARN.
    pub execution: String,
    /// Its final state.
    pub state: String,
    /// Its duration.
    #[serde(rename = "ms", default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<i64>,
    /// Whether it has a page.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub page: bool,
    /// Why it was started, or what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The author of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The branch of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

impl IndexedExecution {
    fn of(ended: &ExecutionEnd) -> Self {
        Self {
            at: ended.at,
            execution: ended.execution.as_str().to_owned(),
            state: ended.state.clone(),
            milliseconds: ended.milliseconds,
            page: ended.has_report,
            why: ended.why.clone(),
            commit: ended.commit.clone(),
            author: ended.author.clone(),
            branch: ended.branch.clone(),
        }
    }

    /// Whether the execution did something.
    fn worked(&self) -> bool {
        self.state != "UNCHANGED"
    }

    fn destroyed(&self) -> bool {
        self.state == "DESTROYED"
    }

    /// The execution as the trend shows it.
    fn short(self) -> Self {
        Self {
            why: None,
            commit: None,
            author: None,
            branch: None,
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

    fn add(&mut self, run: IndexedExecution) {
        self.runs.push(run);
        // The newest first. Of two events about one execution the later one is kept.
        self.runs.sort_unstable_by(|one, other| other.cmp(one));
        let mut known = std::collections::BTreeSet::new();
        self.runs.retain(|run| known.insert(run.execution.clone()));
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
}

impl Index {
    /// The index after one more ended execution.
    #[must_use]
    pub fn with(mut self, ended: &ExecutionEnd) -> Self {
        let run = IndexedExecution::of(ended);
        match &ended.key {
            IndexKey::Module(id) => {
                let name = format!("{}/{}/{}", id.deployment, id.group, id.module);
                self.modules.entry(name).or_default().add(run);
                purge(&mut self.modules);
            }
            IndexKey::Deployment(id) => {
                self.deployments
                    .entry(id.deployment.to_string())
                    .or_default()
                    .add(run);
                purge(&mut self.deployments);
            }
        }
        self
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
    use crate::ids::{AwsEnvironment, ModuleId};
    use crate::pages::{PageContext, index_page};
    use proptest::prelude::*;

    const STATES: [&str; 5] = ["SUCCEEDED", "UNCHANGED", "FAILED", "ABORTED", "DESTROYED"];

    fn ended(module: usize, at: i64, state: &str) -> ExecutionEnd {
        ExecutionEnd {
            key: IndexKey::Module(ModuleId::parse("p", "d", "g", &format!("m{module}")).unwrap()),
            state: state.to_owned(),
            execution: ExecutionArn::new(format!("arn:aws:states:r:1:execution:x:e{at}")),
            at: Timestamp::from_second(at).unwrap(),
            milliseconds: Some(at * 10),
            has_report: state != "UNCHANGED",
            why: Some(format!("because of {at} </script><b>&")),
            commit: None,
            author: Some("\u{202e}Jane".to_owned()),
            branch: None,
        }
    }

    fn all<'a>(events: impl IntoIterator<Item = &'a ExecutionEnd>) -> Index {
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
        let aborted = ExecutionEnd {
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
        let many: Vec<ExecutionEnd> = (0..GONE + 10).map(|m| ended(m, m as i64, "DESTROYED")).collect();
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
            events in prop::collection::vec((0..3usize, 0..5usize), 1..80),
            order in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..200),
        ) {
            let events: Vec<ExecutionEnd> =
                events.iter().enumerate().map(|(i, (module, state))| ended(*module, i as i64, STATES[*state])).collect();
            let mut mixed: Vec<&ExecutionEnd> = events.iter().collect();
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
            let page = index_page::render(&index, &PageContext { environment: &environment, bucket: "b" }, &Name::parse("project", "p").unwrap());
            prop_assert_eq!(Index::read(&page), Some(index));
        }
    }
}
