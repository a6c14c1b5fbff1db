//! `detect-drift`: does a module's stack differ from its template (decision 65), and what do its drift phases say
//! (decision 67)?
//!
//! `list` names the deployed modules in batches. `check` goes one step further with a batch: it starts detections and builds,
//! looks how far they are, and records the modules that are done. Between two steps the state machine waits. Each step may run
//! again: a detection that runs already is waited for, a build that was started is found, and a record that was written is
//! written as before.
//!
//! A module that is being deployed, or was deployed since its check began, is left out: its stack is not what it will be.

mod batch;
mod handler;
mod module;
mod phases;
mod stacks;

use jiff::Timestamp;
use seedflow_aws::runtime::config;
use seedflow_aws::runtime::handler as lambda;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::read_only_builds::ReadOnlyBuilds;
use seedflow_core::drift::check::ModuleCheck;
use seedflow_core::drift::request::Batch;
use seedflow_core::error::Result;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::target::TargetRole;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::handler::Handler;

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Event {
    List {
        /// The input of the execution.
        request: Value,
        /// The end of the part before; null at first.
        after: Option<String>,
    },
    Check {
        execution: ExecutionArn,
        /// When the check of the batch began; null in its first step.
        began_at: Option<Timestamp>,
        checks: Vec<ModuleCheck>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let metrics = Metrics::of_stack()?;
    let function = Handler {
        modules: ModuleStore::new(&aws, config::setting("WORK_BUCKET")?),
        cloudformation: Placed::new(&aws, TargetRole::Drift, CloudFormation::new)?,
        builds: ReadOnlyBuilds::new(&aws)?,
        events: Events::new(&aws, metrics.clone()),
        metrics,
    };
    lambda::run(async |invocation| function.handle(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn handle(
        &self,
        Invocation { event, environment }: Invocation<Event>,
        now: Timestamp,
    ) -> Result<Value> {
        match event {
            Event::List { request, after } => {
                let listed = self.list(&request, after.as_deref()).await?;
                Ok(json!(listed))
            }
            Event::Check {
                execution,
                began_at,
                checks,
            } => {
                let batch = Batch { checks };
                let began_at = began_at.unwrap_or(now);
                Ok(json!(
                    self.check(&execution, batch, began_at, &environment, now).await?
                ))
            }
        }
    }
}
