//! `seedflow-benches`: measures the figures that the project promises, and fails if a limit is missed.
//!
//! `limits` measures what we promise, `seedfarmer` compares the same deployments and plans by Seedflow and by seed-farmer, and
//! both write `docs/benchmarks.md`. `cost` computes what deployments cost on AWS and writes `docs/cost.md`. `benches/README.md`
//! explains each figure.

mod bench_dir;
mod cost;
mod limits;
mod machine;
mod quotas;
mod report;
mod seedfarmer;
mod stats;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use seedflow_local::process::workspace;
use seedflow_terminal::{Tone, Ui};

use limits::Measurement;
use machine::Machine;
use report::Part;

/// Measures Seedflow and compares the figures with their limits. Without a subcommand: the limits and the comparisons with
/// seed-farmer, in one run, and the result is written to docs/benchmarks.md. The deployments under quotas have a run of their
/// own.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Write the result: of `limits`, `compare`, `sources` and `quotas` into docs/benchmarks.md, of `cost` to docs/cost.md.
    #[arg(long, global = true)]
    write: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All figures that have limits.
    Limits,
    /// A bundle of 1,000 files and 500 MB: time and memory, compared with `unzip -p | md5sum`.
    Fingerprint,
    /// The release binaries: size, cold start, warm answer, memory; check-md5 on the large bundle.
    Functions,
    /// The AWS calls of a changed and of an unchanged module.
    Calls,
    /// Planning a deployment of up to 500 modules.
    Planning,
    /// The same deployments by Seedflow and by seed-farmer. Missed targets are reported and are not failures.
    Compare(seedfarmer::Wanted),
    /// Planning modules of other git repositories by Seedflow and by seed-farmer.
    Sources,
    /// Deployments of up to 500 modules under the quotas of a new account.
    Quotas(quotas::Wanted),
    /// The cost of deployments on AWS, computed from their use. It has a page of its own, and no limits.
    Cost,
}

#[tokio::main]
async fn main() -> ExitCode {
    let ui = Ui::for_stdout();
    match run(&Cli::parse(), &ui).await {
        Ok(code) => code,
        Err(error) => {
            ui.complain(&format!("{} {error:#}", ui.paint(Tone::Bad, "error:")));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli, ui: &Ui) -> Result<ExitCode> {
    let machine = Machine::inspect().await?;
    let one = |measurement| limits::measure(Some(measurement), ui);
    let (limits, comparisons) = match &cli.command {
        Some(Command::Cost) => return cost(&machine, cli.write, ui).await,
        Some(Command::Fingerprint) => (Some(one(Measurement::Fingerprint).await?), vec![]),
        Some(Command::Functions) => (Some(one(Measurement::Functions).await?), vec![]),
        Some(Command::Calls) => (Some(one(Measurement::Calls).await?), vec![]),
        Some(Command::Planning) => (Some(one(Measurement::Planning).await?), vec![]),
        Some(Command::Limits) => (Some(limits::measure(None, ui).await?), vec![]),
        Some(Command::Compare(wanted)) => (None, vec![seedfarmer::measure(wanted, ui).await?]),
        Some(Command::Sources) => (None, vec![seedfarmer::sources::measure(ui).await?]),
        Some(Command::Quotas(wanted)) => (Some(quotas::measure(wanted, ui).await?), vec![]),
        None => {
            let limits = limits::measure(None, ui).await?;
            let comparison = seedfarmer::measure(&seedfarmer::Wanted::default(), ui).await?;
            let sources = seedfarmer::sources::measure(ui).await?;
            (Some(limits), vec![comparison, sources])
        }
    };
    let parts: Vec<&Part> = limits.iter().chain(&comparisons).collect();
    parts.iter().for_each(|part| ui.say(part.text()));
    let whole = match &cli.command {
        Some(Command::Compare(wanted)) => wanted.is_all(),
        Some(Command::Quotas(wanted)) => wanted.is_all(),
        command => matches!(command, None | Some(Command::Limits | Command::Sources)),
    };
    if whole && (cli.write || cli.command.is_none()) {
        write(&parts, &machine)?;
        ui.say("Written to docs/benchmarks.md.");
    } else if cli.write {
        ui.say("Not written to docs/benchmarks.md: this isn't a whole part of it.");
    }
    Ok(limits.map_or(ExitCode::SUCCESS, |limits| verdict(&limits, ui)))
}

async fn cost(machine: &Machine, write: bool, ui: &Ui) -> Result<ExitCode> {
    let document = cost::measure(machine, ui).await?;
    ui.say(&document);
    if write {
        let path = workspace::root()?.join("docs/cost.md");
        std::fs::write(path, document).context("cannot write docs/cost.md")?;
        ui.say("Written to docs/cost.md.");
    }
    Ok(ExitCode::SUCCESS)
}

fn write(parts: &[&Part], machine: &Machine) -> Result<()> {
    let path = workspace::root()?.join("docs/benchmarks.md");
    let page = std::fs::read_to_string(&path).context("cannot read docs/benchmarks.md")?;
    let page = parts
        .iter()
        .fold(page, |page, part| part.replace_in(&page, machine));
    std::fs::write(&path, page).context("cannot write docs/benchmarks.md")
}

fn verdict(limits: &Part, ui: &Ui) -> ExitCode {
    let missed = limits.missed();
    if missed.is_empty() {
        ui.say(ui.paint(Tone::Good, "All limits are met."));
        return ExitCode::SUCCESS;
    }
    for limit in missed {
        ui.complain(&ui.paint(Tone::Bad, format!("missed: {limit}")));
    }
    ExitCode::FAILURE
}
