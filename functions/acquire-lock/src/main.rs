//! `acquire-lock`: acquires the lock of a module or a deployment for an execution, or lets the execution wait for it.
//!
//! It is called at most twice. The first call has no task token, and in most deployments it acquires the lock. If another
//! execution holds the lock, the second call has a task token, and the execution waits with it. The core's lock protocol
//! decides which of several executions waits (decision 21).
//!
//! The function also checks whether the holder still runs. For a holder that has ended but still has its lock (its event
//! was lost) it starts the `end-execution` state machine, which cleans up and then wakes the waiting execution. If
//! `end-execution` could not release the lock for half an hour, this function takes it over (decision 33).

use jiff::{SignedDuration, Timestamp};
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::stores::approvals::Approval;
use seedflow_aws::stores::locks::Locks;
use seedflow_aws::stores::plans;
use seedflow_core::approval::Verdict;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::input;
use seedflow_core::module::input::{DeployInput, Limits};
use seedflow_core::started_by::StartedBy;
use seedflow_core::telemetry::metric::Measurement;
use seedflow_core::telemetry::observed::Observed;
use seedflow_core::workflow::callback::Registration;
use seedflow_core::workflow::lock::{Claimant, Lock, LockOutcome, LockRequest, Lockable, Waiter};
use serde::Deserialize;
use serde_json::{Value, json};

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

struct Handler {
    limits: Limits,
    /// Time that `end-execution` has to release the lock of an ended holder, before a claimant takes it over.
    take_over: SignedDuration,
    work: Bucket,
    step_functions: StepFunctions,
    locks: Locks,
    metrics: Metrics,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let limits = config::names()?;
    let work = Bucket::new(&aws, limits.work_bucket.clone());
    let step_functions =
        StepFunctions::new(&aws).with_end_execution(config::setting("END_EXECUTION_STATE_MACHINE")?);
    let metrics = Metrics::of_stack()?;
    let take_over = config::number_setting("TAKE_OVER_SECONDS")?;
    let function = Handler {
        take_over: SignedDuration::from_secs(i64::try_from(take_over).unwrap_or(i64::MAX)),
        locks: Locks::new(work.clone(), step_functions.clone(), metrics.clone()),
        metrics,
        limits,
        work,
        step_functions,
    };
    handler::run(async |invocation| function.acquire(invocation).await).await
}

impl Handler {
    async fn acquire(&self, Invocation { event, .. }: Invocation<Event>) -> Result<Value> {
        let contender = Claimant {
            execution: event.execution,
            started_at: event.started_at,
            part_of: None,
            started_by: None,
            replaces_nobody: false,
            commit: None,
        };
        match event.deploys {
            Deploys::Module { input } => {
                let input =
                    plans::first_input(&self.work, &self.step_functions, input, &contender.execution).await?;
                let contender = Claimant {
                    // An invalid value is refused, and recorded, by the function that parses the whole input.
                    part_of: input::part_of(&input).ok().flatten(),
                    started_by: StartedBy::of(&input).ok().flatten(),
                    ..contender
                };
                let module = DeployInput::module(&input, &self.limits)?;
                let outcome = self.claim(&module, contender, event.waiting).await?;
                Ok(json!(outcome.response(&module)))
            }
            Deploys::Deployment {
                deployment,
                whole,
                commit,
            } => {
                let contender = Claimant {
                    replaces_nobody: !whole,
                    commit,
                    ..contender
                };
                let waits = event.waiting.is_some();
                let outcome = self.claim(&deployment, contender.clone(), event.waiting).await?;
                if let (LockOutcome::Held(lock), true) = (&outcome, waits) {
                    self.supersede(&deployment, lock, &contender.execution).await?;
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

    async fn claim<S: Lockable + Observed>(
        &self,
        of: &S,
        contender: Claimant,
        waiting: Option<Registration>,
    ) -> Result<LockOutcome> {
        let about = of.log_context(Some(&contender.execution));
        log::add_log_context(&about);
        let waits = waiting.is_some();
        let want = match waiting {
            None => LockRequest::Claim(contender),
            Some(registration) => LockRequest::Wait(Waiter {
                contender,
                registration,
            }),
        };
        let outcome = self.outcome(of, &want).await?;
        let outcome = match self.held(of, &want, &outcome).await? {
            Some(lock) => self.look_after(of, lock, want, outcome).await?,
            None => outcome,
        };
        tracing::info!(outcome = outcome.as_str(), "claimed");
        // An execution that waits is answered by its token, and counted when that answer is sent.
        if let (LockOutcome::Superseded(_), false) = (&outcome, waits) {
            self.metrics.write(&Measurement::one(S::SUPERSEDED), &about);
        }
        Ok(outcome)
    }

    /// The outcome of a claim; a claim always has one.
    async fn outcome<S: Lockable + Observed>(&self, of: &S, want: &LockRequest) -> Result<LockOutcome> {
        self.locks
            .apply(of, want)
            .await?
            .ok_or_else(|| Error::new(ErrorName::Refused, "lock: a claim was decided without an outcome"))
    }

    /// The lock of another execution, if the claimant may be its next holder. A superseded claimant is not next, except one
    /// that replaces nobody: every holder counts as newer than such a claimant.
    async fn held<S: Lockable + Observed>(
        &self,
        of: &S,
        want: &LockRequest,
        outcome: &LockOutcome,
    ) -> Result<Option<Lock>> {
        match (outcome, want) {
            (LockOutcome::Held(lock), _) => Ok(Some(lock.clone())),
            (LockOutcome::Superseded(by), LockRequest::Claim(me)) if me.replaces_nobody => {
                let found = self.locks.find(of).await?;
                Ok(found.filter(|lock| lock.holder.execution == by.execution))
            }
            _ => Ok(None),
        }
    }

    /// Handles a lock whose holder has ended. The first claimant that finds it starts `end-execution`, which then has time
    /// to stop a build and to release the lock. A claimant after that time takes the lock over (decision 33).
    async fn look_after<S: Lockable + Observed>(
        &self,
        of: &S,
        lock: Lock,
        want: LockRequest,
        outcome: LockOutcome,
    ) -> Result<LockOutcome> {
        if !self.locks.ensure_cleanup(of, &lock).await? {
            return Ok(outcome);
        }
        match lock.after_the_holder_ended(want, Timestamp::now(), self.take_over) {
            Some(request @ LockRequest::TakeOver(..)) => {
                let from = lock.holder.execution.as_str();
                tracing::warn!(from, "taken over: nobody could release the lock");
                self.outcome(of, &request).await
            }
            Some(request) => {
                self.locks.apply(of, &request).await?;
                Ok(outcome)
            }
            None => Ok(outcome),
        }
    }
}
