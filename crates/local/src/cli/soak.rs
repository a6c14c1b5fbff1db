//! `soak`: its options, its table, its exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::soak::{self, Report, Size};
use seedflow_terminal::{Tone, Ui};

/// How much is soaked.
#[derive(Debug, Args)]
pub struct Soak {
    /// Number of executions to start.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = at_least_one)]
    executions: usize,
    /// Number of modules.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one)]
    modules: usize,
    /// Seed of all random decisions [default: a new one each time].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Starts no further executions after this many minutes.
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// Writes the table of the result to a file, in Markdown.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("it has to be a number of at least 1".to_owned()),
    }
}

impl Soak {
    /// Runs the soak and shows its result; failure if an invariant is broken.
    pub async fn run(self, ui: &Ui) -> Result<ExitCode> {
        let size = Size {
            executions: self.executions,
            modules: self.modules,
            // Short enough to be typed.
            seed: self.seed.unwrap_or_else(|| fastrand::u32(..).into()),
        };
        let limit = self.minutes.map(|minutes| Duration::from_secs(minutes * 60));
        let report = soak::run(size, limit, ui).await?;
        let table = report.markdown();
        ui.say(format!("\n{table}"));
        if let Some(file) = &self.report {
            std::fs::write(file, &table).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(verdict(&report, ui))
    }
}

fn verdict(report: &Report, ui: &Ui) -> ExitCode {
    if report.holds() {
        ui.say(ui.paint(Tone::Good, "All invariants hold."));
        return ExitCode::SUCCESS;
    }
    let times = report.broken.len();
    ui.complain(&format!(
        "{times} times something did not hold; --seed {} repeats the schedule",
        report.size.seed
    ));
    ExitCode::FAILURE
}
