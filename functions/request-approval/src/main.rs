//! `request-approval`: lets an execution wait until somebody has decided on its plan, and ends the wait (decision 59).
//!
//! `wait` registers the waiting task's token, and then looks whether the plan was decided on before, or whether a newer
//! execution waits for the deployment's lock: then this plan is superseded at once. `expire` decides that the time is over,
//! unless something else was decided before.
//!
//! The token is stored where only this function, `approve` and `acquire-lock` read it. Each action may run again: a request has
//! one verdict, and the newest attempt's token stays.

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::stores::approvals::Approval;
use seedflow_aws::stores::stored_lock;
use seedflow_core::approval::{ApprovalRequest, Verdict};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{DeploymentId, ExecutionArn};
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::workflow::callback::Registration;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Event {
    deployment: DeploymentId,
    execution: ExecutionArn,
    #[serde(flatten)]
    action: Action,
}

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Action {
    /// Waits by a token.
    Wait { waiting: Registration },
    /// Nobody has decided in time.
    Expire,
}

struct Handler {
    work: Bucket,
    step_functions: StepFunctions,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let function = Handler {
        work: Bucket::new(&aws, config::setting("WORK_BUCKET")?),
        step_functions: StepFunctions::new(&aws),
    };
    handler::run(async |invocation| function.request(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn request(&self, Invocation { event, .. }: Invocation<Event>, now: Timestamp) -> Result<Value> {
        let Event {
            deployment,
            execution,
            action,
        } = event;
        log::add_log_context(&LogContext::deployment(&execution, &deployment));
        let approval = Approval {
            bucket: &self.work,
            deployment: &deployment,
            execution: &execution,
        };
        let request = approval.request().await?.ok_or_else(|| {
            let key = deployment.approval_request_key(&execution);
            Error::new(
                ErrorName::Refused,
                format!("{key}: expected the request, found nothing; start a new execution"),
            )
        })?;
        match action {
            Action::Wait { waiting } => {
                approval.register(&waiting).await?;
                let decided = match approval.verdict().await? {
                    Some(verdict) => Some(verdict),
                    None => self.superseded(&request, now).await?,
                };
                if let Some(verdict) = decided {
                    let verdict = approval.settle(verdict, &self.step_functions).await?;
                    tracing::info!(verdict = verdict.state.as_str(), "decided");
                }
                Ok(Value::Null)
            }
            Action::Expire => {
                let verdict = approval.store_verdict(Verdict::expired(&request, now)).await?;
                tracing::info!(verdict = verdict.state.as_str(), "decided");
                Ok(json!(verdict.answer()))
            }
        }
    }

    /// The verdict on a plan whose place a newer execution takes: it waits for the deployment's lock. It may have begun to wait
    /// before this plan did.
    async fn superseded(&self, request: &ApprovalRequest, now: Timestamp) -> Result<Option<Verdict>> {
        let found = stored_lock::read(&self.work, &request.deployment.lock_key()).await?;
        let waiter = found.and_then(|(lock, _)| lock.waiter);
        Ok(waiter.map(|waiter| Verdict::superseded(request, &waiter.claimant.execution, now)))
    }
}
