//! What a person named: an execution, a module or a deployment.

use anyhow::{Context, Result};
use clap::Args;
use seedflow_core::ids::{DeploymentId, ExecutionArn, ModuleId, Name};
use seedflow_core::module::refusal::Refusal;
use seedflow_core::module::status::State;

use super::reading::OfProject;
use crate::account::Account;
use crate::exit::{Refused, Wrong, for_people};
use crate::follow::Followed;
use crate::records::target::Target;
use crate::records::{names, project, report};

/// What a command is about.
#[derive(Debug, Clone, Args)]
pub struct What {
    /// An execution by its name or ARN, a module as [DEPLOYMENT/]GROUP/MODULE, or a deployment.
    #[arg(value_name = "WHAT")]
    what: String,
    #[command(flatten)]
    project: OfProject,
}

/// What was found under a name.
#[derive(Debug, Clone)]
pub enum Named {
    /// An execution.
    Execution(Followed),
    /// A module.
    Module(ModuleId),
    /// A deployment.
    Deployment(DeploymentId),
}

/// What is recorded of the last execution of a module or a deployment.
#[derive(Debug)]
pub struct Last {
    /// `project/deployment` or `project/deployment/group/module`.
    pub of: String,
    /// Its state.
    pub state: State,
    /// The execution.
    pub execution: ExecutionArn,
    /// A later request that was refused.
    pub refused: Option<Refusal>,
}

impl What {
    /// Finds what is named.
    ///
    /// # Errors
    /// [`Refused`] if there is nothing of this name, [`Wrong`] for a group.
    pub async fn find(&self, account: &Account) -> Result<Named> {
        let is_arn = self.what.contains(':');
        if is_arn || is_execution_name(&self.what) {
            match Followed::find(account, &self.what).await? {
                Some(followed) => return Ok(Named::Execution(followed)),
                None if is_arn => return Err(Followed::unknown(account, &self.what, self.project.named())),
                None => {}
            }
        }
        let target: Target = self.what.parse().map_err(for_people)?;
        let project = self.project.find(account).await?;
        let target = names::meant(account, &project, &target).await?;
        match (&target.group, target.module(&project)) {
            (None, _) => Ok(Named::Deployment(target.deployment(&project))),
            (Some(_), Ok(module)) => Ok(Named::Module(module)),
            (Some(_), Err(_)) => {
                let lists = account.command_about("status", &target, &project);
                Err(Wrong(format!(
                    "{target}: expected an execution, a module or a deployment, found a group; `{lists}` lists its modules"
                ))
                .into())
            }
        }
    }
}

impl Named {
    /// The execution itself, or the last one of the module or the deployment.
    ///
    /// # Errors
    /// [`Refused`] if Step Functions doesn't know it any more.
    pub async fn execution(self, account: &Account) -> Result<Followed> {
        match self {
            Self::Execution(followed) => Ok(followed),
            Self::Module(ModuleId { ref project, .. })
            | Self::Deployment(DeploymentId { ref project, .. }) => {
                let (last, project) = (self.last(account).await?, project.clone());
                Followed::found(account, last.execution.as_str(), Some(&project)).await
            }
        }
    }

    /// What is recorded of the last execution of a module or a deployment: its status or, after it was destroyed, its
    /// newest report.
    ///
    /// # Errors
    /// [`Refused`] if nothing is.
    pub async fn last(&self, account: &Account) -> Result<Last> {
        let (store, bucket) = (account.parameters(), account.bucket());
        let last = match self {
            Self::Module(id) => project::module_status(&store, &bucket, id)
                .await?
                .map(|status| (status.state, status.execution, status.why.refused)),
            Self::Deployment(id) => project::deployment_status(&store, &bucket, id)
                .await?
                .map(|status| (status.state, status.execution, status.why.refused)),
            Self::Execution(_) => None,
        };
        let last = last.map(|(state, execution, refused)| Last {
            of: self.of(),
            state,
            execution,
            refused,
        });
        let last = match last {
            Some(last) => Some(last),
            None => self.last_reported(account).await?,
        };
        last.ok_or_else(|| {
            Refused(format!(
                "{}: nothing is recorded of its last execution; `{}` lists executions, and one of them can be named",
                self.of(),
                account.command_of("history", self.project())
            ))
            .into()
        })
    }

    async fn last_reported(&self, account: &Account) -> Result<Option<Last>> {
        let (project, target) = match self {
            Self::Module(id) => (&id.project, Target::from(id)),
            Self::Deployment(id) => (&id.project, Target::from(id)),
            Self::Execution(_) => return Ok(None),
        };
        let bucket = account.bucket();
        let Some(key) = report::newest(&bucket, project, &target).await? else {
            return Ok(None);
        };
        let state = report::json(&bucket, &key.key).await?["status"]["state"].take();
        let state =
            serde_json::from_value(state).with_context(|| format!("{}: expected a state", key.key))?;
        Ok(Some(Last {
            of: self.of(),
            state,
            execution: match self {
                Self::Module(_) => account.module_execution(&key.execution),
                _ => account.deployment_execution(&key.execution),
            },
            refused: None,
        }))
    }

    /// The project; an execution is named without one.
    pub fn project(&self) -> Option<&Name> {
        match self {
            Self::Execution(_) => None,
            Self::Module(id) => Some(&id.project),
            Self::Deployment(id) => Some(&id.project),
        }
    }

    fn of(&self) -> String {
        match self {
            Self::Execution(followed) => followed.execution.name().to_owned(),
            Self::Module(id) => id.to_string(),
            Self::Deployment(id) => id.to_string(),
        }
    }
}

/// Whether an execution may have this name. AWS refuses to describe any other (Step Functions API reference, StartExecution,
/// `name`).
fn is_execution_name(text: &str) -> bool {
    let is_allowed =
        |c: char| !c.is_whitespace() && !c.is_control() && !"<>{}[]?*\"#%\\^|~`$&,;:/".contains(c);
    (1..=80).contains(&text.chars().count()) && text.chars().all(is_allowed)
}
