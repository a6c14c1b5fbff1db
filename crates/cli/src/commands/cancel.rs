//! `cancel`: stops an execution.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::workflow::ending::ExecutionStatus;
use seedflow_terminal::Ui;
use serde_json::json;

use super::named::What;
use super::reading::print_json_line;
use crate::account::Account;
use crate::exit::Refused;

/// The error that a stopped execution ends with.
pub const CANCELED: &str = "Canceled";

/// Stops an execution: a deployment with all its modules, or one module, with its build.
///
/// For a module or a deployment it stops the running execution. `seedflow follow` shows its end.
#[derive(Debug, Args)]
pub struct Cancel {
    #[command(flatten)]
    what: What,
    /// The reason, which becomes the execution's cause.
    #[arg(long, value_name = "TEXT", default_value = "canceled by seedflow cancel")]
    reason: String,
    /// Prints JSON (docs/command-line.md).
    #[arg(long)]
    json: bool,
}

impl Cancel {
    /// Runs the command.
    ///
    /// # Errors
    /// [`Refused`] if the execution had ended before.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let followed = self.what.find(account).await?.execution(account).await?;
        let (execution, sfn) = (followed.execution.clone(), account.step_functions());
        let name = execution.name();
        let described = sfn.describe(&execution).await?;
        if described.is_some_and(|described| described.status != ExecutionStatus::Running) {
            return Err(Refused(format!(
                "{name} has ended already; nothing was stopped, and `{}` shows how it ended",
                account.command(&["follow", name])
            ))
            .into());
        }
        sfn.stop(&execution, CANCELED, &self.reason).await?;
        match self.json {
            true => print_json_line(json!({"execution": execution, "canceled": true}), ui),
            false => ui.say(format!(
                "Stopped {name}, and with it its builds; `{}` shows its end.",
                account.command(&["follow", name])
            )),
        }
        Ok(ExitCode::SUCCESS)
    }
}
