//! `logs`: what a build printed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{ArgAction, Args};
use seedflow_aws::services::codebuild::LogLocation;
use seedflow_aws::services::logs::LogGroup;
use seedflow_core::ids::{BuildId, ExecutionArn, ModuleId};
use seedflow_core::module::status::State;
use seedflow_core::workflow::ending::ExecutionStatus;
use seedflow_core::workflow::execution_history::trace;
use seedflow_terminal::{Tone, Ui};
use serde_json::json;

use super::named::{Named, What};
use super::reading::print_json_line;
use crate::account::Account;
use crate::exit::Wrong;
use crate::follow::{Followed, work_of};
use crate::records::target::Target;
use crate::records::{project, report};
use crate::view::build_log::BuildLog;
use crate::work::{Module, Subject};

/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Shows what builds printed, without the lines of CodeBuild and of Seedflow.
///
/// For a module it shows the newest build, for a deployment each build of its last execution.
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    what: What,
    /// An execution of the module that has a report, by its name or ARN. The default is the newest with a build.
    #[arg(long, value_name = "E")]
    execution: Option<String>,
    /// Shows new lines until the builds end.
    #[arg(long, short)]
    follow: bool,
    /// -vv shows CodeBuild's own lines too.
    #[arg(long, short, action = ArgAction::Count)]
    verbose: u8,
    /// Shows every line as CodeBuild stored it.
    #[arg(long)]
    raw: bool,
    /// Prints each line as a JSON text; of several modules as {"module", "line"}.
    #[arg(long)]
    json: bool,
}

/// What an execution of a module has to show.
enum Ran {
    /// The log of this build.
    Build(BuildId),
    /// No build, because it failed before.
    Failed(String),
    /// No build: it found nothing changed, or has not started one.
    Nothing,
}

