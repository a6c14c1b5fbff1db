//! `diff`: what changed between two executions.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::ids::Name;
use seedflow_terminal::{Tone, Ui};
use serde_json::json;

use super::reading::{OfProject, parse_target, print_json};
use crate::account::Account;
use crate::exit::Refused;
use crate::records::bundles::{self, Tried};
use crate::records::report::{self, ParsedReport, ReportKey};
use crate::records::target::Target;
use crate::view::report::{Difference, differences, incomparable};

/// Shows what changed between two executions of a module or deployment.
///
/// By default it compares the last two. Changed files and parameters are named, without their values.
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
        let (from, to) = self.pair(account, &project, &target).await?;
        let (old, before) = read(account, &from).await?;
        let (new, after) = read(account, &to).await?;
        let mut found = differences(&old, &new);
        if let (Some(before), Some(after)) = (&before, &after) {
            found.extend(
                bundles::differing(before, after)
                    .into_iter()
                    .map(Difference::named),
            );
        }
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
            ui.say(one.line());
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn pair(
        &self,
        account: &Account,
        project: &Name,
        target: &Target,
    ) -> Result<(ReportKey, ReportKey)> {
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            let from = report::find(account, project, target, Some(from)).await?;
            return Ok((from, report::find(account, project, target, Some(to)).await?));
        }
        let mut own = report::own(&account.bucket(), project, target).await?.into_iter();
        match (own.next(), own.next()) {
            (Some(to), Some(from)) => Ok((from, to)),
            (found, _) => Err(Refused(format!(
                "{project}/{target}: expected two reports, found {}; an execution that found nothing changed leaves no report",
                if found.is_some() { "one" } else { "none" }
            ))
            .into()),
        }
    }
}

/// A report, with what its execution deployed or tried to deploy: the files of its bundle, if it is a module's.
async fn read(account: &Account, key: &ReportKey) -> Result<(ParsedReport, Option<BTreeMap<String, u32>>)> {
    let json = report::json(&account.bucket(), &key.key).await?;
    let tried = match key.module {
        Some(_) => bundles::tried(account, &key.execution, &json).await?,
        None => Tried::default(),
    };
    let mut report = ParsedReport::parse(key, json)?;
    if let (ParsedReport::Module(module), Some(fingerprint)) = (&mut report, tried.fingerprint) {
        module.fingerprint.get_or_insert(fingerprint);
    }
    Ok((report, tried.files))
}
