//! What a person named: an execution, a module or a deployment.

use anyhow::{Context, Result};
use clap::Args;
use seedflow_core::approval::ApprovalSummary;
use seedflow_core::deployment::status::DeploymentStatus;
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

impl Last {
    /// The newest execution: the one that runs, else the one that was refused, else the last one.
    pub fn newest(self) -> ExecutionArn {
        match self.refused {
            Some(refused) if !runs(self.state) => refused.execution,
            _ => self.execution,
        }
    }

    /// The executions of a deployment. A plan that waits belongs to a running execution.
    fn of_deployment(of: String, status: DeploymentStatus) -> Self {
        let waiting = status.approval.filter(ApprovalSummary::waits);
        let (state, execution) = match waiting {
            Some(waiting) => (State::WaitingForApproval, waiting.request.execution),
            None => (status.state, status.execution),
        };
        Self {
            of,
            state,
            execution,
            refused: status.why.refused,
        }
    }
}

/// Whether the last execution of something in this state still runs.
fn runs(state: State) -> bool {
    matches!(state, State::InProgress | State::WaitingForApproval)
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

    /// The same, also if the last one was refused before anything ran.
    ///
    /// # Errors
    /// [`Refused`] if Step Functions doesn't know it any more.
    pub async fn newest(self, account: &Account) -> Result<Followed> {
        match self {
            Self::Execution(followed) => Ok(followed),
            named => {
                let newest = named.last(account).await?.newest();
                Followed::found(account, newest.as_str(), named.project()).await
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
                .map(|status| Last {
                    of: self.of(),
                    state: status.state,
                    execution: status.execution,
                    refused: status.why.refused,
                }),
            Self::Deployment(id) => project::deployment_status(&store, &bucket, id)
                .await?
                .map(|status| Last::of_deployment(self.of(), status)),
            Self::Execution(_) => None,
        };
        let last = match last {
            Some(last) => Some(last),
            None => self.last_reported(account).await?,
        };
        last.ok_or_else(|| {
            Refused(format!(
                "{}: its last execution left no record; `{}` lists executions, and --execution names one of them",
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn last(more: Value) -> Last {
        let mut status =
            json!({"state": "SUCCEEDED", "updated_at": "2026-11-29T12:00:00Z", "execution": "e1"});
        for (field, value) in more.as_object().unwrap() {
            status[field] = value.clone();
        }
        Last::of_deployment("shop/dev".to_owned(), serde_json::from_value(status).unwrap())
    }

    #[test]
    fn the_newest_execution_of_a_deployment_waits_was_refused_or_is_the_last() {
        let approval = |state: &str| {
            json!({"state": state, "project": "shop", "deployment": "dev", "execution": "e2", "plan": "c0ffee", "reasons": [],
                "expires_after_seconds": 60, "requested_at": "2026-11-29T12:00:00Z", "expires_at": "2026-11-29T14:00:00Z"})
        };
        let refused = json!({"at": "2026-11-29T12:05:00Z", "execution": "e3", "cause": "no"});
        let newest = |more| last(more).newest();
        assert_eq!(newest(json!({})).as_str(), "e1");
        assert_eq!(newest(json!({"approval": approval("APPROVED")})).as_str(), "e1");
        let waits = last(json!({"approval": approval("WAITING"), "refused": refused}));
        assert_eq!(
            (waits.state, waits.newest().as_str()),
            (State::WaitingForApproval, "e2")
        );
        assert_eq!(newest(json!({"refused": refused})).as_str(), "e3");
        let running = json!({"state": "IN_PROGRESS", "refused": refused});
        assert_eq!(newest(running).as_str(), "e1");
    }
}
