//! `retry`: starts an execution again with the same input.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use seedflow_core::workflow::ending::ExecutionStatus;
use seedflow_terminal::Ui;

use super::start::Showing;
use crate::account::Account;
use crate::follow::Followed;

/// Starts an execution that has ended once more, with the same input. What it has deployed is unchanged then, so a
/// deployment goes on where it failed.
#[derive(Debug, Args)]
pub struct Retry {
    /// The execution, by its name or ARN.
    #[arg(value_name = "EXECUTION")]
    execution: String,
    #[command(flatten)]
    showing: Showing,
}

impl Retry {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let followed = Followed::find(account, &self.execution).await?;
        let described = account.step_functions().describe(&followed.execution).await?;
        let Some(described) = described.filter(|described| described.status != ExecutionStatus::Running)
        else {
            bail!(
                "{name} still runs; `seedflow follow {name}{0}` shows it, and `seedflow cancel {name}{0}` stops it",
                account.arguments,
                name = followed.execution.name()
            );
        };
        let mut input = described.input;
        if let Some(fields) = input.as_object_mut() {
            // The new execution is no part of the deployment that started the first.
            fields.remove("part_of");
        }
        self.showing
            .start("retry", followed.subject, &input, account, ui)
            .await
    }
}
