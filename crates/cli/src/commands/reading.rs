//! What the commands that read have in common: the project, and output for programs.

use anyhow::Result;
use clap::Args;
use seedflow_core::ids::{ModuleId, Name};
use seedflow_terminal::Ui;
use serde::Serialize;
use serde_json::Value;

use crate::account::Account;
use crate::exit::Wrong;
use crate::records::target::Target;
use crate::records::{names, project};
use crate::view::json::without_nulls;

/// The project that a command reads.
#[derive(Debug, Clone, Args)]
pub struct OfProject {
    /// The project; it may be left out if the stack has only one.
    #[arg(long, short, value_name = "P", value_parser = parse_project)]
    project: Option<Name>,
}

impl OfProject {
    /// The named project, or the only one.
    ///
    /// # Errors
    /// [`crate::exit::Refused`] if the project doesn't exist, or if there is none at all; [`Wrong`] if there are several.
    pub async fn find(&self, account: &Account) -> Result<Name> {
        let found = self.find_any(account).await?;
        found.ok_or_else(|| names::nothing(account))
    }

    /// The same; `None` if no project is named, and nothing has been deployed by the stack.
    pub async fn find_any(&self, account: &Account) -> Result<Option<Name>> {
        if let Some(project) = &self.project {
            names::refuse_unknown_project(account, project).await?;
        }
        self.find_unchecked(account).await
    }

    /// The same; a project that is named may not exist yet.
    pub async fn find_unchecked(&self, account: &Account) -> Result<Option<Name>> {
        if let Some(project) = &self.project {
            return Ok(Some(project.clone()));
        }
        let projects = project::projects(&account.parameters(), &account.bucket()).await?;
        project::only(&projects)
    }

    /// The project, and the part of it that is meant.
    ///
    /// # Errors
    /// [`crate::exit::Refused`] if nothing has this name.
    pub async fn meant(&self, account: &Account, target: &Target) -> Result<(Name, Target)> {
        let project = self.find(account).await?;
        let target = names::meant(account, &project, target).await?;
        Ok((project, target))
    }

    /// The project, and the part of it that is meant; all of it without a target.
    ///
    /// # Errors
    /// [`crate::exit::Refused`] if nothing has this name.
    pub async fn whole_or(
        &self,
        account: &Account,
        target: Option<&Target>,
    ) -> Result<(Name, Option<Target>)> {
        let Some(target) = target else {
            return Ok((self.find(account).await?, None));
        };
        let (project, target) = self.meant(account, target).await?;
        Ok((project, Some(target)))
    }

    /// The module that is meant.
    ///
    /// # Errors
    /// [`Wrong`] for a group or a deployment, [`crate::exit::Refused`] if nothing has this name.
    pub async fn module(&self, account: &Account, target: &Target) -> Result<ModuleId> {
        let (project, target) = self.meant(account, target).await?;
        target.module(&project).map_err(|_| {
            let lists = account.command_about("status", &target, &project);
            Wrong(format!(
                "MODULE: expected a module, as DEPLOYMENT/GROUP/MODULE, found \"{target}\"; `{lists}` lists its modules"
            ))
            .into()
        })
    }

    /// The deployment or the module that is meant.
    ///
    /// # Errors
    /// [`Wrong`] for a group, [`crate::exit::Refused`] if nothing has this name.
    pub async fn no_group(&self, account: &Account, target: &Target) -> Result<(Name, Target)> {
        let (project, target) = self.meant(account, target).await?;
        if target.group.is_some() && target.module.is_none() {
            let lists = account.command_about("history", &target, &project);
            return Err(found_group(&target, &lists, "lists what ran in it"));
        }
        Ok((project, target))
    }

    /// The project, if one is named.
    #[must_use]
    pub fn named(&self) -> Option<&Name> {
        self.project.as_ref()
    }
}

/// The error of a group, where a deployment or a module is meant; `command` does something for the group.
pub fn found_group(target: &Target, command: &str, does: &str) -> anyhow::Error {
    Wrong(format!(
        "{target}: expected a deployment or a module, found a group; `{command}` {does}"
    ))
    .into()
}

/// Parses the name of a project, with a message for people.
pub fn parse_project(text: &str) -> Result<Name, String> {
    ModuleId::project(text).map_err(|error| error.message)
}

/// Parses what a command is about, with a message for people.
pub fn parse_target(text: &str) -> Result<Target, String> {
    text.parse()
        .map_err(|error: seedflow_core::error::Error| error.message)
}

/// Prints a value as JSON, without fields that are null: what is not known is missing.
pub fn print_json(value: impl Serialize, ui: &Ui) -> Result<()> {
    let value = without_nulls(serde_json::to_value(value)?);
    ui.say(serde_json::to_string_pretty(&value)?);
    Ok(())
}

/// The same on one line, for programs that read lines.
pub fn print_json_line(value: Value, ui: &Ui) {
    ui.say(without_nulls(value).to_string());
}