impl Logs {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        match (self.what.find(account).await?, &self.execution) {
            (Named::Module(module), Some(execution)) => {
                let build = reported(account, &module, Some(execution)).await?;
                self.show(account, &build, None, ui).await?;
            }
            (Named::Module(module), None) => {
                let build = self.newest(account, &module).await?;
                self.show(account, &build, None, ui).await?;
            }
            (_, Some(execution)) => {
                return Err(Wrong(format!(
                    "--execution belongs to a module; `{}` shows all builds of an execution",
                    account.command(&["logs", execution])
                ))
                .into());
            }
            (named, None) => {
                self.of_execution(&named.execution(account).await?, account, ui)
                    .await?
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The builds of an execution.
    async fn of_execution(&self, followed: &Followed, account: &Account, ui: &Ui) -> Result<()> {
        let execution = &followed.execution;
        if let Subject::Module(module) = &followed.subject {
            return match self.ran(account, execution, None).await? {
                Ran::Build(build) => self.show(account, &build, None, ui).await,
                _ => bail!(
                    "{module}: the execution {} started no build, so it has no log",
                    execution.name()
                ),
            };
        }
        let mut some = false;
        for module in self.modules(account, execution).await? {
            let (name, part) = (
                module.name.to_string(),
                account.module_execution(&module.execution),
            );
            match self.ran(account, &part, Some(execution)).await? {
                Ran::Build(build) => {
                    self.head(&name, some, ui);
                    self.show(account, &build, Some(&name), ui).await?;
                }
                Ran::Failed(cause) => {
                    self.head(&name, some, ui);
                    self.say(Some(&name), &format!("It failed before its build: {cause}"), ui);
                }
                Ran::Nothing => continue,
            }
            some = true;
        }
        if !some && !self.json {
            ui.say(format!(
                "The execution {} has started no build.",
                execution.name()
            ));
        }
        Ok(())
    }

    /// The modules of a deployment's execution. One that runs may not have planned yet; `--follow` waits for it.
    async fn modules(&self, account: &Account, execution: &ExecutionArn) -> Result<Vec<Module>> {
        loop {
            if let Some(work) = work_of(account, execution).await? {
                return Ok(work.modules().cloned().collect());
            }
            if !self.follow || has_ended(account, execution).await? {
                return Ok(Vec::new());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What a module's execution has to show. One that will start its build is waited for by `--follow`; it may be part of a
    /// `whole` deployment, which then hasn't ended.
    async fn ran(
        &self,
        account: &Account,
        execution: &ExecutionArn,
        whole: Option<&ExecutionArn>,
    ) -> Result<Ran> {
        let sfn = account.step_functions();
        loop {
            // Before its module: once it has ended, no execution of a module starts.
            let is_over = match whole {
                Some(whole) => has_ended(account, whole).await?,
                None => false,
            };
            let described = sfn.describe(execution).await?;
            if described.is_some()
                && let Some(build) = running(account, execution).await?
            {
                return Ok(Ran::Build(build));
            }
            match described {
                Some(described) if described.is_unsuccessful() => {
                    return Ok(Ran::Failed(described.cause.unwrap_or_default()));
                }
                Some(described) if described.status != ExecutionStatus::Running => return Ok(Ran::Nothing),
                None if is_over => return Ok(Ran::Nothing),
                _ if !self.follow => return Ok(Ran::Nothing),
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// The build of the newest execution. One that runs may not have started its build yet; `--follow` waits for it.
    async fn newest(&self, account: &Account, module: &ModuleId) -> Result<BuildId> {
        loop {
            let status = project::module_status(&account.parameters(), &account.bucket(), module).await?;
            let Some(status) = status else {
                return reported(account, module, None).await;
            };
            if let Some(build) = status.build_id {
                return Ok(build);
            }
            if status.state != State::InProgress {
                return reported(account, module, None).await;
            }
            if let Some(build) = running(account, &status.execution).await? {
                return Ok(build);
            }
            if !self.follow {
                bail!("{module}: the build has not started yet; -f waits for it");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Shows the log of a build, of several modules that of `module`.
    async fn show(&self, account: &Account, build: &BuildId, module: Option<&str>, ui: &Ui) -> Result<()> {
        let (group, stream) = self.log_of(account, build).await?;
        let group = LogGroup::new(&account.config, group);
        self.print(account, build, (group, &stream), module, ui).await
    }

    /// The heading of a module, with an empty line between it and the module before.
    fn head(&self, module: &str, follows: bool, ui: &Ui) {
        if self.json {
            return;
        }
        if follows {
            ui.say("");
        }
        ui.say(ui.paint(Tone::Bold, module));
    }

    /// The log of a build. One that waits in the queue has none yet; `--follow` waits for it.
    async fn log_of(&self, account: &Account, build: &BuildId) -> Result<(String, String)> {
        loop {
            let log = read(account, build).await?;
            if let (Some(group), Some(stream)) = (log.group, log.stream) {
                return Ok((group, stream));
            }
            if !log.is_running || !self.follow {
                bail!(
                    "the build {} has no log{}",
                    build.as_str(),
                    if log.is_running {
                        " yet; -f waits for it"
                    } else {
                        ""
                    }
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn print(
        &self,
        account: &Account,
        build: &BuildId,
        (group, stream): (LogGroup, &str),
        module: Option<&str>,
        ui: &Ui,
    ) -> Result<()> {
        let (mut token, mut filter, mut ended) = (None, BuildLog::new(self.verbose > 1), !self.follow);
        loop {
            let found = group.after(stream, token.clone()).await?;
            let Some((lines, next)) = found else {
                if ended && !self.follow {
                    bail!(
                        "the log of the build {} is gone, or has no line yet",
                        build.as_str()
                    );
                }
                if ended {
                    return Ok(());
                }
                ended = !read(account, build).await?.is_running;
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            };
            if ui.is_closed() {
                return Ok(());
            }
            for line in lines.iter().flat_map(|message| message.lines()) {
                match self.raw {
                    true => self.say(module, line, ui),
                    false => filter
                        .line(line)
                        .iter()
                        .for_each(|line| self.say(module, line, ui)),
                }
            }
            // The same token again: there is nothing more now (GetLogEvents). What a build prints at its end may come after
            // it has ended, so the log is read once more then.
            if token.as_ref() == Some(&next) {
                if ended {
                    return Ok(());
                }
                ended = !read(account, build).await?.is_running;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            token = Some(next);
        }
    }

    fn say(&self, module: Option<&str>, line: &str, ui: &Ui) {
        match (self.json, module) {
            (true, Some(module)) => print_json_line(json!({"module": module, "line": line}), ui),
            (true, None) => print_json_line(json!(line), ui),
            (false, _) => ui.say(line),
        }
    }
}

/// The build of an execution that has a report; of the newest without a name.
async fn reported(account: &Account, module: &ModuleId, execution: Option<&str>) -> Result<BuildId> {
    let bucket = account.bucket();
    let key = report::find(account, &module.project, &Target::from(module), execution).await?;
    let json = report::json(&bucket, &key.key).await?;
    let Some(id) = json["status"]["build_id"].as_str() else {
        bail!(
            "{module}: the execution {} started no build, so it has no log",
            key.execution
        );
    };
    Ok(BuildId::parse(id)?)
}

async fn has_ended(account: &Account, execution: &ExecutionArn) -> Result<bool> {
    let described = account.step_functions().describe(execution).await?;
    Ok(described.is_some_and(|described| described.status != ExecutionStatus::Running))
}

async fn read(account: &Account, build: &BuildId) -> Result<LogLocation> {
    let found = account.builds().log(build).await?;
    found.with_context(|| {
        format!(
            "CodeBuild doesn't know the build {}; it keeps builds for a year",
            build.as_str()
        )
    })
}

/// The build that a running execution has started; `None` if it has started none yet.
async fn running(account: &Account, execution: &ExecutionArn) -> Result<Option<BuildId>> {
    Ok(trace(&account.step_functions().history(execution).await?).build_id)
}
