//! `update-metadata`: writes everything about a module, in six actions of the state machine.
//!
//! The actions are `touch` (nothing changed), `start`, `succeed`, `forget` (nothing is deployed), `rename` and `fail`. Each first
//! checks that its execution still holds the module's lock. Each is idempotent: a success writes only what is missing, and
//! a status that is already stored is not written again. After a write the status is published as an event (decision 29).

mod cause;
mod destroy;
mod fail;
mod handler;
mod rename;
mod succeed;

use jiff::Timestamp;
use seedflow_aws::runtime::config;
use seedflow_aws::runtime::handler as lambda;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::logs::LogGroup;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::{plans, stored_lock};
use seedflow_core::error::Result;
use seedflow_core::ids::{ExecutionArn, ModuleId};
use seedflow_core::module::failure::FailureInput;
use seedflow_core::module::input::ModuleAction;
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::plan::PlanHandle;
use seedflow_core::module::status::{State, Status};
use seedflow_core::module::stored_parameters::ModuleParameters;
use seedflow_core::module::success;
use seedflow_core::module::timeline::Timeline;
use seedflow_core::target::TargetRole;
use seedflow_core::workflow::build_outcome::BuildOutcome;
use seedflow_core::workflow::lock::Lease;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::handler::{Handler, SucceededBuild};

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Event {
    Touch(CheckedModule),
    Start(CheckedModule),
    Succeed {
        execution: ExecutionArn,
        lock: Lease,
        plan: PlanHandle,
        build: Box<BuildOutcome>,
    },
    #[serde(rename = "forget")]
    Purge {
        execution: ExecutionArn,
        lock: Lease,
    },
    Rename {
        execution: ExecutionArn,
        lock: Lease,
        /// The name that the module had so far.
        from: ModuleRef,
    },
    Fail {
        execution: ExecutionArn,
        /// Null if the execution never held its module's lock.
        lock: Option<Lease>,
        failure: FailureInput,
    },
}

/// The decision of `check-md5`.
#[derive(Deserialize)]
struct CheckedModule {
    execution: ExecutionArn,
    lock: Lease,
    reasons: Vec<String>,
    plan: PlanHandle,
}

/// [`Status::touch`] or [`Status::start`].
type NextStatus = fn(Option<&Status>, &ModuleId, &ExecutionArn, &[String], Timestamp) -> Status;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let metrics = Metrics::of_stack()?;
    let function = Handler {
        modules: ModuleStore::new(&aws, config::setting("WORK_BUCKET")?),
        bundles: Bucket::new(&aws, config::setting("BUNDLE_BUCKET")?),
        cloudformation: CloudFormation::new(&aws),
        build_log: LogGroup::new(&aws, config::setting("BUILD_LOG_GROUP")?),
        places: Placed::new(&aws, TargetRole::Reads, Clone::clone)?,
        stack: config::setting("STACK_NAME")?,
        events: Events::new(&aws, metrics.clone()),
        metrics,
        aws,
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
            Event::Touch(decided) => self.decided(Status::touch, decided, now).await,
            Event::Start(decided) => self.decided(Status::start, decided, now).await,
            Event::Succeed {
                execution,
                lock,
                plan,
                build,
            } => {
                let plan = plans::load(&self.modules.work, plan).await?;
                let done = SucceededBuild {
                    execution: &execution,
                    lock: &lock,
                    plan: &plan,
                    build: &build,
                };
                match plan.action {
                    ModuleAction::Deploy => self.succeed(done, &environment, now).await,
                    ModuleAction::Destroy => self.destroyed(done, now).await,
                }
            }
            Event::Purge { execution, lock } => self.purge(&execution, &lock, now).await,
            Event::Rename {
                execution,
                lock,
                from,
            } => self.rename(&execution, &lock, &from, now).await,
            Event::Fail {
                execution,
                lock,
                failure,
            } => {
                let at = (&environment, now);
                self.fail(&execution, lock, failure, at).await
            }
        }
    }

    /// Writes the status that follows from the decision.
    async fn decided(&self, next: NextStatus, decided: CheckedModule, now: Timestamp) -> Result<Value> {
        let CheckedModule {
            execution,
            lock,
            reasons,
            plan,
        } = decided;
        let plan = plans::load(&self.modules.work, plan).await?;
        let before = plan.previous_status.as_ref();
        let mut status =
            next(before, &plan.module, &execution, &reasons, now).started_by(lock.started_by.as_ref());
        stored_lock::ensure_held(&self.modules.work, &lock, &execution).await?;
        if status.state == State::InProgress {
            status.commit_info = plan.commit_info.clone();
            status.target = plan.target().cloned();
            // Before the status, so that a retry repeats no write: the build reads a copy of the bundle in a folder of its
            // own.
            let folder = self.builds(plan.target());
            let key = lock.run.source_key();
            folder.copy_from(&plan.source, plan.source_bytes, &key).await?;
            if plan.keeps {
                self.keep_before_build(&plan, &execution, now).await?;
            }
        }
        if status.state == State::Unchanged && plan.renews {
            // Before the status, as after a success: the fingerprint decides which modules may be destroyed.
            let write = success::fingerprint_write(&plan.module, &plan.fingerprint);
            self.modules.write(&plan.module, write).await?;
        }
        self.modules
            .write_status(&plan.module, &ModuleParameters::default(), &status)
            .await?;
        let timeline = Timeline::new(&lock, &status, None);
        self.measure(&plan.module, &status, &timeline);
        self.publish(&lock, &status, &timeline).await;
        Ok(
            json!({"state": status.state, "module": plan.module, "execution": execution, "reasons": status.reasons, "updated_at": status.updated_at}),
        )
    }
}
