//! `retry`: starts an execution again with the same input.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::status::State;
use seedflow_core::started_by::{REQUESTER, STARTED_BY};
use seedflow_core::workflow::ending::ExecutionStatus;
use seedflow_terminal::Ui;

use super::named::{Last, Named, What};
use super::start::Showing;
use crate::account::Account;
use crate::exit::Refused;
use crate::follow::Followed;
use crate::view::state::word;

/// Starts an execution that has ended once more, with the same input. What it has deployed is unchanged then, so a
/// deployment goes on where it failed.
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
        self.showing
            .start("retry", followed.subject, &input, account, ui)
            .await
    }
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
