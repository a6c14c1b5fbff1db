//! `rollback`: deploys again what an earlier execution of a module deployed.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_core::error::ErrorName;
use seedflow_core::ids::{ExecutionArn, ExecutionName, ModuleId};
use seedflow_core::module::deployed_record::DeployedModule;
use seedflow_core::module::input::RollbackInput;
use seedflow_core::module::rollback;
use seedflow_core::module::status::Status;
use seedflow_terminal::Ui;
use serde_json::json;

use super::confirm::{can_ask, confirmed};
use super::reading::{OfProject, parse_target};
use super::start::Showing;
use crate::account::Account;
use crate::exit::{Refused, for_people};
use crate::records::project;
use crate::records::target::Target;
use crate::view::moment::{ago, short};
use crate::view::state::word;
use crate::work::Subject;

/// Deploys again what a module was before: the kept bundle with the parameters that it had.
///
/// A module whose last execution failed goes back to its last success, another one to the success before it that deployed
/// something else. The next `apply` deploys what the repository has.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The module.
    #[arg(value_name = "DEPLOYMENT/GROUP/MODULE", value_parser = parse_target)]
    module: Target,
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
        let module = self.project.module(account, &self.module).await?;
        let status = project::module_status(&account.parameters(), &account.bucket(), &module).await?;
        let Some(status) = status else {
            return Err(Refused(format!(
                "{module}: nothing is deployed of it, so there is nothing to go back to; `{}` shows what is deployed",
                account.command(&["status", "--project", module.project.as_str()])
            ))
            .into());
        };
        let to = self
            .to
            .as_deref()
            .map(|to| ExecutionArn::new(to).name().to_owned());
        let record = record(account, &module, to.as_deref()).await?;
        if !self.yes {
            can_ask("rollback")?;
            let question = question(
                &module,
                &status,
                record.as_ref(),
                &account.place(),
                Timestamp::now(),
            );
            if !confirmed(&question)? {
                return Err(Refused("nothing was started".to_owned()).into());
            }
        }
        let mut input = json!(module);
        input["action"] = json!("rollback");
        if let Some(to) = to {
            input["to"] = json!(to);
        }
        self.showing
            .start("rollback", Subject::Module(module), &input, account, ui)
            .await
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
    };
    let records = ModuleStore::new(&account.config, account.work_bucket.clone());
    match records.record_to_roll_back_to(wanted).await {
        Ok(record) => {
            rollback::request(record.clone()).map_err(for_people)?;
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
        || "what was deployed before it; these credentials may not read what that was".to_owned(),
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
            asked.starts_with("  now  failed by bad, commit 01234567\n  to   what was deployed before it"),
            "{asked}"
        );
        assert!(
            asked.ends_with("Deploy shop/dev/data/queue in account 1, region r again as it was?"),
            "{asked}"
        );
    }
}
