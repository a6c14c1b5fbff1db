//! Deployments of fifty modules, by Seedflow and by seed-farmer in turn, on the same stack.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use seedflow_local::stack::Stack;
use seedflow_local::ui::Ui;

use super::Run;
use super::peer::Peer;
use super::repository::Repository;
use super::seedflow::Seedflow;
use crate::report::{Limit, Section};
use crate::stats::{Spread, megabytes};

const PROJECT: &str = "compared";
const MODULES: usize = 50;
const ROUNDS: usize = 3;
/// The most calls of a changed module with its share of those of the whole deployment: as of a module by itself, and two.
const CALLS_PER_CHANGED: u64 = 29;
/// How long each build lasts.
pub const BUILD: Duration = Duration::from_secs(3);

/// Who deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Seedflow,
    Peer,
    /// The peer without its fixed wait.
    Hurried,
}

const ALL: [By; 3] = [By::Seedflow, By::Peer, By::Hurried];

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Seedflow => "Seedflow",
            Self::Peer => "seed-farmer",
            Self::Hurried => "seed-farmer without its fixed wait",
        }
    }
}

/// The deployments of the same kind by the same one.
struct Series {
    by: By,
    changed: bool,
    runs: Vec<Run>,
}

/// Measures deployments in which nothing, and in which everything changed.
pub async fn measure(stack: &Stack, ui: &Ui) -> Result<Vec<Section>> {
    let task = ui.task(format!("{MODULES} modules, Seedflow and seed-farmer in turn"));
    let repository = || Repository::new(PROJECT, MODULES, MODULES);
    let mut seedflow = Seedflow::new(stack, PROJECT, repository())?;
    task.detail("setting up seed-farmer");
    let mut peer = Peer::new(stack, PROJECT, repository(), &task).await?;
    // The first deployments aren't counted: they make what later ones find.
    task.detail("first deployments");
    seedflow.deploy(stack).await?;
    peer.deploy(stack, true).await?;
    let kinds = [false, true]
        .into_iter()
        .flat_map(|changed| ALL.map(|by| (by, changed)));
    let mut all: Vec<Series> = kinds
        .map(|(by, changed)| Series {
            by,
            changed,
            runs: Vec::new(),
        })
        .collect();
    for round in 1..=ROUNDS {
        for series in &mut all {
            let kind = if series.changed {
                "all changed"
            } else {
                "nothing changed"
            };
            task.detail(&format!("round {round}: {}, {kind}", series.by.name()));
            let run = match series.by {
                By::Seedflow => {
                    if series.changed {
                        seedflow.change()?;
                    }
                    seedflow.deploy(stack).await
                }
                By::Peer | By::Hurried => {
                    if series.changed {
                        peer.change()?;
                    }
                    peer.deploy(stack, series.by == By::Hurried).await
                }
            };
            let run = run.with_context(|| format!("{}, {kind}", series.by.name()))?;
            let builds = run.calls.get("codebuild:StartBuild").copied().unwrap_or_default();
            let expected = if series.changed { MODULES as u64 } else { 0 };
            ensure!(
                builds == expected,
                "{}, {kind}: {builds} builds, and not {expected}",
                series.by.name()
            );
            series.runs.push(run);
        }
    }
    task.done(&format!("{ROUNDS} rounds"));
    Ok(vec![walls(&all), calls(&all)])
}

impl Series {
    fn took(&self) -> Spread {
        Spread::of(self.runs.iter().map(|run| run.took).collect())
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

    fn peak(&self) -> Option<u64> {
        self.runs.iter().filter_map(|run| run.peak).max()
    }

    fn row(&self) -> Vec<String> {
        let kind = if self.changed {
            "all changed"
        } else {
            "nothing changed"
        };
        vec![
            format!("{kind}: {}", self.by.name()),
            self.took().seconds(),
            self.total().to_string(),
            format!("{:.1}", self.total() as f64 / MODULES as f64),
            self.peak().map_or_else(|| "nothing runs".to_owned(), megabytes),
        ]
    }
}

fn of(all: &[Series], by: By, changed: bool) -> Option<&Series> {
    all.iter()
        .find(|series| series.by == by && series.changed == changed)
}

fn walls(all: &[Series]) -> Section {
    let build = BUILD.as_secs();
    Section {
        title: "A deployment of fifty modules, beside seed-farmer's",
        about: format!(
            "One repository with one group of {MODULES} modules of four small files, deployed by Seedflow and by seed-farmer 8.0.9 in \
             turn, on the same emulator, proxy and CodeBuild stand-in. The stand-in only pretends to build: each build lasts {build} s and \
             runs no command, so what seed-farmer's own commands do and call inside each build is missing from its figures. Seedflow: from the \
             packing of the repository to the end of the execution; the emulator runs its functions as processes of this machine, \
             in the dev profile. seed-farmer: its command line from start to end. Median of {ROUNDS} (shortest to longest). \
             seed-farmer sleeps 12 s in every run, also where nothing changed; without its fixed wait means that it ran with exactly \
             that sleep taken out. Seedflow deploys 40 modules at once, the most that Step Functions runs in one Map, and the other ten as \
             places become free; seed-farmer all fifty. Calls are those of the functions and the client; what is called for a build, and its log, counts \
             for neither. Memory is the client's peak: with Seedflow nothing of the user's runs."
        ),
        columns: vec![
            "",
            "wall time",
            "AWS calls",
            "calls per module",
            "client's memory",
        ],
        rows: all.iter().map(Series::row).collect(),
        limits: limits(all),
    }
}

fn limits(all: &[Series]) -> Vec<Limit> {
    let (Some(ours), Some(theirs)) = (of(all, By::Seedflow, false), of(all, By::Peer, false)) else {
        return Vec::new();
    };
    let changed = of(all, By::Seedflow, true).map(|series| {
        let limit = CALLS_PER_CHANGED * MODULES as u64;
        Limit::count("AWS calls of 50 changed modules", series.total(), limit)
    });
    let unchanged = Limit::count(
        "AWS calls of 50 unchanged modules, beside seed-farmer's",
        ours.total(),
        theirs.total(),
    );
    std::iter::once(unchanged).chain(changed).collect()
}

fn calls(all: &[Series]) -> Section {
    let shown: Vec<&Series> = [By::Seedflow, By::Peer]
        .into_iter()
        .flat_map(|by| [false, true].map(|changed| of(all, by, changed)))
        .flatten()
        .collect();
    let counted: Vec<BTreeMap<String, u64>> = shown.iter().map(|series| series.calls()).collect();
    let names: BTreeSet<&String> = counted.iter().flat_map(BTreeMap::keys).collect();
    let rows = names.into_iter().map(|name| {
        let cells = counted
            .iter()
            .map(|calls| calls.get(name).map_or_else(String::new, u64::to_string));
        std::iter::once(name.clone()).chain(cells).collect()
    });
    Section {
        title: "The AWS calls of these deployments",
        about: "The runs with the median of the calls.".to_owned(),
        columns: vec![
            "call",
            "Seedflow, nothing changed",
            "Seedflow, all changed",
            "seed-farmer, nothing changed",
            "seed-farmer, all changed",
        ],
        rows: rows.collect(),
        limits: Vec::new(),
    }
}
