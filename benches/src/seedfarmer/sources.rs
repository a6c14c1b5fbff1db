//! Planning a repository whose modules are in other git repositories: by Seedflow with `plan_only`, by seed-farmer with
//! `--dry-run`, alternately. First nothing is deployed and nothing fetched; then both have deployed all of it.

use anyhow::{Context, Result, ensure};
use seedflow_fixtures::Repository;
use seedflow_fixtures::git_server::{GitServer, HostedRepository};
use seedflow_local::stack::Stack;
use seedflow_terminal::{Task, Ui, seconds};
use serde_json::Value;

use super::case::{Case, PROJECT, Tool, Work, case};
use super::run::Run;
use super::targets::{THIRD, ratio};
use super::{Pair, release_stack};
use crate::limits::bundle::incompressible;
use crate::report::{Limit, Part, Section};
use crate::stats::{Spread, grouped, median, megabytes};

const DEPLOYMENT: &str = "hosted";
const MODULES: usize = 50;
const REPOSITORIES: usize = 3;
/// The commits of each repository. Each commit replaces a file of this size.
const COMMITS: usize = 30;
const FILE: usize = 100_000;
const ROUNDS: usize = 5;
const PLANNED: Case = case("planned", MODULES, Work::Planned, 0);
/// The requests for the commit of a reference, and for its files.
const RESOLVED: u64 = 2;
const FETCHED: u64 = 1;

/// What a plan finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is deployed, and the current commits were not fetched.
    First,
    /// All modules are deployed from these commits.
    Unchanged,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::First => "first run",
            Self::Unchanged => "unchanged",
        }
    }

    /// Fails unless all modules are planned as this state asks.
    fn check(self, tool: Tool, output: &str) -> Result<()> {
        let planned = match tool {
            Tool::Seedflow => {
                let counts = &serde_json::from_str::<Value>(output)?["counts"];
                ["deploy", "unchanged"].map(|action| counts[action] == MODULES)
            }
            _ => ["scheduled to be deployed", "are up to date"].map(|title| output.contains(title)),
        };
        let expected = [self == Self::First, self == Self::Unchanged];
        ensure!(
            planned == expected,
            "{}: expected another plan, found\n{output}",
            self.name()
        );
        Ok(())
    }
}

/// The plans of a tool in the same state.
struct Series {
    state: State,
    tool: Tool,
    plans: Vec<Plan>,
}

struct Plan {
    run: Run,
    /// The requests to the host, and the bytes that it sent.
    requests: u64,
    bytes: u64,
}

/// Compares, with the functions in the release profile.
pub async fn measure(ui: &Ui) -> Result<Part> {
    let stack = release_stack(ui).await?;
    let series = all(&stack, ui).await;
    stack.stop().await;
    Ok(part(&series?))
}

async fn all(stack: &Stack, ui: &Ui) -> Result<Vec<Series>> {
    let task = ui.task("Planning modules of other repositories");
    let sides = Sides::set_up(stack, &task).await?;
    let mut series = sides.rounds(State::First, &task).await?;
    task.detail("deploying");
    let changed = case("first", MODULES, Work::Changed, 0);
    for tool in [Tool::Seedflow, Tool::SeedFarmerWithoutWait] {
        sides.pair.deploy(stack, &changed, tool).await?;
    }
    series.append(&mut sides.rounds(State::Unchanged, &task).await?);
    task.done(&format!("{ROUNDS} rounds of each"));
    Ok(series)
}

/// Both tools, with copies of a repository whose modules are on a host.
struct Sides<'a> {
    stack: &'a Stack,
    server: GitServer,
    hosts: Vec<(HostedRepository, String)>,
    pair: Pair,
}

impl<'a> Sides<'a> {
    async fn set_up(stack: &'a Stack, task: &Task) -> Result<Self> {
        let server = GitServer::start();
        let name = |number| format!("modules-{number}");
        let hosts: Vec<(HostedRepository, String)> = (0..REPOSITORIES)
            .map(|number| {
                let url = server.url(&format!("public/{}.git", name(number)));
                (server.repository(&name(number)), url)
            })
            .collect();
        let repository = Repository::numbered(PROJECT, DEPLOYMENT, MODULES, MODULES).hosted(MODULES, &hosts);
        task.detail("the history of the repositories");
        let versions = incompressible(COMMITS * FILE);
        for (hosted, _) in &hosts {
            versions.chunks(FILE).for_each(|version| {
                hosted.write("file.bin", version).commit();
            });
        }
        let pair = Pair::new(stack, DEPLOYMENT, MODULES, repository, task).await?;
        task.detail("seed-farmer's roles");
        pair.seed_farmer.bootstrap(stack).await?;
        Ok(Self {
            stack,
            server,
            hosts,
            pair,
        })
    }

    /// The rounds of a state, after one that isn't counted.
    async fn rounds(&self, state: State, task: &Task) -> Result<Vec<Series>> {
        let mut all = Tool::ALL.map(|tool| Series {
            state,
            tool,
            plans: Vec::new(),
        });
        for round in 0..=ROUNDS {
            if state == State::First {
                self.hosts.iter().for_each(|(hosted, _)| drop(hosted.commit()));
            }
            for series in &mut all {
                let turn = format!("round {round}: {}, {}", state.name(), series.tool.name());
                task.detail(&turn);
                let plan = self
                    .plan(state, series.tool)
                    .await
                    .with_context(|| turn.clone())?;
                task.step(format!("{turn}: {}", seconds(plan.run.wall)));
                series.plans.extend((round > 0).then_some(plan));
            }
        }
        Ok(all.into())
    }

