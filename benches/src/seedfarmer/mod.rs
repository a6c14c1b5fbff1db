//! Seedflow compared with seed-farmer: the same deployments by both, alternately, on one stack.
//!
//! Both use the same emulator, proxy and CodeBuild emulator. Builds are simulated (they last, and run nothing), so only
//! the work around a build is compared. The overhead of each tool inside a build is measured separately, in real
//! builds.

mod build_overhead;
pub mod case;
mod run;
mod seed_farmer;
pub mod seedflow;
pub mod sources;
mod tables;
mod targets;
mod usage;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;
use seedflow_fixtures::{FixedWait, Repository};
use seedflow_local::codebuild::SimulatedBuild;
use seedflow_local::process::cargo_build::Profile;
use seedflow_local::stack::{Stack, StackOptions};
use seedflow_terminal::{Task, Ui, seconds};

use crate::report::Part;
use build_overhead::BuildOverhead;
use case::{CASES, Case, PROJECT, Tool, Work, case};
use run::{Figures, Run, Series};
use seed_farmer::SeedFarmerSide;
use seedflow::SeedflowSide;

/// The measurements besides the cases.
const BUILD_OVERHEAD: &str = "build-overhead";

/// The selection of measurements.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Wanted {
    /// The number of rounds of each tool.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    rounds: u8,
    /// Only this case; may be given several times. Then nothing is written.
    #[arg(long, value_name = "CASE", value_parser = PossibleValuesParser::new(names()))]
    only: Vec<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            rounds: 3,
            only: Vec::new(),
        }
    }
}

fn names() -> Vec<&'static str> {
    let cases = CASES.iter().map(|case| case.name);
    cases.chain([BUILD_OVERHEAD]).collect()
}

impl Wanted {
    /// Whether everything is measured, so that it may be written.
    pub fn is_all(&self) -> bool {
        self.only.is_empty()
    }

    fn has(&self, name: &str) -> bool {
        self.is_all() || self.only.iter().any(|only| only == name)
    }
}

/// Compares, with the functions as they are deployed: in the release profile.
pub async fn measure(wanted: &Wanted, ui: &Ui) -> Result<Part> {
    let stack = release_stack(ui).await?;
    let figures = compare(&stack, wanted, ui).await;
    stack.stop().await;
    Ok(tables::part(&figures?))
}

async fn release_stack(ui: &Ui) -> Result<Stack> {
    let options = StackOptions {
        profile: Profile::Release,
        ..StackOptions::default()
    };
    Stack::start(&options, ui).await
}

async fn compare(stack: &Stack, wanted: &Wanted, ui: &Ui) -> Result<Figures> {
    let mut figures = Figures::default();
    let mut sides = Sides::set_up(stack, wanted, ui).await?;
    sides.rounds(wanted, &mut figures, ui).await?;
    if wanted.has(BUILD_OVERHEAD) {
        figures.build_overhead = sides.build_overhead(usize::from(wanted.rounds), ui).await?;
    }
    Ok(figures)
}

/// Both tools, with copies of the same repository.
struct Pair {
    seedflow: SeedflowSide,
    seed_farmer: SeedFarmerSide,
}

impl Pair {
    async fn new(
        stack: &Stack,
        deployment: &str,
        modules: usize,
        repository: Repository,
        task: &Task,
    ) -> Result<Self> {
        Ok(Self {
            seedflow: SeedflowSide::new(stack, deployment, modules, repository.clone())?,
            seed_farmer: SeedFarmerSide::new(stack, deployment, modules, repository, task).await?,
        })
    }

    fn change(&mut self, tool: Tool) {
        match tool {
            Tool::Seedflow => self.seedflow.copy.change(),
            _ => self.seed_farmer.copy.change(),
        }
    }

    async fn deploy(&self, stack: &Stack, case: &Case, tool: Tool) -> Result<Run> {
        stack.codebuild().simulate(Some(SimulatedBuild {
            lasts: Duration::from_secs(case.build),
            fails: case.work == Work::Failed,
        }));
        let run = match tool {
            Tool::Seedflow => self.seedflow.deploy(stack, case).await?,
            Tool::SeedFarmer => self.seed_farmer.deploy(stack, case, FixedWait::Kept).await?,
            Tool::SeedFarmerWithoutWait => self.seed_farmer.deploy(stack, case, FixedWait::Skipped).await?,
        };
        let (expected, found) = (case.builds(), run.builds.len());
        ensure!(found == expected, "expected {expected} builds, found {found}");
        Ok(run)
    }
}

/// A pair with a repository of each size.
struct Sides<'a> {
    stack: &'a Stack,
    by_size: BTreeMap<usize, Pair>,
}

