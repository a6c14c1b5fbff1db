//! `end-execution`: what has to be true when an execution has ended, however it ended.
//!
//! Of a module's: its build doesn't run on, the module's status says how it ended, nobody is registered for its build, and
//! the module's lock goes to who waits. Of a whole deployment's: the executions of its modules don't run on, its status says
//! how it ended, and the deployment's lock goes to who waits. An execution that ended by itself has done all but the
//! last; one that was stopped, timed out or failed without a word has not.
//!
//! Called by a state machine of its own until it has nothing more to wait for:
//! for a stopped build to end, and for a function that still ran when the execution was stopped. Each call looks at
//! everything anew, so it may run any number of times, and for an execution that left nothing it does nothing.

mod deployment;
mod module;

use jiff::{SignedDuration, Timestamp};
use seedflow_aws::codebuild::CodeBuild;
use seedflow_aws::events::Events;
use seedflow_aws::lambda::Invocation;
use seedflow_aws::locks::Locks;
use seedflow_aws::metrics::Metrics;
use seedflow_aws::records::Records;
use seedflow_aws::s3::Bucket;
use seedflow_aws::sfn::{Described, StepFunctions};
use seedflow_aws::ssm::ParameterStore;
use seedflow_aws::{config, lambda, log, plans};
use seedflow_core::deployment::request::Locked;
use seedflow_core::error::Result;
use seedflow_core::history::trace;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::lock::{Lockable, Want};
use seedflow_core::request::{Limits, Request};
use seedflow_core::status::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long to wait before looking again at what was told to stop.
const STOPPING: SignedDuration = SignedDuration::from_secs(3);

/// What this is called with: the detail of a "Step Functions Execution Status Change" event, or, where that was lost, the
/// execution and what it locks.
#[derive(Deserialize)]
struct Event {
    #[serde(alias = "executionArn")]
    execution: ExecutionArn,
    /// Whose lock it is about: known to who starts it by hand of another execution; an event has only the execution.
    #[serde(default)]
    of: Option<Locked>,
    /// How the execution ended.
    #[serde(default)]
    status: Option<String>,
    /// Its input, null where it was too long for the event.
    #[serde(default)]
    input: Option<String>,
    /// Its output, null where it was too long for the event, or there is none.
    #[serde(default)]
    output: Option<String>,
}

impl Event {
    /// The execution, where the event tells all that matters of it: most executions end well, and there is no need to ask
    /// about those.
    fn described(&self) -> Option<Described> {
        match (self.status.as_deref(), &self.input, &self.output) {
            (Some("SUCCEEDED"), Some(input), Some(output)) => Some(Described::of_success(input, output)),
            _ => None,
        }
    }
}

/// What the state machine does next.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Next {
    /// Call again after a while.
    Wait { wait_seconds: i64 },
    /// Nothing.
    Done { done: &'static str },
}

struct Function {
    limits: Limits,
    /// The state machine of modules, whose executions a deployment's has started.
    deploy_module: String,
    /// How long a function that writes may run at most.
    longest_write: SignedDuration,
    step_functions: StepFunctions,
    locks: Locks,
    codebuild: CodeBuild,
    records: Records,
    events: Events,
    metrics: Metrics,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load().await;
    let limits = config::names()?;
    let work = Bucket::new(&aws, limits.work_bucket.clone());
    let step_functions =
        StepFunctions::new(&aws).with_end_execution(config::setting("END_EXECUTION_STATE_MACHINE")?);
    let longest = config::number_setting("LONGEST_WRITE_SECONDS")?;
    let metrics = Metrics::of_stack()?;
    let function = Function {
        limits,
        deploy_module: config::setting("DEPLOY_MODULE_STATE_MACHINE")?,
        longest_write: SignedDuration::from_secs(i64::try_from(longest).unwrap_or(i64::MAX)),
        locks: Locks::new(work.clone(), step_functions.clone(), metrics.clone()),
        step_functions,
        codebuild: CodeBuild::new(&aws),
        events: Events::new(&aws, metrics.clone()),
        metrics,
        records: Records {
            parameters: ParameterStore::new(&aws),
            work,
        },
    };
    lambda::run(async |invocation| function.end(invocation, Timestamp::now()).await).await
}

impl Function {
    async fn end(&self, Invocation { event, .. }: Invocation<Event>, now: Timestamp) -> Result<Next> {
        let described = match event.described() {
            Some(described) => Some(described),
            None => self.step_functions.describe(&event.execution).await?,
        };
        let Event { execution, of, .. } = event;
        if described.as_ref().is_some_and(|described| !described.has_ended()) {
            return Ok(Next::Done {
                done: "still running",
            });
        }
        let of = match (of, &described) {
            (None, Some(described)) => self.locked(&execution, &described.input).await?,
            (of, _) => of,
        };
        if let Some(of) = &of {
            log::learned(&of.subject(&execution));
        }
        match of {
            Some(Locked::Module(module)) => self.end_of_module(&module, &execution, described, now).await,
            Some(Locked::Deployment(deployment)) => {
                self.end_of_deployment(&deployment, &execution, described, now)
                    .await
            }
            None => Ok(Next::Done {
                done: "names nothing that it could have locked",
            }),
        }
    }

