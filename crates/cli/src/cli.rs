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
use crate::commands::drift::Drift;
use crate::commands::follow::Follow;
use crate::commands::history::History;
use crate::commands::init::Init;
use crate::commands::locks::Locks;
use crate::commands::logs::Logs;
use crate::commands::open::Open;
use crate::commands::plan::Plan;
use crate::commands::policy::Policy;
use crate::commands::published::PublishedValues;
use crate::commands::report::Report;
use crate::commands::retry::Retry;
use crate::commands::roles::Roles;
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
    #[command(after_help = "Example: seedflow plan --only network --detailed-exitcode")]
    Plan(Plan),
    #[command(after_help = "Example: seedflow apply . --only network/vpc --force=network/vpc")]
    Apply(Apply),
    #[command(
        after_help = "Example: seedflow deploy modules/vpc --project shop --deployment dev --group network --module vpc --parameter size=3"
    )]
    Deploy(Deploy),
    #[command(after_help = "Example: seedflow follow dev --project shop")]
    Follow(Follow),
    /// Approves a deployment's plan that waits for approval.
    #[command(after_help = "Example: seedflow approve prod --project shop --reason \"reviewed\"")]
    Approve(Decide),
    /// Rejects a deployment's plan that waits for approval.
    #[command(after_help = "Example: seedflow reject prod --project shop --reason late")]
    Reject(Decide),
    #[command(after_help = "Example: seedflow cancel dev --project shop --reason \"wrong branch\"")]
    Cancel(Cancel),
    #[command(after_help = "Example: seedflow retry dev --project shop")]
    Retry(Retry),
    #[command(after_help = "Example: seedflow rollback dev/network/vpc --project shop")]
    Rollback(Rollback),
    #[command(after_help = "Example: seedflow taint dev/network/vpc --project shop")]
    Taint(Taint),
    #[command(after_help = "Example: seedflow destroy dev/network --project shop")]
    Destroy(Destroy),
    #[command(after_help = "Example: seedflow status dev --project shop --failed")]
    Status(Status),
    #[command(after_help = "Example: seedflow history dev/network/vpc --project shop -n 5")]
    History(History),
    #[command(after_help = "Example: seedflow report dev/network/vpc --project shop")]
    Report(Report),
    #[command(after_help = "Example: seedflow diff dev/network/vpc --project shop")]
    Diff(Diff),
    /// Shows the outputs of a module's stack.
    #[command(after_help = "Example: seedflow outputs dev/network/vpc VpcId --project shop")]
    Outputs(PublishedValues),
    /// Shows the metadata that a module published.
    #[command(after_help = "Example: eval \"$(seedflow metadata dev/network/vpc --project shop --export)\"")]
    Metadata(PublishedValues),
    #[command(after_help = "Example: seedflow drift dev/network/vpc --project shop --now")]
    Drift(Drift),
    #[command(after_help = "Example: seedflow check . --manifest deployments/dev.yaml")]
    Check(Check),
    #[command(after_help = "Example: seedflow logs dev/network/vpc --project shop --follow")]
    Logs(Logs),
    #[command(after_help = "Example: seedflow locks dev --project shop")]
    Locks(Locks),
    #[command(after_help = "Example: seedflow open --project shop --port 8000")]
    Open(Open),
    #[command(after_help = "Example: seedflow policy show prod --project shop")]
    Policy(Policy),
    #[command(after_help = "Example: seedflow roles deployer --project shop --deployment dev")]
    Roles(Roles),
    #[command(after_help = "Example: seedflow init project shop --project shop")]
    Init(Init),
    #[command(
        after_help = "Example: seedflow bootstrap target --home 111111111111/eu-west-1 --profile target"
    )]
    Bootstrap(Bootstrap),
    #[command(after_help = "Example: seedflow doctor --profile dev")]
    Doctor(Doctor),
    #[command(
        after_help = "Example: seedflow completions bash > ~/.local/share/bash-completion/completions/seedflow"
    )]
    Completions(Completions),
}

