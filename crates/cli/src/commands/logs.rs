//! `logs`: what a build printed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use seedflow_aws::services::codebuild::LogLocation;
use seedflow_aws::services::logs::LogGroup;
use seedflow_core::ids::{BuildId, ExecutionArn, ModuleId, Name};
use seedflow_core::module::status::State;
use seedflow_core::workflow::execution_history::trace;
use seedflow_terminal::Ui;

use super::reading::{OfProject, parse_target};
use crate::account::Account;
use crate::records::target::Target;
use crate::records::{project, report};
use crate::view::build_log::BuildLog;

/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Shows what a module's build printed, without the lines of CodeBuild and of Seedflow.
#[derive(Debug, Args)]
pub struct Logs {
    /// The module.
    #[arg(value_name = "DEPLOYMENT/GROUP/MODULE", value_parser = parse_target)]
    module: Target,
    #[command(flatten)]
    project: OfProject,
    /// The name or the ARN of an execution that has a report; by default the newest that built.
    #[arg(long, value_name = "E")]
    execution: Option<String>,
    /// Goes on until the build ends.
    #[arg(long, short)]
    follow: bool,
    /// Shows every line as CodeBuild stored it.
    #[arg(long)]
    raw: bool,
    /// Prints each line as a JSON text.
    #[arg(long)]
    json: bool,
}

impl Logs {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let project = self.project.find(account).await?;
        let module = self.module.module(&project)?;
        let build = match &self.execution {
            Some(execution) => self.reported(account, &project, Some(execution)).await?,
            None => self.newest(account, &project, &module).await?,
        };
        let (group, stream) = self.log_of(account, &build).await?;
        self.print(
            account,
            &build,
            LogGroup::new(&account.config, group),
            &stream,
            ui,
        )
        .await?;
        Ok(ExitCode::SUCCESS)
    }

    /// The build of the newest execution. One that runs may not have started its build yet; `--follow` waits for it.
    async fn newest(&self, account: &Account, project: &Name, module: &ModuleId) -> Result<BuildId> {
        loop {
            let status = project::module_status(&account.parameters(), &account.bucket(), module).await?;
            let Some(status) = status else {
                bail!("{module}: nothing has been deployed of it, so it has no log");
            };
            if let Some(build) = status.build_id {
                return Ok(build);
            }
            if status.state != State::InProgress {
                return self.reported(account, project, None).await;
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

    async fn reported(&self, account: &Account, project: &Name, execution: Option<&str>) -> Result<BuildId> {
        let bucket = account.bucket();
        let key = report::find(&bucket, project, &self.module, execution).await?;
        let json = report::json(&bucket, &key.key).await?;
        let id = json["status"]["build_id"].as_str();
        let Some(id) = id else {
            bail!(
                "{project}/{}: the execution {} started no build, so it has no log",
                self.module,
                key.execution
            );
        };
        Ok(BuildId::parse(id)?)
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
        group: LogGroup,
        stream: &str,
        ui: &Ui,
    ) -> Result<()> {
        let (mut token, mut filter, mut ended) = (None, BuildLog::default(), !self.follow);
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
            lines
                .iter()
                .flat_map(|message| message.lines())
                .for_each(|line| self.say(line, &mut filter, ui));
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

    fn say(&self, line: &str, filter: &mut BuildLog, ui: &Ui) {
        let shown = if self.raw {
            Some(line.to_owned())
        } else {
            filter.line(line)
        };
        match shown {
            Some(line) if self.json => ui.say(serde_json::Value::String(line).to_string()),
            Some(line) => ui.say(line),
            None => {}
        }
    }
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
