//! `history`: what ran when, who started it, and the commit with its author.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use seedflow_core::pages::format::duration;
use seedflow_core::started_by::{Proof, StartedBy};
use seedflow_terminal::Ui;
use serde_json::json;

use super::reading::{OfProject, parse_target, print_json};
use crate::account::Account;
use crate::records::executions::{self, Execution};
use crate::records::target::Target;
use crate::view::moment::{ago, short};
use crate::view::report::without_address;
use crate::view::state::cell;
use crate::view::table::Table;

/// Lists executions, the newest first: the time, the person or event that started it, and the commit with its author.
///
/// A `?` marks a name that nothing proves (docs/roles.md, "Who did it"); the author of a commit is always a claim.
/// Executions of a module that found nothing changed have no report, and are not listed.
#[derive(Debug, Args)]
pub struct History {
    /// Only executions of this deployment, group or module.
    #[arg(value_name = "DEPLOYMENT[/GROUP[/MODULE]]", value_parser = parse_target)]
    target: Option<Target>,
    #[command(flatten)]
    project: OfProject,
    /// The maximum number of executions.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl History {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let (project, target) = self.project.whole_or(account, self.target.as_ref()).await?;
        let found = executions::newest(&account.bucket(), &project, target.as_ref(), self.limit).await?;
        if self.json {
            print_json(json!({"project": project, "executions": found}), ui)?;
        } else if found.is_empty() {
            ui.say("Nothing has run here, or its reports are older than 400 days.");
        } else {
            table(&found, Timestamp::now()).show(ui);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Who started an execution, shortened; what nothing proves has a question mark.
fn starter(by: &StartedBy) -> String {
    match by.proof {
        Proof::Principal => by.name().to_owned(),
        Proof::Account => format!("account {}", by.name()),
        Proof::Claim => format!("{}?", by.name()),
    }
}

fn table(executions: &[Execution], now: Timestamp) -> Table {
    let mut table = Table::new([
        "ENDED",
        "MODULE",
        "STATE",
        "TOOK",
        "STARTED BY",
        "COMMIT",
        "AUTHOR",
        "EXECUTION",
        "WHY",
    ]);
    for run in executions {
        let why = run.cause.clone().unwrap_or_else(|| run.reasons.join(", "));
        table.row([
            run.ended_at.map_or_else(String::new, |at| ago(at, now)).into(),
            run.of.as_str().into(),
            cell(&run.shown_state),
            run.milliseconds.map_or_else(String::new, duration).into(),
            run.started_by.as_ref().map_or_else(String::new, starter).into(),
            short(run.commit.as_deref()).into(),
            without_address(run.author.as_deref().unwrap_or_default()).into(),
            run.execution.as_str().into(),
            why.into(),
        ]);
    }
    table
}
