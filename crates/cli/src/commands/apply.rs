//! `apply`: deploys the repository of a folder.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::deployment::rollback::OnFailure;
use seedflow_terminal::Ui;
use serde_json::json;

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
    /// Deploys the last success of the whole deployment again if a module fails.
    #[arg(long, value_name = "WHAT", value_parser = OnFailure::ALLOWED)]
    on_failure: Option<String>,
    /// Starts it by an upload to your own folder. You need no right to start executions, and the upload proves who you are.
    /// The whole repository is deployed.
    #[arg(long, conflicts_with_all = ["only", "force", "env_path", "on_failure"])]
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
        let mut input = self.repository.input(Purpose::Deployment, account, ui).await?;
        if let Some(on_failure) = self.on_failure {
            input["on_failure"] = json!(on_failure);
        }
        self.showing
            .start("apply", Subject::Deployment(None), &input, account, ui)
            .await
    }
}
