//! `follow`: shows an execution until it ends.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_terminal::Ui;

use super::named::What;
use super::start::Shown;
use crate::account::Account;

/// Follows an execution to its end. For a module or a deployment that is the running execution, or else the last one.
#[derive(Debug, Args)]
pub struct Follow {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    shown: Shown,
}

impl Follow {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let followed = self.what.find(account).await?.newest(account).await?;
        self.shown.follow(followed, account, ui).await
    }
}
