//! `apply`: deploys the repository of a folder.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_terminal::Ui;

use super::repository::{Purpose, RepositoryArguments};
use super::start::Showing;
use crate::account::Account;
use crate::work::Subject;

/// Deploys the repository of a folder: what changed, group by group, and follows it to its end.
///
/// Ctrl-C leaves the deployment running; `seedflow follow` shows it again, and `seedflow cancel` stops it.
#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    repository: RepositoryArguments,
    /// Starts it by an upload to your own folder: that takes no right to start executions, and proves who you are. Deploys
    /// the whole repository.
    #[arg(long, conflicts_with_all = ["only", "force", "env_path"])]
    upload: bool,
    #[command(flatten)]
    showing: Showing,
}

impl Apply {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        if self.upload {
            let execution = self.repository.upload_own(account, ui).await?;
            let subject = Subject::Deployment(None);
            return self.showing.show(execution, subject, account, ui).await;
        }
        let input = self.repository.input(Purpose::Deployment, account, ui).await?;
        self.showing
            .start("apply", Subject::Deployment(None), &input, account, ui)
            .await
    }
}
