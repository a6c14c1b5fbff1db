//! Measured deployments: one run, and the runs of each case with each tool.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use seedflow_local::proxy::ObservedParameterWrite;
use seedflow_local::stack::Stack;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::build_overhead::BuildOverhead;
use super::case::{Case, Tool};
use super::usage::{Meter, Served, Usage};
use crate::stats::median;

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

/// One deployment.
pub struct Run {
    /// From its start to its end.
    pub wall: Duration,
    pub builds: Vec<Build>,
    /// From a build's end to its stored result; the median of the builds, `None` if the end isn't stored.
    pub stored: Option<Duration>,
    /// The AWS calls by their names.
    pub calls: BTreeMap<String, u64>,
    /// The use of the user's machine until the end.
    pub client: Usage,
    /// The use of AWS.
    pub served: Served,
    /// What the tool says of it: the execution's output, or what the command line printed.
    pub output: String,
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
        runs.sort_by_key(|run| run.calls.values().sum::<u64>());
        let median = runs.get(runs.len() / 2);
        median.map(|run| run.calls.clone()).unwrap_or_default()
    }
}

impl Run {
    /// The wall time without a build's length. With several builds it subtracts the median, as all could run at once.
    pub fn overhead(&self) -> Duration {
        let lengths = self.builds.iter().map(|build| between(build.start, build.end));
        self.wall
            .saturating_sub(median(lengths.collect()).unwrap_or_default())
    }
}

/// A build as CodeBuild reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub id: String,
    /// When it was submitted.
    pub start: Timestamp,
    /// When it was completed.
    pub end: Timestamp,
}

impl Build {
    /// A build that has ended.
    fn of(stack: &Stack, id: &str) -> Result<Self> {
        let found = stack.codebuild().build(id).context("a build is gone")?;
        let time = |field: &str| {
            timestamp(&found[field]).with_context(|| format!("build {id} has no {field}; it still runs"))
        };
        Ok(Self {
            id: id.to_owned(),
            start: time("startTime")?,
            end: time("endTime")?,
        })
    }
}

/// Records what happens on a stack from its start on.
pub struct Recorder<'a> {
    stack: &'a Stack,
    /// The number of builds before.
    builds: usize,
    pub writes: Receiver<ObservedParameterWrite>,
    pub meter: Meter,
}

impl<'a> Recorder<'a> {
    pub fn start(stack: &'a Stack) -> Result<Self> {
        stack.proxy().reset_calls();
        Ok(Self {
            stack,
            builds: stack.codebuild().builds().len(),
            writes: stack.proxy().watch_parameter_writes(),
            meter: Meter::start(stack)?,
        })
    }

    /// The builds since then; all have ended.
    pub fn builds(&self) -> Result<Vec<Build>> {
        let ids = self.stack.codebuild().builds();
        let new = ids.iter().skip(self.builds);
        new.map(|id| Build::of(self.stack, id)).collect()
    }

    /// All writes that were not received yet.
    pub fn written(&mut self) -> Result<Vec<ObservedParameterWrite>> {
        let mut all = Vec::new();
        loop {
            match self.writes.try_recv() {
                Ok(write) => all.push(write),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(all),
                Err(error @ TryRecvError::Lagged(_)) => {
                    return Err(error).context("parameters were written faster than they were read here");
                }
            }
        }
    }
}

/// A time as in AWS's JSON: seconds since 1970.
pub fn timestamp(json: &Value) -> Option<Timestamp> {
    let seconds = SignedDuration::try_from_secs_f64(json.as_f64()?).ok()?;
    Timestamp::from_duration(seconds).ok()
}

/// The time from one to the other; zero if the other is earlier.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_overhead_is_all_but_a_builds_length() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let builds = [(1, 4), (2, 6), (3, 6)].map(|(start, end)| Build {
            id: String::new(),
            start: at(start),
            end: at(end),
        });
        let mut run = Run {
            wall: Duration::from_secs(10),
            builds: builds.into(),
            stored: None,
            calls: BTreeMap::new(),
            client: Usage::default(),
            served: Served::default(),
            output: String::new(),
        };
        assert_eq!(run.overhead(), Duration::from_secs(7));
        run.builds.clear();
        assert_eq!(run.overhead(), Duration::from_secs(10));
    }

    #[test]
    fn times_are_read_to_the_millisecond() {
        let at = timestamp(&serde_json::json!(1_700_000_000.125)).unwrap();
        assert_eq!(at.as_millisecond(), 1_700_000_000_125);
        assert_eq!(between(at, Timestamp::from_second(1).unwrap()), Duration::ZERO);
    }
}
