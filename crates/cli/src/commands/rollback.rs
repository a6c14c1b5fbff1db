//! `rollback`: deploys again what an earlier execution of a module or of a whole deployment deployed.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use seedflow_core::deployment::plan::PlannedAction;
use seedflow_core::deployment::rollback::Rollback as To;
use seedflow_core::ids::{DeploymentId, ModuleId};
use seedflow_terminal::Ui;
use serde::Deserialize;
use serde_json::{Value, json};

use super::confirm::confirmed;
use super::plan::{Planned, planned};
use super::reading::{OfProject, parse_target};
use super::start::Showing;
use crate::account::Account;
use crate::exit::{self, Refused};
use crate::records::project;
use crate::records::target::Target;
use crate::view::moment::ago;
use crate::work::Subject;

/// Deploys again what a module or a whole deployment was before: the kept bundles with the parameters that they had.
///
/// A module whose last execution failed goes back to its last success, another one to the success before it that deployed
/// something else. A deployment goes back to the last execution that deployed all of it and succeeded and isn't what is
/// deployed now; its plan is shown first. The next `apply` deploys what the repository has.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The module or the deployment.
    #[arg(value_name = "DEPLOYMENT[/GROUP/MODULE]", value_parser = parse_target)]
    target: Target,
    #[command(flatten)]
    project: OfProject,
    /// The execution to go back to, by its name or ARN (`seedflow history` lists them).
    #[arg(long, value_name = "EXECUTION")]
    to: Option<String>,
    /// Doesn't ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    showing: Showing,
}

impl Rollback {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let (project, target) = self.project.no_group(account, &self.target).await?;
        match target.module(&project) {
            Ok(module) => self.module(module, account, ui).await,
            Err(_) => self.deployment(target.deployment(&project), account, ui).await,
        }
    }

    async fn module(self, module: ModuleId, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let stored = project::module_status(&account.parameters(), &account.bucket(), &module).await?;
        if stored.is_none() {
            let nothing = format!("{module}: nothing is deployed of it, so there is nothing to go back to");
            return Err(Refused(format!("{nothing}; `seedflow status` shows what is deployed")).into());
        }
        let to = self.to.as_deref().map_or_else(
            || "what it was before".to_owned(),
            |to| format!("what {to} deployed"),
        );
        self.ask(&format!("Deploy {module} again as {to}?"))?;
        let input = self.input(json!(module));
        self.showing
            .start("rollback", Subject::Module(module), &input, account, ui)
            .await
    }

    async fn deployment(self, deployment: DeploymentId, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let mut input = self.input(json!(deployment));
        input["destroy_new"] = json!(true);
        let mut preview = input.clone();
        preview["plan_only"] = json!(true);
        let Some(output) = planned(account, &preview, ui).await? else {
            ui.complain("\nStopped planning; nothing was changed.");
            return Ok(ExitCode::from(exit::INTERRUPTED));
        };
        let (plan, to) = (
            Planned::of(&output, account)?,
            To::deserialize(&output["rollback"])?,
        );
        if !self.showing.is_json() {
            let ended = ago(to.ended_at, Timestamp::now());
            ui.say(format!("Back to what {} left ({ended}):", to.to));
            plan.show(ui);
        }
        if plan.is_refused() {
            return Err(Refused("nothing was started".to_owned()).into());
        }
        if !plan.has_changes() {
            ui.say("Nothing to roll back: this is what is deployed.");
            return Ok(ExitCode::SUCCESS);
        }
        self.ask(&format!("Roll back {deployment} ({})?", plan.summary()))?;
        // What was shown: the same execution, and no destruction where there was none.
        input["to"] = json!(to.to);
        input["destroy_new"] = json!(plan.count(PlannedAction::Destroy) > 0);
        let subject = Subject::Deployment(Some(deployment));
        self.showing.start("rollback", subject, &input, account, ui).await
    }

    fn input(&self, mut of: Value) -> Value {
        of["action"] = json!("rollback");
        if let Some(to) = &self.to {
            of["to"] = json!(to);
        }
        of
    }

    /// Asks, unless the answer was given.
    ///
    /// # Errors
    /// [`Refused`] if the answer is no.
    fn ask(&self, question: &str) -> Result<()> {
        if self.yes || confirmed(question)? {
            return Ok(());
        }
        Err(Refused("nothing was started".to_owned()).into())
    }
}
