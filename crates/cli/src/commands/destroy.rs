//! `destroy`: destroys a module or a deployment.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::deployment::plan::{PlannedAction, PlannedModule};
use seedflow_core::ids::Name;
use seedflow_terminal::Ui;
use serde_json::{Value, json};

use super::confirm::{can_ask, confirmed};
use super::plan::planned;
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
        let (subject, input) = request(&target, &project);
        if !self.yes {
            can_ask("destroy")?;
            let question = question(&target, &project, &input, account, ui).await?;
            if !confirmed(&question)? {
                return Err(Refused("nothing was destroyed".to_owned()).into());
            }
        }
        self.showing.start("destroy", subject, &input, account, ui).await
    }
}

/// The question, with what would be destroyed: the workflow plans it, so it also knows who consumes values.
///
/// # Errors
/// [`Refused`] if nothing may or can be destroyed.
async fn question(
    target: &Target,
    project: &Name,
    input: &Value,
    account: &Account,
    ui: &Ui,
) -> Result<String> {
    let Some(output) = planned(account, input, ui).await? else {
        return Err(Refused("nothing was destroyed".to_owned()).into());
    };
    let of = format!("{project}/{target}");
    let modules = output.get("modules").cloned().unwrap_or_else(|| json!([]));
    asked(
        &of,
        &serde_json::from_value::<Vec<PlannedModule>>(modules)?,
        &account.place(),
    )
}

fn asked(of: &str, modules: &[PlannedModule], place: &str) -> Result<String> {
    let with = |action: PlannedAction| modules.iter().filter(move |module| module.action == action);
    let blocked: Vec<String> = with(PlannedAction::Blocked)
        .map(|module| format!("{}: {}", module.module, module.reasons.join("; ")))
        .collect();
    if !blocked.is_empty() {
        return Err(Refused(blocked.join("\n")).into());
    }
    let destroyed: Vec<String> = with(PlannedAction::Destroy)
        .map(|module| format!("  {}\n", module.module))
        .collect();
    let count = match destroyed.len() {
        0 => return Ok(format!("Destroy all that is stored of {of} in {place}?")),
        1 => "1 module".to_owned(),
        several => format!("{several} modules"),
    };
    Ok(format!(
        "{}Destroy {count} of {of} in {place}, with what they have deployed?",
        destroyed.concat()
    ))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn modules(found: Value) -> Vec<PlannedModule> {
        serde_json::from_value(found).unwrap()
    }

    #[test]
    fn the_question_says_what_where_and_how_many_and_a_consumer_answers_it() {
        let two = modules(json!([
            {"group": "data", "module": "store", "action": "destroy", "reasons": []},
            {"group": "network", "module": "vpc", "action": "destroy", "reasons": []},
        ]));
        assert_eq!(
            asked("shop/dev", &two, "account 1, region r").unwrap(),
            "  data/store\n  network/vpc\nDestroy 2 modules of shop/dev in account 1, region r, with what they have deployed?"
        );
        let blocked = modules(json!([
            {"group": "network", "module": "vpc", "action": "blocked", "reasons": ["data/store consumes its values"]},
        ]));
        let refused = asked("shop/dev/network/vpc", &blocked, "account 1").unwrap_err();
        assert!(refused.is::<Refused>(), "{refused}");
        assert_eq!(refused.to_string(), "network/vpc: data/store consumes its values");
    }
}
