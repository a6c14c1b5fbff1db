//! Deployments of up to 500 modules in an account that never asked for higher quotas.
//!
//! The stack has the quotas of a new account (`seedflow_local::proxy::quotas`). Builds are simulated: a build takes its place
//! for its time, and runs nothing. A first deployment without quotas makes the state that the measured ones find. The binding
//! limit is the shortest time that the quotas allow: the writes at three a second, the reads at forty, or the builds at twenty
//! at once. What fails, or is written twice, fails the run.

mod case;
mod writes;

use std::time::Duration;

use anyhow::{Result, ensure};
use seedflow_fixtures::Repository;
use seedflow_local::codebuild::SimulatedBuild;
use seedflow_local::process::cargo_build::Profile;
use seedflow_local::proxy::quotas;
use seedflow_local::stack::{Stack, StackOptions};
use seedflow_terminal::{Ui, seconds};

use crate::report::{Limit, Part, Section};
use crate::seedfarmer::case::{self as deployments, PROJECT, Work};
use crate::seedfarmer::seedflow::SeedflowSide;
use case::{CASES, Case, Measured};
use writes::Writes;

/// How the figures are measured.
const METHOD: &str = "`cargo run -p seedflow-benches quotas`. The proxy applies AWS's default quotas \
    (`crates/local/src/proxy/quotas.rs` has each with its page), the emulator runs 10 functions at once, CodeBuild 20 builds and a \
    queue of 100. All modules are in one group, and 40 of them run at once. The binding limit is the shortest time that the quotas \
    allow: the writes of Parameter Store at 3 a second, its reads at 40, or the builds at 20 at once. Refused are the calls above a \
    quota; each was made again. A module has four writes: the status before and after its build, metadata and md5.";

/// Which deployments are measured.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Wanted {
    /// Only deployments with this many modules; may be given several times. Then nothing is written.
    #[arg(long, value_name = "N")]
    modules: Vec<usize>,
    /// Takes the functions of the dev profile, which are built in seconds; what is written says so.
    #[arg(long)]
    dev: bool,
}

impl Wanted {
    /// Whether everything is measured, so that it may be written.
    pub fn is_all(&self) -> bool {
        self.modules.is_empty()
    }

    fn has(&self, case: &Case) -> bool {
        let named = self.modules.contains(&case.modules);
        named || (self.modules.is_empty() && case.is_published)
    }
}

/// Deploys under quotas.
pub async fn measure(wanted: &Wanted, ui: &Ui) -> Result<Part> {
    let options = StackOptions {
        profile: if wanted.dev {
            Profile::Dev
        } else {
            Profile::Release
        },
        ..StackOptions::default()
    };
    let stack = Stack::start(&options.of_a_new_account(), ui).await?;
    let measured = cases(&stack, wanted, ui).await;
    stack.stop().await;
    Ok(part(&measured?, wanted.dev))
}

async fn cases(stack: &Stack, wanted: &Wanted, ui: &Ui) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    let mut deployed: Option<SeedflowSide> = None;
    for case in CASES.iter().filter(|case| wanted.has(case)) {
        let task = ui.task(case.title());
        let mut side = match deployed.take() {
            Some(side) if side.copy.modules == case.modules => side,
            _ => {
                task.detail("first deployment, without quotas");
                first(stack, case.modules).await?
            }
        };
        task.detail("under quotas");
        let found = one(stack, case, &mut side).await?;
        task.done(&format!(
            "{}, {:.2} of the limit",
            seconds(found.wall),
            found.ratio()
        ));
        deployed = Some(side);
        measured.push(found);
    }
    Ok(measured)
}

/// A repository that is deployed, and not measured.
async fn first(stack: &Stack, modules: usize) -> Result<SeedflowSide> {
    let name = format!("quotas-{modules}");
    let repository = Repository::numbered(PROJECT, &name, modules, modules);
    let side = SeedflowSide::new(stack, &name, modules, repository)?;
    stack.proxy().apply_quotas(&[]);
    deploy(stack, &side, modules, Work::Changed, Duration::ZERO).await?;
    Ok(side)
}

async fn deploy(
    stack: &Stack,
    side: &SeedflowSide,
    modules: usize,
    work: Work,
    build: Duration,
) -> Result<Duration> {
    stack.codebuild().simulate(Some(SimulatedBuild {
        lasts: build,
        fails: false,
    }));
    let case = deployments::case("quotas", modules, work, build.as_secs());
    let run = side.deploy(stack, &case).await?;
    let (expected, found) = (case.builds(), run.builds.len());
    ensure!(found == expected, "expected {expected} builds, found {found}");
    Ok(run.wall)
}

async fn one(stack: &Stack, case: &Case, side: &mut SeedflowSide) -> Result<Measured> {
    if case.work == Work::Changed {
        side.copy.change();
    }
    stack.proxy().apply_quotas(&quotas::new_account());
    let writes = Writes::watch(stack);
    let wall = deploy(stack, side, case.modules, case.work, case.build).await?;
    let count = |operation| stack.proxy().quota_count("ssm", operation);
    let measured = Measured {
        case: *case,
        wall,
        reads: count("GetParameters"),
        writes: count("PutParameter"),
        start_builds: stack.proxy().quota_count("codebuild", "StartBuild"),
        most_writes: writes.most_of_a_module().await?,
    };
    stack.proxy().apply_quotas(&[]);
    Ok(measured)
}

fn part(measured: &[Measured], dev: bool) -> Part {
    let profile = if dev {
        " The functions were those of the dev profile."
    } else {
        ""
    };
    Part {
        title: "Under a new account's quotas",
        about: "What a deployment promises in an account that never asked for higher quotas. A missed limit fails the run, and so \
                does a module that fails, a build that is started twice, and a value that is written twice.",
        sections: vec![Section {
            title: "Modules of one group",
            about: format!("{METHOD}{profile}"),
            columns: vec![
                "",
                "wall",
                "binding limit",
                "ratio",
                "writes",
                "refused",
                "most in a second",
                "StartBuild",
                "refused",
            ],
            rows: measured.iter().map(Measured::row).collect(),
            limits: measured.iter().flat_map(limits).collect(),
        }],
    }
}

fn limits(measured: &Measured) -> Vec<Limit> {
    let title = measured.case.title();
    let mut limits = vec![measured.ratio_limit()];
    if measured.case.work == Work::Changed {
        let most = measured.most_writes;
        limits.push(Limit::count(format!("{title}, writes of a module"), most, 4));
        let builds = measured.case.modules as u64;
        let started = measured.start_builds.granted;
        limits.push(Limit::count(
            format!("{title}, calls of StartBuild"),
            started,
            builds,
        ));
    }
    limits
}
