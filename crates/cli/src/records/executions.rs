//! What ran, when, with its commit and author: the executions that have reports.

use anyhow::Result;
use jiff::Timestamp;
use seedflow_aws::services::s3::Bucket;
use seedflow_core::ids::Name;
use seedflow_core::module::status::State;
use seedflow_core::pages::format::between;
use seedflow_core::started_by::StartedBy;
use serde::Serialize;
use tokio::task::JoinSet;

use super::report::{self, ParsedReport, ReportKey};
use super::target::Target;

/// Number of reports that are read at once.
const AT_ONCE: usize = 16;

/// An execution that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Execution {
    /// `deployment` or `deployment/group/module`.
    pub of: String,
    /// The name of the execution.
    pub execution: String,
    /// Its final state.
    pub state: String,
    /// The state for people ([`ParsedReport::shown_state`]).
    #[serde(skip)]
    pub shown_state: String,
    /// Who started it, and what proves that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_by: Option<StartedBy>,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<i64>,
    /// The commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The author of the commit, as the commit claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The branch of the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Why it deployed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl Execution {
    fn of(key: &ReportKey, report: &ParsedReport, cause: Option<String>) -> Self {
        let status = report.status();
        // The report of an execution that runs was written at its start.
        let has_ended =
            status.state != State::InProgress.as_str() && status.state != State::WaitingForApproval.as_str();
        let span = report.span();
        let ended = span.filter(|_| has_ended);
        Self {
            of: key.of(),
            execution: key.execution.clone(),
            state: status.state.clone(),
            shown_state: report.shown_state().to_owned(),
            started_by: status.started_by.clone(),
            started_at: span.map(|(from, _)| from),
            ended_at: ended
                .map(|(_, to)| to)
                .or(report.written_at().filter(|_| has_ended)),
            milliseconds: ended.map(|(from, to)| between(from, to)),
            commit: status.commit.clone(),
            author: status.author.clone(),
            branch: status.branch.clone(),
            reasons: status.reasons.clone(),
            cause,
        }
    }
}

/// The newest executions below a target.
pub async fn newest(
    bucket: &Bucket,
    project: &Name,
    target: Option<&Target>,
    most: usize,
) -> Result<Vec<Execution>> {
    let mut keys = report::list(bucket, project, target).await?;
    keys.truncate(most);
    let mut executions = Vec::new();
    for some in keys.chunks(AT_ONCE) {
        let mut reading = JoinSet::new();
        for (position, key) in some.iter().cloned().enumerate() {
            let bucket = bucket.clone();
            reading.spawn(async move {
                let json = report::json(&bucket, &key.key).await?;
                let cause = super::cause_of(&json["status"]);
                let report = ParsedReport::parse(&key, json)?;
                anyhow::Ok((position, Execution::of(&key, &report, cause)))
            });
        }
        let mut read = Vec::new();
        while let Some(done) = reading.join_next().await {
            read.push(done??);
        }
        read.sort_by_key(|(position, _)| *position);
        executions.extend(read.into_iter().map(|(_, execution)| execution));
    }
    Ok(executions)
}
