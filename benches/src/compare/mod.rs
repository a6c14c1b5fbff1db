//! Seedflow beside seed-farmer: the same deployments by both, in turn, on one stack.
//!
//! Both work on the same emulator, proxy and CodeBuild stand-in, whose builds pretend (they last, and run nothing), so that
//! what is compared is what is around a build. What each adds inside a build is measured apart, in real builds.

mod case;
mod client;
mod goals;
mod inside;
mod peer;
mod run;
mod seedflow;
mod steps;
mod tables;
mod usage;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;
use seedflow_local::codebuild::SimulatedBuild;
use seedflow_local::process::cargo_build::Profile;
use seedflow_local::process::python_tools;
use seedflow_local::stack::{Stack, StackOptions};
use seedflow_terminal::{Ui, seconds};

use crate::report::Section;
use case::{By, CASES, Case, Work};
use client::Client;
use inside::Inside;
use peer::Peer;
use run::Run;
use seedflow::Seedflow;

const PROJECT: &str = "compared";
/// What is measured beside the cases.
const INSIDE: &str = "inside";
const CLIENT: &str = "client";
/// The titles of all sections, in the order of the page.
pub const TITLES: [&str; 5] = [
    goals::TITLE,
    tables::TIMES,
    tables::CALLS,
    tables::INSIDE,
    tables::STEPS,
];

/// What to measure.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Wanted {
    /// How often each takes its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    rounds: u8,
    /// Only this case; may be given several times. Then nothing is written.
    #[arg(long, value_name = "CASE", value_parser = PossibleValuesParser::new(names()))]
    only: Vec<String>,
}

fn names() -> Vec<&'static str> {
    let cases = CASES.iter().map(|case| case.name);
    cases.chain([INSIDE, CLIENT]).collect()
}

impl Wanted {
    /// Whether everything is measured, and so may be written down.
    pub fn is_all(&self) -> bool {
        self.only.is_empty()
    }

    fn has(&self, name: &str) -> bool {
        self.is_all() || self.only.iter().any(|only| only == name)
    }

    fn rounds(&self) -> usize {
        usize::from(self.rounds)
    }
}

/// All that was measured.
#[derive(Default)]
pub struct Figures {
    rounds: usize,
    series: Vec<Series>,
    inside: BTreeMap<By, Inside>,
    client: Option<Client>,
}

/// The deployments of the same case by the same one.
struct Series {
    case: Case,
    by: By,
    runs: Vec<Run>,
}

impl Figures {
    fn of(&self, case: &str, by: By) -> Option<&Series> {
        let mut found = self.series.iter();
        found.find(|series| series.case.name == case && series.by == by && !series.runs.is_empty())
    }
}

impl Series {
    fn median(&self, of: impl Fn(&Run) -> Option<Duration>) -> Option<Duration> {
        run::median(self.runs.iter().filter_map(of).collect())
    }

    /// The run with the median of the calls.
    fn calls(&self) -> BTreeMap<String, u64> {
        let mut runs: Vec<&Run> = self.runs.iter().collect();
        runs.sort_by_key(|run| run.total());
        runs.get(runs.len() / 2)
            .map(|run| run.calls.clone())
            .unwrap_or_default()
    }

    fn total(&self) -> u64 {
        self.calls().values().sum()
    }
}

/// Compares, with the functions as they are deployed: in the release profile.
pub async fn measure(wanted: &Wanted, ui: &Ui) -> Result<Vec<Section>> {
    let options = StackOptions {
        profile: Profile::Release,
        ..StackOptions::default()
    };
    let stack = Stack::start(&options, ui).await?;
    let figures = on(&stack, wanted, ui).await;
    stack.stop().await;
    Ok(tables::sections(&figures?))
}

async fn on(stack: &Stack, wanted: &Wanted, ui: &Ui) -> Result<Figures> {
    let mut figures = Figures {
        rounds: wanted.rounds(),
        ..Figures::default()
    };
    let mut parties = Parties::set_up(stack, wanted, ui).await?;
    parties.rounds(wanted, &mut figures, ui).await?;
    if wanted.has(INSIDE) {
        parties.inside(&mut figures, ui).await?;
    }
    if wanted.has(CLIENT) {
        let task = ui.task("The client that starts a deployment");
        pretend(stack, Duration::ZERO, false);
        figures.client = Some(Client::measure(stack, PROJECT, figures.rounds).await?);
        task.done("measured");
    }
    Ok(figures)
}

fn pretend(stack: &Stack, lasts: Duration, fails: bool) {
    stack.codebuild().simulate(Some(SimulatedBuild { lasts, fails }));
}

/// Who deploys a repository of some size.
struct Pair {
    seedflow: Seedflow,
    peer: Peer,
}

/// Both, with a repository of each size.
struct Parties<'a> {
    stack: &'a Stack,
    pairs: BTreeMap<usize, Pair>,
}

