//! `diff`: what changed between two executions.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use seedflow_aws::services::s3::Bucket;
use seedflow_core::ids::Name;
use seedflow_terminal::{Tone, Ui};
use serde_json::json;

use super::reading::{OfProject, parse_target, print_json};
use crate::account::Account;
use crate::records::report::{self, Report, ReportKey};
use crate::records::target::Target;
use crate::view::report::{Difference, differences};

/// Shows what changed between two executions of a module or deployment.
///
/// By default these are its last two. Reports have no values of parameters, so a changed parameter is only named.
#[derive(Debug, Args)]
pub struct Diff {
    /// The deployment or the module.
    #[arg(value_name = "DEPLOYMENT[/GROUP/MODULE]", value_parser = parse_target)]
    target: Target,
    /// The earlier execution, by its name or ARN.
    #[arg(value_name = "FROM", requires = "to")]
    from: Option<String>,
    /// The later execution.
    #[arg(value_name = "TO")]
    to: Option<String>,
    #[command(flatten)]
    project: OfProject,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Diff {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let project = self.project.find(account).await?;
        let bucket = account.bucket();
        let (from, to) = self.pair(&bucket, &project).await?;
        let (old, new) = (read(&bucket, &from).await?, read(&bucket, &to).await?);
        let found = differences(&old, &new);
        if self.json {
            let all =
                json!({"of": to.of(), "from": from.execution, "to": to.execution, "differences": found});
            print_json(&all, ui)?;
            return Ok(ExitCode::SUCCESS);
        }
        ui.say(ui.paint(Tone::Quiet, format!("{} -> {}", from.execution, to.execution)));
        if found.is_empty() {
            ui.say("No difference.");
        }
        found.iter().for_each(|one| ui.say(line(one)));
        Ok(ExitCode::SUCCESS)
    }

    async fn pair(&self, bucket: &Bucket, project: &Name) -> Result<(ReportKey, ReportKey)> {
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            let from = report::find(bucket, project, &self.target, Some(from)).await?;
            return Ok((from, report::find(bucket, project, &self.target, Some(to)).await?));
        }
        let listed = report::list(bucket, project, Some(&self.target)).await?;
        let mut own = listed
            .into_iter()
            .filter(|key| key.of() == self.target.to_string());
        match (own.next(), own.next()) {
            (Some(to), Some(from)) => Ok((from, to)),
            (Some(_), None) => bail!(
                "{project}/{}: expected two reports, found one: it ran once",
                self.target
            ),
            _ => bail!("{project}/{}: expected two reports, found none", self.target),
        }
    }
}

async fn read(bucket: &Bucket, key: &ReportKey) -> Result<Report> {
    Report::parse(key, report::json(bucket, &key.key).await?)
}

fn line(one: &Difference) -> String {
    match (&one.old, &one.new) {
        (None, None) => format!("~ {}", one.what),
        (None, Some(new)) => format!("+ {}: {new}", one.what),
        (Some(old), None) => format!("- {}: {old}", one.what),
        (Some(old), Some(new)) => format!("~ {}: {old} -> {new}", one.what),
    }
}
