//! The deployed repository, and the tool that deploys it.

use std::path::PathBuf;

use seedflow_fixtures::Repository;

/// The project of all deployments.
pub const PROJECT: &str = "compared";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    Seedflow,
    SeedFarmer,
    /// seed-farmer without its fixed wait.
    SeedFarmerWithoutWait,
}

impl Tool {
    /// In the order in which they alternate.
    pub const ALL: [Self; 3] = [Self::Seedflow, Self::SeedFarmer, Self::SeedFarmerWithoutWait];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seedflow => "Seedflow",
            Self::SeedFarmer => "seed-farmer",
            Self::SeedFarmerWithoutWait => "seed-farmer without its fixed wait",
        }
    }

    /// Itself, without a fixed wait.
    pub fn quickest(self) -> Self {
        match self {
            Self::Seedflow => self,
            _ => Self::SeedFarmerWithoutWait,
        }
    }
}

/// The state that a deployment finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Every module has changed.
    Changed,
    /// Nothing has changed.
    Unchanged,
    /// Every module has changed, and its build fails.
    Failed,
    /// Whatever has changed, nothing is deployed: the deployment is only planned.
    Planned,
}

/// One kind of deployment, which all tools run one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// How many modules are deployed.
    pub modules: usize,
    pub work: Work,
    /// How long a build lasts, in seconds.
    pub build: u64,
}

/// All of them, in the order of a round.
pub const CASES: [Case; 10] = [
    case("failed", 1, Work::Failed, 3),
    case("changed-0", 1, Work::Changed, 0),
    case("changed-3", 1, Work::Changed, 3),
    case("changed-10", 1, Work::Changed, 10),
    case("changed-60", 1, Work::Changed, 60),
    case("unchanged", 1, Work::Unchanged, 0),
    case("10-changed", 10, Work::Changed, 3),
    case("10-unchanged", 10, Work::Unchanged, 0),
    case("50-changed", 50, Work::Changed, 3),
    case("50-unchanged", 50, Work::Unchanged, 0),
];

pub const fn case(name: &'static str, modules: usize, work: Work, build: u64) -> Case {
    Case {
        name,
        modules,
        work,
        build,
    }
}

impl Case {
    /// A description in words.
    pub fn title(&self) -> String {
        let modules = match self.modules {
            1 => "one module".to_owned(),
            many => format!("{many} modules"),
        };
        match self.work {
            Work::Changed => format!("{modules} changed, build of {} s", self.build),
            Work::Failed => format!("{modules} changed, build of {} s fails", self.build),
            Work::Unchanged => format!("{modules} unchanged"),
            Work::Planned => format!("{modules} planned"),
        }
    }

    /// The number of builds that a deployment starts.
    pub fn builds(&self) -> usize {
        match self.work {
            Work::Unchanged | Work::Planned => 0,
            Work::Changed | Work::Failed => self.modules,
        }
    }

    /// Whether a tool runs it in this round, counted from 0. Builds of a minute have one round fewer than the others,
    /// and only one without the fixed wait, which differs by a constant.
    pub fn takes_part(&self, tool: Tool, round: usize, rounds: usize) -> bool {
        self.build < 60 || round == 0 || (tool != Tool::SeedFarmerWithoutWait && round + 1 < rounds)
    }
}

/// A tool's copy of the repository.
pub struct Copy {
    pub folder: PathBuf,
    pub modules: usize,
    repository: Repository,
    version: u32,
}

impl Copy {
    pub fn new(folder: PathBuf, repository: Repository, modules: usize) -> Self {
        repository.write(&folder);
        Self {
            folder,
            modules,
            repository,
            version: 0,
        }
    }

    /// Changes every module.
    pub fn change(&mut self) {
        self.version += 1;
        let repository = std::mem::take(&mut self.repository);
        self.repository = repository.changed(0..self.modules, self.version);
        self.repository.write(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_of_a_minute_have_fewer_rounds_but_always_one() {
        let long = case("", 1, Work::Changed, 60);
        let rounds = |tool, rounds| {
            (0..rounds)
                .filter(|&round| long.takes_part(tool, round, rounds))
                .count()
        };
        assert_eq!(Tool::ALL.map(|tool| rounds(tool, 3)), [2, 2, 1]);
        assert_eq!(Tool::ALL.map(|tool| rounds(tool, 1)), [1; 3]);
    }
}
