//! The measurements: the runs of each case with each tool, and the overhead of a build besides its commands.

use std::collections::BTreeMap;
use std::time::Duration;

use super::build_overhead::BuildOverhead;
use super::case::{Case, Tool};
use super::run::{Run, median};

/// All measurements.
#[derive(Default)]
pub struct Figures {
    pub series: Vec<Series>,
    pub build_overhead: BTreeMap<Tool, BuildOverhead>,
}

/// The deployments of the same case with the same tool.
pub struct Series {
    pub case: Case,
    pub tool: Tool,
    pub runs: Vec<Run>,
}

impl Figures {
    pub fn of(&self, case: &str, tool: Tool) -> Option<&Series> {
        let mut found = self.series.iter();
        found.find(|series| series.case.name == case && series.tool == tool && !series.runs.is_empty())
    }
}

impl Series {
    pub fn median(&self, of: impl Fn(&Run) -> Option<Duration>) -> Option<Duration> {
        median(self.runs.iter().filter_map(of).collect())
    }

    /// The calls of the run with the median of them.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let mut runs: Vec<&Run> = self.runs.iter().collect();
        runs.sort_by_key(|run| run.total());
        let median = runs.get(runs.len() / 2);
        median.map(|run| run.calls.clone()).unwrap_or_default()
    }

    pub fn total(&self) -> u64 {
        self.calls().values().sum()
    }
}
