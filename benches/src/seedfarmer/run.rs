//! One deployment, measured.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use seedflow_local::proxy::ParameterWrite;
use seedflow_local::stack::Stack;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::usage::{Served, Usage};

/// One deployment.
pub struct Run {
    /// From its start to its end.
    pub wall: Duration,
    /// Its builds.
    pub builds: Vec<Build>,
    /// From a build's end to its stored result; the median of the builds, `None` if the end isn't stored.
    pub stored: Option<Duration>,
    /// The AWS calls by their names.
    pub calls: BTreeMap<String, u64>,
    /// The use of the user's machine until the end.
    pub client: Usage,
    /// The use of AWS.
    pub served: Served,
}

impl Run {
    /// All AWS calls.
    pub fn total(&self) -> u64 {
        self.calls.values().sum()
    }

    /// The wall time without a build's length. With several builds it subtracts the median, as all could run at once.
    pub fn overhead(&self) -> Duration {
        let build = median(self.builds.iter().map(Build::lasted).collect());
        self.wall.saturating_sub(build.unwrap_or_default())
    }
}

/// The median; of an even number, the upper of the two in the middle.
pub fn median(mut all: Vec<Duration>) -> Option<Duration> {
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

/// A build as CodeBuild reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Its id.
    pub id: String,
    /// When it was submitted.
    pub start: Timestamp,
    /// When it was completed.
    pub end: Timestamp,
}

impl Build {
    /// A build that has ended.
    pub fn of(stack: &Stack, id: &str) -> Result<Self> {
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

    /// From submission to completion.
    pub fn lasted(&self) -> Duration {
        between(self.start, self.end)
    }
}

/// The builds that were started after the first `known`.
pub fn builds_since(stack: &Stack, known: usize) -> Result<Vec<Build>> {
    let ids = stack.codebuild().builds();
    ids.iter().skip(known).map(|id| Build::of(stack, id)).collect()
}

/// A time as in AWS's JSON: seconds since 1970.
pub fn timestamp(json: &serde_json::Value) -> Option<Timestamp> {
    let seconds = SignedDuration::try_from_secs_f64(json.as_f64()?).ok()?;
    Timestamp::from_duration(seconds).ok()
}

/// The time from one to the other; zero if the other is earlier.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).try_into().unwrap_or_default()
}

/// Everything that was written so far.
pub fn written(writes: &mut Receiver<ParameterWrite>) -> Result<Vec<ParameterWrite>> {
    let mut all = Vec::new();
    loop {
        match writes.try_recv() {
            Ok(write) => all.push(write),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(all),
            Err(error @ TryRecvError::Lagged(_)) => {
                return Err(error).context("parameters were written faster than they were read here");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_overhead_is_all_but_a_builds_length() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let build = |start, end| Build {
            id: String::new(),
            start: at(start),
            end: at(end),
        };
        let run = Run {
            wall: Duration::from_secs(10),
            builds: vec![build(1, 4), build(2, 6), build(3, 6)],
            stored: None,
            calls: BTreeMap::new(),
            client: Usage::default(),
            served: Served::default(),
        };
        assert_eq!(run.overhead(), Duration::from_secs(7));
        assert_eq!(
            Run {
                builds: Vec::new(),
                ..run
            }
            .overhead(),
            Duration::from_secs(10)
        );
    }

    #[test]
    fn times_are_read_to_the_millisecond() {
        let at = timestamp(&serde_json::json!(1_700_000_000.125)).unwrap();
        assert_eq!(at.as_millisecond(), 1_700_000_000_125);
        assert_eq!(between(at, Timestamp::from_second(1).unwrap()), Duration::ZERO);
    }
}
