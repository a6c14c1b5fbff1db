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

mod deployment;
mod module;
mod refused;

use jiff::{SignedDuration, Timestamp};
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::codebuild::CodeBuild;
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::locks::Locks;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::plans;
use seedflow_core::deployment::input::Locked;
use seedflow_core::error::Result;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::input::{DeployInput, Limits};
use seedflow_core::target::TargetRole;
use seedflow_core::telemetry::observed::Observed;
use seedflow_core::workflow::ending;
use seedflow_core::workflow::ending::{Described, Known};
use seedflow_core::workflow::execution_history;
use seedflow_core::workflow::execution_history::{Trace, trace};
use seedflow_core::workflow::lock::{Lock, LockOutcome, LockRequest, Lockable};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::refused::{Refused, Report};

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

/// The answer to the state machine.
#[derive(Debug, PartialEq, Serialize)]
struct Answer {
    #[serde(flatten)]
    next: Next,
    /// The calls that AWS refused permanently.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Report>,
    /// Set if `refused` is to be reported.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    report: bool,
}

impl Answer {
    fn new(next: Next, refused: Refused, execution: ExecutionArn) -> Self {
        let (refused, report) = refused.report(execution).unzip();
        Self {
            next,
            refused,
            report: report.unwrap_or_default(),
        }
    }
}

/// The next step of the state machine.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Next {
    /// Call again after this time.
    Wait { wait_seconds: i64 },
    /// End.
    Done { done: &'static str },
}

