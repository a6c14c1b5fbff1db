//! The command line of `seedflow-local`: its commands and exit codes.

mod soak;
mod up;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::demo;
use crate::git::Wanted;
use crate::stack::{Connection, StackOptions};
use seedflow_core::target::Target;
use seedflow_terminal::Ui;

use seedflow_cli::commands::check::Check;
use seedflow_cli::commands::settings::{ManifestArguments, parse_project, parse_text};

/// Runs Seedflow on this machine: the real template and functions on an AWS emulator, with builds
/// that really run. Needs Rust and Python 3.11 or newer, no AWS account; sends nothing to AWS.
#[derive(Debug, Parser)]
#[command(name = "seedflow-local", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the whole workflow: starts a stack, deploys modules of examples/, checks the results, and removes
    /// everything again.
    Demo(Demo),
    /// Runs a local stack in the foreground until Ctrl-C, for `seedflow --local` and any AWS client.
    Up(Up),
    /// Reads a repository's deployment manifest without deploying anything, and shows the groups and modules in
    /// their order, or all errors.
    Check(Check),
    /// Deploys a few modules hundreds of times under random faults, and checks that nothing is lost.
    Soak(soak::Soak),
    /// Follows the execution that a push has started; the hook of `up --git` runs it.
    #[command(hide = true)]
    Follow(Follow),
}

#[derive(Debug, Args)]
struct Follow {
    #[command(flatten)]
    stack: StackFile,
    execution: String,
}

impl Follow {
    async fn run(self) -> Result<ExitCode> {
        let file = self.stack.path()?.into_os_string();
        let arguments = ["seedflow", "follow", "--stack-file"].map(OsString::from);
        let arguments = arguments.into_iter().chain([file, self.execution.into()]);
        Ok(seedflow_cli::cli::Cli::try_parse_from(arguments)?.run().await)
    }
}

#[derive(Debug, Args)]
struct Demo {
    /// Shows each state, phase, check and parameter.
    #[arg(long, short)]
    verbose: bool,
    /// The stack's port on loopback; a free one by default.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

#[derive(Debug, Args)]
struct Up {
    /// The stack's port on loopback; a free one by default.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// A parameter of the template, as often as needed, for example ReferencedParameters='shared/*'.
    #[arg(long = "template-parameter", value_name = "NAME=VALUE", value_parser = parse_text)]
    template_parameters: Vec<(String, String)>,
    /// A further account and region that manifests map modules to, as often as needed, for example
    /// 222222222222/eu-west-1. It gets the stack of template-target.yaml.
    #[arg(long = "target", value_name = "ACCOUNT/REGION", value_parser = parse_target)]
    targets: Vec<Target>,
    /// The quotas of the account. `new-account`: AWS's defaults, for all calls but those of clients.
    #[arg(long, value_enum)]
    quotas: Option<Quotas>,
    #[command(flatten)]
    git: Git,
    #[command(flatten)]
    stack: StackFile,
}

fn parse_target(text: &str) -> std::result::Result<Target, String> {
    text.parse()
        .map_err(|error: seedflow_core::error::Error| error.message)
}

/// The quotas of a stack's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Quotas {
    NewAccount,
}

impl Up {
    /// Parameters of the template that are given win over those of a local stack.
    fn options(&mut self) -> StackOptions {
        let mut options = StackOptions {
            port: self.port,
            targets: std::mem::take(&mut self.targets),
            ..StackOptions::default()
        };
        options
            .parameters
            .extend(std::mem::take(&mut self.template_parameters));
        match self.quotas {
            Some(Quotas::NewAccount) => options.of_a_new_account(),
            None => options,
        }
    }
}

/// A repository to push to.
#[derive(Debug, Args)]
struct Git {
    /// Makes a git repository whose pushes are deployed on the stack. It is kept in FOLDER; without FOLDER it is
    /// removed with the stack.
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, requires = "project")]
    git: Option<Option<PathBuf>>,
    /// The project under which pushes are deployed.
    #[arg(long, value_name = "P", requires = "git", value_parser = parse_project)]
    project: Option<String>,
    /// The branch whose pushes are deployed.
    #[arg(long, value_name = "B", requires = "git", default_value = "main")]
    branch: String,
    #[command(flatten)]
    manifest: ManifestArguments,
    /// The path in the stack's Parameter Store below which each parameter is a variable of the manifests.
    #[arg(long, value_name = "PATH", requires = "git")]
    env_path: Option<String>,
}

impl Git {
    fn wanted(self) -> Result<Option<Wanted>> {
        let options = self.manifest.parse(self.env_path)?;
        Ok(self.git.zip(self.project).map(|(folder, project)| Wanted {
            folder,
            project,
            name: None,
            branch: self.branch,
            options,
        }))
    }
}

/// Which stack: by default the only one.
#[derive(Debug, Args)]
struct StackFile {
    /// The file with the stack's endpoint, credentials and names, for several stacks side by side
    /// [default: target/local/stack.json of the checkout].
    #[arg(long, value_name = "FILE")]
    stack_file: Option<PathBuf>,
}

impl StackFile {
    fn path(&self) -> Result<PathBuf> {
        self.stack_file.clone().map_or_else(Connection::default_file, Ok)
    }
}

