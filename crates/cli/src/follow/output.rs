//! What the builds of a followed execution print (`-v`): each look reads on from where the last one ended.

use std::collections::BTreeMap;

use anyhow::Result;
use seedflow_aws::services::logs::LogGroup;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::workflow::execution_history::trace;

use crate::account::Account;
use crate::view::build_log::BuildLog;

/// The builds whose output is shown, by the names of their executions.
pub(super) struct Output<'a> {
    account: &'a Account,
    builds: BTreeMap<String, OneBuild>,
}

/// How far the log of a build was read.
struct OneBuild {
    group: LogGroup,
    stream: String,
    token: Option<String>,
    filter: BuildLog,
}

impl<'a> Output<'a> {
    pub(super) fn new(account: &'a Account) -> Self {
        Self {
            account,
            builds: BTreeMap::new(),
        }
    }

    /// The lines that the build of a module's execution has printed since the last look. None without a build, and before its
    /// log begins.
    pub(super) async fn since_last(&mut self, execution: &ExecutionArn) -> Result<Vec<String>> {
        let name = execution.name();
        if let Some(build) = self.builds.get_mut(name) {
            return build.lines().await;
        }
        let Some(mut build) = self.build_of(execution).await? else {
            return Ok(Vec::new());
        };
        let lines = build.lines().await?;
        self.builds.insert(name.to_owned(), build);
        Ok(lines)
    }

    async fn build_of(&self, execution: &ExecutionArn) -> Result<Option<OneBuild>> {
        let events = self.account.step_functions().history(execution).await?;
        let Some(id) = trace(&events).build_id else {
            return Ok(None);
        };
        let log = self.account.builds().log(&id).await?;
        let log = log.and_then(|log| log.group.zip(log.stream));
        Ok(log.map(|(group, stream)| OneBuild {
            group: LogGroup::new(&self.account.config, group),
            stream,
            token: None,
            filter: BuildLog::default(),
        }))
    }
}

impl OneBuild {
    async fn lines(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        while let Some((messages, next)) = self.group.after(&self.stream, self.token.clone()).await? {
            let printed = messages.iter().flat_map(|message| message.lines());
            lines.extend(printed.filter_map(|line| self.filter.line(line)));
            // The same token again: there is nothing more now (GetLogEvents).
            if self.token.as_ref() == Some(&next) {
                break;
            }
            self.token = Some(next);
        }
        Ok(lines)
    }
}
