//! The pages of reports.

use seedflow_aws::services::logs::LogGroup;
use seedflow_core::drift::record::DriftRecord;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{AwsEnvironment, BuildId, DeploymentId, ExecutionArn, ModuleId};
use seedflow_core::pages::deployment_page::{self, Known, Reports};
use seedflow_core::pages::execution_event::{ExecutionState, IndexKey};
use seedflow_core::pages::index::{Around, Index};
use seedflow_core::pages::module_page::Log;
use seedflow_core::pages::{PageContext, format, module_page, report_view};
use seedflow_core::storage_layout::page_key;
use serde::de::DeserializeOwned;

use crate::handler::Handler;
use crate::index::TRIES;

/// Maximum size of a report that is rendered. Outputs are its largest part, at most 4 KB each.
const MAX_REPORT: u64 = 8 * 1024 * 1024;
/// Number of lines of a failed build's log that the page is made from.
const LOG_LINES: usize = 200;
/// Number of messages that are read for them: some are blank lines.
const LOG_MESSAGES: usize = 300;

impl Handler {
    /// Writes the page of a module's execution that has a report. If the report no longer exists, the execution has no
    /// page.
    pub(crate) async fn module_page(
        &self,
        context: &PageContext<'_>,
        index: &Index,
        mut reached: ExecutionState,
    ) -> Result<ExecutionState> {
        if let (IndexKey::Module(id), Some(key)) = (&reached.key, reached.report_key()) {
            let around = index.around_module(id, &reached);
            let page = self.module(context, id, &key, &around, None).await?;
            let is_there = page.is_some();
            if let Some(page) = page {
                self.put(&key, page).await?;
            }
            reached.has_report = is_there;
        }
        Ok(reached)
    }

    async fn module(
        &self,
        context: &PageContext<'_>,
        id: &ModuleId,
        key: &str,
        around: &Around,
        drift: Option<&DriftRecord>,
    ) -> Result<Option<String>> {
        let Some(report) = self.report::<report_view::Module>(key).await? else {
            return Ok(None);
        };
        let drift = drift.filter(|record| record.is_current(report.status.deployed_at));
        let log = self.log(&report, context.environment).await;
        Ok(Some(module_page::render(
            context, id, key, &report, &log, around, drift,
        )))
    }

    /// Writes a module's newest page again, with what was found of its drift, and returns that.
    pub(crate) async fn drift_page(
        &self,
        context: &PageContext<'_>,
        index: &Index,
        id: &ModuleId,
    ) -> Result<Option<DriftRecord>> {
        let Some(record) = self.report::<DriftRecord>(&id.drift_key()).await? else {
            return Ok(None);
        };
        if let Some((execution, around)) = index.newest_page(id) {
            let key = id.report_key(&execution);
            if let Some(page) = self.module(context, id, &key, &around, Some(&record)).await? {
                self.put(&key, page).await?;
            }
        }
        Ok(Some(record))
    }

    /// Writes the page of a deployment's execution.
    ///
    /// Two calls may write the page at once, and the one with the older index must not have the last word. So after a page
    /// without results, the index is read again: any other writer of the page has written the index before. If it shows more
    /// than the page, the page is written again.
    pub(crate) async fn deployment_page(
        &self,
        context: &PageContext<'_>,
        id: &DeploymentId,
        execution: &ExecutionArn,
        mut index: Index,
    ) -> Result<()> {
        let key = id.report_key(execution);
        for _ in 0..TRIES {
            let Some(report) = self.report::<report_view::Deployment>(&key).await? else {
                return Ok(());
            };
            let modules = self.reports_of(id, &report).await?;
            let known = Known {
                modules: &modules,
                index: &index,
            };
            self.put(&key, deployment_page::render(context, id, &key, &report, known))
                .await?;
            if !report.results.is_empty() {
                return Ok(());
            }
            let (newer, _) = self.index(&id.project).await?;
            if newer.progress(id, execution) == index.progress(id, execution) {
                return Ok(());
            }
            index = newer;
        }
        Err(Error::new(
            ErrorName::ServiceUnavailable,
            format!("{key}: its modules changed during each of {TRIES} tries"),
        ))
    }

    async fn reports_of(&self, id: &DeploymentId, report: &report_view::Deployment) -> Result<Reports> {
        let mut modules = Reports::new();
        for (module, key) in deployment_page::reports_of(id, report) {
            if let Some(report) = self.report(&key).await? {
                modules.insert(module, report);
            }
        }
        Ok(modules)
    }

    async fn put(&self, report: &str, page: String) -> Result<()> {
        if let Some(key) = page_key(report) {
            self.work.put_page(&key, page).await?;
            tracing::info!(page = key, "published");
        }
        Ok(())
    }

    async fn report<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some((bytes, _)) = self.work.get(key, MAX_REPORT).await? else {
            tracing::warn!(key, "the report does not exist");
            return Ok(None);
        };
        let report = serde_json::from_slice(&bytes);
        report
            .map(Some)
            .map_err(|e| Error::new(ErrorName::Refused, format!("{key} is not a report: {e}")))
    }

    /// The last lines of a failed build's log. If they can't be read, the page says so and shows everything else.
    async fn log(&self, report: &report_view::Module, home: &AwsEnvironment) -> Log {
        let build = report.build.as_ref().filter(|build| build.status != "SUCCEEDED");
        let Some((build, stream)) = build.and_then(|build| Some((build, build.log_stream.as_deref()?)))
        else {
            return Log::None;
        };
        match self.read_log(build, stream, home).await {
            Ok(Some(messages)) => Log::Lines(format::log_lines(&messages, LOG_LINES)),
            Ok(None) => Log::Unreadable("it is not in the log group of this stack's builds".to_owned()),
            Err(error) => {
                tracing::warn!(stream, error = error.name.as_str(), cause = %error.message, "log not read");
                Log::Unreadable(error.message)
            }
        }
    }

    /// The end of a build's log; `None` if it is in a log group that isn't of builds. What a target says of a build's log is
    /// read in that target, by a role that may read the logs of builds there, and nothing else.
    async fn read_log(
        &self,
        build: &report_view::Build,
        stream: &str,
        home: &AwsEnvironment,
    ) -> Result<Option<Vec<String>>> {
        let id = build.build_id.as_deref().and_then(|id| BuildId::parse(id).ok());
        let log = match (id.as_ref().and_then(BuildId::target), &build.log_group) {
            (Some(target), Some(group)) => {
                LogGroup::new(&self.places.at(Some(&target), home).await?, group.clone())
            }
            (None, Some(group)) if group == self.build_log.name() => self.build_log.clone(),
            _ => return Ok(None),
        };
        log.last(stream, LOG_MESSAGES).await.map(Some)
    }
}
