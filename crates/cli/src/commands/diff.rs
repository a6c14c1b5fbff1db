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
use crate::view::report::{differences, incomparable, line};

/// Shows what changed between two executions of a module or deployment.
///
/// By default these are its last two. Reports have no values of parameters, so a changed parameter is only named. Of an
/// execution that failed, it is compared with the last success before it.
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
        let (project, target) = self.project.no_group(account, &self.target).await?;
        let bucket = account.bucket();
        let (from, to) = self.pair(&bucket, &project, &target).await?;
        let (old, new) = (read(&bucket, &from).await?, read(&bucket, &to).await?);
        let found = differences(&old, &new);
        if self.json {
            let all = json!({"of": to.of(), "from": from.execution, "to": to.execution, "differences": found,
                "note": incomparable(&old, &new)});
            print_json(all, ui)?;
            return Ok(ExitCode::SUCCESS);
        }
        ui.say(ui.paint(Tone::Quiet, format!("{} -> {}", from.execution, to.execution)));
        if found.is_empty() {
            ui.say("No difference.");
        }
        if let Some(note) = incomparable(&old, &new) {
            ui.say(ui.paint(Tone::Quiet, note));
        }
        for one in &found {
            ui.say(line(&one.what, one.old.as_deref(), one.new.as_deref()));
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn pair(&self, bucket: &Bucket, project: &Name, target: &Target) -> Result<(ReportKey, ReportKey)> {
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            let from = report::find(bucket, project, target, Some(from)).await?;
            return Ok((from, report::find(bucket, project, target, Some(to)).await?));
        }
        let listed = report::list(bucket, project, Some(target)).await?;
        let mut own = listed.into_iter().filter(|key| key.of() == target.to_string());
        match (own.next(), own.next()) {
            (Some(to), Some(from)) => Ok((from, to)),
            (Some(_), None) => bail!("{project}/{target}: expected two reports, found one: it ran once"),
            _ => bail!("{project}/{target}: expected two reports, found none"),
        }
    }
}

async fn read(bucket: &Bucket, key: &ReportKey) -> Result<Report> {
    Report::parse(key, report::json(bucket, &key.key).await?)
}
