//! `seedflow-benches`: measures what the project promises in figures, and fails where a promise is missed.
//!
//! The fingerprint beside `unzip | md5sum`, the release binaries over a Runtime API of this program's own, the AWS
//! calls of deployments on a local stack, and planning: a run of them writes `docs/benchmarks.md`. By itself, since it
//! takes half an hour: Seedflow beside seed-farmer. What deployments cost on AWS has a page of its own, `docs/cost.md`.
//! `benches/README.md` says what each figure is.

mod bundle;
mod calls;
mod cargo;
mod check_md5;
mod compare;
mod cost;
mod fingerprint;
mod function;
mod functions;
mod machine;
mod memory;
mod planning;
mod report;
mod repository;
mod runtime_api;
mod stats;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use seedflow_local::process::workspace;
use seedflow_local::stack::{Stack, StackOptions};
use seedflow_terminal::{Tone, Ui};

use cargo::Binary;
use machine::Machine;
use report::{Report, Section};

/// Measures Seedflow and holds the figures against their limits. Without a subcommand: everything but the
/// comparison, and the result is written to docs/benchmarks.md.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    /// Put the part's sections into docs/benchmarks.md, in place of those that are there (of `cost`: write docs/cost.md).
    #[arg(long, global = true)]
    write: bool,
}

/// One part of the figures, which is printed, and written with `--write` only.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
enum Part {
    /// A bundle of 1,000 files and 500 MB: time and memory, beside `unzip -p | md5sum`.
    Fingerprint,
    /// The release binaries: size, cold start, warm answer, memory; check-md5 on the large bundle.
    Functions,
    /// The AWS calls of a changed and of an unchanged module.
    Calls,
    /// Planning a deployment of up to 500 modules.
    Planning,
    /// Deployments beside seed-farmer's. Goals that are missed are reported and are no failure.
    Compare(compare::Wanted),
    /// What deployments cost on AWS, from what they are counted to use. Has a page of its own, and no limits.
    Cost,
}

#[tokio::main]
async fn main() -> ExitCode {
    let ui = Ui::for_stdout();
    let cli = Cli::parse();
    let done = match cli.part {
        Some(Part::Cost) => cost(cli.write, &ui).await.map(|()| ExitCode::SUCCESS),
        _ => run(&cli, &ui).await.map(|report| verdict(&report, &ui)),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            ui.complain(&format!("{} {error:#}", ui.paint(Tone::Bad, "error:")));
            ExitCode::FAILURE
        }
    }
}

async fn run(Cli { part, write }: &Cli, ui: &Ui) -> Result<Report> {
    let machine = Machine::look().await?;
    let sections = match part {
        Some(Part::Compare(wanted)) => compare::measure(wanted, ui).await?,
        part => measure(part.as_ref(), ui).await?,
    };
    let report = Report::new(machine, sections);
    ui.say(report.text());
    if *write || part.is_none() {
        write_down(part.as_ref(), &report, ui)?;
    }
    Ok(report)
}

async fn cost(write: bool, ui: &Ui) -> Result<()> {
    let document = cost::measure(&Machine::look().await?, ui).await?;
    ui.say(&document);
    if write {
        let path = workspace::root()?.join("docs/cost.md");
        std::fs::write(path, document).context("cannot write docs/cost.md")?;
        ui.say("Written to docs/cost.md.");
    }
    Ok(())
}

fn write_down(part: Option<&Part>, report: &Report, ui: &Ui) -> Result<()> {
    if let Some(Part::Compare(wanted)) = part
        && !wanted.is_all()
    {
        ui.say("Not written to docs/benchmarks.md: these aren't all cases.");
        return Ok(());
    }
    let path = workspace::root()?.join("docs/benchmarks.md");
    let before = std::fs::read_to_string(&path).context("cannot read docs/benchmarks.md")?;
    let document = match part {
        None => report.document(&before, &compare::TITLES),
        Some(_) => report.put_into(&before),
    };
    std::fs::write(&path, document).context("cannot write docs/benchmarks.md")?;
    ui.say("Written to docs/benchmarks.md.");
    Ok(())
}

async fn measure(part: Option<&Part>, ui: &Ui) -> Result<Vec<Section>> {
    let wanted = |one| part.is_none_or(|part| *part == one);
    let mut sections = Vec::new();
    // Everything is compiled before anything is timed.
    let functions = if wanted(Part::Functions) {
        cargo::build_functions(ui).await?
    } else {
        Vec::new()
    };
    let planner = if wanted(Part::Planning) {
        Some(cargo::build_function("plan-deployment", ui).await?)
    } else {
        None
    };
    if wanted(Part::Fingerprint) {
        let built = cargo::build(&["seedflow-fingerprint"], ui).await?;
        sections.push(fingerprint::measure(&built[0], &large_bundle(ui).await?, ui).await?);
    }
    if wanted(Part::Functions) || wanted(Part::Calls) {
        sections.append(&mut of_modules(&wanted, &functions, ui).await?);
    }
    if let Some(planner) = planner {
        sections.push(planning::measure(&planner, ui).await?);
    }
    Ok(sections)
}

/// The parts that need a deployed module.
async fn of_modules(wanted: &impl Fn(Part) -> bool, functions: &[Binary], ui: &Ui) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    let stack = Stack::start(&StackOptions::default(), ui).await?;
    let deployed = calls::measure(&stack, ui).await?;
    if wanted(Part::Functions) {
        sections.push(check_md5::measure(&stack, functions, &large_bundle(ui).await?, ui).await?);
        sections.push(functions::measure(&stack, functions, &deployed, ui).await?);
    }
    if wanted(Part::Calls) {
        sections.push(deployed.section);
    }
    stack.stop().await;
    Ok(sections)
}

async fn large_bundle(ui: &Ui) -> Result<PathBuf> {
    let task = ui.task("Bundle of 1,000 files and 500 MB");
    let folder = bench_dir()?;
    let path = tokio::task::spawn_blocking(move || bundle::made_in(&folder)).await??;
    task.done("ready");
    Ok(path)
}

/// Where everything lies that a run leaves for the next one.
fn bench_dir() -> Result<PathBuf> {
    let folder = workspace::root()?.join("target/bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn verdict(report: &Report, ui: &Ui) -> ExitCode {
    let missed = report.missed();
    if !report.has_limits() {
        return ExitCode::SUCCESS;
    }
    if missed.is_empty() {
        ui.say(ui.paint(Tone::Good, "All limits are kept."));
        return ExitCode::SUCCESS;
    }
    for limit in missed {
        ui.complain(&ui.paint(Tone::Bad, format!("missed: {limit}")));
    }
    ExitCode::FAILURE
}
