//! `destroy`: destroys a module or a deployment.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::deployment::plan::PlannedAction;
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
use crate::view::plan::PlanView;
use crate::work::Subject;

/// Destroys a module, the modules of a group, or a whole deployment. Runs the destroy phases, then removes what Seedflow
/// has stored of the modules.
#[derive(Debug, Args)]
pub struct Destroy {
    /// What to destroy.
    #[arg(value_name = "DEPLOYMENT[/GROUP[/MODULE]]", value_parser = parse_target)]
    target: Target,
    #[command(flatten)]
    project: OfProject,
    /// Does not ask for confirmation.
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
            if !confirmed(&question).await? {
                return Err(Refused("nothing was destroyed".to_owned()).into());
            }
        }
        self.showing.start("destroy", subject, &input, account, ui).await
    }
}

/// The question, with what would be destroyed: the workflow plans it, so it also knows who consumes values, and what the
/// policy says.
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
    let output = planned(account, input, ui).await?;
    let of = format!("{project}/{target}");
    asked(
        &of,
        &PlanView::of(&output, &account.work_bucket)?,
        &account.place(),
    )
}

fn asked(of: &str, plan: &PlanView, place: &str) -> Result<String> {
    if plan.is_refused() {
        return Err(Refused(plan.refusals().join("\n")).into());
    }
    let modules = plan.with(PlannedAction::Destroy);
    let lines: Vec<String> = modules.map(|module| format!("  {}\n", module.module)).collect();
    let remarks: Vec<String> = plan
        .remarks()
        .iter()
        .map(|remark| format!("{remark}\n"))
        .collect();
    let question = match lines.len() {
        0 => format!("Destroy all that is stored of {of} in {place}?"),
        1 => format!("Destroy 1 module of {of} in {place}, with what it has deployed?"),
        several => format!("Destroy {several} modules of {of} in {place}, with what they have deployed?"),
    };
    Ok(format!("{}{}{question}", lines.concat(), remarks.concat()))
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

    fn plan(more: Value) -> PlanView {
        let mut output = json!({"deployment": {"project": "shop", "deployment": "dev"}, "modules": [
            {"group": "data", "module": "store", "action": "destroy", "reasons": []},
            {"group": "network", "module": "vpc", "action": "destroy", "reasons": []},
        ]});
        for (field, value) in more.as_object().unwrap() {
            output[field] = value.clone();
        }
        PlanView::of(&output, "plans").unwrap()
    }

    #[test]
    fn the_question_says_what_where_and_how_many_and_what_it_waits_for() {
        assert_eq!(
            asked("shop/dev", &plan(json!({})), "account 1, region r").unwrap(),
            "  data/store\n  network/vpc\nDestroy 2 modules of shop/dev in account 1, region r, with what they have deployed?"
        );
        let approval = json!({"approval": {"plan": "c0ffee", "reasons": ["approval: destroys"], "expires_after_seconds": 60}});
        let waits = asked("shop/dev", &plan(approval), "account 1").unwrap();
        assert!(
            waits.contains("\nwaits for an approval: approval: destroys\nDestroy"),
            "{waits}"
        );
    }

    #[test]
    fn a_consumer_the_policy_and_its_rules_answer_the_question() {
        let blocked = json!({"modules": [
            {"group": "network", "module": "vpc", "action": "blocked", "reasons": ["data/store consumes its values"]},
        ]});
        let policy = json!({"policy": {"document": "d", "version": "v", "broken": ["protect[0]: data/*"]}});
        let rules = json!({"rego": {"document": "d", "version": "v", "deny": ["not on a Friday"]}});
        for (found, expected) in [
            (blocked, "network/vpc: data/store consumes its values"),
            (policy, "refused by the policy: protect[0]: data/*"),
            (rules, "refused by the policy: deny: not on a Friday"),
        ] {
            let refused = asked("shop/dev", &plan(found), "account 1").unwrap_err();
            assert!(refused.is::<Refused>(), "{refused}");
            assert_eq!(refused.to_string(), expected);
        }
    }

    #[test]
    fn a_plan_that_is_too_long_is_not_taken_for_an_empty_one() {
        let output = json!({"deployment": {"project": "shop", "deployment": "dev"}, "plan_key": "plans/e/deployment.json"});
        let error = PlanView::of(&output, "plans").err().unwrap().to_string();
        assert!(error.contains("s3://plans/plans/e/deployment.json"), "{error}");
    }
}
