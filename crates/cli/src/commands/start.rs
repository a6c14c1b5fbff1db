//! What the commands that start an execution have in common: upload, start, follow.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{ArgAction, Args};
use jiff::Timestamp;
use seedflow_aws::services::sts;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::started_by::STARTED_BY;
use seedflow_core::storage_layout::own_key;
use seedflow_terminal::{Tone, Ui};
use serde_json::{Value, json};

use super::reading::print_json_line;
use crate::account::Account;
use crate::follow::{Detail, Followed};
use crate::work::Subject;

/// Number of executions among which the one that an upload started is searched.
const NEWEST: i32 = 50;
/// How often it is searched, and the pause before the next time. An event arrives within seconds.
const LOOKS: u32 = 120;
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How an execution is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct Showing {
    /// Starts the execution, and does not wait for its end.
    #[arg(long, short)]
    detach: bool,
    #[command(flatten)]
    shown: Shown,
}

/// How much of an execution is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct Shown {
    /// Shows the phases of each module and what its build prints; -vv shows the states of its execution, too.
    #[arg(long, short, action = ArgAction::Count)]
    verbose: u8,
    /// Prints JSON (docs/command-line.md).
    #[arg(long)]
    json: bool,
}

impl Shown {
    fn detail(self) -> Detail {
        match (self.json, self.verbose) {
            (true, _) => Detail::None,
            (false, 0) => Detail::Modules,
            (false, 1) => Detail::Output,
            (false, _) => Detail::States,
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
        self.show(execution, subject, account, ui).await
    }

    /// Follows an execution that was started, unless it was asked not to.
    pub async fn show(
        self,
        execution: ExecutionArn,
        subject: Subject,
        account: &Account,
        ui: &Ui,
    ) -> Result<ExitCode> {
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
/// others. Its input says who starts it.
pub async fn start(verb: &str, subject: &Subject, input: &Value, account: &Account) -> Result<ExecutionArn> {
    let machine = match subject {
        Subject::Module(_) => &account.state_machine_arn,
        Subject::Deployment(_) => &account.deploy_state_machine_arn,
    };
    let name = format!("{verb}-{}", unique());
    let mut input = input.clone();
    if let Some(fields) = input.as_object_mut() {
        // A claim: an execution doesn't learn from Step Functions who started it.
        let caller = sts::caller(&account.config).await?;
        fields.insert(STARTED_BY.to_owned(), json!(caller.arn));
    }
    Ok(account.step_functions().start(machine, &name, &input).await?)
}

/// Uploads a file to the caller's folder and finds the execution that the upload's event starts. Needs no right to start
/// executions, and proves the caller (docs/roles.md).
pub async fn start_by_upload(
    subject: &Subject,
    path: &str,
    file: &Path,
    metadata: Vec<(&'static str, String)>,
    account: &Account,
) -> Result<ExecutionArn> {
    let machine = match subject {
        Subject::Module(_) => &account.state_machine_arn,
        Subject::Deployment(_) => &account.deploy_state_machine_arn,
    };
    let key = own_key(&sts::caller(&account.config).await?.id, path);
    let sfn = account.step_functions();
    let before = sfn.newest(machine, NEWEST).await?;
    let uploaded = account.bucket().put_with_metadata(&key, file, metadata).await;
    uploaded.with_context(|| format!("cannot upload to s3://{}/{key}", account.work_bucket))?;
    for _ in 0..LOOKS {
        for execution in sfn.newest(machine, NEWEST).await? {
            if before.contains(&execution) {
                continue;
            }
            let described = sfn.describe(&execution).await?;
            if described.is_some_and(|described| described.input["source"]["key"] == key.as_str()) {
                return Ok(execution);
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    bail!(
        "uploaded to s3://{}/{key}, and found no execution that it started within a minute; `{}` lists what ran",
        account.work_bucket,
        account.command_of("history", subject.project())
    )
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
