//! `outputs` and `metadata`: what a module published.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::error::did_you_mean;
use seedflow_core::ids::{ModuleId, ParameterKind};
use seedflow_terminal::Ui;
use serde::Serialize;
use serde_json::{Map, Value};

use super::reading::{OfProject, parse_target};
use crate::account::Account;
use crate::exit::Refused;
use crate::records::published::{exports, read, text};
use crate::records::target::Target;
use crate::view::report::values;

/// The module, and which of its values.
#[derive(Debug, Args)]
pub struct PublishedValues {
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

impl PublishedValues {
    /// Runs the command for the outputs or the metadata.
    pub async fn run(self, kind: ParameterKind, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let module = self.project.module(account, &self.module).await?;
        let found = read(&account.parameters(), &account.bucket(), &module, kind).await?;
        if let Some(key) = &self.key {
            let Some(value) = found.get(key) else {
                return Err(Refused(unknown_key(&module, kind, key, &found)).into());
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

fn unknown_key(module: &ModuleId, kind: ParameterKind, key: &str, found: &Map<String, Value>) -> String {
    let keys: Vec<&str> = found.keys().map(String::as_str).collect();
    let known = match keys.is_empty() {
        true => "none".to_owned(),
        false => keys.join(", "),
    };
    let suggestion = did_you_mean(key, &keys);
    format!("{module}: expected a key of its {kind} ({known}), found \"{key}\"{suggestion}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_error_about_an_unknown_key_lists_the_known_ones() {
        let module = ModuleId::parse("p", "dev", "network", "vpc").unwrap();
        let found = json!({"VpcId": "vpc-1", "Zone": "a"});
        let message = unknown_key(
            &module,
            ParameterKind::Metadata,
            "VpcIdd",
            found.as_object().unwrap(),
        );
        assert_eq!(
            message,
            "p/dev/network/vpc: expected a key of its metadata (VpcId, Zone), found \"VpcIdd\"; did you mean VpcId?"
        );
    }
}
