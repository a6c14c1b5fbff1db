//! `cancel`: stops an execution.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use seedflow_core::workflow::ending::ExecutionStatus;
use seedflow_terminal::Ui;
use serde_json::json;

use super::start::Shown;
use crate::account::Account;
use crate::follow::Followed;

/// The error that the execution then ends with.
const ERROR: &str = "Canceled";

/// Stops an execution: a deployment with all its modules, or one module, with its build. `seedflow follow` shows its end.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The execution, by its name or ARN.
    #[arg(value_name = "EXECUTION")]
    execution: String,
    /// Why, for the execution's cause.
    #[arg(long, value_name = "TEXT", default_value = "canceled by seedflow cancel")]
    reason: String,
    #[command(flatten)]
    shown: Shown,
}

impl Cancel {
    /// Runs the command.
    ///
    /// # Errors
    /// If the execution had ended before.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let followed = Followed::find(account, &self.execution).await?;
        let (execution, sfn) = (followed.execution.clone(), account.step_functions());
        let name = execution.name();
        let described = sfn.describe(&execution).await?;
        if let Some(described) = described.filter(|described| described.status != ExecutionStatus::Running) {
            bail!(
                "{name} has ended already ({:?}); nothing was stopped",
                described.status
            );
        }
        sfn.stop(&execution, ERROR, &self.reason).await?;
        match self.shown.is_json() {
            true => ui.say(json!({"execution": execution, "canceled": true}).to_string()),
            false => ui.say(format!(
                "Stopped {name}; its builds are stopped, and the status then says ABORTED (`seedflow status`)."
            )),
        }
        Ok(ExitCode::SUCCESS)
    }
}
