//! The page of one report.

use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::{AwsEnvironment, ModuleId};
use seedflow_core::pages::execution_event::{ExecutionEnd, IndexKey};
use seedflow_core::pages::module_page::Log;
use seedflow_core::pages::{PageContext, deployment_page, format, module_page, report_view};
use seedflow_core::storage_layout::page_key;
use serde::de::DeserializeOwned;

use crate::{Handler, parse};

/// Maximum size of a report that is rendered. Outputs are its largest part, at most 4 KB each.
const MAX_REPORT: u64 = 8 * 1024 * 1024;
/// Number of lines shown of a failed build's log.
const LOG_LINES: usize = 30;
/// Number of messages that are read for them: some are blank lines.
const LOG_MESSAGES: usize = 60;

impl Handler {
    /// Parses an event and writes the page of its report. If the report no longer exists, the execution has no page.
    pub(crate) async fn page_of(
        &self,
        body: &str,
        environment: &AwsEnvironment,
    ) -> Result<Option<ExecutionEnd>> {
        let Some(mut ended) = parse(body)? else {
            return Ok(None);
        };
        if let Some(key) = ended.report_key() {
            let context = PageContext {
                environment,
                bucket: self.work.name(),
            };
            let page = match &ended.key {
                IndexKey::Module(id) => self.module(&context, id, &key).await?,
                IndexKey::Deployment(id) => self.deployment(&context, id, &key).await?,
            };
            ended.has_report = page.is_some();
            if let (Some(page), Some(page_key)) = (page, page_key(&key)) {
                self.work.put_page(&page_key, page).await?;
                tracing::info!(execution = ended.execution.as_str(), page = page_key, "published");
            }
        }
        Ok(Some(ended))
    }

    async fn module(&self, context: &PageContext<'_>, id: &ModuleId, key: &str) -> Result<Option<String>> {
        let Some(report) = self.report::<report_view::Module>(key).await? else {
            return Ok(None);
        };
        let log = self.log(&report).await;
        Ok(Some(module_page::render(context, id, key, &report, &log)))
    }

    async fn deployment(
        &self,
        context: &PageContext<'_>,
        id: &DeploymentId,
        key: &str,
    ) -> Result<Option<String>> {
        let Some(report) = self.report::<report_view::Deployment>(key).await? else {
            return Ok(None);
        };
        let mut modules = deployment_page::Reports::new();
        for (module, key) in deployment_page::reports_of(id, &report) {
            if let Some(report) = self.report(&key).await? {
                modules.insert(module, report);
            }
        }
        Ok(Some(deployment_page::render(context, id, key, &report, &modules)))
    }

    async fn report<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some((bytes, _)) = self.work.get(key, MAX_REPORT).await? else {
            tracing::warn!(key, "there is no such report");
            return Ok(None);
        };
        let report = serde_json::from_slice(&bytes);
        report
            .map(Some)
            .map_err(|e| Error::new(ErrorName::Refused, format!("{key} is not a report: {e}")))
    }

    /// The last lines of a failed build's log. If they can't be read, the page says so and shows everything else.
    async fn log(&self, report: &report_view::Module) -> Log {
        let build = report.build.as_ref().filter(|build| build.status != "SUCCEEDED");
        let Some((build, stream)) = build.and_then(|build| Some((build, build.log_stream.as_deref()?)))
        else {
            return Log::None;
        };
        if build.log_group.as_deref() != Some(self.build_log.name()) {
            return Log::Unreadable("it is not in the log group of this stack's builds".to_owned());
        }
        match self.build_log.last(stream, LOG_MESSAGES).await {
            Ok(messages) => Log::Lines(format::log_lines(&messages, LOG_LINES)),
            Err(error) => {
                tracing::warn!(stream, error = error.name.as_str(), cause = %error.message, "log not read");
                Log::Unreadable(error.message)
            }
        }
    }
}
