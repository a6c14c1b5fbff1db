//! `destroy`: destroys a module or a deployment.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::ids::Name;
use seedflow_terminal::Ui;
use serde_json::{Value, json};

use super::confirm::confirmed;
use super::reading::{OfProject, parse_target};
use super::start::Showing;
use crate::account::Account;
use crate::exit::Refused;
use crate::records::target::Target;
use crate::work::Subject;

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
        let (project, target) = self.project.meant(account, &self.target).await?;
        let what = match (&target.group, &target.module) {
            (None, _) => "all modules of ",
            (Some(_), None) => "the modules of ",
            (Some(_), Some(_)) => "",
        };
        if !self.yes && !confirmed(&format!("Destroy {what}{project}/{target}?"))? {
            return Err(Refused("nothing was destroyed".to_owned()).into());
        }
        let (subject, input) = request(&target, &project);
        self.showing.start("destroy", subject, &input, account, ui).await
    }
}

/// A module goes by way of its deployment too, which knows who consumes its values.
fn request(target: &Target, project: &Name) -> (Subject, Value) {
    let deployment = target.deployment(project);
    let mut input = json!({"action": "destroy", "project": project, "deployment": deployment.deployment});
    let only = match (&target.group, &target.module) {
        (Some(group), Some(module)) => Some(format!("{group}/{module}")),
        (Some(group), None) => Some(group.to_string()),
        (None, _) => None,
    };
    if let Some(only) = only {
        input["only"] = json!([only]);
    }
    (Subject::Deployment(Some(deployment)), input)
}
