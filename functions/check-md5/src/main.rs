//! `check-md5`: has the module changed since its last success? If it is to be destroyed: what is there to destroy?
//!
//! It parses the execution's input, streams the bundle from S3, computes the fingerprint and reads the stored parameters.
//! It returns the decision with its reasons and the plan for the later states. For a destruction it makes the plan from the
//! module's record; a rollback is a deployment of what an earlier record names.
//!
//! It writes only a plan that is too long to be returned, always at the same key, so it is idempotent.

mod answer;
mod deploying;
mod destroying;
mod guard;
mod handler;
mod tainting;

use seedflow_aws::runtime::handler as lambda;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, log};
use seedflow_aws::services::ssm::ParameterStore;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::plans;
use seedflow_core::error::Result;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::input;
use seedflow_core::module::input::ModuleInput;
use seedflow_core::module::plan::CheckResult;
use seedflow_core::module::rollback;
use seedflow_core::module::rollback::Goal;
use seedflow_core::target::TargetRole;
use seedflow_core::telemetry::log_context::LogContext;
use serde::Deserialize;
use serde_json::Value;

use crate::handler::{CurrentExecution, Handler};

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    /// Null if it is too long to be sent.
    input: Value,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let limits = config::limits()?;
    let function = Handler {
        modules: ModuleStore::new(&aws, limits.work_bucket.clone()),
        module_prefix: config::setting("MODULE_PREFIX")?,
        parameters: Placed::new(&aws, TargetRole::Reads, ParameterStore::new)?,
        stack: config::setting("STACK_NAME")?,
        limits,
    };
    lambda::run(async |invocation| function.handle(invocation).await).await
}

impl Handler {
    async fn handle(&self, Invocation { event, environment }: Invocation<Event>) -> Result<CheckResult> {
        let input = plans::input(&self.modules.work, event.input, &event.execution).await?;
        let part_of = input::part_of(&input)?;
        let at = CurrentExecution {
            execution: &event.execution,
            environment: &environment,
            part_of: part_of.as_ref(),
        };
        match ModuleInput::parse(&input, &self.limits)? {
            ModuleInput::Deploy(request) => {
                log::add_log_context(&LogContext::module(&event.execution, &request.module));
                self.check_deployment(*request, None, at).await
            }
            ModuleInput::Rollback(asked) => {
                log::add_log_context(&LogContext::module(&event.execution, &asked.module));
                let goal = Goal::from(asked.to.clone());
                let record = self.modules.record_to_roll_back_to(&asked.module, goal).await?;
                let (request, reason) = rollback::request(record, &asked)?;
                self.check_deployment(request, Some(reason), at).await
            }
            ModuleInput::Taint(module) => {
                log::add_log_context(&LogContext::module(&event.execution, &module));
                self.taint(&module, at).await
            }
            ModuleInput::Destroy(request) => self.check_destruction(request, at).await,
        }
    }
}