    async fn plan(&self, state: State, tool: Tool) -> Result<Plan> {
        let fetched = self.pair.seed_farmer.copy.folder.join("seedfarmer.gitmodules");
        if state == State::First && fetched.exists() {
            std::fs::remove_dir_all(&fetched).context("cannot remove what seed-farmer has fetched")?;
        }
        let (requests, bytes) = (self.server.requests(), self.server.bytes());
        let run = self.pair.deploy(self.stack, &PLANNED, tool).await?;
        state.check(tool, &run.output)?;
        Ok(Plan {
            run,
            requests: self.server.requests() - requests,
            bytes: self.server.bytes() - bytes,
        })
    }
}

fn part(all: &[Series]) -> Part {
    let states = [(State::First, RESOLVED + FETCHED), (State::Unchanged, RESOLVED)].into_iter();
    Part {
        title: "Planning modules of other repositories",
        about: "Targets: the requests that git's protocol needs once for each repository, and ratios of the medians below. A missed \
                target fails nothing.",
        sections: vec![Section {
            title: "50 modules of three git repositories",
            about: about(),
            columns: vec![
                "",
                "wall",
                "requests to the host",
                "sent by the host",
                "AWS calls",
                "client's memory",
                "memory of a function",
            ],
            rows: all.iter().map(row).collect(),
            limits: states
                .filter_map(|(state, requests)| targets(all, state, requests))
                .flatten()
                .collect(),
        }],
    }
}

fn about() -> String {
    format!(
        "`cargo run -p seedflow-benches sources`: a deployment of {MODULES} modules in one group, each named by \
         `git::http://…/modules-N.git//…?ref=main&depth=1`, from {REPOSITORIES} repositories in turn. A repository has {COMMITS} commits, \
         each with another version of a file of {} that can't be compressed, as a history. The host is git's `http-backend` on this \
         machine, and counts requests and what it sends, with its HTTP headers. Seedflow plans by an execution of the deployment \
         workflow with `plan_only`, from the packing to the execution's end; seed-farmer 8.0.9 by `apply --dry-run`, from its start to \
         its end. So both read the manifests, fetch, compute the fingerprints and compare them with the stored state, and neither \
         packs or deploys anything. First run: nothing is deployed, and each round has new commits, and nothing of them is fetched. \
         Unchanged: both have deployed all modules, and keep what they fetched: Seedflow in its bucket, seed-farmer in its working \
         folder; a job that begins with a new checkout fetches as in a first run. seed-farmer ignores `depth` beside `ref`, so it \
         fetches the history. Medians of {ROUNDS} (shortest to longest), after a round that isn't counted; of requests, bytes and calls \
         the median; of memory the most: of the client with all that it starts, and of a process of a function. Functions in the \
         release profile, warm.",
        megabytes(FILE as u64)
    )
}

fn row(series: &Series) -> Vec<String> {
    let memory = |bytes: Option<u64>| match bytes.unwrap_or_default() {
        0 => "nothing runs".to_owned(),
        bytes => megabytes(bytes),
    };
    let runs = || series.plans.iter().map(|plan| &plan.run);
    vec![
        format!("{}: {}", series.state.name(), series.tool.name()),
        series.wall().seconds(),
        grouped(series.median(|plan| plan.requests)),
        megabytes(series.median(|plan| plan.bytes)),
        grouped(series.median(|plan| plan.run.calls.values().sum())),
        memory(runs().map(|run| run.client.peak).max()),
        match series.tool {
            Tool::Seedflow => memory(runs().map(|run| run.served.peak).max()),
            _ => String::new(),
        },
    ]
}

impl Series {
    fn wall(&self) -> Spread {
        Spread::of(self.plans.iter().map(|plan| plan.run.wall).collect())
    }

    fn median(&self, of: impl Fn(&Plan) -> u64) -> u64 {
        median(self.plans.iter().map(of).collect()).unwrap_or_default()
    }
}

/// The targets of a state, with the requests that a repository needs in it.
fn targets(all: &[Series], state: State, requests: u64) -> Option<[Limit; 2]> {
    let mut of_state = all.iter().filter(|series| series.state == state);
    let ours = of_state.find(|series| series.tool == Tool::Seedflow)?;
    let theirs = of_state.find(|series| series.tool == Tool::SeedFarmerWithoutWait)?;
    let (name, needed) = (state.name(), requests * REPOSITORIES as u64);
    let asked = ours.median(|plan| plan.requests);
    let wall = format!("wall, {name}, compared with {}", theirs.tool.name());
    Some([
        Limit::count(format!("requests to the host, {name}"), asked, needed),
        ratio(wall, ours.wall().median, theirs.wall().median, THIRD),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_counted_only_if_it_is_that_of_its_state() {
        let unchanged = r#"{"counts":{"deploy":0,"unchanged":50}}"#;
        assert!(State::Unchanged.check(Tool::Seedflow, unchanged).is_ok());
        assert!(State::First.check(Tool::Seedflow, unchanged).is_err());
        let part = "Modules deployed that are up to date: a\nModules scheduled to be deployed: b";
        assert!(State::First.check(Tool::SeedFarmer, part).is_err());
        assert!(State::Unchanged.check(Tool::SeedFarmer, part).is_err());
    }
}
