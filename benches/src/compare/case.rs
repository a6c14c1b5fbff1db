//! What is deployed, and by whom.

use std::time::Duration;

/// Who deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Seedflow.
    Seedflow,
    /// The peer as it is.
    Peer,
    /// The peer without its fixed wait.
    Hurried,
}

impl By {
    /// In the order in which they take turns.
    pub const ALL: [Self; 3] = [Self::Seedflow, Self::Peer, Self::Hurried];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seedflow => "Seedflow",
            Self::Peer => "seed-farmer",
            Self::Hurried => "seed-farmer without its fixed wait",
        }
    }
}

/// What a deployment finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Every module has changed.
    Changed,
    /// Nothing has changed.
    Unchanged,
    /// Every module has changed, and its build fails.
    Failed,
}

/// One sort of deployments, which all take turns at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// How many modules are deployed.
    pub modules: usize,
    /// What has changed.
    pub work: Work,
    /// How long a build lasts, in seconds.
    pub build: u64,
    /// In how many rounds fewer than the others it takes part, and how many of these are without the hurried peer: a
    /// minute's wait is the same in every one.
    pub dear: bool,
}

/// All of them, in the order of a round.
pub const CASES: [Case; 10] = [
    one("failed", Work::Failed, 3),
    one("changed-0", Work::Changed, 0),
    one("changed-3", Work::Changed, 3),
    one("changed-10", Work::Changed, 10),
    Case {
        dear: true,
        ..one("changed-60", Work::Changed, 60)
    },
    one("unchanged", Work::Unchanged, 0),
    of(10, "10-changed", Work::Changed),
    of(10, "10-unchanged", Work::Unchanged),
    of(50, "50-changed", Work::Changed),
    of(50, "50-unchanged", Work::Unchanged),
];

const fn one(name: &'static str, work: Work, build: u64) -> Case {
    Case {
        name,
        modules: 1,
        work,
        build,
        dear: false,
    }
}

const fn of(modules: usize, name: &'static str, work: Work) -> Case {
    Case {
        name,
        modules,
        work,
        build: 3,
        dear: false,
    }
}

impl Case {
    /// What it is, in words.
    pub fn title(&self) -> String {
        let modules = match self.modules {
            1 => "one module".to_owned(),
            many => format!("{many} modules"),
        };
        match self.work {
            Work::Changed => format!("{modules} changed, build of {} s", self.build),
            Work::Failed => format!("{modules} changed, build of {} s fails", self.build),
            Work::Unchanged => format!("{modules} unchanged"),
        }
    }

    /// How long its builds last.
    pub fn lasts(&self) -> Duration {
        Duration::from_secs(self.build)
    }

    /// How many builds a deployment starts.
    pub fn builds(&self) -> usize {
        match self.work {
            Work::Unchanged => 0,
            Work::Changed | Work::Failed => self.modules,
        }
    }

    /// Whether it has its turn in this round, counted from 0. The one whose builds last a minute has one round less than
    /// the others, and the hurried peer, which differs from the other by a constant, one round only.
    pub fn takes_part(&self, by: By, round: usize, rounds: usize) -> bool {
        !self.dear || round == 0 || (by != By::Hurried && round + 1 < rounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_build_has_fewer_rounds_but_always_one() {
        let long = CASES.iter().find(|case| case.name == "changed-60").copied();
        let rounds = |by, rounds| {
            long.map(|case| {
                (0..rounds)
                    .filter(|round| case.takes_part(by, *round, rounds))
                    .count()
            })
        };
        assert_eq!(
            [By::Seedflow, By::Peer, By::Hurried].map(|by| rounds(by, 3)),
            [Some(2), Some(2), Some(1)]
        );
        assert_eq!(By::ALL.map(|by| rounds(by, 1)), [Some(1); 3]);
    }
}
