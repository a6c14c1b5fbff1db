//! `module-stack`: the role of a module, and the stack with the role's policies (decision 25).
//!
//! The state machine calls it before the build of a module with a `modulestack.yaml` (`prepare`), and after a build that
//! leaves the module without one (`remove`). It calls again until there is nothing more to wait for. Each call reads
//! everything anew and takes one step, so it is idempotent; the state machine does the waiting.

mod role;

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler};
use seedflow_aws::services::cloudformation::{CloudFormation, NewStack};
use seedflow_aws::services::iam::Iam;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::{fence, plans};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{AwsEnvironment, ExecutionArn};
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::plan::PlanHandle;
use seedflow_core::module::role::policies::RoleSettings;
use seedflow_core::module::role::step;
use seedflow_core::module::role::step::{Asked, Progress, Step};
use seedflow_core::module::role::{ModuleStack, RoleAndStackName};
use seedflow_core::target::{Target, TargetRole};
use seedflow_core::workflow::lock::Lease;
use serde::{Deserialize, Serialize};

/// Pause before reading again a stack that CloudFormation works on: a policy takes some 15 seconds.
const WORKING: u32 = 5;

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

/// The next step of the state machine.
#[derive(Serialize)]
#[serde(untagged)]
enum Next {
    /// Call again after this time.
    Wait { wait_seconds: u32, progress: Progress },
    /// Start the build with this role.
    Ready { role_arn: String },
    /// Role and stack are gone.
    Removed { removed: Option<String> },
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

/// The clients of the account and region of a module.
struct Clients {
    cloudformation: CloudFormation,
    iam: Iam,
    /// The role with which CloudFormation deploys modules' stacks there.
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
                let stack = plan.module_stack.clone().ok_or_else(no_module_stack)?;
                fence::check(&self.work, &lock, &execution).await?;
                let mut clients = self.clients(plan.target(), &environment).await?;
                let of_target = plan.target_settings.as_ref();
                let settings = of_target.map(|target| role::settings_of(target, &self.prefix));
                if let Some(target) = of_target {
                    clients.service_role.clone_from(&target.service_role);
                }
                let boundary = plan.options.build.permissions_boundary.as_deref();
                let role = &stack.names.role;
                let settings = settings.as_ref().unwrap_or(&self.role);
                let place = environment.of(plan.target());
                let role_arn = role::prepare(&clients.iam, settings, &place, role, boundary).await?;
                let progress = progress.unwrap_or(Progress::new(now));
                let next = clients.prepare(&stack, role_arn, progress, now).await?;
                tracing::info!(stack = stack.names.stack, next = next.word(), "prepared");
                Ok(next)
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
                fence::check(&self.work, &lock, &execution).await?;
                let clients = self.clients(target.as_ref(), &environment).await?;
                let progress = progress.unwrap_or(Progress::new(now));
                let next = clients.remove(&names, progress, now).await?;
                tracing::info!(stack = names.stack, next = next.word(), "removed");
                Ok(next)
            }
        }
    }

    async fn clients(&self, target: Option<&Target>, home: &AwsEnvironment) -> Result<Clients> {
        Ok(Clients {
            cloudformation: self.cloudformation.at(target, home).await?,
            iam: self.iam.at(target, home).await?,
            service_role: self.service_role.clone(),
        })
    }
}

impl Clients {
    /// Takes the next step towards a stack that is up to date.
    async fn prepare(
        &self,
        stack: &ModuleStack,
        role_arn: String,
        mut progress: Progress,
        now: Timestamp,
    ) -> Result<Next> {
        let RoleAndStackName { role, stack: name } = &stack.names;
        let status = self.cloudformation.status(name).await?;
        let new = NewStack {
            stack,
            service_role: &self.service_role,
        };
        let mut step = step::deploy(status.as_deref(), &progress, now);
        let mut reason = None;
        if step == Step::Failed {
            let failed = self.cloudformation.failed_resource(name).await?;
            let failed = failed.unwrap_or_else(|| step::NO_RESOURCE.to_owned());
            (step, progress) = step::after_failure(status.as_deref(), progress, &failed, role);
            reason = Some(failed);
        }
        match step {
            Step::Create => self.cloudformation.create(new).await?,
            Step::Update => {
                if !self.cloudformation.update(new).await? {
                    return Ok(Next::Ready { role_arn });
                }
            }
            Step::Delete => return self.delete(name, progress).await,
            Step::Wait => return Ok(Next::wait(progress)),
            Step::Done => return Ok(Next::Ready { role_arn }),
            Step::Failed => return Err(step::failure(name, status, reason)),
            Step::TimedOut => return Err(step::timed_out(name, status)),
        }
        Ok(Next::wait(progress.asked(Asked::Deployed)))
    }

    /// Takes the next step towards no stack and no role. The stack is first, because its policies are attached to the role.
    async fn remove(&self, names: &RoleAndStackName, progress: Progress, now: Timestamp) -> Result<Next> {
        let status = self.cloudformation.status(&names.stack).await?;
        match step::delete(status.as_deref(), &progress, now) {
            Step::Wait => Ok(Next::wait(progress)),
            Step::Done => {
                role::remove(&self.iam, &names.role).await?;
                Ok(Next::Removed {
                    removed: Some(names.role.clone()),
                })
            }
            Step::Failed => {
                let reason = self.cloudformation.failed_resource(&names.stack).await?;
                Err(step::failure(&names.stack, status, reason))
            }
            Step::TimedOut => Err(step::timed_out(&names.stack, status)),
            Step::Delete | Step::Create | Step::Update => self.delete(&names.stack, progress).await,
        }
    }

    async fn delete(&self, stack: &str, progress: Progress) -> Result<Next> {
        self.cloudformation.delete(stack).await?;
        Ok(Next::wait(progress.asked(Asked::Deleted)))
    }
}

impl Next {
    fn wait(progress: Progress) -> Self {
        Self::Wait {
            wait_seconds: WORKING,
            progress,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Wait { .. } => "wait",
            Self::Ready { .. } => "ready",
            Self::Removed { .. } => "gone",
        }
    }
}

fn no_module_stack() -> Error {
    Error::new(
        ErrorName::InvalidInput,
        "plan: found no module stack; the state machine asks only for those that have one",
    )
}