    /// What an execution locks: a module, which its input names, or a deployment, whose name was stored before its lock was
    /// taken.
    async fn locked(&self, execution: &ExecutionArn, input: &Value) -> Result<Option<Locked>> {
        if execution.is_of(&self.deploy_module) {
            return Ok(Request::module(input, &self.limits).ok().map(Locked::Module));
        }
        let named = plans::find_name(&self.records.work, execution).await?;
        Ok(named.map(Locked::Deployment))
    }

    /// Hands the lock on.
    async fn release<S: Lockable>(&self, of: &S, execution: &ExecutionArn) -> Result<Next> {
        self.locks.settle(of, &Want::Release(execution.clone())).await?;
        tracing::info!("released");
        Ok(Next::Done { done: "released" })
    }

    /// How long an execution that was stopped without a lock may yet take one, because acquire-lock was running for it.
    async fn still_claiming(
        &self,
        execution: &ExecutionArn,
        described: &Described,
        now: Timestamp,
    ) -> Result<Option<SignedDuration>> {
        if state_of(described) != Some(State::Aborted) {
            return Ok(None);
        }
        let trace = trace(&self.step_functions.history(execution).await?);
        Ok(wait(
            false,
            trace.working,
            described.stopped_at,
            self.longest_write,
            now,
        ))
    }
}

/// The answer that has the function called again.
fn wait_for(wait: SignedDuration) -> Next {
    tracing::info!(seconds = wait.as_secs(), "waiting");
    Next::Wait {
        wait_seconds: wait.as_secs().max(1),
    }
}

/// The state that an execution leaves which ended so; `None` where it ended well.
fn state_of(described: &Described) -> Option<State> {
    match described.status.as_str() {
        "ABORTED" | "TIMED_OUT" => Some(State::Aborted),
        "FAILED" => Some(State::Failed),
        _ => None,
    }
}

/// How long the lock has to be kept still: until a stopped build has ended, and until a function that was called for
/// the execution can't be running any more, since what it has begun to write nobody can take back.
fn wait(
    stopping: bool,
    working: bool,
    stopped_at: Option<Timestamp>,
    longest_write: SignedDuration,
    now: Timestamp,
) -> Option<SignedDuration> {
    let build = stopping.then_some(STOPPING);
    let since = stopped_at.map_or(SignedDuration::ZERO, |stopped| now.duration_since(stopped));
    let function = (working && since < longest_write).then(|| longest_write - since);
    build.max(function)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_success_whose_input_and_output_came_along_is_not_asked_about() {
        let told = |change: Value| {
            let mut event = json!({
                "executionArn": "arn:aws:states:r:1:execution:m:n", "stateMachineArn": "…", "status": "SUCCEEDED",
                "input": "{\"project\": \"p\"}", "output": "{\"build_id\": \"b\"}", "inputDetails": {"included": true},
            });
            for (field, value) in change.as_object().unwrap() {
                event[field] = value.clone();
            }
            serde_json::from_value::<Event>(event).unwrap().described()
        };
        let described = told(json!({})).unwrap();
        assert!(described.has_ended() && state_of(&described).is_none());
        assert_eq!(
            (&described.input["project"], &described.output["build_id"]),
            (&json!("p"), &json!("b"))
        );
        for change in [
            json!({"input": null}),
            json!({"output": null}),
            json!({"status": "FAILED"}),
        ] {
            assert!(told(change.clone()).is_none(), "{change}");
        }
    }

    #[test]
    fn the_lock_is_kept_while_anything_may_still_happen_in_its_name() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let longest = SignedDuration::from_secs(120);
        let seconds = |stopping, working, now| {
            wait(stopping, working, at(1000), longest, at(now).unwrap()).map(|wait| wait.as_secs())
        };
        assert_eq!(seconds(false, false, 1000), None);
        assert_eq!(seconds(true, false, 1000), Some(3));
        assert_eq!(seconds(false, true, 1030), Some(90));
        assert_eq!(seconds(true, true, 1118), Some(3));
        assert_eq!(seconds(false, true, 1120), None);
        // A clock behind Step Functions' only makes it longer.
        assert_eq!(seconds(false, true, 990), Some(130));
        assert_eq!(wait(false, true, None, longest, at(5).unwrap()), Some(longest));
    }
}
