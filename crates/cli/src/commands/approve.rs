//! `approve` and `reject`: decide on a plan that waits.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use seedflow_aws::services::identity;
use seedflow_aws::services::lambda::{self, Answer};
use seedflow_core::approval::{ApprovalSummary, Says, Submission};
use seedflow_core::deployment::plan::PlannedModule;
use seedflow_core::deployment::previews::Preview;
use seedflow_core::ids::DeploymentId;
use seedflow_terminal::{Tone, Ui};
use serde_json::json;

use super::confirm::{can_ask, confirmed};
use super::named::{Named, What};
use super::reading::print_json_line;
use crate::account::Account;
use crate::exit::{Refused, is_refusal};
use crate::follow::{Followed, deployment_of};
use crate::records::{project, report};
use crate::view::plan::{show_previews, table_of};

/// Approves or rejects a deployment's plan that waits for approval.
///
/// AWS proves who decides: a request to STS is signed with your credentials, and it covers the plan, the decision and the reason.
/// The policy of the deployment names the approvers. Without --plan the plan is shown first, unless the output is
/// JSON.
#[derive(Debug, Args)]
pub struct Decide {
    #[command(flatten)]
    what: What,
    /// The reason, which reports, pages and events show.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The plan that you looked at, by the beginning of its hash. The mail, the page and `status` show it.
    #[arg(long, value_name = "HASH")]
    plan: Option<String>,
    /// Does not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
    /// Prints JSON (docs/command-line.md).
    #[arg(long)]
    json: bool,
}

impl Decide {
    /// Runs the command.
    ///
    /// # Errors
    /// [`Refused`] if nothing waits, or if the caller may not decide.
    pub async fn run(self, says: Says, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let waiting = match self.what.find(account).await? {
            Named::Deployment(id) => of_deployment(account, &id).await?,
            Named::Execution(followed) => of_execution(account, &followed).await?,
            Named::Module(id) => bail!(Refused(format!(
                "{id}: expected a deployment or its execution, found a module; only plans of deployments wait for an approval"
            ))),
        };
        let plan = match &self.plan {
            Some(plan) => plan.clone(),
            None => {
                let verb = match says {
                    Says::Approve => "Approve",
                    Says::Reject => "Reject",
                };
                if !self.yes {
                    can_ask(&verb.to_lowercase())?;
                }
                if !self.json {
                    show(account, &waiting, ui).await?;
                }
                let question = format!("{verb} plan {}?", waiting.request.shown_plan());
                if !self.yes && !confirmed(&question).await? {
                    return Err(Refused("nothing was decided".to_owned()).into());
                }
                waiting.request.needed.plan.clone()
            }
        };
        let submission = Submission {
            decision: says,
            plan,
            reason: self.reason,
        };
        let decided = submit(account, &waiting, &submission).await?;
        match self.json {
            true => print_json_line(json!(decided), ui),
            false => say(&decided, account, ui),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn say(decided: &ApprovalSummary, account: &Account, ui: &Ui) {
    let request = &decided.request;
    ui.say(format!(
        "{}: plan {} {}",
        request.deployment,
        request.shown_plan(),
        decided.line()
    ));
    let name = request.execution.name();
    ui.say(ui.paint(Tone::Quiet, format!("  {}", account.command(&["follow", name]))));
}

/// Sends a decision to the function that takes it.
async fn submit(account: &Account, waiting: &ApprovalSummary, says: &Submission) -> Result<ApprovalSummary> {
    let request = &waiting.request;
    let (proof, arn) = identity::prove(&account.config, &says.hash(&request.execution)).await?;
    let mut event = json!(says);
    event["deployment"] = json!(request.deployment);
    event["execution"] = json!(request.execution);
    event["identity"] = json!(proof);
    match lambda::invoke(&account.config, &account.approve_function(), &event).await? {
        Answer::Value(value) => Ok(serde_json::from_value(value)?),
        Answer::Failed(error, message) if is_refusal(&error) => {
            bail!(Refused(format!("{message} (you are {arn})")))
        }
        Answer::Failed(error, message) => bail!("{error}: {message}"),
    }
}

/// What waits of a deployment.
async fn of_deployment(account: &Account, id: &DeploymentId) -> Result<ApprovalSummary> {
    let status = project::deployment_status(&account.parameters(), &account.bucket(), id).await?;
    match status.and_then(|status| status.approval) {
        Some(approval) if approval.waits() => Ok(approval),
        Some(last) => bail!(Refused(format!(
            "{id}: no plan waits for an approval; the last plan that waited: {}",
            last.line()
        ))),
        None => bail!(Refused(format!("{id}: no plan waits for an approval"))),
    }
}

/// What waits of an execution: its deployment's status has it.
async fn of_execution(account: &Account, followed: &Followed) -> Result<ApprovalSummary> {
    let execution = &followed.execution;
    let deployment = deployment_of(account, execution).await?;
    if let Some(id) = &deployment {
        let status = project::deployment_status(&account.parameters(), &account.bucket(), id).await?;
        let approval = status.and_then(|status| status.approval);
        if let Some(approval) = approval.filter(|approval| approval.request.execution == *execution) {
            return Ok(approval);
        }
    }
    bail!(Refused(format!(
        "{}: its plan doesn't wait for an approval; `{}` shows what waits",
        execution.name(),
        account.command_of("status", deployment.as_ref().map(|id| &id.project))
    )))
}

/// Shows what would run.
async fn show(account: &Account, waiting: &ApprovalSummary, ui: &Ui) -> Result<()> {
    let request = &waiting.request;
    ui.say(ui.paint(Tone::Bold, request.deployment.to_string()));
    let key = request.deployment.report_key(&request.execution);
    let report = report::json(&account.bucket(), &key).await?;
    let modules: Vec<PlannedModule> = serde_json::from_value(report["plan"].clone())?;
    table_of(&modules).show(ui);
    let previews: Vec<Preview> =
        serde_json::from_value(report.get("previews").cloned().unwrap_or(json!([])))?;
    show_previews(&previews, ui);
    for reason in &request.needed.reasons {
        ui.say(format!("waits because of {reason}"));
    }
    if let Some(author) = request.commit_info.author() {
        let commit = request.commit_info.commit().unwrap_or("unknown");
        ui.say(format!("commit {commit}, which names {author} as its author"));
    }
    ui.say(match &request.started_by {
        Some(by) => format!("started by {by}"),
        None => "it is not known who started it".to_owned(),
    });
    Ok(())
}
