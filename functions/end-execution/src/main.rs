//! `end-execution`: makes everything consistent after an execution has ended, however it ended.
//!
//! For an execution of a module: its build no longer runs, the module's status has the final state, no token is registered
//! for the build, and the module's lock is granted to the waiting execution. For a whole deployment: the executions of its
//! modules no longer run, its status has the final state, and its lock is granted to the waiting execution. An execution
//! that ended by itself has done everything except the last step; one that was stopped, timed out or failed silently has not.
//!
//! A state machine of its own calls this until there is nothing more to wait for: for Step Functions to show the end, for a
//! stopped build to end, and for a function that still ran when the execution was stopped. Each call reads everything anew,
//! so it is idempotent, and for an execution that left nothing it does nothing.
//!
//! The event is not trusted; only the state of the execution in Step Functions counts
//! ([`seedflow_core::workflow::ending`]). The lock is released even if AWS refuses a step permanently; such a step is
//! reported ([`refused`], decision 33).

mod answer;
mod deployment;
mod handler;
mod lock;
mod module;
mod refused;

use jiff::Timestamp;
use seedflow_aws::runtime::handler as lambda;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::runtime::{config, log};
use seedflow_aws::services::codebuild::CodeBuild;
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::locks::Locks;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_core::deployment::input::Locked;
use seedflow_core::error::Result;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::target::TargetRole;
use seedflow_core::workflow::ending::{self, Described, Known};
use serde::Deserialize;

use crate::answer::{Answer, Next, wait_for};
use crate::handler::Handler;
use crate::refused::Refused;

/// The input: the detail of a "Step Functions Execution Status Change" event, or, if that was lost, the execution and what
/// it locks.
#[derive(Deserialize)]
struct Event {
    #[serde(alias = "executionArn")]
    execution: ExecutionArn,
    /// The module or deployment that is locked. It is set if another execution or a person started this; an event has only
    /// the execution.
    #[serde(default)]
    of: Option<Locked>,
    /// When the state machine that calls this was started. It calls again while there is something to wait for.
    #[serde(default)]
    began_at: Option<Timestamp>,
    /// The errors that an earlier call has reported; empty if there were none.
    #[serde(default)]
    reported: String,
    /// Whether an earlier call has sent the event of the end, but could not write the status.
    #[serde(default)]
    announced: bool,
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
        modules: ModuleStore::new(&aws, limits.work_bucket.clone()),
        limits,
        deploy_module: config::setting("DEPLOY_MODULE_STATE_MACHINE")?,
        longest_write: config::seconds_setting("LONGEST_WRITE_SECONDS")?,
        locks: Locks::new(work.clone(), step_functions.clone(), metrics.clone()),
        step_functions,
        codebuild: Placed::new(&aws, TargetRole::Builds, CodeBuild::new)?,
        events: Events::new(&aws, metrics.clone()),
        metrics,
    };
    lambda::run(async |invocation| function.handle(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn handle(&self, Invocation { event, .. }: Invocation<Event>, now: Timestamp) -> Result<Answer> {
        let Event {
            execution,
            of,
            began_at,
            reported,
            announced,
        } = event;
        let mut refused = Refused::after(reported, announced);
        let next = self
            .next_step(&execution, of, began_at, &mut refused, now)
            .await?;
        Ok(Answer::new(next, refused, execution))
    }

    async fn next_step(
        &self,
        execution: &ExecutionArn,
        of: Option<Locked>,
        began_at: Option<Timestamp>,
        refused: &mut Refused,
        now: Timestamp,
    ) -> Result<Next> {
        let described = match refused.note(self.step_functions.describe(execution).await)? {
            Some(described) => described,
            None => Some(self.step_functions.describe_by_history(execution).await?),
        };
        let of = match (of, &described) {
            (None, Some(described)) => self.locked(execution, &described.input, refused).await?,
            (of, _) => of,
        };
        if let Some(of) = &of {
            log::add_log_context(&of.log_context(execution));
        }
        let seen = Described::seen(described.as_ref());
        let lock = match (&described, &of) {
            (None, Some(Locked::Module(module))) => Some(self.locks.find(module).await?),
            (None, Some(Locked::Deployment(deployment))) => Some(self.locks.find(deployment).await?),
            _ => None,
        };
        let lock = lock.as_ref().map(Option::as_ref);
        match ending::known(seen, execution, lock, began_at, now) {
            Known::Ended => {}
            Known::NotYet(wait) => return Ok(wait_for(wait)),
            Known::Unconfirmed => {
                tracing::warn!(seen = ?seen, "Step Functions doesn't confirm the end: nothing is done");
                return Ok(Next::Done { done: "unconfirmed" });
            }
        }
        match of {
            Some(Locked::Module(module)) => {
                self.end_of_module(&module, execution, described, refused, now)
                    .await
            }
            Some(Locked::Deployment(deployment)) => {
                self.end_of_deployment(&deployment, execution, described, refused, now)
                    .await
            }
            None => Ok(Next::Done {
                done: "names nothing that it could have locked",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_read_for_its_execution_and_not_for_how_it_ended() {
        let event = json!({
            "executionArn": "arn:aws:states:r:1:execution:m:n", "stateMachineArn": "…", "status": "SUCCEEDED",
            "input": "{}", "output": "{}", "inputDetails": {"included": true}, "began_at": "2026-01-01T00:00:00.123Z",
        });
        let event: Event = serde_json::from_value(event).unwrap();
        assert_eq!(event.execution.name(), "n");
        assert!(event.of.is_none() && event.reported.is_empty() && event.began_at.is_some());
    }
}
