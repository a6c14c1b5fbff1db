//! `outputs` and `metadata`: what a module published.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use seedflow_core::ids::ParameterKind;
use seedflow_terminal::Ui;
use serde::Serialize;

use super::reading::{OfProject, parse_target};
use crate::account::Account;
use crate::records::published::{exports, read, text};
use crate::records::target::Target;
use crate::view::report::values;

/// Which values of which module.
#[derive(Debug, Args)]
pub struct Published {
    /// The module.
    #[arg(value_name = "DEPLOYMENT/GROUP/MODULE", value_parser = parse_target)]
    module: Target,
    /// Prints this value only.
    #[arg(value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    project: OfProject,
    /// Prints shell commands that set the values as variables: eval "$(seedflow metadata … --export)".
    #[arg(long, conflicts_with_all = ["key", "json"])]
    export: bool,
    /// Prints JSON: an object with the values by key.
    #[arg(long)]
    json: bool,
}

impl Published {
    /// Runs the command for the outputs or the metadata.
    pub async fn run(self, kind: ParameterKind, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let module = self.project.module(account, &self.module).await?;
        let found = read(&account.parameters(), &account.bucket(), &module, kind).await?;
        if let Some(key) = &self.key {
            let Some(value) = found.get(key) else {
                let keys: Vec<&str> = found.keys().map(String::as_str).collect();
                bail!(
                    "{module}: expected the key \"{key}\" in its {kind}, found {}",
                    listed(&keys)
                );
            };
            match self.json {
                true => print_value(value, ui)?,
                false => ui.say(text(value)),
            }
        } else if self.json {
            print_value(&found, ui)?;
        } else if self.export {
            exports(&found)?.iter().for_each(|line| ui.say(line));
        } else if found.is_empty() {
            ui.say(format!("{module} has no {kind}."));
        } else {
            values(&found, ["KEY", "VALUE"]).show(ui);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints what a module published as it is: a null of its own stays.
fn print_value(value: &impl Serialize, ui: &Ui) -> Result<()> {
    ui.say(serde_json::to_string_pretty(value)?);
    Ok(())
}

fn listed(keys: &[&str]) -> String {
    if keys.is_empty() {
        "none".to_owned()
    } else {
        keys.join(", ")
    }
}
