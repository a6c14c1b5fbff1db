//! Follows an execution to its end: reads Step Functions once a second, for a person who waits.
//!
//! The workflow itself waits for nobody, so leaving is safe at any time: Ctrl-C detaches and says how to come back.

mod output;
mod replaced;
mod show;

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_core::approval::ApprovalNeeded;
use seedflow_core::error::{Error, ErrorName};
use seedflow_core::ids::{DeploymentId, ExecutionArn, ModuleId, Name};
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::status::{State, Status};
use seedflow_core::workflow::ending::{Described, ExecutionStatus};
use seedflow_core::workflow::execution_history::Event;
use seedflow_terminal::Ui;
use serde::Deserialize;
use serde_json::Value;

use crate::account::Account;
use crate::exit::{Refused, is_refusal};
use crate::records::report;
use crate::work::{End, Module, Phase, Progress, Subject, Work, between};

use output::Output;
use replaced::left_undone;
pub use show::{Detail, Outcome};
use show::{Replacement, Shown};

/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often in a row AWS may give no answer, and the pause after that. The network of a laptop comes back.
const UNANSWERED: u32 = 12;
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// An execution to follow.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The execution.
    pub execution: ExecutionArn,
    /// What it is about.
    pub subject: Subject,
}

impl Followed {
    /// An execution by its name or ARN, of one of the stack's two workflows; `None` if Step Functions knows none.
    pub async fn find(account: &Account, name: &str) -> Result<Option<Self>> {
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
                return Ok(Some(Self { execution, subject }));
            }
        }
        Ok(None)
    }

    /// The same, of an execution that has to exist.
    ///
    /// # Errors
    /// [`Refused`] if Step Functions doesn't know it.
    pub async fn found(account: &Account, name: &str, project: Option<&Name>) -> Result<Self> {
        Self::find(account, name)
            .await?
            .ok_or_else(|| Self::unknown(account, name, project))
    }

    /// The error of an execution that Step Functions doesn't know. The project is the one that was named, if any.
    #[must_use]
    pub fn unknown(account: &Account, name: &str, project: Option<&Name>) -> anyhow::Error {
        Refused(format!(
            "found no execution \"{name}\" of the stack {}; Step Functions keeps an execution for 90 days after its end; `{}` shows what is deployed, and `{}` the executions",
            account.stack,
            account.command_of("status", project),
            account.command_of("history", project)
        ))
        .into()
    }

    /// Follows it until it ends, or until Ctrl-C. If a newer execution supersedes it, that one is followed too.
    pub async fn to_its_end(self, account: &Account, detail: Detail, ui: &Ui) -> Result<Outcome> {
        let execution = self.execution.clone();
        let come_back = || {
            let command = account.command(&["follow", execution.name()]);
            format!("the execution goes on; `{command}` shows it again")
        };
        tokio::select! {
            outcome = Follower::new(self, account, detail, ui).run() => outcome.with_context(come_back),
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                Ok(Outcome::detached(&execution))
            }
        }
    }
}

/// What a deployment's execution has planned to do; `None` if it has not, or does nothing.
pub async fn work_of(account: &Account, execution: &ExecutionArn) -> Result<Option<Work>> {
    let events = account.step_functions().history(execution).await?;
    let mut outputs = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event.output.as_deref()?).ok());
    Ok(outputs.find_map(|output| Work::of_plan(&output["Payload"])))
}

