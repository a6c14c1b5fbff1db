//! `update-metadata`: everything that is written about a module, in four actions of the state machine.
//!
//! `touch` (nothing changed), `start`, `succeed` and `fail`. Each may run again: a success writes what isn't
//! there yet, and a status that says the same is left alone.

mod fail;
mod succeed;

use jiff::Timestamp;
use seedflow_aws::cloudformation::CloudFormation;
use seedflow_aws::lambda::Invocation;
use seedflow_aws::s3::Bucket;
use seedflow_aws::ssm::ParameterStore;
use seedflow_aws::{config, lambda};
use seedflow_core::build::outcome::Outcome;
use seedflow_core::commit::{Write, status_write};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{ExecutionArn, ModuleId};
use seedflow_core::plan::Plan;
use seedflow_core::report::Report;
use seedflow_core::status::Status;
use seedflow_core::stored::Stored;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Event {
    Touch(Decided),
    Start(Decided),
    Succeed {
        execution: ExecutionArn,
        plan: Box<Plan>,
        build: Box<Outcome>,
    },
    Fail {
        execution: ExecutionArn,
        input: Value,
        failure: fail::Handed,
    },
}

/// What `check-md5` decided.
#[derive(Deserialize)]
struct Decided {
    execution: ExecutionArn,
    reasons: Vec<String>,
    plan: Box<Plan>,
}

/// [`Status::touch`] or [`Status::start`].
type NextStatus = fn(Option<&Status>, &ModuleId, &ExecutionArn, &[String], Timestamp) -> Status;

struct Function {
    parameters: ParameterStore,
    work: Bucket,
    bundles: Bucket,
    cloudformation: CloudFormation,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load().await;
    let function = Function {
        parameters: ParameterStore::new(&aws),
        work: Bucket::new(&aws, config::setting("WORK_BUCKET")?),
        bundles: Bucket::new(&aws, config::setting("BUNDLE_BUCKET")?),
        cloudformation: CloudFormation::new(&aws),
    };
    lambda::run(async |invocation| function.update(invocation, Timestamp::now()).await).await
}

impl Function {
    async fn update(&self, Invocation { event, place }: Invocation<Event>, now: Timestamp) -> Result<Value> {
        match event {
            Event::Touch(decided) => self.decided(Status::touch, &decided, now).await,
            Event::Start(decided) => self.decided(Status::start, &decided, now).await,
            Event::Succeed {
                execution,
                plan,
                build,
            } => self.succeed(&execution, &plan, &build, &place, now).await,
            Event::Fail {
                execution,
                input,
                failure,
            } => self.fail(&execution, &input, failure, now).await,
        }
    }

    /// Writes the status that follows from what was decided.
    async fn decided(&self, next: NextStatus, decided: &Decided, now: Timestamp) -> Result<Value> {
        let Decided {
            execution,
            reasons,
            plan,
        } = decided;
        let status = next(
            plan.previous_status.as_ref(),
            &plan.module,
            execution,
            reasons,
            now,
        );
        self.write_status(&plan.module, &Stored::default(), &status).await
    }

    /// Writes a status unless it says what is stored already, and answers it.
    async fn write_status(&self, module: &ModuleId, stored: &Stored, status: &Status) -> Result<Value> {
        if let Some(write) = status_write(module, stored, status) {
            self.write(module, write).await?;
        }
        tracing::info!(execution = status.execution.as_str(), %module, state = status.state.as_str(), "recorded");
        Ok(
            json!({"state": status.state, "module": module, "execution": status.execution, "reasons": status.reasons, "updated_at": status.updated_at}),
        )
    }

    /// Writes one parameter: what goes to S3 first, so that a reference never points to nothing.
    async fn write(&self, module: &ModuleId, write: Write) -> Result<()> {
        if let Some((key, text)) = write.laid.spilled {
            self.work.put(&key, text).await?;
        }
        self.parameters
            .put(&module.parameter(write.slot), &write.laid.parameter)
            .await
    }

    async fn write_report(&self, report: &Report<'_>) -> Result<()> {
        let text = serde_json::to_string_pretty(report).map_err(|e| {
            Error::new(
                ErrorName::Refused,
                format!("the report can't be written as JSON: {e}"),
            )
        })?;
        self.work
            .put(&report.module.report_key(report.execution), text)
            .await
    }
}