impl Cli {
    /// Runs the command and returns its exit code.
    pub async fn run(self) -> ExitCode {
        let ui = Ui::for_stdout();
        self.command.run(self.stack, &ui).await.unwrap_or_else(|error| {
            ui.complain(&exit::text_of(&error));
            ExitCode::from(exit::code_of(&error))
        })
    }
}

impl Command {
    async fn run(self, stack: StackArguments, ui: &Ui) -> Result<ExitCode> {
        // These need no stack, or find out what is wrong with it.
        match self {
            Self::Check(command) => return command.run(ui),
            Self::Init(command) => return command.run(&stack, ui),
            Self::Doctor(command) => return command.run(&stack, ui).await,
            Self::Bootstrap(command) => return command.run(&stack, ui).await,
            Self::Policy(command) => return command.run(&stack, ui).await,
            Self::Completions(command) => return command.run::<Cli>(ui),
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
            Self::Drift(command) => command.run(&account, ui).await,
            Self::Logs(command) => command.run(&account, ui).await,
            Self::Locks(command) => command.run(&account, ui).await,
            Self::Open(command) => command.run(&account, ui).await,
            Self::Roles(command) => command.run(&account, ui).await,
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
    use std::collections::BTreeSet;

    use clap::CommandFactory;
    use seedflow_core::ids::{ModuleId, PROJECT_RULE};

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The commands without further ones, with what they are called by.
    fn commands(of: &clap::Command, path: &str) -> Vec<(String, clap::Command)> {
        let below = of.get_subcommands().flat_map(|command| {
            let path = format!("{path} {}", command.get_name());
            let more = commands(command, &path);
            [(path, command.clone())].into_iter().chain(more)
        });
        below.collect()
    }

    #[test]
    fn each_command_has_an_example_that_is_one() {
        let commands = commands(&Cli::command(), "seedflow");
        assert!(commands.len() > 25, "{}", commands.len());
        for (path, command) in commands {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let example = help.strip_prefix("Example: ").unwrap_or_default();
            assert!(example.contains(&path), "{path}: {help}");
            // Without what belongs to the shell.
            let (_, line) = example.split_once("seedflow ").unwrap();
            let line = line.split(['>', ')']).next().unwrap();
            let words = line.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
            let words: Vec<&str> = words.collect();
            let line = ["seedflow"].into_iter().chain(words);
            let parsed = Cli::try_parse_from(line.filter(|word| *word != "branch"));
            assert!(parsed.is_ok(), "{example}: {:?}", parsed.err());
        }
    }

    /// The commands that print no JSON of Seedflow's: a policy of IAM, and a script.
    const WITHOUT_JSON: [&str; 2] = ["completions", "roles"];

    #[test]
    fn every_command_prints_json_that_is_documented() {
        let mut cli = Cli::command();
        // With the options that further commands inherit.
        cli.build();
        let all = commands(&cli, "");
        let runs = all
            .iter()
            .filter(|(path, command)| !command.is_subcommand_required_set() && !path.contains(" help"));
        let (with, without): (Vec<_>, Vec<_>) = runs.partition(|(_, command)| {
            command
                .get_arguments()
                .any(|argument| argument.get_id() == "json")
        });
        let names = |of: Vec<&(String, clap::Command)>| -> BTreeSet<String> {
            of.into_iter().map(|(path, _)| path.trim().to_owned()).collect()
        };
        assert_eq!(names(without), WITHOUT_JSON.map(str::to_owned).into());
        let document = include_str!("../../../docs/command-line.md");
        let (_, table) = document.split_once("### What `--json` prints").unwrap();
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        let first = rows.filter_map(|row| row.split(" | ").next());
        let documented = first.flat_map(|column| column.split('`').skip(1).step_by(2));
        assert_eq!(names(with), documented.map(str::to_owned).collect());
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
