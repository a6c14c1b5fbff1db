//! What the commands that read have in common: the project, and output for programs.

use anyhow::Result;
use clap::Args;
use seedflow_core::ids::{ModuleId, Name};
use seedflow_terminal::Ui;
use serde::Serialize;

use crate::account::Account;
use crate::records::project;

/// The project that a command reads.
#[derive(Debug, Clone, Args)]
pub struct OfProject {
    /// The project; it may be left out if the stack has only one.
    #[arg(long, short, value_name = "P", value_parser = parse_project)]
    project: Option<Name>,
}

impl OfProject {
    /// The named project, or the only one.
    pub async fn find(&self, account: &Account) -> Result<Name> {
        if let Some(project) = &self.project {
            return Ok(project.clone());
        }
        let projects = project::projects(&account.parameters(), &account.bucket()).await?;
        project::only(&projects)
    }

    /// The project, if one is named.
    #[must_use]
    pub fn named(&self) -> Option<&Name> {
        self.project.as_ref()
    }
}

/// Parses the name of a project, with a message for people.
pub fn parse_project(text: &str) -> Result<Name, String> {
    ModuleId::project(text).map_err(|error| error.message)
}

/// Parses what a command is about, with a message for people.
pub fn parse_target(text: &str) -> Result<crate::records::target::Target, String> {
    text.parse()
        .map_err(|error: seedflow_core::error::Error| error.message)
}

/// Prints a value as JSON.
pub fn print_json(value: &impl Serialize, ui: &Ui) -> Result<()> {
    ui.say(serde_json::to_string_pretty(value)?);
    Ok(())
}