struct Handler {
    limits: Limits,
    /// The state machine of modules; a deployment starts executions of it.
    deploy_module: String,
    /// Maximum duration of a function that writes.
    longest_write: SignedDuration,
    step_functions: StepFunctions,
    locks: Locks,
    codebuild: Placed<CodeBuild>,
    modules: ModuleStore,
    events: Events,
    metrics: Metrics,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let limits = config::names()?;
    let work = Bucket::new(&aws, limits.work_bucket.clone());
    let step_functions =
        StepFunctions::new(&aws).with_end_execution(config::setting("END_EXECUTION_STATE_MACHINE")?);
    let longest = config::number_setting("LONGEST_WRITE_SECONDS")?;
    let metrics = Metrics::of_stack()?;
    let function = Handler {
        modules: ModuleStore::new(&aws, limits.work_bucket.clone()),
        limits,
        deploy_module: config::setting("DEPLOY_MODULE_STATE_MACHINE")?,
        longest_write: SignedDuration::from_secs(i64::try_from(longest).unwrap_or(i64::MAX)),
        locks: Locks::new(work.clone(), step_functions.clone(), metrics.clone()),
        step_functions,
        codebuild: Placed::new(&aws, TargetRole::Builds, CodeBuild::new)?,
        events: Events::new(&aws, metrics.clone()),
        metrics,
    };
    handler::run(async |invocation| function.end(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn end(&self, Invocation { event, .. }: Invocation<Event>, now: Timestamp) -> Result<Answer> {
        let Event {
            execution,
            of,
            began_at,
            reported,
            announced,
        } = event;
        let mut refused = Refused::after(reported, announced);
        let next = self.next(&execution, of, began_at, &mut refused, now).await?;
        Ok(Answer::new(next, refused, execution))
    }

    async fn next(
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

    /// The lock of an execution: that of a module, which its input names, or that of a deployment, whose name was stored
    /// before its lock was taken.
    async fn locked(
        &self,
        execution: &ExecutionArn,
        input: &Value,
        refused: &mut Refused,
    ) -> Result<Option<Locked>> {
        if execution.is_of(&self.deploy_module) {
            return Ok(DeployInput::module(input, &self.limits).ok().map(Locked::Module));
        }
        let named = match refused.note(plans::find_name(&self.modules.work, execution).await)? {
            Some(named) => named,
            // The output of the state that reads the name also has it.
            None => {
                let history = refused.note(self.step_functions.history(execution).await)?;
                history.and_then(|history| execution_history::deployment(&history))
            }
        };
        Ok(named.map(Locked::Deployment))
    }

    /// Blocks further writes of the execution. Returns whether it holds the lock.
    async fn stop_writing<S: Lockable + Observed>(
        &self,
        of: &S,
        execution: &ExecutionArn,
        refused: &mut Refused,
    ) -> Result<Holds> {
        let stopped = self.locks.apply(of, &LockRequest::Stop(execution.clone())).await;
        if let Some(turn) = refused.note(stopped)? {
            return Ok(match turn {
                Some(LockOutcome::Acquired(lock)) => Holds::It(Box::new(lock)),
                _ => Holds::Not,
            });
        }
        // The lock can't be marked, which makes no difference once the functions of the execution have ended.
        Ok(match refused.note(self.locks.find(of).await)? {
            Some(Some(lock)) if lock.holder.execution == *execution => Holds::It(Box::new(lock)),
            Some(_) => Holds::Not,
            None => Holds::Unknown,
        })
    }

    /// Releases the lock, which grants it to the waiting execution. If AWS refuses that, the next claimant takes it over.
    async fn release<S: Lockable + Observed>(
        &self,
        of: &S,
        execution: &ExecutionArn,
        refused: &mut Refused,
    ) -> Result<Next> {
        let released = self
            .locks
            .apply(of, &LockRequest::Release(execution.clone()))
            .await;
        let done = match refused.note(released)? {
            Some(_) => "released",
            None => "not released",
        };
        tracing::info!(done);
        Ok(Next::Done { done })
    }

    /// What the execution may have left; if its history can't be read, everything that is possible.
    async fn trace(
        &self,
        execution: &ExecutionArn,
        described: &Described,
        refused: &mut Refused,
    ) -> Result<Trace> {
        let history = refused.note(self.step_functions.history(execution).await)?;
        Ok(match history {
            Some(history) => trace(&history),
            None => Trace::unknown(&described.input, &self.limits.codebuild_project),
        })
    }

    /// How long an execution that was stopped without a lock may still acquire one, because acquire-lock was running for
    /// it.
    async fn still_claiming(
        &self,
        execution: &ExecutionArn,
        described: &Described,
        refused: &mut Refused,
        now: Timestamp,
    ) -> Result<Option<SignedDuration>> {
        if !described.is_cut_off() {
            return Ok(None);
        }
        let trace = self.trace(execution, described, refused).await?;
        Ok(described.keeps_lock(None, trace.working, self.longest_write, now))
    }
}

/// Whether an execution holds a lock.
enum Holds {
    /// The execution holds it.
    It(Box<Lock>),
    /// Another execution holds it, or none.
    Not,
    /// The lock can't be read.
    Unknown,
}

/// The answer by which the state machine calls again.
fn wait_for(wait: SignedDuration) -> Next {
    tracing::info!(seconds = wait.as_secs(), "waiting");
    Next::Wait {
        wait_seconds: wait.as_secs().max(1),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use seedflow_core::error::{Error, ErrorName};
    use serde_json::json;

    #[test]
    fn an_answer_has_what_the_state_machine_reads() {
        let answer = |next, refused| {
            let answer = Answer::new(next, refused, ExecutionArn::new("e"));
            serde_json::to_value(answer).unwrap()
        };
        let done = Next::Done { done: "released" };
        assert_eq!(answer(done, Refused::default()), json!({"done": "released"}));
        let denied = |reported: &str| {
            let mut refused = Refused::after(reported.to_owned(), false);
            let denied: Result<()> = Err(Error::new(ErrorName::AccessDenied, "no"));
            refused.note(denied).unwrap();
            answer(Next::Wait { wait_seconds: 3 }, refused)
        };
        let refused = json!({"execution": "e", "error": "AccessDenied", "cause": "no"});
        assert_eq!(
            denied(""),
            json!({"wait_seconds": 3, "refused": refused, "report": true})
        );
        assert_eq!(denied("no"), json!({"wait_seconds": 3, "refused": refused}));
    }

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
