//! The command line: the options that all commands have, and what each command is called.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use seedflow_core::approval::Says;
use seedflow_core::ids::ParameterKind;
use seedflow_terminal::Ui;

use crate::account::{Account, StackArguments};
use crate::commands::apply::Apply;
use crate::commands::approve::Decide;
use crate::commands::bootstrap::Bootstrap;
use crate::commands::cancel::Cancel;
use crate::commands::check::Check;
use crate::commands::completions::Completions;
use crate::commands::deploy::Deploy;
use crate::commands::destroy::Destroy;
use crate::commands::diff::Diff;
use crate::commands::doctor::Doctor;
use crate::commands::follow::Follow;
use crate::commands::history::History;
use crate::commands::init::Init;
use crate::commands::locks::Locks;
use crate::commands::logs::Logs;
use crate::commands::open::Open;
use crate::commands::plan::Plan;
use crate::commands::policy::Policy;
use crate::commands::published::Published;
use crate::commands::report::Report;
use crate::commands::retry::Retry;
use crate::commands::rollback::Rollback;
use crate::commands::status::Status;
use crate::commands::taint::Taint;
use crate::exit;

/// Deploys infrastructure modules into an AWS account, and shows what was deployed.
///
/// A stack of Seedflow in the account does the work, so nothing has to keep running here: Ctrl-C leaves a deployment
/// running, and `seedflow follow` shows it again.
///
/// Exit codes: 0 success, 1 failure, 2 wrong arguments, 3 changes pending (plan --detailed-exitcode), 4 refused before
/// anything ran, 130 Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "seedflow", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    stack: StackArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(Plan),
    Apply(Apply),
    Deploy(Deploy),
    Follow(Follow),
    /// Approves the plan of a deployment that waits for it.
    Approve(Decide),
    /// Rejects the plan of a deployment that waits for an approval.
    Reject(Decide),
    Cancel(Cancel),
    Retry(Retry),
    Rollback(Rollback),
    Taint(Taint),
    Destroy(Destroy),
    Status(Status),
    History(History),
    Report(Report),
    Diff(Diff),
    /// Shows the outputs of a module's stack.
    Outputs(Published),
    /// Shows the metadata that a module published.
    Metadata(Published),
    Check(Check),
    Logs(Logs),
    Locks(Locks),
    Open(Open),
    Policy(Policy),
    Init(Init),
    Bootstrap(Bootstrap),
    Doctor(Doctor),
    Completions(Completions),
}

impl Cli {
    /// Runs the command and returns its exit code.
    pub async fn run(self) -> ExitCode {
        let ui = Ui::for_stdout();
        self.command.run(self.stack, &ui).await.unwrap_or_else(|error| {
            ui.complain(&format!("error: {error:#}"));
            exit::code_of(&error)
        })
    }
}

impl Command {
    async fn run(self, stack: StackArguments, ui: &Ui) -> Result<ExitCode> {
        // These need no stack, or find out what is wrong with it.
        match self {
            Self::Check(command) => return command.run(ui),
            Self::Init(command) => return command.run(ui),
            Self::Doctor(command) => return command.run(&stack, ui).await,
            Self::Bootstrap(command) => return command.run(&stack, ui).await,
            Self::Policy(command) => return command.run(&stack, ui).await,
            Self::Completions(command) => return command.run::<Cli>(),
            _ => {}
        }
        let account = Account::find(&stack, ui).await?;
        match self {
            Self::Plan(command) => command.run(&account, ui).await,
            Self::Apply(command) => command.run(&account, ui).await,
            Self::Deploy(command) => command.run(&account, ui).await,
            Self::Follow(command) => command.run(&account, ui).await,
            Self::Approve(command) => command.run(Says::Approve, &account, ui).await,
            Self::Reject(command) => command.run(Says::Reject, &account, ui).await,
            Self::Cancel(command) => command.run(&account, ui).await,
            Self::Retry(command) => command.run(&account, ui).await,
            Self::Rollback(command) => command.run(&account, ui).await,
            Self::Taint(command) => command.run(&account, ui).await,
            Self::Destroy(command) => command.run(&account, ui).await,
            Self::Status(command) => command.run(&account, ui).await,
            Self::History(command) => command.run(&account, ui).await,
            Self::Report(command) => command.run(&account, ui).await,
            Self::Diff(command) => command.run(&account, ui).await,
            Self::Outputs(command) => command.run(ParameterKind::Outputs, &account, ui).await,
            Self::Metadata(command) => command.run(ParameterKind::Metadata, &account, ui).await,
            Self::Logs(command) => command.run(&account, ui).await,
            Self::Locks(command) => command.run(&account, ui).await,
            Self::Open(command) => command.run(&account, ui).await,
            Self::Check(_)
            | Self::Init(_)
            | Self::Bootstrap(_)
            | Self::Doctor(_)
            | Self::Policy(_)
            | Self::Completions(_) => Ok(ExitCode::SUCCESS),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory;
    use seedflow_core::ids::{ModuleId, PROJECT_RULE};

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_a_project_says_what_its_error_says() {
        let mut cli = Cli::command();
        let deploy = cli.find_subcommand_mut("deploy").unwrap();
        // However the lines are broken.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let help = words(&deploy.render_long_help().to_string());
        assert!(help.contains(PROJECT_RULE), "{help}");
        for name in ["My_shop", "shop.eu", "1shop", "shop-"] {
            let error = ModuleId::project(name).unwrap_err().message;
            assert!(error.contains(PROJECT_RULE), "{error}");
        }
    }
}
