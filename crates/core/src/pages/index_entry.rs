//! One row of the index: a module or a deployment with the executions that are known of it.
//!
//! It is a set of executions, and everything else follows from the set ([`crate::pages::index`]).

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::execution_event::ExecutionState;
use super::report_view::{RUNNING, WAITING};
use crate::deployment::current::Whole;
use crate::ids::{ExecutionArn, Name};
use crate::storage_layout;

/// Number of executions in a trend.
pub const TREND: usize = 20;

/// A module or a deployment with its executions, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The newest execution, and those of the others that did something.
    pub runs: Vec<IndexedExecution>,
    /// The newest request that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<IndexedExecution>,
    /// In what a module has drifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drifted>,
}

/// In what a module has drifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    /// When it was found.
    pub at: Timestamp,
    /// What differs.
    pub what: String,
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
    /// All modules that failed in a deployment; empty if not all are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
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
    pub(super) fn of(ended: &ExecutionState) -> Self {
        Self {
            at: ended.at,
            execution: ended.execution.as_str().to_owned(),
            state: ended.state.clone(),
            milliseconds: ended.milliseconds,
            page: ended.has_report,
            why: ended.why.clone(),
            cause: ended.cause.clone(),
            failed: ended.failed.clone(),
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
        self.state == RUNNING || self.state == WAITING
    }

    /// The facts that decide whether this execution of a deployment, and refusals of its modules, are still current.
    pub(super) fn whole(&self) -> Whole<'_> {
        let began = SignedDuration::from_millis(self.milliseconds.unwrap_or_default());
        Whole {
            state: &self.state,
            began: self.at.checked_sub(began).unwrap_or(self.at),
            failed: &self.failed,
        }
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
            failed: Vec::new(),
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

    /// In what it has drifted, unless it was deployed or destroyed since that was found.
    #[must_use]
    pub fn drifted(&self) -> Option<&Drifted> {
        let replaces = |run: &&IndexedExecution| run.state == "SUCCEEDED" || run.destroyed();
        let deployed = self.runs.iter().find(replaces).map(|run| run.at);
        self.drift
            .as_ref()
            .filter(|drift| deployed.is_none_or(|deployed| deployed < drift.at))
    }

    pub(super) fn is_gone(&self) -> bool {
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

    pub(super) fn refuse(&mut self, run: IndexedExecution) {
        // Its plan waited.
        self.runs
            .retain(|known| known.state != WAITING || known.execution != run.execution);
        if self.refused.as_ref() < Some(&run) {
            self.refused = Some(run);
        }
    }

    pub(super) fn add(&mut self, mut run: IndexedExecution) {
        let is_refused = self
            .refused
            .as_ref()
            .is_some_and(|refused| refused.execution == run.execution);
        if run.state == WAITING && is_refused {
            // The event of its end came first.
            return;
        }
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
        // The newest page may be written again, when the module has drifted, and then needs its way up.
        let page = self.runs.iter().position(|run| run.page);
        for (position, run) in self.runs.iter_mut().enumerate().skip(1) {
            let part_of = run.part_of.take().filter(|_| page == Some(position));
            *run = IndexedExecution {
                part_of,
                ..run.clone().short()
            };
        }
    }

    /// The pages before and after an execution.
    pub(super) fn around(
        &self,
        project: &Name,
        name: &str,
        execution: &ExecutionArn,
        at: Option<Timestamp>,
    ) -> Around {
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
