//! `retry`: starts an execution again with the same input.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::ids::ExecutionArn;
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
use crate::view::state::word;
use crate::work::Subject;

/// The longest report that is read.
const MAX_REPORT: u64 = 4 * 1024 * 1024;

/// Starts an execution that has ended once more, with the same input. What it has deployed is unchanged then, so a
/// deployment goes on where it failed: only modules that failed or never started run. Of those that it was forced to deploy,
/// the same ones are forced again.
///
/// Of a module or a deployment it is the last execution, which has to have failed.
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
            named => Followed::found(account, failed(named.last(account).await?, account)?.as_str()).await?,
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
            // The new execution is no part of the deployment that started the first, and somebody else may start it.
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
    let found = account
        .bucket()
        .get(&deployment.report_key(execution), MAX_REPORT)
        .await?;
    let Some((bytes, _)) = found else {
        return Ok(Vec::new());
    };
    Ok(serde_json::from_slice::<Ended>(&bytes)?.results)
}

/// The part of a deployment's report that says how its modules ended.
#[derive(Debug, Deserialize)]
struct Ended {
    #[serde(default)]
    results: Vec<ModuleEnd>,
}

#[derive(Debug, Deserialize)]
struct ModuleEnd {
    group: String,
    module: String,
    state: String,
}

/// The modules that an execution was forced to deploy and has not; `None` if that isn't known.
fn still_forced(forced: &Value, results: &[ModuleEnd]) -> Option<Value> {
    if results.is_empty() {
        return None;
    }
    let is_forced = |end: &ModuleEnd| match forced {
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(|name| {
            name == end.group || name.split_once('/') == Some((end.group.as_str(), end.module.as_str()))
        }),
        forced => forced == &Value::Bool(true),
    };
    let left = results.iter().filter(|end| {
        is_forced(end) && ["FAILED", "NOT_STARTED", "SUPERSEDED"].contains(&end.state.as_str())
    });
    Some(
        left.map(|end| Value::from(format!("{}/{}", end.group, end.module)))
            .collect(),
    )
}

/// The last execution that failed or was refused; one that still runs is distinguished later.
fn failed(last: Last, account: &Account) -> Result<ExecutionArn> {
    if let Some(refused) = last.refused {
        return Ok(refused.execution);
    }
    let project = last.of.split('/').next().unwrap_or_default();
    match last.state {
        State::Failed | State::Aborted | State::Refused | State::InProgress => Ok(last.execution),
        state => Err(Refused(format!(
            "{}: expected an execution that failed, found one that is {}; name an execution to start it again (`{}` lists them)",
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
        let end = |module: &str, state: &str| ModuleEnd {
            group: "apps".to_owned(),
            module: module.to_owned(),
            state: state.to_owned(),
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
