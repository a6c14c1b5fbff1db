//! `roles`: the ready-made IAM policies of this stack (docs/roles.md).

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_core::ids::{AwsEnvironment, DeploymentId, Name};
use seedflow_core::roles::{Role, RolesOf};
use seedflow_terminal::Ui;

use super::reading::parse_project;
use crate::account::Account;
use crate::exit::{Wrong, for_people};

/// Prints an IAM policy for people who work with this stack: attach it to a role or a permission set.
#[derive(Debug, Args)]
pub struct Roles {
    role: RoleName,
    /// The project; only for a deployer.
    #[arg(long, short, value_name = "P", value_parser = parse_project, requires = "deployment")]
    project: Option<Name>,
    /// The deployment that a deployer deploys, for example dev.
    #[arg(long, value_name = "D", requires = "project")]
    deployment: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Sees states, reports, logs and policies.
    Viewer,
    /// Deploys one deployment of one project, by `apply --upload` and `deploy --upload`.
    Deployer,
    /// Approves plans of the deployments whose policies name it.
    Approver,
    /// Starts and stops executions of all projects.
    Operator,
    /// Also stores policies and sees locks; AdministratorPrincipalArns has to name it, too.
    Administrator,
}

impl RoleName {
    const fn role(self) -> Role {
        match self {
            Self::Viewer => Role::Viewer,
            Self::Deployer => Role::Deployer,
            Self::Approver => Role::Approver,
            Self::Operator => Role::Operator,
            Self::Administrator => Role::Administrator,
        }
    }
}

impl Roles {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let deployment = self.deployment()?;
        let machine = &account.deploy_state_machine_arn;
        let stack = account.stack_name();
        let outputs = CloudFormation::new(&account.config).outputs(stack).await?;
        let build_project = outputs.get("CodeBuildProjectName").and_then(|name| name.as_str());
        let build_project = build_project.with_context(|| {
            format!(
                "the stack \"{stack}\" has no output CodeBuildProjectName; is it Seedflow's, and up to date?"
            )
        })?;
        let of = RolesOf {
            environment: &AwsEnvironment::from_arn(machine).map_err(for_people)?,
            stack,
            work_bucket: &account.work_bucket,
            build_project,
        };
        let policy = self.role.role().policy(&of, deployment.as_ref());
        ui.say(policy.map_err(for_people)?.trim_end());
        Ok(ExitCode::SUCCESS)
    }

    fn deployment(&self) -> Result<Option<DeploymentId>> {
        let (Some(project), Some(deployment)) = (&self.project, &self.deployment) else {
            return match self.role {
                RoleName::Deployer => Err(Wrong(
                    "expected --project and --deployment, found nothing; the policy of a deployer is for one deployment".to_owned(),
                )
                .into()),
                _ => Ok(None),
            };
        };
        let deployment = Name::parse("--deployment", deployment).map_err(for_people)?;
        Ok(Some(DeploymentId {
            project: project.clone(),
            deployment,
        }))
    }
}
