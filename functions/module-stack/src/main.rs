//! `module-stack`: the role of a module, and the stack with the role's policies (decision 25).
//!
//! The state machine calls it before the build of a module with a `modulestack.yaml` (`prepare`), and after a build that
//! leaves the module without one (`remove`). It calls again until there is nothing more to wait for. Each call reads
//! everything anew and takes one step, so it is idempotent; the state machine does the waiting.

mod role;
mod stack;

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler};
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::iam::Iam;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::{plans, stored_lock};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{AwsEnvironment, ExecutionArn};
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::plan::{Plan, PlanHandle};
use seedflow_core::module::role::RoleAndStackName;
use seedflow_core::module::role::policies::RoleSettings;
use seedflow_core::module::role::step::Progress;
use seedflow_core::target::{Target, TargetRole};
use seedflow_core::workflow::lock::Lease;
use serde::Deserialize;

use crate::stack::{Clients, Next};

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Event {
    Prepare {
        execution: ExecutionArn,
        lock: Lease,
        plan: PlanHandle,
        /// Null in the first call.
        progress: Option<Progress>,
    },
    Remove {
        execution: ExecutionArn,
        lock: Lease,
        /// Where the role is; null at home.
        #[serde(default)]
        target: Option<Target>,
        /// The first of the names that the module had; null if it was never renamed.
        #[serde(default)]
        first_name: Option<ModuleRef>,
        /// Null in the first call.
        progress: Option<Progress>,
    },
}

struct Handler {
    work: Bucket,
    cloudformation: Placed<CloudFormation>,
    iam: Placed<Iam>,
    role: RoleSettings,
    /// Prefix of the names of all modules' roles and stacks.
    prefix: String,
    /// The role with which CloudFormation deploys modules' stacks at home.
    service_role: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let function = Handler {
        work: Bucket::new(&aws, config::setting("WORK_BUCKET")?),
        cloudformation: Placed::new(&aws, TargetRole::Roles, CloudFormation::new)?,
        iam: Placed::new(&aws, TargetRole::Roles, Iam::new)?,
        role: role::settings()?,
        prefix: config::setting("MODULE_PREFIX")?,
        service_role: config::setting("MODULE_STACK_SERVICE_ROLE_ARN")?,
    };
    handler::run(async |invocation| function.next(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn next(
        &self,
        Invocation { event, environment }: Invocation<Event>,
        now: Timestamp,
    ) -> Result<Next> {
        match event {
            Event::Prepare {
                execution,
                lock,
                plan,
                progress,
            } => {
                let plan = plans::load(&self.work, plan).await?;
                stored_lock::ensure_held(&self.work, &lock, &execution).await?;
                let progress = progress.unwrap_or(Progress::new(now));
                self.prepare(&plan, progress, &environment, now).await
            }
            Event::Remove {
                execution,
                lock,
                target,
                first_name,
                progress,
            } => {
                let named = first_name.map_or_else(|| lock.of.clone(), |first| first.id(&lock.of));
                // If the module's name is too long for a role's name, the role never existed.
                let Ok(names) = RoleAndStackName::new(&self.prefix, &named) else {
                    return Ok(Next::Removed { removed: None });
                };
                stored_lock::ensure_held(&self.work, &lock, &execution).await?;
                let clients = self.clients(target.as_ref(), &environment).await?;
                let progress = progress.unwrap_or(Progress::new(now));
                let next = clients.remove(&names, progress, now).await?;
                tracing::info!(stack = names.stack, next = next.word(), "removed");
                Ok(next)
            }
        }
    }

    /// Takes the next step towards the role and the stack of a module: the role is up to date after each.
    async fn prepare(
        &self,
        plan: &Plan,
        progress: Progress,
        home: &AwsEnvironment,
        now: Timestamp,
    ) -> Result<Next> {
        let stack = plan.module_stack.as_ref().ok_or_else(no_module_stack)?;
        let mut clients = self.clients(plan.target(), home).await?;
        let of_target = plan.target_settings.as_ref();
        let settings = of_target.map(|target| role::settings_of(target, &self.prefix));
        if let Some(target) = of_target {
            clients.service_role.clone_from(&target.service_role);
        }
        let boundary = plan.options.build.permissions_boundary.as_deref();
        let settings = settings.as_ref().unwrap_or(&self.role);
        let place = home.of(plan.target());
        let role_arn = role::prepare(&clients.iam, settings, &place, &stack.names.role, boundary).await?;
        let next = clients.prepare(stack, role_arn, progress, now).await?;
        tracing::info!(stack = stack.names.stack, next = next.word(), "prepared");
        Ok(next)
    }

    async fn clients(&self, target: Option<&Target>, home: &AwsEnvironment) -> Result<Clients> {
        Ok(Clients {
            cloudformation: self.cloudformation.at(target, home).await?,
            iam: self.iam.at(target, home).await?,
            service_role: self.service_role.clone(),
        })
    }
}

fn no_module_stack() -> Error {
    Error::new(
        ErrorName::InvalidInput,
        "plan: found no module stack; the state machine asks only for those that have one",
    )
}
