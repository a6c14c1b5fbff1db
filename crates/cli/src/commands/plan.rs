//! `plan`: what `apply` would do, and why.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::workflow::ending::{Described, ExecutionStatus};
use seedflow_terminal::Ui;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::cancel::CANCELED;
use super::reading::print_json_line;
use super::repository::{Purpose, RepositoryArguments};
use super::start::unique;
use crate::account::Account;
use crate::exit::{self, Interrupted, Refused, is_refusal};
use crate::view::plan::PlanView;

/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often a plan that doesn't appear is looked for: a minute.
const LOOKS: u32 = 120;

/// Shows what would be deployed, destroyed or left as it is, and why, with old and new values. Changes nothing.
///
/// Ctrl-C stops the planning. Values that may be secret are not shown.
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    repository: RepositoryArguments,
    /// Prints JSON (docs/command-line.md).
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Prints a table in Markdown, for a comment in a pull request.
    #[arg(long)]
    markdown: bool,
    /// Ends with 3 if there are changes.
    #[arg(long)]
    detailed_exitcode: bool,
    /// Runs the preview phases of the modules that would be deployed, with read-only rights, and shows what they print. Needs the
    /// right to deploy.
    #[arg(long)]
    preview: bool,
}

impl Plan {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let output = match self.preview {
            true => {
                // Those who may only plan can neither write this folder nor start this state machine.
                let input = self.repository.input(Purpose::Deployment, account, ui).await?;
                previewed(account, input, ui).await?
            }
            false => {
                let input = self.repository.input(Purpose::Plan, account, ui).await?;
                planned(account, &input, ui).await?
            }
        };
        let planned = PlanView::of(&output, &account.work_bucket)?;
        if self.json {
            print_json_line(planned.json(output)?, ui);
        } else if self.markdown {
            ui.say(planned.markdown());
        } else {
            planned.show(ui);
        }
        Ok(self.code(&planned))
    }

    fn code(&self, planned: &PlanView) -> ExitCode {
        if planned.is_refused() {
            return ExitCode::from(exit::REFUSED);
        }
        match self.detailed_exitcode && planned.has_changes() {
            true => ExitCode::from(exit::CHANGES_PENDING),
            false => ExitCode::SUCCESS,
        }
    }
}

/// Plans by an execution, and waits for its output.
///
/// # Errors
/// [`Interrupted`] after Ctrl-C, which stops the execution: it changes nothing. [`Refused`] if there is no plan.
pub(super) async fn planned(account: &Account, input: &Value, ui: &Ui) -> Result<Value> {
    // From before the start on, so that no Ctrl-C leaves an execution behind.
    let interrupted = tokio::spawn(tokio::signal::ctrl_c());
    let sfn = account.step_functions();
    // The state machine that can't deploy, so no more rights are needed.
    let asked = sfn.start(&account.plan_arn(), &unique(), input).await?;
    let plan = account.plan_execution(&asked);
    let _live = ui.quiet_task("planning");
    wait_for((&plan, &asked), interrupted, &sfn).await
}

/// Plans with previews by an execution of the state machine that also deploys, and waits for its output.
///
/// # Errors
/// As [`planned`].
async fn previewed(account: &Account, mut input: Value, ui: &Ui) -> Result<Value> {
    let interrupted = tokio::spawn(tokio::signal::ctrl_c());
    input["plan_only"] = json!(true);
    input["preview"] = json!(true);
    let sfn = account.step_functions();
    let name = format!("plan-{}", unique());
    let plan = sfn
        .start(&account.deploy_state_machine_arn, &name, &input)
        .await?;
    let _live = ui.quiet_task("planning, and running previews");
    wait_for((&plan, &plan), interrupted, &sfn).await
}

/// Waits for the output of the execution that plans, which `asked` starts or is.
async fn wait_for(
    (plan, asked): (&ExecutionArn, &ExecutionArn),
    interrupted: JoinHandle<std::io::Result<()>>,
    sfn: &StepFunctions,
) -> Result<Value> {
    tokio::select! {
        output = output_of(plan, asked, sfn) => output,
        interrupted = interrupted => {
            interrupted??;
            for execution in [asked, plan] {
                sfn.stop(execution, CANCELED, "Ctrl-C in seedflow plan").await?;
            }
            Err(Interrupted("Stopped planning; nothing was changed.").into())
        }
    }
}

/// Waits for the output of the execution that plans, which another one starts.
async fn output_of(plan: &ExecutionArn, asked: &ExecutionArn, sfn: &StepFunctions) -> Result<Value> {
    let mut unseen = 0;
    loop {
        match sfn.describe(plan).await? {
            Some(described) if described.status != ExecutionStatus::Running => return output(described),
            Some(_) => {}
            None => {
                unseen += 1;
                may_still_start(sfn.describe(asked).await?, asked, unseen)?;
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Whether an execution that plans may still appear: the one that starts it has not failed, and it is early.
fn may_still_start(asked: Option<Described>, execution: &ExecutionArn, unseen: u32) -> Result<()> {
    match asked {
        Some(asked)
            if !matches!(
                asked.status,
                ExecutionStatus::Running | ExecutionStatus::Succeeded
            ) =>
        {
            bail!(
                "no plan was started: {}: {}",
                asked.error.unwrap_or_default(),
                asked.cause.unwrap_or_default()
            )
        }
        _ if unseen >= LOOKS => bail!(
            "no plan was started within a minute by {}; look at this execution in the console of Step Functions, and try again",
            execution.as_str()
        ),
        _ => Ok(()),
    }
}

fn output(described: Described) -> Result<Value> {
    let (error, cause) = (
        described.error.unwrap_or_default(),
        described.cause.unwrap_or_default(),
    );
    match described.status {
        ExecutionStatus::Succeeded => Ok(described.output),
        _ if is_refusal(&error) => Err(Refused(cause).into()),
        _ => bail!("{error}: {cause}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_plan_that_never_starts_is_not_waited_for() {
        let asked = |status, error: Option<&str>| {
            Some(Described {
                status,
                input: Value::Null,
                output: Value::Null,
                started_at: None,
                stopped_at: None,
                error: error.map(str::to_owned),
                cause: None,
            })
        };
        let execution = ExecutionArn::new("arn:aws:states:r:1:execution:seedflow-plan:e");
        let may =
            |asked, unseen| may_still_start(asked, &execution, unseen).map_err(|error| error.to_string());
        assert_eq!(may(None, 1), Ok(()));
        assert_eq!(may(asked(ExecutionStatus::Succeeded, None), 1), Ok(()));
        let failed = may(asked(ExecutionStatus::Failed, Some("AccessDenied")), 1).unwrap_err();
        assert!(failed.contains("AccessDenied"), "{failed}");
        let late = may(asked(ExecutionStatus::Succeeded, None), LOOKS).unwrap_err();
        assert!(late.contains(execution.as_str()), "{late}");
    }

    #[test]
    fn a_refused_plan_is_a_refusal() {
        let ended = |error: &str| Described {
            status: ExecutionStatus::Failed,
            input: Value::Null,
            output: Value::Null,
            started_at: None,
            stopped_at: None,
            error: Some(error.to_owned()),
            cause: Some("deployment.yaml:1: no".to_owned()),
        };
        let refused = output(ended("InvalidManifest")).unwrap_err();
        assert!(refused.is::<Refused>());
        assert!(!output(ended("Refused")).unwrap_err().is::<Refused>());
    }
}
