//! Follows an execution to its end: reads Step Functions once a second, for a person who waits.
//!
//! The workflow itself waits for nobody, so leaving is safe at any time: Ctrl-C detaches and says how to come back.

mod show;

use std::time::Duration;

use anyhow::{Result, anyhow};
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_core::error::Error;
use seedflow_core::ids::{DeploymentId, ExecutionArn, ModuleId};
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::workflow::ending::{Described, ExecutionStatus};
use seedflow_core::workflow::execution_history::Event;
use seedflow_terminal::Ui;
use serde_json::Value;

use crate::account::Account;
use crate::records::project;
use crate::work::{End, Module, Phase, Progress, Work, between};

use show::Shown;
pub use show::{Detail, Outcome};

/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What an execution deploys or destroys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One module.
    Module(ModuleId),
    /// A deployment. Its name is known once the execution has read its manifest.
    Deployment(Option<DeploymentId>),
}

/// An execution to follow.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The execution.
    pub execution: ExecutionArn,
    /// What it is about.
    pub subject: Subject,
}

impl Followed {
    /// An execution by its name or ARN, of one of the stack's two workflows.
    ///
    /// # Errors
    /// If there is no such execution.
    pub async fn find(account: &Account, name: &str) -> Result<Self> {
        let short = ExecutionArn::new(name).name().to_owned();
        let sfn = account.step_functions();
        for execution in [
            account.deployment_execution(&short),
            account.module_execution(&short),
        ] {
            if name.contains(':') && execution.as_str() != name {
                continue;
            }
            if let Some(described) = sfn.describe(&execution).await? {
                let subject = match execution.is_of(&account.state_machine_arn) {
                    true => Subject::Module(module_of(&described.input)?),
                    false => Subject::Deployment(None),
                };
                return Ok(Self { execution, subject });
            }
        }
        Err(anyhow!(
            "found no execution \"{name}\" of the stack {}; `seedflow status` shows what is deployed, and `seedflow history` the executions",
            account.stack
        ))
    }

    /// Follows it until it ends, or until Ctrl-C.
    pub async fn to_its_end(self, account: &Account, detail: Detail, ui: &Ui) -> Result<Outcome> {
        let execution = self.execution.clone();
        tokio::select! {
            outcome = Follower::new(self, account, detail, ui).run() => outcome,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                Ok(Outcome::detached(&execution))
            }
        }
    }
}

/// The module that an execution's input names.
fn module_of(input: &Value) -> Result<ModuleId> {
    let text = |field: &str| input[field].as_str();
    if let (Some(project), Some(deployment), Some(group), Some(module)) =
        (text("project"), text("deployment"), text("group"), text("module"))
    {
        return Ok(ModuleId::parse(project, deployment, group, module)?);
    }
    let key = input["source"]["key"].as_str().unwrap_or_default();
    ModuleId::from_upload_key(key)?.ok_or_else(|| anyhow!("the execution's input names no module"))
}

struct Follower<'a> {
    followed: Followed,
    account: &'a Account,
    sfn: StepFunctions,
    work: Option<Work>,
    shown: Shown<'a>,
}

impl<'a> Follower<'a> {
    fn new(followed: Followed, account: &'a Account, detail: Detail, ui: &'a Ui) -> Self {
        let work = match &followed.subject {
            Subject::Module(module) => Some(Work::of_module(
                ModuleRef::from(module),
                followed.execution.name(),
            )),
            Subject::Deployment(_) => None,
        };
        Self {
            shown: Shown::new(detail, ui),
            sfn: account.step_functions(),
            followed,
            account,
            work,
        }
    }

