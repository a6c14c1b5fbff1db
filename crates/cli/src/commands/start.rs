//! What the commands that start an execution have in common: upload, start, follow.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_terminal::{Tone, Ui};
use serde_json::{Value, json};

use super::reading::print_json_line;
use crate::account::Account;
use crate::follow::{Detail, Followed};
use crate::work::Subject;

/// How an execution is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct Showing {
    /// Starts it, and doesn't wait for its end.
    #[arg(long, short)]
    detach: bool,
    #[command(flatten)]
    shown: Shown,
}

/// How much of an execution is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct Shown {
    /// Shows the phases of each module too.
    #[arg(long, short)]
    verbose: bool,
    /// Prints JSON (docs/command-line.md).
    #[arg(long)]
    json: bool,
}

impl Shown {
    /// Whether the output is JSON.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.json
    }

    fn detail(self) -> Detail {
        match (self.json, self.verbose) {
            (true, _) => Detail::None,
            (false, true) => Detail::Phases,
            (false, false) => Detail::Modules,
        }
    }

    /// Follows an execution to its end, and shows how it ended.
    pub async fn follow(self, followed: Followed, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let outcome = followed.to_its_end(account, self.detail(), ui).await?;
        Ok(outcome.show(account, self.json, ui))
    }
}

impl Showing {
    /// Whether the output is JSON.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.shown.json
    }

    /// Starts an execution, and follows it unless it was asked not to.
    pub async fn start(
        self,
        verb: &str,
        subject: Subject,
        input: &Value,
        account: &Account,
        ui: &Ui,
    ) -> Result<ExitCode> {
        let execution = start(verb, &subject, input, account).await?;
        let name = execution.name();
        if self.detach {
            match self.shown.json {
                true => print_json_line(json!({"execution": execution}), ui),
                false => ui.say(format!(
                    "Started {name}\n  {}\n  {}",
                    account.command(&["follow", name]),
                    account.command(&["cancel", name])
                )),
            }
            return Ok(ExitCode::SUCCESS);
        }
        if !self.shown.json {
            ui.say(ui.paint(Tone::Quiet, format!("execution {name}")));
        }
        self.shown
            .follow(Followed { execution, subject }, account, ui)
            .await
    }
}

/// Starts an execution of the workflow of a subject. Its name says what it does, when it was started, and differs from all
/// others.
pub async fn start(verb: &str, subject: &Subject, input: &Value, account: &Account) -> Result<ExecutionArn> {
    let machine = match subject {
        Subject::Module(_) => &account.state_machine_arn,
        Subject::Deployment(_) => &account.deploy_state_machine_arn,
    };
    let name = format!("{verb}-{}", unique());
    Ok(account.step_functions().start(machine, &name, input).await?)
}

/// A part of the name of an execution: when it was started, and what differs from all others.
pub fn unique() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let now = Timestamp::now().strftime("%Y%m%d-%H%M%S");
    format!("{now}-{}", &random[..6])
}

/// Uploads a zip under a key below `uploads/`, where no event starts anything; returns the `source` of an input.
pub async fn upload(account: &Account, key: &str, file: &Path, commit: &CommitInfo) -> Result<Value> {
    let bucket = account.bucket();
    let uploaded = bucket.put_planned(key, file, commit).await;
    uploaded.with_context(|| format!("cannot upload to s3://{}/{key}", account.work_bucket))?;
    Ok(json!({"key": key}))
}
