//! `follow`: shows an execution until it ends.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_terminal::Ui;

use super::start::Shown;
use crate::account::Account;
use crate::follow::Followed;

/// Follows an execution to its end: its name or ARN, of a deployment or of a module.
#[derive(Debug, Args)]
pub struct Follow {
    /// The execution.
    #[arg(value_name = "EXECUTION")]
    execution: String,
    #[command(flatten)]
    shown: Shown,
}

impl Follow {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let followed = Followed::find(account, &self.execution).await?;
        self.shown.follow(followed, account, ui).await
    }
}