    async fn run(mut self) -> Result<Outcome> {
        loop {
            // The status first: what is read after a final status is complete.
            let described = self.sfn.describe(&self.followed.execution).await?;
            if self.work.is_none() {
                self.read_plan().await?;
            }
            self.look(described.as_ref()).await?;
            match described {
                Some(described) if described.status != ExecutionStatus::Running => {
                    return self.end(&described).await;
                }
                // Step Functions doesn't show an execution that has just been started.
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Reads what a deployment plans, once it is planned.
    async fn read_plan(&mut self) -> Result<()> {
        let events = self.sfn.history(&self.followed.execution).await?;
        let outputs = events
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event.output.as_deref()?).ok());
        for output in outputs {
            let payload = &output["Payload"];
            if let Subject::Deployment(deployment @ None) = &mut self.followed.subject
                && let Ok(found) = serde_json::from_value::<DeploymentId>(payload["deployment"].clone())
            {
                self.shown.deployment(&found);
                *deployment = Some(found);
            }
            if self.work.is_none() {
                self.work = Work::of_plan(payload);
            }
        }
        Ok(())
    }

    /// Looks at each module that may have changed, wave by wave as far as those have ended: several may have since the
    /// last look.
    async fn look(&mut self, whole: Option<&Described>) -> Result<()> {
        loop {
            let current = self.work.as_ref().map(Work::current).unwrap_or_default();
            for module in &current {
                let progress = self.progress(module, whole).await?;
                let work = self.work.as_mut();
                let changed = work.and_then(|work| work.update(&module.execution, progress));
                if let Some(module) = changed {
                    self.shown.module(&module);
                }
            }
            let left = self.work.as_ref().map(Work::current).unwrap_or_default();
            if left.is_empty() || left.iter().any(|module| was_in(&current, module)) {
                return Ok(());
            }
        }
    }

    async fn progress(&self, module: &Module, whole: Option<&Described>) -> Result<Progress> {
        let (execution, described) = match &self.followed.subject {
            Subject::Module(_) => (self.followed.execution.clone(), whole.cloned()),
            Subject::Deployment(_) => {
                let execution = self.account.module_execution(&module.execution);
                let described = self.sfn.describe(&execution).await?;
                (execution, described)
            }
        };
        Ok(match described {
            None => Progress::Pending,
            Some(described) if described.status == ExecutionStatus::Running => {
                Progress::Running(phase(&self.sfn.latest(&execution).await?))
            }
            Some(described) => Progress::Ended(self.ended(&module.name, &execution, &described).await?),
        })
    }

    /// How a module ended, with the cause from its status.
    async fn ended(
        &self,
        module: &ModuleRef,
        execution: &ExecutionArn,
        described: &Described,
    ) -> Result<End> {
        let took = between(described.started_at, described.stopped_at);
        let state = described.output["state"].as_str();
        if let (ExecutionStatus::Succeeded, Some(state)) = (described.status, state) {
            let by = described.output["superseded_by"].as_str().map(str::to_owned);
            return Ok(End {
                state: state.to_owned(),
                cause: by,
                took,
            });
        }
        let status = match self.module_id(module) {
            Some(id) => {
                project::module_status(&self.account.parameters(), &self.account.bucket(), &id).await?
            }
            None => None,
        };
        let status = status.filter(|status| status.execution == *execution);
        let state = status.as_ref().map_or("FAILED", |status| status.state.as_str());
        let cause = status.and_then(|status| status.cause.or(status.reason));
        Ok(End {
            state: state.to_owned(),
            cause: cause.or_else(|| described.cause.clone()),
            took,
        })
    }

    fn module_id(&self, module: &ModuleRef) -> Option<ModuleId> {
        match &self.followed.subject {
            Subject::Module(id) => Some(id.clone()),
            Subject::Deployment(Some(deployment)) => {
                Some(deployment.module(module.group.clone(), module.module.clone()))
            }
            Subject::Deployment(None) => None,
        }
    }

    async fn end(self, described: &Described) -> Result<Outcome> {
        let Self { followed, work, .. } = self;
        Ok(Outcome::new(followed, work.unwrap_or_default(), described))
    }
}

fn was_in(modules: &[Module], module: &Module) -> bool {
    modules.iter().any(|other| other.execution == module.execution)
}

/// The phase of an execution, from its newest events.
fn phase(newest_first: &[Event]) -> Phase {
    let state = newest_first.iter().find_map(|event| event.state.as_deref());
    state.map_or(Phase::Starting, Phase::of_state)
}

/// Whether an error is that of a request that was refused before anything ran (docs/errors.md).
#[must_use]
pub fn is_refusal(error: &str) -> bool {
    REFUSALS.contains(&error)
}

/// The names of the errors of a request, by which nothing was started.
const REFUSALS: [&str; 9] = [
    "InvalidInput",
    "InvalidManifest",
    "InvalidBundle",
    "InvalidDeployspec",
    "SourceNotFound",
    "SourceUnavailable",
    "Blocked",
    "DeploymentBusy",
    "StateConflict",
];

/// Turns an error of core into one for people.
pub fn for_people(error: Error) -> anyhow::Error {
    match is_refusal(error.name.as_str()) {
        true => crate::exit::Refused(error.message).into(),
        false => anyhow!(error.message),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_input_names_the_module_by_its_names_or_its_key() {
        let named = json!({"project": "p", "deployment": "d", "group": "g", "module": "m"});
        assert_eq!(module_of(&named).unwrap().to_string(), "p/d/g/m");
        let uploaded = json!({"source": {"key": "sources/p/d/g/m.zip"}});
        assert_eq!(module_of(&uploaded).unwrap().to_string(), "p/d/g/m");
        assert!(module_of(&json!({})).is_err());
    }

    #[test]
    fn the_newest_state_is_the_phase() {
        let entered = |state: Option<&str>| Event {
            state: state.map(str::to_owned),
            ..Event::default()
        };
        let events = [
            entered(None),
            entered(Some("AwaitBuild")),
            entered(Some("CheckMd5")),
        ];
        assert_eq!(phase(&events), Phase::Building);
        assert_eq!(phase(&[]), Phase::Starting);
    }
}
