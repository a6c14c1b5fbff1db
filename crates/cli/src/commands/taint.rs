//! `taint`: has the next deployment deploy a module again, changed or not.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_terminal::Ui;
use serde_json::json;

use super::reading::{OfProject, parse_target};
use super::start::start;
use crate::account::Account;
use crate::follow::{Detail, Followed};
use crate::records::target::Target;
use crate::work::Subject;

/// Marks a module, so that the next deployment deploys it even if nothing changed. Nothing is deployed now.
///
/// `seedflow plan` shows the mark as the reason. It stays until a deployment of the module succeeds.
#[derive(Debug, Args)]
pub struct Taint {
    /// The module.
    #[arg(value_name = "DEPLOYMENT/GROUP/MODULE", value_parser = parse_target)]
    module: Target,
    #[command(flatten)]
    project: OfProject,
    /// Prints JSON (docs/command-line.md).
    #[arg(long)]
    json: bool,
}

impl Taint {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let module = self.project.module(account, &self.module).await?;
        let mut input = json!(module);
        input["action"] = json!("taint");
        let subject = Subject::Module(module.clone());
        let execution = start("taint", &subject, &input, account).await?;
        let followed = Followed { execution, subject };
        let outcome = followed.to_its_end(account, Detail::None, ui).await?;
        if outcome.is_good() && !self.json {
            // That the module itself is unchanged would say the opposite.
            ui.say(format!("{module} is tainted: the next deployment deploys it"));
            return Ok(ExitCode::SUCCESS);
        }
        Ok(outcome.show(account, self.json, ui))
    }
}
