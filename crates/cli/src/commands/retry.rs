//! `retry`: starts an execution again with the same input.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::deployment::outcome::End;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::status::State;
use seedflow_core::started_by::{REQUESTER, STARTED_BY};
use seedflow_core::workflow::ending::ExecutionStatus;
use seedflow_terminal::Ui;
use serde::Deserialize;
use serde_json::Value;

use super::named::{Last, Named, What};
use super::start::Showing;
use crate::account::Account;
use crate::exit::Refused;
use crate::follow::{Followed, deployment_of};
use crate::records::report;
use crate::view::state::word;
use crate::work::Subject;

/// Starts an ended execution again, with the same input.
///
/// Modules that it has deployed are unchanged, so a deployment continues where it failed: only modules that failed or never
/// started run. Those of them that were forced are forced again.
///
/// For a module or a deployment it starts the last execution again, which must have failed.
#[derive(Debug, Args)]
pub struct Retry {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    showing: Showing,
}

impl Retry {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let followed = match self.what.find(account).await? {
            Named::Execution(followed) => followed,
            named => {
                let failed = failed(named.last(account).await?, account)?;
                Followed::found(account, failed.as_str(), named.project()).await?
            }
        };
        let described = account.step_functions().describe(&followed.execution).await?;
        let Some(described) = described.filter(|described| described.status != ExecutionStatus::Running)
        else {
            let name = followed.execution.name();
            return Err(Refused(format!(
                "{name} still runs; `{}` shows it, and `{}` stops it",
                account.command(&["follow", name]),
                account.command(&["cancel", name])
            ))
            .into());
        };
        let mut input = described.input;
        if let Some(fields) = input.as_object_mut() {
            // The new execution is not part of the deployment that started the first, and somebody else may start it.
            for of_the_first in ["part_of", STARTED_BY, REQUESTER] {
                fields.remove(of_the_first);
            }
        }
        if let (Subject::Deployment(_), Some(forced)) = (&followed.subject, input.get("force_update")) {
            let results = results(account, &followed.execution).await?;
            if let Some(left) = still_forced(forced, &results) {
                input["force_update"] = left;
            }
        }
        self.showing
            .start("retry", followed.subject, &input, account, ui)
            .await
    }
}

/// How the modules of a deployment's execution ended, by its report; nothing if it has none.
async fn results(account: &Account, execution: &ExecutionArn) -> Result<Vec<ModuleEnd>> {
    let Some(deployment) = deployment_of(account, execution).await? else {
        return Ok(Vec::new());
    };
    let report = report::find_json(&account.bucket(), &deployment.report_key(execution)).await?;
    match report {
        Some(report) => Ok(Ended::deserialize(report)?.results),
        None => Ok(Vec::new()),
    }
}

/// The part of a deployment's report that says how its modules ended.
#[derive(Debug, Deserialize)]
struct Ended {
    #[serde(default)]
    results: Vec<ModuleEnd>,
}

#[derive(Debug, Deserialize)]
struct ModuleEnd {
    #[serde(flatten)]
    name: ModuleRef,
    state: End,
}

/// The modules that an execution was forced to deploy and has not; `None` if that isn't known.
fn still_forced(forced: &Value, results: &[ModuleEnd]) -> Option<Value> {
    if results.is_empty() {
        return None;
    }
    let is_forced = |end: &ModuleEnd| match forced {
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .any(|name| name == end.name.group.as_str() || name == end.name.to_string()),
        forced => forced == &Value::Bool(true),
    };
    let is_left = |end: &&ModuleEnd| matches!(end.state, End::Failed | End::NotStarted | End::Superseded);
    let left = results.iter().filter(is_left).filter(|end| is_forced(end));
    Some(left.map(|end| Value::from(end.name.to_string())).collect())
}

/// The last execution that failed or was refused; one that still runs is distinguished later.
fn failed(last: Last, account: &Account) -> Result<ExecutionArn> {
    if last.refused.is_some() {
        return Ok(last.newest());
    }
    let project = last.of.split('/').next().unwrap_or_default();
    match last.state {
        State::Failed
        | State::Aborted
        | State::Refused
        | State::InProgress
        | State::WaitingForApproval => Ok(last.execution),
        state => Err(Refused(format!(
            "{}: expected a failed execution, found one that is {}; name the execution to start again (`{}` lists them)",
            last.of,
            word(state.as_str()),
            account.command(&["history", "--project", project])
        ))
        .into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_forced_and_did_not_succeed_is_forced_again() {
        let end = |module: &str, state: &str| {
            let end = json!({"group": "apps", "module": module, "state": state});
            serde_json::from_value::<ModuleEnd>(end).unwrap()
        };
        let results = [
            end("api", "SUCCEEDED"),
            end("web", "FAILED"),
            end("job", "NOT_STARTED"),
        ];
        let left = |forced: Value| still_forced(&forced, &results).unwrap();
        assert_eq!(left(json!(true)), json!(["apps/web", "apps/job"]));
        assert_eq!(left(json!(["apps"])), json!(["apps/web", "apps/job"]));
        assert_eq!(left(json!(["apps/api", "apps/job"])), json!(["apps/job"]));
        assert_eq!(left(json!(false)), json!([]));
        assert_eq!(
            still_forced(&json!(true), &[]),
            None,
            "a report of a stopped execution has no results"
        );
    }
}
