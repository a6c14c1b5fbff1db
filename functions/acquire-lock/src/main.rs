//! `acquire-lock`: acquires the lock of a module or a deployment for an execution, or lets the execution wait for it.
//!
//! It is called at most twice. The first call has no task token, and in most deployments it acquires the lock. If another
//! execution holds the lock, the second call has a task token, and the execution waits with it. The core's lock protocol
//! decides which of several executions waits (decision 21).
//!
//! The function also checks whether the holder still runs. For a holder that has ended but still has its lock (its event
//! was lost) it starts the `end-execution` state machine, which cleans up and then wakes the waiting execution. If
//! `end-execution` could not release the lock for half an hour, this function takes it over (decision 33).

mod claim;
mod handler;

use jiff::Timestamp;
use seedflow_aws::runtime::config;
use seedflow_aws::runtime::handler as lambda;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::stores::approvals::Approval;
use seedflow_aws::stores::locks::Locks;
use seedflow_aws::stores::plans;
use seedflow_core::approval::Verdict;
use seedflow_core::error::Result;
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::input;
use seedflow_core::module::input::DeployInput;
use seedflow_core::started_by::StartedBy;
use seedflow_core::workflow::callback::Registration;
use seedflow_core::workflow::lock::{Claimant, Lock, LockOutcome};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::handler::Handler;

#[derive(Deserialize)]
struct Event {
    /// The module or deployment to lock.
    #[serde(flatten)]
    deploys: Deploys,
    execution: ExecutionArn,
    started_at: Timestamp,
    /// How to wake the execution; null in the first call.
    waiting: Option<Registration>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Deploys {
    /// A deployment; the planner has read its name.
    Deployment {
        deployment: DeploymentId,
        /// Whether everything is deployed. An execution that deploys less may not replace one that waits.
        whole: bool,
        /// The commit of the repository, if known.
        #[serde(default)]
        commit: Option<String>,
    },
    /// The module that the input names.
    Module {
        /// Null if it is too long to be sent.
        input: Value,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let limits = config::names()?;
    let work = Bucket::new(&aws, limits.work_bucket.clone());
    let step_functions =
        StepFunctions::new(&aws).with_end_execution(config::setting("END_EXECUTION_STATE_MACHINE")?);
    let metrics = Metrics::of_stack()?;
    let function = Handler {
        take_over: config::seconds_setting("TAKE_OVER_SECONDS")?,
        locks: Locks::new(work.clone(), step_functions.clone(), metrics.clone()),
        metrics,
        limits,
        work,
        step_functions,
    };
    lambda::run(async |invocation| function.handle(invocation).await).await
}

impl Handler {
    async fn handle(&self, Invocation { event, .. }: Invocation<Event>) -> Result<Value> {
        let claimant = Claimant::new(event.execution, event.started_at);
        match event.deploys {
            Deploys::Module { input } => {
                let input =
                    plans::first_input(&self.work, &self.step_functions, input, &claimant.execution).await?;
                let claimant = Claimant {
                    // An invalid value is refused, and recorded, by the function that parses the whole input.
                    part_of: input::part_of(&input).ok().flatten(),
                    started_by: StartedBy::of(&input).ok().flatten(),
                    ..claimant
                };
                let module = DeployInput::module(&input, &self.limits)?;
                let outcome = self.claim(&module, claimant, event.waiting).await?;
                Ok(json!(outcome.response(&module)))
            }
            Deploys::Deployment {
                deployment,
                whole,
                commit,
            } => {
                let claimant = Claimant {
                    replaces_nobody: !whole,
                    commit,
                    ..claimant
                };
                let waits = event.waiting.is_some();
                let execution = claimant.execution.clone();
                let outcome = self.claim(&deployment, claimant, event.waiting).await?;
                if let (LockOutcome::Held(lock), true) = (&outcome, waits) {
                    self.supersede(&deployment, lock, &execution).await?;
                }
                if !whole {
                    outcome.refuse_to_wait(&deployment)?;
                }
                Ok(json!(outcome.response(&deployment)))
            }
        }
    }

    /// Takes the place of a plan that waits for an approval: nobody is to approve what is out of date. The holder then ends, and
    /// its lock is passed on. A holder that doesn't wait any more is left alone.
    async fn supersede(&self, deployment: &DeploymentId, lock: &Lock, by: &ExecutionArn) -> Result<()> {
        let approval = Approval {
            bucket: &self.work,
            deployment,
            execution: &lock.holder.execution,
        };
        if let Some(request) = approval.request().await? {
            let verdict = Verdict::superseded(&request, by, Timestamp::now());
            let decided = approval.settle(verdict, &self.step_functions).await?;
            tracing::info!(
                verdict = decided.state.as_str(),
                "the holder waited for an approval"
            );
        }
        Ok(())
    }
}
