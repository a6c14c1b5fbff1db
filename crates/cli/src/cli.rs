//! The command line: its commands and exit codes.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use seedflow_core::ids::ParameterKind;
use seedflow_terminal::Ui;

use crate::account::Account;
use crate::commands::{
    completions::Completions, diff::Diff, history::History, locks::Locks, logs::Logs, open::Open,
    published::Published, report::Report, status::Status,
};

/// Deploys modules and repositories with Seedflow, and shows what is deployed.
#[derive(Debug, Parser)]
#[command(name = "seedflow", version, max_term_width = 100)]
pub struct Cli {
    /// The name of Seedflow's CloudFormation stack.
    #[arg(long, global = true, value_name = "S", default_value = "seedflow")]
    stack: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(Status),
    History(History),
    Report(Report),
    Diff(Diff),
    /// Shows the outputs of the stack that a module deployed.
    Outputs(Published),
    /// Shows the metadata that a module published for other modules.
    Metadata(Published),
    Logs(Logs),
    Locks(Locks),
    Open(Open),
    Completions(Completions),
}

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        let ui = Ui::for_stdout();
        let outcome = tokio::select! {
            outcome = self.command.run(&self.stack, &ui) => outcome,
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
        };
        outcome.unwrap_or_else(|error| {
            ui.complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        })
    }
}

impl Command {
    async fn run(self, stack: &str, ui: &Ui) -> Result<ExitCode> {
        if let Self::Completions(completions) = self {
            return completions.run::<Cli>();
        }
        let account = &Account::of_stack(stack).await?;
        match self {
            Self::Status(command) => command.run(account, ui).await,
            Self::History(command) => command.run(account, ui).await,
            Self::Report(command) => command.run(account, ui).await,
            Self::Diff(command) => command.run(account, ui).await,
            Self::Outputs(command) => command.run(ParameterKind::Outputs, account, ui).await,
            Self::Metadata(command) => command.run(ParameterKind::Metadata, account, ui).await,
            Self::Logs(command) => command.run(account, ui).await,
            Self::Locks(command) => command.run(account, ui).await,
            Self::Open(command) => command.run(account, ui).await,
            Self::Completions(_) => Ok(ExitCode::SUCCESS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