/// The deployment of an execution that has read its manifest.
pub async fn deployment_of(account: &Account, execution: &ExecutionArn) -> Result<Option<DeploymentId>> {
    let events = account.step_functions().history(execution).await?;
    let mut outputs = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event.output.as_deref()?).ok());
    Ok(outputs.find_map(|output| DeploymentId::deserialize(&output["Payload"]["deployment"]).ok()))
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
    /// What builds print, if it is shown.
    output: Option<Output<'a>>,
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
            output: (detail >= Detail::Output).then(|| Output::new(account)),
            sfn: account.step_functions(),
            followed,
            account,
            work,
        }
    }

    async fn run(mut self) -> Result<Outcome> {
        let mut unanswered = 0;
        loop {
            match self.look_at_all().await {
                Ok(Some(described)) if described.status != ExecutionStatus::Running => {
                    return self.end(&described).await;
                }
                // Step Functions doesn't show an execution that has just been started.
                Ok(_) => {
                    unanswered = 0;
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(error) if is_unanswered(&error) && unanswered < UNANSWERED => {
                    unanswered += 1;
                    self.shown.unanswered(unanswered == 1);
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks at the execution and what belongs to it. The status first: what is read after a final status is complete.
    async fn look_at_all(&mut self) -> Result<Option<Described>> {
        let described = self.sfn.describe(&self.followed.execution).await?;
        if self.work.is_none() {
            self.read_plan().await?;
        }
        if described
            .as_ref()
            .is_some_and(|described| described.status == ExecutionStatus::Running)
        {
            self.read_approval().await?;
        }
        self.look(described.as_ref()).await?;
        Ok(described)
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
        if self.work.is_none() && phase(&events) == Phase::Waiting {
            self.shown.waiting();
        }
        Ok(())
    }

    /// Shows that the plan waits for an approval, if it does. It may until the first module starts.
    async fn read_approval(&mut self) -> Result<()> {
        let has_started = self.work.as_ref().is_none_or(Work::has_started);
        let execution = &self.followed.execution;
        if has_started || !self.shown.may_wait_for_approval() || !waits(&self.sfn.latest(execution).await?) {
            return Ok(());
        }
        if let Some(needed) = approval_in(&self.sfn.history(execution).await?)? {
            self.shown.waiting_for_approval(execution, &needed, self.account);
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
                let is_built = matches!(progress, Progress::Running(Phase::Building | Phase::Recording));
                // The last lines come before the end.
                if matches!(progress, Progress::Ended(_)) {
                    self.show_output(module).await?;
                }
                let work = self.work.as_mut();
                let changed = work.and_then(|work| work.update(&module.execution, progress));
                if let Some(module) = changed {
                    self.shown.module(&module);
                }
                if is_built {
                    self.show_output(module).await?;
                }
            }
            let left = self.work.as_ref().map(Work::current).unwrap_or_default();
            if left.is_empty() || left.iter().any(|module| was_in(&current, module)) {
                return Ok(());
            }
        }
    }

    /// Shows what the build of a module has printed since the last look. A person who may not read that still follows.
    async fn show_output(&mut self, module: &Module) -> Result<()> {
        let execution = self.execution_of(module);
        let Some(output) = self.output.as_mut() else {
            return Ok(());
        };
        match output.since_last(&execution).await {
            Ok(lines) => lines.iter().for_each(|line| self.shown.output(module, line)),
            Err(error) if is_unanswered(&error) => return Err(error),
            Err(error) => {
                self.output = None;
                self.shown.no_output(&error);
            }
        }
        Ok(())
    }

    fn execution_of(&self, module: &Module) -> ExecutionArn {
        match &self.followed.subject {
            Subject::Module(_) => self.followed.execution.clone(),
            Subject::Deployment(_) => self.account.module_execution(&module.execution),
        }
    }

    async fn progress(&mut self, module: &Module, whole: Option<&Described>) -> Result<Progress> {
        let execution = self.execution_of(module);
        let described = match &self.followed.subject {
            Subject::Module(_) => whole.cloned(),
            Subject::Deployment(_) => self.sfn.describe(&execution).await?,
        };
        Ok(match described {
            None => Progress::Pending,
            Some(described) if described.status == ExecutionStatus::Running => {
                let events = self.sfn.latest(&execution).await?;
                self.shown.state(module, newest_state(&events));
                Progress::Running(phase(&events))
            }
            Some(described) => Progress::Ended(self.ended(&module.name, &execution, &described).await?),
        })
    }

    /// How a module ended, with the cause from the report of its execution.
    async fn ended(
        &self,
        module: &ModuleRef,
        execution: &ExecutionArn,
        described: &Described,
    ) -> Result<End> {
        let took = between(described.started_at, described.stopped_at);
        let state = described.output["state"].as_str();
        if let (ExecutionStatus::Succeeded, Some(state)) = (described.status, state) {
            let by = superseded_by(described).map(|by| format!("by {}", by.name()));
            return Ok(End {
                state: state.to_owned(),
                cause: by,
                took,
                has_success: true,
            });
        }
        let status = match self.module_id(module) {
            Some(id) => report::status(&self.account.bucket(), &id, execution).await?,
            None => None,
        };
        let (state, cause) = failure(execution, described, status.as_ref());
        Ok(End {
            state: state.to_owned(),
            cause,
            took,
            has_success: status.is_none_or(|status| status.deployed_at.is_some()),
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
        let replacement = match superseded_by(described) {
            Some(by) => Some(self.replacement(by, described).await?),
            None => None,
        };
        let Self {
            followed,
            work,
            shown,
            ..
        } = self;
        let work = work.unwrap_or_default();
        let outcome = Outcome::new(
            followed.execution,
            followed.subject,
            work,
            described,
            shown.detail(),
        );
        Ok(outcome.replaced_by(replacement))
    }

    /// Follows the execution that supersedes this one, and compares what the two were asked for.
    async fn replacement(&self, by: ExecutionArn, described: &Described) -> Result<Replacement> {
        let commit = described.output["superseded_by_commit"].as_str();
        self.shown
            .superseded(self.followed.execution.name(), by.name(), commit);
        let newer = Followed {
            execution: by.clone(),
            subject: self.followed.subject.clone(),
        };
        let follower = Follower::new(newer, self.account, self.shown.detail(), self.shown.ui());
        let outcome = Box::pin(follower.run()).await?;
        let newer = self.sfn.describe(&by).await?;
        let asked = newer.map_or(Value::Null, |newer| newer.input);
        Ok(Replacement::new(outcome, left_undone(&described.input, &asked)))
    }
}

/// The execution that deploys in the place of one that has ended without doing anything.
fn superseded_by(described: &Described) -> Option<ExecutionArn> {
    described.output["superseded_by"].as_str().map(ExecutionArn::new)
}

/// Whether AWS gave no answer to a call that is worth repeating.
fn is_unanswered(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<Error>();
    error.is_some_and(|error| error.name == ErrorName::ServiceUnavailable)
}

/// The state and the cause of a module's execution that did not succeed: what it has recorded, else how it ended.
fn failure(
    execution: &ExecutionArn,
    described: &Described,
    status: Option<&Status>,
) -> (&'static str, Option<String>) {
    let refusal = status.and_then(|status| status.why.refused.as_ref());
    if let Some(refusal) = refusal.filter(|refusal| refusal.execution == *execution) {
        return (State::Refused.as_str(), Some(refusal.cause.clone()));
    }
    let cause = described.cause.clone();
    let has_written = |status: &&Status| status.execution == *execution && status.state != State::InProgress;
    match (status.filter(has_written), described.status) {
        (Some(status), _) => {
            let written = status.why.cause_or_reason().map(str::to_owned);
            (status.state.as_str(), written.or(cause))
        }
        (None, ExecutionStatus::Aborted) => (State::Aborted.as_str(), cause),
        (None, ExecutionStatus::TimedOut) => ("TIMED_OUT", cause),
        (None, _) if is_refusal(described.error.as_deref().unwrap_or_default()) => {
            (State::Refused.as_str(), cause)
        }
        (None, _) => (State::Failed.as_str(), cause),
    }
}

fn was_in(modules: &[Module], module: &Module) -> bool {
    modules.iter().any(|other| other.execution == module.execution)
}

/// The phase of an execution, from its newest events.
fn phase(newest_first: &[Event]) -> Phase {
    newest_state(newest_first).map_or(Phase::Starting, Phase::of_state)
}

fn newest_state(newest_first: &[Event]) -> Option<&str> {
    newest_first.iter().find_map(|event| event.state.as_deref())
}

/// Whether a deployment's execution waits for an approval (`statemachine/deploy.asl.json`), from its newest events.
fn waits(newest_first: &[Event]) -> bool {
    newest_state(newest_first) == Some("WaitForApproval")
}

/// The approval that the newest plan needs.
fn approval_in(newest_first: &[Event]) -> Result<Option<ApprovalNeeded>> {
    let mut outputs = newest_first
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event.output.as_deref()?).ok());
    let found =
        outputs.find_map(|output| Some(output["Payload"]["approval"].clone()).filter(|it| !it.is_null()));
    found
        .map(serde_json::from_value)
        .transpose()
        .context("expected the approval that the plan needs in the execution's history, found something else")
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

    #[test]
    fn a_plan_waits_only_while_its_newest_state_is_the_wait() {
        let entered = |state: &str| Event {
            state: Some(state.to_owned()),
            ..Event::default()
        };
        let text = include_str!("../../../../statemachine/deploy.asl.json");
        let definition: Value = serde_json::from_str(text).unwrap();
        assert!(definition["States"]["WaitForApproval"].is_object());
        assert!(waits(&[
            Event::default(),
            entered("WaitForApproval"),
            entered("Plan")
        ]));
        for newest in ["RecordWait", "IsApproved", "Plan", "RecordRefusal"] {
            assert!(!waits(&[entered(newest), entered("WaitForApproval")]), "{newest}");
        }
        assert!(!waits(&[]));
    }

    #[test]
    fn the_newest_approval_counts_and_one_that_cannot_be_read_is_an_error() {
        let answered = |approval: Value| Event {
            output: Some(json!({"Payload": {"approval": approval}}).to_string()),
            ..Event::default()
        };
        let of =
            |reason: &str| answered(json!({"plan": "p", "reasons": [reason], "expires_after_seconds": 1}));
        let found = approval_in(&[answered(Value::Null), of("rules"), of("changes")]).unwrap();
        assert_eq!(found.unwrap().reasons, ["rules"]);
        assert_eq!(approval_in(&[answered(Value::Null)]).unwrap(), None);
        assert!(approval_in(&[answered(json!({"plan": 1}))]).is_err());
    }

    #[test]
    fn a_failure_is_what_its_execution_recorded_else_how_it_ended() {
        let execution = ExecutionArn::new("arn:aws:states:eu-west-1:123456789012:execution:deploy-module:e");
        let status = |of: &str, more: Value| {
            let mut status = json!({"state": "FAILED", "updated_at": "2026-11-29T12:00:00Z", "group": "g", "module": "m",
                "execution": format!("arn:aws:states:eu-west-1:123456789012:execution:deploy-module:{of}"),
                "cause": "no space left", "reasons": []});
            status
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            serde_json::from_value::<Status>(status).unwrap()
        };
        let ended = |status: ExecutionStatus, error: &str| Described {
            status,
            input: Value::Null,
            output: Value::Null,
            started_at: None,
            stopped_at: None,
            error: Some(error.to_owned()),
            cause: Some("raw".to_owned()),
        };
        let failed = ended(ExecutionStatus::Failed, "BuildFailed");
        let is = |described: &Described, status: Option<&Status>, state: &str, cause: &str| {
            assert_eq!(
                failure(&execution, described, status),
                (state, Some(cause.to_owned()))
            );
        };
        is(&failed, Some(&status("e", json!({}))), "FAILED", "no space left");
        is(&failed, Some(&status("other", json!({}))), "FAILED", "raw");
        let refusal = json!({"refused": {"at": "2026-11-29T12:00:00Z", "execution": execution, "cause": "no deployspec"}});
        is(
            &failed,
            Some(&status("other", refusal)),
            "REFUSED",
            "no deployspec",
        );
        is(
            &ended(ExecutionStatus::Failed, "InvalidInput"),
            None,
            "REFUSED",
            "raw",
        );
        let running = status("e", json!({"state": "IN_PROGRESS"}));
        is(
            &ended(ExecutionStatus::Aborted, "Canceled"),
            Some(&running),
            "ABORTED",
            "raw",
        );
        is(
            &ended(ExecutionStatus::TimedOut, "States.Timeout"),
            None,
            "TIMED_OUT",
            "raw",
        );
    }
}
