//! `record-deployment`: writes the status of a whole deployment, in four actions of the state machine.
//!
//! `wait` when the plan waits for an approval, `start` before the first module is deployed, `end` with the results of all
//! modules, and `refuse` if nothing was started.
//! Each first checks that its execution still holds the deployment's lock, and each is idempotent. A status that was
//! written is also published as an event (decision 29). A refusal changes no state: it is recorded beside it. A check that
//! found the lock held leaves the status alone and has report, event and metric only (decision 51).

mod approving;
mod ending;
mod handler;
mod refusing;
mod starting;

use jiff::Timestamp;
use seedflow_aws::runtime::config;
use seedflow_aws::runtime::handler as lambda;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::stored_lock;
use seedflow_core::deployment::outcome::EndedExecution;
use seedflow_core::error::Result;
use seedflow_core::ids::{DeploymentId, ExecutionArn};
use seedflow_core::workflow::lock::Lease;
use serde::Deserialize;
use serde_json::Value;

use crate::handler::Handler;
use crate::refusing::Refusal;

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    #[serde(flatten)]
    action: Action,
}

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Action {
    Wait {
        lock: Lease<DeploymentId>,
    },
    Start {
        lock: Lease<DeploymentId>,
    },
    End {
        lock: Lease<DeploymentId>,
        results: Vec<EndedExecution>,
    },
    Refuse(Refusal),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let metrics = Metrics::of_stack()?;
    let function = Handler {
        modules: ModuleStore::new(&aws, config::setting("WORK_BUCKET")?),
        events: Events::new(&aws, metrics.clone()),
        metrics,
    };
    lambda::run(async |invocation| function.handle(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn handle(&self, Invocation { event, .. }: Invocation<Event>, now: Timestamp) -> Result<Value> {
        let Event { execution, action } = event;
        match action {
            Action::Wait { lock } => {
                stored_lock::ensure_held(&self.modules.work, &lock, &execution).await?;
                self.wait(&execution, now).await
            }
            Action::Start { lock } => {
                stored_lock::ensure_held(&self.modules.work, &lock, &execution).await?;
                self.start(&execution, now).await
            }
            Action::End { lock, results } => {
                stored_lock::ensure_held(&self.modules.work, &lock, &execution).await?;
                self.end(&execution, &lock, &results, now).await
            }
            Action::Refuse(refusal) => {
                if let Some(lock) = &refusal.lock {
                    stored_lock::ensure_held(&self.modules.work, lock, &execution).await?;
                }
                self.record_refusal(&execution, refusal, now).await
            }
        }
    }
}
