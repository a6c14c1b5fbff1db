//! `report`: what an execution did.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_terminal::Ui;

use super::reading::{OfProject, parse_target, print_json};
use crate::account::Account;
use crate::records::cause_of;
use crate::records::report::{self, ParsedReport};
use crate::records::target::Target;
use crate::view::report::show;

/// Shows what an execution of a module or deployment did.
///
/// By default it is the newest one with a report.
#[derive(Debug, Args)]
pub struct Report {
    /// The deployment or the module.
    #[arg(value_name = "DEPLOYMENT[/GROUP/MODULE]", value_parser = parse_target)]
    target: Target,
    #[command(flatten)]
    project: OfProject,
    /// The name or the ARN of an execution (`seedflow history` lists them).
    #[arg(long, value_name = "E")]
    execution: Option<String>,
    /// Prints the report as it is stored (docs/reports.md).
    #[arg(long)]
    json: bool,
}

impl Report {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let (project, target) = self.project.no_group(account, &self.target).await?;
        let bucket = account.bucket();
        let key = report::find(account, &project, &target, self.execution.as_deref()).await?;
        let json = report::json(&bucket, &key.key).await?;
        if self.json {
            print_json(&json, ui)?;
            return Ok(ExitCode::SUCCESS);
        }
        let cause = cause_of(&json["status"]);
        let parsed = ParsedReport::parse(&key, json)?;
        show(
            &format!("{project}/{}", key.of()),
            &key.execution,
            &parsed,
            cause.as_deref(),
            ui,
        );
        Ok(ExitCode::SUCCESS)
    }
}
