//! `destroy`: destroys a module or a deployment.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_terminal::Ui;
use serde_json::{Value, json};

use super::confirm::confirmed;
use super::reading::{OfProject, parse_target};
use super::start::Showing;
use crate::account::Account;
use crate::exit::Refused;
use crate::follow::Subject;
use crate::records::target::Target;

/// Destroys a module, the modules of a group, or a whole deployment, by the destroy phases of what is deployed; then
/// removes what is stored of it.
#[derive(Debug, Args)]
pub struct Destroy {
    /// What to destroy.
    #[arg(value_name = "DEPLOYMENT[/GROUP[/MODULE]]", value_parser = parse_target)]
    target: Target,
    #[command(flatten)]
    project: OfProject,
    /// Doesn't ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    showing: Showing,
}

impl Destroy {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let project = self.project.find(account).await?;
        let what = match (&self.target.group, &self.target.module) {
            (None, _) => "all modules of ",
            (Some(_), None) => "the modules of ",
            (Some(_), Some(_)) => "",
        };
        if !self.yes && !confirmed(&format!("Destroy {what}{project}/{}?", self.target))? {
            return Err(Refused("nothing was destroyed".to_owned()).into());
        }
        let (subject, input) = self.request(&project);
        self.showing.start("destroy", subject, &input, account, ui).await
    }

    fn request(&self, project: &seedflow_core::ids::Name) -> (Subject, Value) {
        if let Ok(module) = self.target.module(project) {
            let mut input = json!(module);
            input["action"] = json!("destroy");
            return (Subject::Module(module), input);
        }
        let deployment = self.target.deployment(project);
        let mut input = json!({"action": "destroy", "project": project, "deployment": deployment.deployment});
        if let Some(group) = &self.target.group {
            input["only"] = json!([group]);
        }
        (Subject::Deployment(Some(deployment)), input)
    }
}
