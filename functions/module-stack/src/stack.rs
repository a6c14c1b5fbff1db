//! The stack with the policies of a module's role: one call of CloudFormation for each step.

use jiff::Timestamp;
use seedflow_aws::services::cloudformation::{CloudFormation, NewStack};
use seedflow_aws::services::iam::Iam;
use seedflow_core::error::Result;
use seedflow_core::module::role::step::{self, Asked, Progress, StackStep};
use seedflow_core::module::role::{ModuleStack, RoleAndStackName};
use serde::Serialize;

use crate::role;

/// Pause before reading again a stack that CloudFormation works on: a policy takes some 15 seconds.
const WORKING: u32 = 5;

/// The next step of the state machine.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Next {
    /// Call again after this time.
    Wait { wait_seconds: u32, progress: Progress },
    /// Start the build with this role.
    Ready { role_arn: String },
    /// Role and stack are gone.
    Removed { removed: Option<String> },
}

/// The clients of the account and region of a module.
pub(crate) struct Clients {
    pub(crate) cloudformation: CloudFormation,
    pub(crate) iam: Iam,
    /// The role with which CloudFormation deploys modules' stacks there.
    pub(crate) service_role: String,
}

impl Clients {
    /// Takes the next step towards a stack that is up to date.
    pub async fn prepare(
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
        if step == StackStep::Failed {
            let failed = self.cloudformation.failed_resource(name).await?;
            let failed = failed.unwrap_or_else(|| step::NO_RESOURCE.to_owned());
            (step, progress) = step::after_failure(status.as_deref(), progress, &failed, role);
            reason = Some(failed);
        }
        match step {
            StackStep::Create => self.cloudformation.create(new).await?,
            StackStep::Update => {
                if !self.cloudformation.update(new).await? {
                    return Ok(Next::Ready { role_arn });
                }
            }
            StackStep::Delete => return self.delete(name, progress).await,
            StackStep::Wait => return Ok(Next::wait(progress)),
            StackStep::Done => return Ok(Next::Ready { role_arn }),
            StackStep::Failed => return Err(step::failure(name, status, reason)),
            StackStep::TimedOut => return Err(step::timed_out(name, status)),
        }
        Ok(Next::wait(progress.asked(Asked::Deployed)))
    }

    /// Takes the next step towards no stack and no role. The stack is first, because its policies are attached to the role.
    pub async fn remove(&self, names: &RoleAndStackName, progress: Progress, now: Timestamp) -> Result<Next> {
        let status = self.cloudformation.status(&names.stack).await?;
        match step::delete(status.as_deref(), &progress, now) {
            StackStep::Wait => Ok(Next::wait(progress)),
            StackStep::Done => {
                role::remove(&self.iam, &names.role).await?;
                Ok(Next::Removed {
                    removed: Some(names.role.clone()),
                })
            }
            StackStep::Failed => {
                let reason = self.cloudformation.failed_resource(&names.stack).await?;
                Err(step::failure(&names.stack, status, reason))
            }
            StackStep::TimedOut => Err(step::timed_out(&names.stack, status)),
            StackStep::Delete | StackStep::Create | StackStep::Update => {
                self.delete(&names.stack, progress).await
            }
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

    pub fn word(&self) -> &'static str {
        match self {
            Self::Wait { .. } => "wait",
            Self::Ready { .. } => "ready",
            Self::Removed { .. } => "gone",
        }
    }
}
