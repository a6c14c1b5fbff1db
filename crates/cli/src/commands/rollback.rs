//! `rollback`: deploys again what an earlier execution of a module or of a whole deployment deployed.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_core::deployment::plan::PlannedAction;
use seedflow_core::deployment::rollback::DeploymentRollback;
use seedflow_core::error::ErrorName;
use seedflow_core::ids::{DeploymentId, ExecutionArn, ExecutionName, ModuleId};
use seedflow_core::module::deployed_record::DeployedModule;
use seedflow_core::module::input::RollbackInput;
use seedflow_core::module::rollback;
use seedflow_core::module::rollback::Goal;
use seedflow_core::module::status::Status;
use seedflow_terminal::Ui;
use serde::Deserialize;
use serde_json::{Value, json};

use super::confirm::{can_ask, confirmed};
use super::plan::planned;
use super::reading::{OfProject, parse_target, print_json_line};
use super::start::Showing;
use crate::account::Account;
use crate::exit::{Refused, for_people};
use crate::records::project;
use crate::records::target::Target;
use crate::view::moment::{ago, short};
use crate::view::plan::PlanView;
use crate::view::state::word;
use crate::work::Subject;

/// Deploys an earlier state of a module or a whole deployment again: the kept bundles with the parameters of that time.
///
/// A module whose last execution failed goes back to its last success. Any other module goes back to the last success
/// that deployed something else. A deployment goes back to its last complete success that differs from what is deployed
/// now. The plan is shown first. The next `apply` deploys what the repository has.
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
    /// Does not ask for confirmation.
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
        let status = project::module_status(&account.parameters(), &account.bucket(), &module).await?;
        let Some(status) = status else {
            return Err(Refused(format!(
                "{module} is not deployed, so a rollback has nothing to go back to; `{}` shows what is deployed",
                account.command(&["status", "--project", module.project.as_str()])
            ))
            .into());
        };
        let to = self
            .to
            .as_deref()
            .map(|to| ExecutionArn::new(to).name().to_owned());
        let record = record(account, &module, to.as_deref()).await?;
        let question = question(
            &module,
            &status,
            record.as_ref(),
            &account.place(),
            Timestamp::now(),
        );
        if !self.yes {
            can_ask("rollback")?;
        }
        self.ask(&question).await?;
        let input = self.input(json!(module));
        self.showing
            .start("rollback", Subject::Module(module), &input, account, ui)
            .await
    }

    async fn deployment(self, deployment: DeploymentId, account: &Account, ui: &Ui) -> Result<ExitCode> {
        if !self.yes {
            can_ask("rollback")?;
        }
        let mut input = self.input(json!(deployment));
        input["destroy_new"] = json!(true);
        let mut preview = input.clone();
        preview["plan_only"] = json!(true);
        let output = planned(account, &preview, ui).await?;
        let (plan, to) = (
            PlanView::of(&output, &account.work_bucket)?,
            DeploymentRollback::deserialize(&output["rollback"])?,
        );
        let is_json = self.showing.is_json();
        if !is_json {
            let ended = ago(to.ended_at, Timestamp::now());
            ui.say(format!("Back to what {} left ({ended}):", to.to));
            plan.show(ui);
        }
        if plan.is_refused() {
            let why = match is_json {
                true => plan.refusals().join("\n"),
                false => "nothing was started".to_owned(),
            };
            return Err(Refused(why).into());
        }
        if !plan.has_changes() {
            match is_json {
                true => print_json_line(json!({"of": deployment.to_string(), "state": "UNCHANGED"}), ui),
                false => ui.say("Nothing to roll back: this is already deployed."),
            }
            return Ok(ExitCode::SUCCESS);
        }
        self.ask(&format!("Roll back {deployment} ({})?", plan.summary()))
            .await?;
        // What was shown: the same execution, and no destruction where there was none.
        input["to"] = json!(to.to);
        input["destroy_new"] = json!(plan.count(PlannedAction::Destroy) > 0);
        let subject = Subject::Deployment(Some(deployment));
        self.showing.start("rollback", subject, &input, account, ui).await
    }

    fn input(&self, mut of: Value) -> Value {
        of["action"] = json!("rollback");
        if let Some(to) = &self.to {
            of["to"] = json!(ExecutionArn::new(to.as_str()).name());
        }
        of
    }

    /// Asks, unless the answer was given.
    ///
    /// # Errors
    /// [`Refused`] if the answer is no.
    async fn ask(&self, question: &str) -> Result<()> {
        if self.yes || confirmed(question).await? {
            return Ok(());
        }
        Err(Refused("nothing was started".to_owned()).into())
    }
}

/// The record of the deployment to go back to, by the rules of the workflow; `None` if these credentials may not read it, so
/// that the workflow has to check.
///
/// # Errors
/// [`Refused`] if there is none, or if its bundle was not kept.
async fn record(account: &Account, module: &ModuleId, to: Option<&str>) -> Result<Option<DeployedModule>> {
    let to = to.map(ExecutionName::parse).transpose().map_err(for_people)?;
    let wanted = RollbackInput {
        module: module.clone(),
        to,
        only_changes: false,
    };
    let records = ModuleStore::new(&account.config, account.work_bucket.clone());
    match records
        .record_to_roll_back_to(module, Goal::from(wanted.to.clone()))
        .await
    {
        Ok(record) => {
            rollback::request(record.clone(), &wanted).map_err(for_people)?;
            Ok(Some(record))
        }
        Err(error) if error.name == ErrorName::AccessDenied => Ok(None),
        Err(error) => Err(for_people(error)),
    }
}

/// The question, with what is deployed now and what would be.
fn question(
    module: &ModuleId,
    now: &Status,
    record: Option<&DeployedModule>,
    place: &str,
    at: Timestamp,
) -> String {
    let of = |commit: Option<&str>| match short(commit) {
        none if none.is_empty() => String::new(),
        commit => format!(", commit {commit}"),
    };
    let from = format!(
        "{} by {}{}",
        word(now.state.as_str()),
        now.execution.name(),
        of(now.commit_info.commit())
    );
    let to = record.map_or_else(
        || "the deployment before it, which these credentials may not read".to_owned(),
        |record| {
            format!(
                "deployed {} by {}{}",
                ago(record.deployed_at, at),
                record.execution.name(),
                of(record.commit_info.commit())
            )
        },
    );
    let target = record.and_then(|record| record.options.target.as_ref());
    let place = target.map_or_else(|| place.to_owned(), ToString::to_string);
    format!("  now  {from}\n  to   {to}\nDeploy {module} in {place} again as it was?")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_question_says_where_from_and_where_to() {
        let module = ModuleId::parse("shop", "dev", "data", "queue").unwrap();
        let status: Status = serde_json::from_value(json!({"state": "FAILED", "updated_at": "2026-11-29T12:00:00Z",
            "group": "data", "module": "queue", "execution": "arn:aws:states:r:1:execution:m:bad", "commit": "0123456789",
            "reasons": []}))
        .unwrap();
        let asked = question(
            &module,
            &status,
            None,
            "account 1, region r",
            Timestamp::UNIX_EPOCH,
        );
        assert!(
            asked.starts_with("  now  failed by bad, commit 01234567\n  to   the deployment before it"),
            "{asked}"
        );
        assert!(
            asked.ends_with("Deploy shop/dev/data/queue in account 1, region r again as it was?"),
            "{asked}"
        );
    }
}
