//! `check-md5`: has the module changed since its last success? If it is to be destroyed: what is there to destroy?
//!
//! It parses the execution's input, streams the bundle from S3, computes the fingerprint and reads the stored parameters.
//! It returns the decision with its reasons and the plan for the later states. For a destruction it makes the plan from the
//! module's record; a rollback is a deployment of what an earlier record names.
//!
//! It writes only a plan that is too long to be returned, always at the same key, so it is idempotent.

mod deploying;
mod destroying;
mod guard;

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::object_reader::{ObjectReader, blocking};
use seedflow_aws::services::ssm::{ParameterStore, about_references};
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::target_settings;
use seedflow_aws::stores::{plans, policies};
use seedflow_core::deployment::module_part::ModulePart;
use seedflow_core::error::Result;
use seedflow_core::ids::{AwsEnvironment, DeploymentId, ExecutionArn, ModuleId};
use seedflow_core::module::bundle;
use seedflow_core::module::bundle::Bundle;
use seedflow_core::module::input;
use seedflow_core::module::input::{Limits, ModuleInput, Options};
use seedflow_core::module::network::{AllowedNetworks, Network};
use seedflow_core::module::plan::{CheckResult, Plan};
use seedflow_core::module::rename;
use seedflow_core::module::rollback;
use seedflow_core::module::rollback::Goal;
use seedflow_core::module::source::Source;
use seedflow_core::module::taint;
use seedflow_core::module::target_settings::{Home, TargetSettings};
use seedflow_core::target::{Target, TargetRole};
use seedflow_core::telemetry::log_context::LogContext;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    /// Null if it is too long to be sent.
    input: Value,
}

struct Handler {
    limits: Limits,
    /// Prefix of the names of all modules' roles and stacks.
    module_prefix: String,
    modules: ModuleStore,
    /// Parameter Store at home and in targets.
    parameters: Placed<ParameterStore>,
    /// The name of Seedflow's stack.
    stack: String,
}

/// Where a module is deployed or destroyed: Parameter Store, and the target's settings. At home there are none.
struct TargetAccess {
    parameters: ParameterStore,
    settings: Option<TargetSettings>,
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
    handler::run(async |invocation| function.check(invocation).await).await
}

/// The execution, and where it runs.
#[derive(Clone, Copy)]
struct CurrentExecution<'a> {
    execution: &'a ExecutionArn,
    environment: &'a AwsEnvironment,
    /// The execution of a deployment that it says it is part of.
    part_of: Option<&'a ExecutionArn>,
}

impl Handler {
    async fn check(&self, Invocation { event, environment }: Invocation<Event>) -> Result<CheckResult> {
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

    /// Marks a module, which isn't deployed now ([`taint`]).
    async fn taint(&self, module: &ModuleId, at: CurrentExecution<'_>) -> Result<CheckResult> {
        let record = self.modules.record(module).await?;
        let stored = self.modules.stored(module).await?;
        rename::refuse_taken(module, &stored, None)?;
        let plan = taint::plan(module, record, &stored, Timestamp::now())?;
        let reasons = vec![taint::REASON.to_owned()];
        self.checked(false, reasons, (plan, None), at).await
    }

    async fn checked(
        &self,
        changed: bool,
        reasons: Vec<String>,
        (plan, part): (Plan, Option<&ModulePart>),
        at: CurrentExecution<'_>,
    ) -> Result<CheckResult> {
        let (project, prefix) = (&self.limits.codebuild_project, &self.module_prefix);
        let result = CheckResult::new(changed, reasons, &plan, project, prefix);
        let deployment = DeploymentId::from(&plan.module);
        let evaluate = changed && policies::has_rego(&self.modules.work, &deployment).await?;
        Ok(CheckResult {
            evaluate,
            approved: evaluate && self.is_approved(&plan, part, at).await?,
            plan: Some(plans::store(&self.modules.work, plan, at.execution).await?),
            ..result
        })
    }

    /// What is known of a target; of home without one.
    async fn place(&self, target: Option<&Target>, home: &AwsEnvironment) -> Result<TargetAccess> {
        let parameters = self.parameters.at(target, home).await?;
        let settings = match target {
            None => None,
            Some(target) => {
                let home = Home {
                    environment: home,
                    stack: &self.stack,
                };
                Some(target_settings::read(&parameters, target, home).await?)
            }
        };
        Ok(TargetAccess { parameters, settings })
    }

    /// The network of a build with these options.
    async fn network(&self, options: &Options, place: &TargetAccess) -> Result<Option<Network>> {
        let Some(asked) = &options.build.network else {
            return Ok(None);
        };
        let found = place.parameters.get(&asked.parameter_store_names()).await;
        let found = found.map_err(about_references)?;
        let text = |name: &str| found.get(name).map(|(text, _)| text.clone());
        let of_target = place.settings.as_ref().map(TargetSettings::networks);
        let allowed: Option<&AllowedNetworks> = match &of_target {
            Some(allowed) => Some(allowed),
            None => self.limits.maxima.networks.as_ref(),
        };
        asked.resolve(text, allowed).map(Some)
    }
}

async fn read_bundle(reader: ObjectReader, source: &Source, size: u64) -> Result<Bundle> {
    let root = source.path.clone();
    blocking("bundle", move || bundle::read(reader, &root, size)).await
}