impl<'a> Parties<'a> {
    /// Repositories, seed-farmer's roles, and first deployments, which aren't counted: they make what later ones find.
    async fn set_up(stack: &'a Stack, wanted: &Wanted, ui: &Ui) -> Result<Self> {
        let task = ui.task("Repositories and first deployments");
        let python = python_tools::venv("peer", &task).await?.join("python");
        let mut pairs = BTreeMap::new();
        for case in CASES
            .iter()
            .filter(|case| wanted.has(case.name) || case.modules == 1)
        {
            let deployment = format!("of-{}", case.modules);
            let modules = case.modules;
            let pair = Pair {
                seedflow: Seedflow::new(stack, PROJECT, &deployment, modules)?,
                peer: Peer::new(stack, &python, PROJECT, &deployment, modules)?,
            };
            pairs.insert(modules, pair);
        }
        let mut parties = Self { stack, pairs };
        task.detail("seed-farmer's roles");
        parties.pair(1)?.peer.bootstrap(stack).await?;
        for modules in parties.pairs.keys().copied().collect::<Vec<_>>() {
            task.detail(&format!("first deployments, {modules} modules"));
            parties.restore(modules, By::Seedflow).await?;
            parties.restore(modules, By::Hurried).await?;
        }
        task.done("deployed");
        Ok(parties)
    }

    fn pair(&mut self, modules: usize) -> Result<&mut Pair> {
        self.pairs
            .get_mut(&modules)
            .context("there is no repository of that size")
    }

    /// Deploys what lies there with builds that end at once and succeed.
    async fn restore(&mut self, modules: usize, by: By) -> Result<Run> {
        let case = Case {
            name: "first",
            modules,
            work: Work::Changed,
            build: 0,
            dear: false,
        };
        self.deploy(&case, by).await
    }

    async fn rounds(&mut self, wanted: &Wanted, figures: &mut Figures, ui: &Ui) -> Result<()> {
        let task = ui.task("Seedflow and seed-farmer in turn");
        let cases = CASES.iter().filter(|case| wanted.has(case.name));
        figures.series = cases
            .flat_map(|case| By::ALL.map(|by| (*case, by)))
            .map(|(case, by)| Series {
                case,
                by,
                runs: Vec::new(),
            })
            .collect();
        for round in 0..figures.rounds {
            let takes_part = |series: &&mut Series| series.case.takes_part(series.by, round, figures.rounds);
            for series in figures.series.iter_mut().filter(takes_part) {
                let Series { case, by, .. } = *series;
                task.detail(&format!("round {}: {}, {}", round + 1, case.title(), by.name()));
                let run = self.turn(&case, by).await;
                let run = run.with_context(|| format!("{}, {}", case.title(), by.name()))?;
                let wall = seconds(run.wall);
                task.step(format!(
                    "round {}: {}, {}: {wall}",
                    round + 1,
                    case.title(),
                    by.name()
                ));
                series.runs.push(run);
            }
        }
        task.done(&format!("{} rounds", figures.rounds));
        Ok(())
    }

    /// One deployment of a case, after which everything is deployed again.
    async fn turn(&mut self, case: &Case, by: By) -> Result<Run> {
        if case.work != Work::Unchanged {
            let pair = self.pair(case.modules)?;
            match by {
                By::Seedflow => pair.seedflow.change()?,
                By::Peer | By::Hurried => pair.peer.change()?,
            }
        }
        let run = self.deploy(case, by).await?;
        if case.work == Work::Failed {
            let quickest = if by == By::Seedflow { by } else { By::Hurried };
            self.restore(case.modules, quickest).await?;
        }
        Ok(run)
    }

    async fn deploy(&mut self, case: &Case, by: By) -> Result<Run> {
        let stack = self.stack;
        pretend(stack, case.lasts(), case.work == Work::Failed);
        let pair = self.pair(case.modules)?;
        let run = match by {
            By::Seedflow => pair.seedflow.deploy(stack, case).await?,
            By::Peer => pair.peer.deploy(stack, case, false).await?,
            By::Hurried => pair.peer.deploy(stack, case, true).await?,
        };
        ensure!(
            run.builds.len() == case.builds(),
            "{} builds were started, and not {}",
            run.builds.len(),
            case.builds()
        );
        Ok(run)
    }

    /// A deployment of each, and then its build as a real one.
    async fn inside(&mut self, figures: &mut Figures, ui: &Ui) -> Result<()> {
        let task = ui.task("What each adds inside a build");
        let stack = self.stack;
        for by in [By::Seedflow, By::Hurried] {
            task.detail(by.name());
            let rule = inside::keep_bundles(stack);
            let pair = self.pair(1)?;
            pair.seedflow.change()?;
            pair.peer.change()?;
            let run = self.restore(1, by).await;
            stack.proxy().remove_rule(rule);
            let run = run?;
            let build = run.builds.first().context("there was no build")?;
            stack.codebuild().simulate(None);
            let inside = inside::measure(stack, by, &build.id, figures.rounds).await;
            let inside = inside.with_context(|| format!("inside a build of {}", by.name()))?;
            figures.inside.insert(by, inside);
        }
        task.done(&format!("{} builds of each", figures.rounds));
        Ok(())
    }
}
