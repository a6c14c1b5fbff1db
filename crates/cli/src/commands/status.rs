//! `status`: the state of each module and deployment.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use seedflow_core::ids::Name;
use seedflow_terminal::{Tone, Ui};
use serde_json::json;

use super::reading::{OfProject, parse_target, print_json, print_json_line};
use crate::account::Account;
use crate::records::drift::DriftRecords;
use crate::records::names;
use crate::records::project::{self, ProjectState};
use crate::records::target::Target;
use crate::view::status::table;

/// The pause between two looks of `--watch`.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Shows the state of each module and deployment, and why the last deployment failed.
#[derive(Debug, Args)]
pub struct Status {
    /// Only this deployment, group or module.
    #[arg(value_name = "DEPLOYMENT[/GROUP[/MODULE]]", value_parser = parse_target)]
    target: Option<Target>,
    #[command(flatten)]
    project: OfProject,
    /// Only what failed, was stopped or was refused.
    #[arg(long)]
    failed: bool,
    /// Repeats until Ctrl-C, and shows every change.
    #[arg(long)]
    watch: bool,
    /// Prints JSON: the statuses as they are stored (docs/command-line.md).
    #[arg(long)]
    json: bool,
}

impl Status {
    /// Runs the command.
    pub async fn run(mut self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let project = match &self.target {
            Some(target) => {
                let (project, target) = self.project.meant(account, target).await?;
                self.target = Some(target);
                project
            }
            None => match self.project.find_any(account).await? {
                Some(project) => project,
                None => return self.show_nothing(account, ui),
            },
        };
        let (mut shown, mut drift) = (None, DriftRecords::default());
        loop {
            drift.refresh(&account.bucket(), &project).await?;
            let state = self.read(account, &project).await?.with_drift(&drift);
            let text = serde_json::to_string(&state)?;
            if shown.as_ref() != Some(&text) {
                self.show(&state, shown.is_some(), account, ui)?;
                shown = Some(text);
            }
            if !self.watch || ui.is_closed() {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// A stack by which nothing has been deployed.
    fn show_nothing(&self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        match self.json {
            true => print_json(json!({"deployments": [], "modules": []}), ui)?,
            false => ui.say(names::nothing_yet(account)),
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn read(&self, account: &Account, project: &Name) -> Result<ProjectState> {
        let state = project::read(&account.parameters(), &account.bucket(), project).await?;
        Ok(state.selected(self.target.as_ref(), self.failed))
    }

    fn show(&self, state: &ProjectState, again: bool, account: &Account, ui: &Ui) -> Result<()> {
        // One line for each change, for programs that read lines.
        if self.json && self.watch {
            print_json_line(json!(state), ui);
            return Ok(());
        }
        if self.json {
            return print_json(state, ui);
        }
        if again {
            ui.say("");
        }
        for path in &state.unreadable {
            ui.say(format!(
                "{path}: the status can't be read; the next deployment of the module writes it anew"
            ));
        }
        if state.is_empty() {
            ui.say(self.nothing(&state.project));
            return Ok(());
        }
        ui.say(ui.paint(Tone::Quiet, format!("project {}", state.project)));
        table(state, Timestamp::now(), |arguments| account.command(arguments)).show(ui);
        Ok(())
    }

    fn nothing(&self, project: &Name) -> String {
        let of = self
            .target
            .as_ref()
            .map_or_else(|| project.to_string(), |target| format!("{project}/{target}"));
        match self.failed {
            true => format!("Nothing of {of} has failed."),
            false => format!("Nothing of {of} has been deployed."),
        }
    }
}