/// The exit code of what a signal ended: 128 and the signal's number.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

impl Cli {
    /// Runs the command. Returns 0 on success, 1 on failure, 130 after Ctrl-C.
    pub async fn run(self) -> ExitCode {
        let ui = Ui::for_stdout();
        let signals = signals();
        // Everything that was started ends here, by drop, before the program does.
        let outcome = tokio::select! {
            outcome = self.command.run(&ui) => outcome,
            stopped = signals => stopped.map(ExitCode::from),
        };
        outcome.unwrap_or_else(|error| {
            ui.complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        })
    }
}

impl Command {
    async fn run(self, ui: &Ui) -> Result<ExitCode> {
        match self {
            Self::Demo(demo) => demo::run(demo.port, demo.verbose, ui)
                .await
                .map(|()| ExitCode::SUCCESS),
            Self::Up(mut up) => {
                let file = up.stack.path()?;
                up::run(&up.options(), up.git.wanted()?, &file, ui).await
            }
            Self::Check(check) => check.run(ui),
            Self::Soak(soak) => soak.run(ui).await,
            Self::Follow(follow) => follow.run().await,
        }
    }
}

/// Waits for the signal to stop and returns the exit code that it means.
async fn signals() -> Result<u8> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => INTERRUPTED,
        _ = terminate.recv() => TERMINATED,
        _ = hangup.recv() => TERMINATED,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use clap::CommandFactory;
    use seedflow_core::deployment::manifest_options::ManifestOptions;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn targets_are_accounts_and_regions() {
        let parsed = |target: &str| Cli::try_parse_from(["seedflow-local", "up", "--target", target]);
        assert!(parsed("222222222222/eu-west-1").is_ok());
        for bad in [
            "222222222222",
            "22222222222/eu-west-1",
            "222222222222/",
            "222222222222/Eu-west-1",
        ] {
            let error = parsed(bad).unwrap_err().to_string();
            assert!(error.contains("target"), "{error}");
        }
    }

    #[test]
    fn builds_may_use_the_cdk_s_bootstrap_unless_that_is_forbidden() {
        let allows = |options: &str| {
            let line = format!("seedflow-local up {options}");
            let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
            let Command::Up(mut up) = cli.command else {
                panic!("up")
            };
            up.options().parameters.remove("AllowCdkBootstrap")
        };
        assert_eq!(allows("").as_deref(), Some("true"));
        let another = allows("--template-parameter PrivilegedMode=false");
        assert_eq!(another.as_deref(), Some("true"));
        let forbidden = allows("--template-parameter AllowCdkBootstrap=false");
        assert_eq!(forbidden.as_deref(), Some("false"));
    }

    #[test]
    fn a_stack_has_the_quotas_of_a_new_account_if_it_is_asked_for_them() {
        let options = |line: &str| {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let Command::Up(mut up) = cli.command else {
                panic!("up")
            };
            up.options()
        };
        let usual = options("seedflow-local up --template-parameter A=b");
        assert_eq!((usual.quotas.len(), usual.concurrent_functions), (0, None));
        assert_eq!(usual.parameters.get("A").map(String::as_str), Some("b"));
        let new = options("seedflow-local up --quotas new-account");
        assert!(new.quotas.len() > 5);
        assert_eq!((new.concurrent_functions, new.concurrent_builds), (Some(10), 20));
    }

    #[test]
    fn a_repository_needs_a_project_and_may_do_without_a_folder() {
        let wanted = |line: &str| {
            let cli = Cli::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
            let Command::Up(up) = cli.command else {
                panic!("up")
            };
            up.git.wanted().map_err(|error| error.to_string())
        };
        assert!(wanted("seedflow-local up").unwrap().is_none());
        let plain = wanted("seedflow-local up --project my-project --git")
            .unwrap()
            .unwrap();
        assert_eq!(
            (plain.folder, plain.project.as_str(), plain.branch.as_str()),
            (None, "my-project", "main")
        );
        let named = wanted("seedflow-local up --git /r --project p --branch release/1")
            .unwrap()
            .unwrap();
        assert_eq!(
            (named.folder, named.branch.as_str()),
            (Some("/r".into()), "release/1")
        );
        let options = "--manifest manifests/dev.yaml --env A=1 --env B=2 --env-file base.env --env-file dev.env --env-path /shared/dev";
        let chosen = wanted(&format!("seedflow-local up --git --project p {options}"));
        let expected = serde_json::json!({
            "manifest": "manifests/dev.yaml", "env": {"A": "1", "B": "2"},
            "env_files": ["base.env", "dev.env"], "env_path": "/shared/dev",
        });
        assert_eq!(
            chosen.unwrap().unwrap().options,
            ManifestOptions::parse(&expected).unwrap()
        );
        let missing = wanted("seedflow-local up --git").unwrap_err();
        assert!(missing.contains("--project"), "{missing}");
        assert!(wanted("seedflow-local up --project p").is_err());
        let bad = wanted("seedflow-local up --git --project 1st").unwrap_err();
        assert!(bad.contains("start with a letter"), "{bad}");
    }
}