impl<'a> Sides<'a> {
    /// Repositories, seed-farmer's roles, and first deployments, which aren't counted: they make the state that later
    /// ones find.
    async fn set_up(stack: &'a Stack, wanted: &Wanted, ui: &Ui) -> Result<Self> {
        let task = ui.task("Repositories and first deployments");
        let mut by_size = BTreeMap::new();
        for case in CASES
            .iter()
            .filter(|case| case.modules == 1 || wanted.has(case.name))
        {
            let (name, modules) = (format!("of-{}", case.modules), case.modules);
            let repository = Repository::numbered(PROJECT, &name, modules, modules);
            by_size.insert(
                modules,
                Pair::new(stack, &name, modules, repository, &task).await?,
            );
        }
        let mut sides = Self { stack, by_size };
        sides.deploy_first(&task).await?;
        task.done("deployed");
        Ok(sides)
    }

    async fn deploy_first(&mut self, task: &Task) -> Result<()> {
        task.detail("seed-farmer's roles");
        let stack = self.stack;
        self.of_size(1)?.seed_farmer.bootstrap(stack).await?;
        for modules in self.by_size.keys().copied().collect::<Vec<_>>() {
            task.detail(&format!("first deployments, {modules} modules"));
            self.restore(modules, Tool::Seedflow).await?;
            self.restore(modules, Tool::SeedFarmerWithoutWait).await?;
        }
        Ok(())
    }

    fn of_size(&mut self, modules: usize) -> Result<&mut Pair> {
        let found = self.by_size.get_mut(&modules);
        found.context("no repository has that size")
    }

    /// Deploys the unchanged repository, with builds that end at once and succeed.
    async fn restore(&mut self, modules: usize, tool: Tool) -> Result<Run> {
        self.deploy(&case("first", modules, Work::Changed, 0), tool).await
    }

    async fn rounds(&mut self, wanted: &Wanted, figures: &mut Figures, ui: &Ui) -> Result<()> {
        let task = ui.task("Seedflow and seed-farmer in turn");
        let rounds = usize::from(wanted.rounds);
        for case in CASES.iter().filter(|case| wanted.has(case.name)) {
            figures.series.extend(Tool::ALL.map(|tool| Series {
                case: *case,
                tool,
                runs: Vec::new(),
            }));
        }
        for round in 0..rounds {
            let series = figures.series.iter_mut();
            for series in series.filter(|series| series.case.takes_part(series.tool, round, rounds)) {
                let Series { case, tool, .. } = *series;
                let turn = format!("round {}: {}, {}", round + 1, case.title(), tool.name());
                task.detail(&turn);
                let run = self.turn(&case, tool).await.with_context(|| turn.clone())?;
                task.step(format!("{turn}: {}", seconds(run.wall)));
                series.runs.push(run);
            }
        }
        task.done(&format!("{rounds} rounds"));
        Ok(())
    }

    /// One deployment of a case, after which everything is deployed again.
    async fn turn(&mut self, case: &Case, tool: Tool) -> Result<Run> {
        if case.work != Work::Unchanged {
            self.of_size(case.modules)?.change(tool);
        }
        let run = self.deploy(case, tool).await?;
        if case.work == Work::Failed {
            self.restore(case.modules, tool.quickest()).await?;
        }
        Ok(run)
    }

    async fn deploy(&mut self, case: &Case, tool: Tool) -> Result<Run> {
        let stack = self.stack;
        self.of_size(case.modules)?.deploy(stack, case, tool).await
    }

    /// A deployment with each tool, and then its build as a real one.
    async fn build_overhead(&mut self, rounds: usize, ui: &Ui) -> Result<BTreeMap<Tool, BuildOverhead>> {
        let task = ui.task("What each tool adds inside a build");
        let stack = self.stack;
        let mut found = BTreeMap::new();
        for tool in [Tool::Seedflow, Tool::SeedFarmerWithoutWait] {
            task.detail(tool.name());
            let rule = build_overhead::keep_bundles(stack);
            self.of_size(1)?.change(tool);
            let run = self.restore(1, tool).await;
            stack.proxy().remove_rule(rule);
            let run = run?;
            let build = run.builds.first().context("there was no build")?;
            stack.codebuild().simulate(None);
            let overhead = build_overhead::measure(stack, tool, &build.id, rounds).await;
            let overhead = overhead.with_context(|| format!("inside a build of {}", tool.name()))?;
            found.insert(tool, overhead);
        }
        task.done(&format!("{rounds} builds of each"));
        Ok(found)
    }
}
