//! The command line of `seedflow-local`: its commands and exit codes.

mod check;
mod deploy;
mod parameters;
mod soak;
mod status;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use seedflow_core::ids::ModuleId;
use tokio::signal::unix::{SignalKind, signal};

use crate::demo;
use crate::git::Wanted;
use crate::stack::Connection;
use seedflow_terminal::Ui;

use deploy::deploy_folder;
use parameters::{ManifestArguments, Settings, by_name, parse_parameter, parse_project, parse_text};

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
    /// Runs a local stack in the foreground until Ctrl-C, for `deploy`, `status` and any AWS client.
    Up(Up),
    /// Deploys a folder on the running stack and follows it to its end.
    Deploy(Deploy),
    /// Reads a repository's deployment manifest without deploying anything, and shows the groups and modules in
    /// their order, or all errors.
    Check(check::Check),
    /// Shows the parameters in Parameter Store of the running stack.
    Status(Status),
    /// Deploys a few modules hundreds of times under random faults, and checks that nothing is lost.
    Soak(soak::Soak),
}

#[derive(Debug, Args)]
struct Demo {
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
    #[command(flatten)]
    git: Git,
    #[command(flatten)]
    stack: StackFile,
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

#[derive(Debug, Args)]
struct Deploy {
    /// The module's folder, with its deployspec.yaml.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The project, the first of the module's four names: lower-case letters, digits and hyphens.
    #[arg(long, value_name = "P")]
    project: String,
    /// The deployment, for example dev.
    #[arg(long, value_name = "D")]
    deployment: String,
    /// The group, for example network.
    #[arg(long, value_name = "G")]
    group: String,
    /// The module, for example vpc.
    #[arg(long, value_name = "M")]
    module: String,
    /// A parameter of the module, as often as needed. V is parsed as JSON if it is valid JSON, otherwise it is a
    /// string, for example subnets='["a","b"]' or password='{"secrets_manager":"db/password"}'. Quote a number to
    /// keep it a string: '"123"'.
    #[arg(long = "parameter", value_name = "K=V", value_parser = parse_parameter)]
    parameters: Vec<(String, serde_json::Value)>,
    /// Builds even if nothing changed.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    stack: StackFile,
}

#[derive(Debug, Args)]
struct Status {
    /// Only this project.
    #[arg(long, value_name = "P")]
    project: Option<String>,
    #[command(flatten)]
    stack: StackFile,
}

/// The exit code of what a signal ended: 128 and the signal's number.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

impl Cli {
    /// Runs the command. Returns 0 on success, 1 on failure, 130 after Ctrl-C.
    pub async fn run(self) -> ExitCode {
        let ui = Ui::for_stdout();
        let follows = matches!(self.command, Command::Deploy(_));
        let signals = signals();
        // Everything that was started ends here, by drop, before the program does.
        let outcome = tokio::select! {
            outcome = self.command.run(&ui) => outcome,
            stopped = signals => {
                if follows {
                    ui.complain("The deployment goes on without this command; `status` shows how it ends.");
                }
                stopped.map(ExitCode::from)
            }
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
            Self::Demo(demo) => demo::run(demo.port, ui).await.map(|()| ExitCode::SUCCESS),
            Self::Up(up) => {
                let file = up.stack.path()?;
                up::run(up.port, up.template_parameters, up.git.wanted()?, &file, ui).await
            }
            Self::Deploy(deploy) => deploy.run(ui).await,
            Self::Check(check) => check.run(ui),
            Self::Status(status) => status::run(&status.stack.path()?, status.project.as_deref(), ui)
                .await
                .map(|()| ExitCode::SUCCESS),
            Self::Soak(soak) => soak.run(ui).await,
        }
    }
}

impl Deploy {
    async fn run(self, ui: &Ui) -> Result<ExitCode> {
        let stack = Connection::of_running_stack(&self.stack.path()?).await?;
        let module = ModuleId::parse(&self.project, &self.deployment, &self.group, &self.module)?;
        let settings = Settings {
            parameters: by_name("--parameter", self.parameters)?,
            force: self.force,
        };
        let finished = deploy_folder(&stack, &module, &self.folder, &settings, ui).await?;
        Ok(if finished.succeeded() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
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

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
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
        let missing = wanted("seedflow-local up --git").unwrap_err();
        assert!(missing.contains("--project"), "{missing}");
        assert!(wanted("seedflow-local up --project p").is_err());
        let bad = wanted("seedflow-local up --git --project 1st").unwrap_err();
        assert!(bad.contains("starts with a letter"), "{bad}");
    }

    #[test]
    fn a_deployment_needs_its_names() {
        let all =
            "seedflow-local deploy . --project p --deployment d --group g --module m --parameter a=1 --force";
        assert!(Cli::try_parse_from(all.split(' ')).is_ok());
        let one_missing = all.replace(" --group g", "");
        assert!(
            Cli::try_parse_from(one_missing.split(' '))
                .unwrap_err()
                .to_string()
                .contains("--group")
        );
    }
}
