//! The measured deployments, and what was found.

use std::time::Duration;

use seedflow_local::proxy::{Count, quotas};
use seedflow_terminal::seconds;

use crate::report::Limit;
use crate::seedfarmer::case::Work;
use crate::stats::grouped;

/// The most that a deployment may take, in binding limits.
const MOST: f64 = 1.2;
const READS_PER_SECOND: f64 = 40.0;
const WRITES_PER_SECOND: f64 = 3.0;

/// One kind of deployment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    pub modules: usize,
    pub work: Work,
    /// How long each build lasts.
    pub build: Duration,
    /// Whether it is measured unless other sizes are asked for.
    pub is_published: bool,
}

/// Those of one size follow each other: they deploy the same repository. A hundred builds of 40 s at twenty at once take longer
/// than their writes, as 500 builds of five minutes do.
pub const CASES: [Case; 6] = [
    case(50, Work::Changed, 3, false),
    case(100, Work::Unchanged, 0, false),
    case(100, Work::Changed, 3, true),
    case(100, Work::Changed, 40, true),
    case(500, Work::Unchanged, 0, true),
    case(500, Work::Changed, 3, true),
];

const fn case(modules: usize, work: Work, build: u64, is_published: bool) -> Case {
    Case {
        modules,
        work,
        build: Duration::from_secs(build),
        is_published,
    }
}

impl Case {
    /// A description in words.
    pub fn title(&self) -> String {
        match self.work {
            Work::Changed => format!(
                "{} modules changed, builds of {} s",
                self.modules,
                self.build.as_secs()
            ),
            _ => format!("{} modules unchanged", self.modules),
        }
    }
}

/// A measured deployment.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub case: Case,
    pub wall: Duration,
    pub reads: Count,
    pub writes: Count,
    pub start_builds: Count,
    /// The writes of the module that has the most.
    pub most_writes: u64,
}

impl Measured {
    /// The shortest time that the quotas allow, and which one it is.
    fn limit(&self) -> (Duration, &'static str) {
        let at = |calls: u64, rate: f64| Duration::from_secs_f64(calls as f64 / rate);
        let builds = self.start_builds.granted as f64 / quotas::CONCURRENT_BUILDS as f64;
        let all = [
            (at(self.writes.granted, WRITES_PER_SECOND), "writes"),
            (at(self.reads.granted, READS_PER_SECOND), "reads"),
            (self.case.build.mul_f64(builds), "builds"),
        ];
        let longest = all.into_iter().max_by_key(|(time, _)| *time);
        longest.unwrap_or((Duration::ZERO, "nothing"))
    }

    /// The time in binding limits.
    pub fn ratio(&self) -> f64 {
        self.wall.as_secs_f64() / self.limit().0.as_secs_f64()
    }

    pub fn ratio_limit(&self) -> Limit {
        let (limit, binds) = self.limit();
        Limit {
            what: format!("{}, wall time in binding limits ({binds})", self.case.title()),
            found: format!(
                "{:.2} ({} and {})",
                self.ratio(),
                seconds(self.wall),
                seconds(limit)
            ),
            limit: format!("{MOST:.2}"),
            met: self.ratio() <= MOST,
        }
    }

    pub fn row(&self) -> Vec<String> {
        let (limit, binds) = self.limit();
        vec![
            self.case.title(),
            seconds(self.wall),
            format!("{} ({binds})", seconds(limit)),
            format!("{:.2}", self.ratio()),
            grouped(self.writes.granted),
            grouped(self.writes.refused),
            self.writes.peak.to_string(),
            grouped(self.start_builds.granted),
            grouped(self.start_builds.refused),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(build: u64, wall: u64, writes: u64, builds: u64) -> Measured {
        let count = |granted| Count {
            granted,
            ..Count::default()
        };
        Measured {
            case: case(500, Work::Changed, build, true),
            wall: Duration::from_secs(wall),
            reads: count(400),
            writes: count(writes),
            start_builds: count(builds),
            most_writes: 4,
        }
    }

    #[test]
    fn the_limit_is_the_quota_that_takes_longest() {
        let by_writes = measured(3, 720, 1800, 500);
        assert_eq!(by_writes.limit(), (Duration::from_secs(600), "writes"));
        assert!(by_writes.ratio_limit().met);
        assert!(!measured(3, 721, 1800, 500).ratio_limit().met);
        // Over two hours.
        let by_builds = measured(300, 7600, 1800, 500);
        assert_eq!(by_builds.limit(), (Duration::from_secs(7500), "builds"));
        assert_eq!(measured(0, 12, 0, 0).limit(), (Duration::from_secs(10), "reads"));
    }
}
