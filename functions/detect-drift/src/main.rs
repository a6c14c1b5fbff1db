//! `detect-drift`: does a module's stack differ from its template (decision 65), and what do its drift phases say
//! (decision 67)?
//!
//! `list` names the deployed modules in batches. `check` goes one step further with a batch: it starts detections and builds,
//! looks how far they are, and records the modules that are done. Between two steps the state machine waits. Each step may run
//! again: a detection that runs already is waited for, a build that was started is found, and a record that was written is
//! written as before.
//!
//! A module that is being deployed, or was deployed since its check began, is left out: its stack is not what it will be.

mod module;
mod phases;
mod stacks;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::runtime::{config, handler};
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::read_only_builds::ReadOnlyBuilds;
use seedflow_core::drift::check::{ModuleCheck, pause};
use seedflow_core::drift::phases::AT_ONCE;
use seedflow_core::drift::request::{Batch, DriftRequest, Listed};
use seedflow_core::error::Result;
use seedflow_core::ids::{AwsEnvironment, ExecutionArn};
use seedflow_core::target::TargetRole;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long a step starts builds: the copy of a bundle may take most of the rest of the function's time.
const STARTING: Duration = Duration::from_secs(15);

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

/// What is left of a batch.
#[derive(Serialize)]
struct Left {
    began_at: Timestamp,
    checks: Vec<ModuleCheck>,
    /// When to look again; absent if nothing is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_seconds: Option<u32>,
}

struct Handler {
    modules: ModuleStore,
    cloudformation: Placed<CloudFormation>,
    builds: ReadOnlyBuilds,
    events: Events,
    metrics: Metrics,
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
    handler::run(async |invocation| function.handle(invocation, Timestamp::now()).await).await
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

    async fn list(&self, request: &Value, after: Option<&str>) -> Result<Listed> {
        let request = DriftRequest::parse(request)?;
        let keys = self.modules.work.keys(&request.prefix()).await?;
        let listed = request.list(keys, after);
        tracing::info!(batches = listed.batches.len(), "listed");
        Ok(listed)
    }

    /// Goes one step further with each module, and keeps those that are not done.
    async fn check(
        &self,
        execution: &ExecutionArn,
        batch: Batch,
        began_at: Timestamp,
        home: &AwsEnvironment,
        now: Timestamp,
    ) -> Result<Left> {
        let begins = Instant::now();
        let mut running = batch.builds();
        let mut checks = Vec::new();
        for ModuleCheck { module, begun } in batch.checks {
            // What begins now has to travel before its build is started.
            let may_build = begun.is_some() && running < AT_ONCE && begins.elapsed() < STARTING;
            let begun = match begun {
                Some(begun) => Some(begun),
                None => self.begin(&module).await?,
            };
            let Some(begun) = begun else { continue };
            let ran = begun.runs_a_build();
            let Some(mut begun) = self.advance_phases(&module, begun, may_build, home).await? else {
                continue;
            };
            running += usize::from(begun.runs_a_build());
            running -= usize::from(ran);
            let cloudformation = self.advance_stacks(&mut begun, home).await?;
            begun.give_up(began_at, now);
            if begun.is_settled() {
                let found = stacks::found(cloudformation.as_ref(), &begun).await?;
                self.record(execution, (&module, &begun), found, now).await?;
            } else {
                let begun = Some(begun);
                checks.push(ModuleCheck { module, begun });
            }
        }
        let wait_seconds = (!checks.is_empty()).then(|| pause(began_at, now));
        Ok(Left {
            began_at,
            checks,
            wait_seconds,
        })
    }
}
