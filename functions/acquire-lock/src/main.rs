//! `acquire-lock`: takes the module's lock for an execution, or has it wait its turn.
//!
//! Called twice at most: plainly, which in most deployments is all, and, where another execution holds the lock, once
//! more with a task token, under which it then waits. Which of several executions waits is decided by the core's lock
//! protocol. Here is also seen whether the holder still lives: one that has ended and holds its lock nevertheless (its
//! event was lost) is cleaned up after by the `end-execution` state machine, which then wakes who waits.

use jiff::Timestamp;
use seedflow_aws::lambda::Invocation;
use seedflow_aws::locks::Locks;
use seedflow_aws::s3::Bucket;
use seedflow_aws::sfn::StepFunctions;
use seedflow_aws::{config, lambda};
use seedflow_core::callback::Registration;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::ExecutionArn;
use seedflow_core::lock::{Contender, Told, Turn, Waiter, Want};
use seedflow_core::request::{Limits, Request};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    started_at: Timestamp,
    /// Null where it is too long to be sent.
    input: Value,
    /// How to wake the execution; null where it doesn't wait yet.
    waiting: Option<Registration>,
}

struct Function {
    limits: Limits,
    work: Bucket,
    step_functions: StepFunctions,
    locks: Locks,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load().await;
    let limits = config::limits()?;
    let work = Bucket::new(&aws, limits.work_bucket.clone());
    let step_functions =
        StepFunctions::new(&aws).with_end_execution(config::setting("END_EXECUTION_STATE_MACHINE")?);
    let function = Function {
        locks: Locks::new(work.clone(), step_functions.clone()),
        limits,
        work,
        step_functions,
    };
    lambda::run(async |invocation| function.acquire(invocation).await).await
}

impl Function {
    async fn acquire(&self, Invocation { event, .. }: Invocation<Event>) -> Result<Told> {
        let Event {
            execution,
            started_at,
            input,
            waiting,
        } = event;
        let input = self.input(input, &execution).await?;
        let module = Request::module(&input, &self.limits)?;
        let contender = Contender {
            execution: execution.clone(),
            started_at,
        };
        let want = match waiting {
            None => Want::Claim(contender),
            Some(registration) => Want::Wait(Waiter {
                contender,
                registration,
            }),
        };
        // A claim always has a turn.
        let turn = self.locks.settle(&module, &want).await?.ok_or_else(no_turn)?;
        if let Turn::Held(lock) = &turn {
            self.locks.make_good(&module, &lock.holder.execution).await?;
        }
        let told = turn.told(&module);
        tracing::info!(execution = execution.as_str(), %module, ?told, "claimed");
        Ok(told)
    }

    /// The input; one that was too long to be sent is asked for, and kept for the functions that come after.
    async fn input(&self, sent: Value, execution: &ExecutionArn) -> Result<Value> {
        if !sent.is_null() {
            return Ok(sent);
        }
        let described = self.step_functions.describe(execution).await?;
        let input = described.map(|described| described.input).unwrap_or_default();
        self.work.put(&execution.input_key(), input.to_string()).await?;
        Ok(input)
    }
}

fn no_turn() -> Error {
    Error::new(ErrorName::Refused, "lock: a claim was decided without a turn")
}
