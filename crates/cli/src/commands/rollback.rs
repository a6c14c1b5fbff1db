//! `rollback`: deploys again what an earlier execution of a module deployed.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_terminal::Ui;
use serde_json::json;

use super::confirm::confirmed;
use super::reading::{OfProject, parse_target};
use super::start::Showing;
use crate::account::Account;
use crate::exit::Refused;
use crate::records::project;
use crate::records::target::Target;
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
        let stored = project::module_status(&account.parameters(), &account.bucket(), &module).await?;
        if stored.is_none() {
            let nothing = format!("{module}: nothing is deployed of it, so there is nothing to go back to");
            return Err(Refused(format!("{nothing}; `seedflow status` shows what is deployed")).into());
        }
        let to = self.to.as_deref().map_or_else(
            || "what it was before".to_owned(),
            |to| format!("what {to} deployed"),
        );
        if !self.yes && !confirmed(&format!("Deploy {module} again as {to}?"))? {
            return Err(Refused("nothing was started".to_owned()).into());
        }
        let mut input = json!(module);
        input["action"] = json!("rollback");
        if let Some(to) = &self.to {
            input["to"] = json!(to);
        }
        self.showing
            .start("rollback", Subject::Module(module), &input, account, ui)
            .await
    }
}
