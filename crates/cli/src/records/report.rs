//! The reports of executions: which there are, and what they say.

use std::time::SystemTime;

use anyhow::{Context, Result};
use jiff::Timestamp;
use seedflow_aws::services::s3::Bucket;
use seedflow_core::ids::{ExecutionArn, ModuleId, Name};
use seedflow_core::module::status::{State, Status};
use seedflow_core::pages::report_view::{Deployment, Module};
use seedflow_core::storage_layout;
use serde_json::Value;

use super::target::Target;
use crate::account::Account;
use crate::exit::Refused;

/// The longest report that is read.
const MAX_REPORT: u64 = 4 * 1024 * 1024;

/// Where the report of an execution is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportKey {
    /// The key in the work bucket.
    pub key: String,
    /// The deployment.
    pub deployment: String,
    /// The group and the module, unless it is the report of a whole deployment.
    pub module: Option<(String, String)>,
    /// The name of the execution.
    pub execution: String,
}

impl ReportKey {
    /// Parses the key of a report; `None` for any other key.
    #[must_use]
    pub fn parse(project: &Name, key: &str) -> Option<Self> {
        let names = storage_layout::names_in_report_key(key)?;
        let names = names.strip_prefix(project.as_str())?.strip_prefix('/')?;
        let (deployment, module, execution) = match names.split('/').collect::<Vec<_>>().as_slice() {
            [deployment, execution] => (*deployment, None, *execution),
            [deployment, group, module, execution] => (
                *deployment,
                Some(((*group).to_owned(), (*module).to_owned())),
                *execution,
            ),
            _ => return None,
        };
        Some(Self {
            key: key.to_owned(),
            deployment: deployment.to_owned(),
            module,
            execution: execution.to_owned(),
        })
    }

    /// `deployment` or `deployment/group/module`.
    #[must_use]
    pub fn of(&self) -> String {
        match &self.module {
            Some((group, module)) => format!("{}/{group}/{module}", self.deployment),
            None => self.deployment.clone(),
        }
    }

    fn is_below(&self, target: Option<&Target>) -> bool {
        let (group, module) = self
            .module
            .as_ref()
            .map_or(("", ""), |(group, module)| (group, module));
        target.is_none_or(|target| target.covers(&self.deployment, group, module))
    }
}

/// Whether there is a report of a project.
pub async fn some(bucket: &Bucket, project: &Name) -> Result<bool> {
    Ok(!bucket
        .keys(&storage_layout::reports_of_project(project))
        .await?
        .is_empty())
}

/// The reports below a target, the newest first.
pub async fn list(bucket: &Bucket, project: &Name, target: Option<&Target>) -> Result<Vec<ReportKey>> {
    let prefix = match target {
        Some(target) => storage_layout::reports_of_target(project, &target.to_string()),
        None => storage_layout::reports_of_project(project),
    };
    let written = bucket.keys_by_time(&prefix).await?;
    Ok(newest_first(project, target, written))
}

fn newest_first(
    project: &Name,
    target: Option<&Target>,
    mut written: Vec<(String, SystemTime)>,
) -> Vec<ReportKey> {
    written.sort_by(|one, other| (other.1, &other.0).cmp(&(one.1, &one.0)));
    let keys = written
        .iter()
        .filter_map(|(key, _)| ReportKey::parse(project, key));
    keys.filter(|key| key.is_below(target)).collect()
}

/// The reports of exactly this target, the newest first.
pub async fn own(bucket: &Bucket, project: &Name, target: &Target) -> Result<Vec<ReportKey>> {
    let mut listed = list(bucket, project, Some(target)).await?;
    listed.retain(|report| report.of() == target.to_string());
    Ok(listed)
}

/// The newest report of exactly this target.
pub async fn newest(bucket: &Bucket, project: &Name, target: &Target) -> Result<Option<ReportKey>> {
    Ok(own(bucket, project, target).await?.into_iter().next())
}

/// The report of an execution, or the newest one of exactly this target.
///
/// # Errors
/// [`Refused`] if the report does not exist.
pub async fn find(
    account: &Account,
    project: &Name,
    target: &Target,
    execution: Option<&str>,
) -> Result<ReportKey> {
    let name = execution.map(|execution| ExecutionArn::new(execution).name().to_owned());
    let mut own = own(&account.bucket(), project, target).await?.into_iter();
    let found = match &name {
        Some(name) => own.find(|report| report.execution == *name),
        None => own.next(),
    };
    match (found, name) {
        (Some(report), _) => Ok(report),
        (None, Some(name)) => Err(Refused(format!(
            "{project}/{target}: found no report of the execution {name}; `{}` lists the executions with a report",
            account.command_about("history", target, project)
        ))
        .into()),
        (None, None) => Err(Refused(format!(
            "{project}/{target}: found no report; only executions that deployed, failed or were refused leave a report, which is kept for 400 days"
        ))
        .into()),
    }
}

/// A report as it is stored.
pub async fn json(bucket: &Bucket, key: &str) -> Result<Value> {
    let found = bucket.get(key, MAX_REPORT).await?;
    let (bytes, _) = found.with_context(|| format!("{key}: the report is gone"))?;
    parsed(key, &bytes)
}

fn parsed(key: &str, report: &[u8]) -> Result<Value> {
    serde_json::from_slice(report).with_context(|| format!("{key}: expected a report in JSON"))
}

/// A report as it is stored; `None` if there is none.
pub async fn find_json(bucket: &Bucket, key: &str) -> Result<Option<Value>> {
    let found = stored(bucket, key).await?;
    found.map(|bytes| parsed(key, &bytes)).transpose()
}

/// A stored report; `None` if there is none. It is looked for in the list of reports: a person who may list nothing else is
/// denied an object that is missing (`KeepNamesToOurselves` in template.yaml).
async fn stored(bucket: &Bucket, key: &str) -> Result<Option<Vec<u8>>> {
    if !bucket.keys(key).await?.iter().any(|found| found == key) {
        return Ok(None);
    }
    Ok(bucket.get(key, MAX_REPORT).await?.map(|(bytes, _)| bytes))
}

/// The status in the report of a module's execution; `None` if there is no report yet, or none that has one.
pub async fn status(bucket: &Bucket, module: &ModuleId, execution: &ExecutionArn) -> Result<Option<Status>> {
    let found = stored(bucket, &module.report_key(execution)).await?;
    Ok(found.and_then(|bytes| status_in(&bytes)))
}

fn status_in(report: &[u8]) -> Option<Status> {
    let report: Value = serde_json::from_slice(report).ok()?;
    serde_json::from_value(report["status"].clone()).ok()
}

/// A report as people read it.
#[derive(Debug, Clone)]
pub enum ParsedReport {
    /// Of a module's execution.
    Module(Box<Module>),
    /// Of a deployment's.
    Deployment(Box<Deployment>),
}

impl ParsedReport {
    /// Parses a report; what is missing in it is unknown.
    ///
    /// # Errors
    /// If it is not a JSON object.
    pub fn parse(key: &ReportKey, json: Value) -> Result<Self> {
        let parsed = match key.module {
            Some(_) => serde_json::from_value(json).map(|report| Self::Module(Box::new(report))),
            None => serde_json::from_value(json).map(|report| Self::Deployment(Box::new(report))),
        };
        parsed.with_context(|| format!("{}: expected a report", key.key))
    }

    /// The state for people. A deployment that stays is stored as deployed, also by an execution that only destroyed some
    /// of its modules.
    #[must_use]
    pub fn shown_state(&self) -> &str {
        let Self::Deployment(report) = self else {
            return &self.status().state;
        };
        let (deployed, destroyed) = (State::Succeeded.as_str(), State::Destroyed.as_str());
        let some = |state: &str| report.results.iter().any(|result| result.state == state);
        match report.status.state == deployed && some(destroyed) && !some(deployed) {
            true => destroyed,
            false => &report.status.state,
        }
    }

    /// Start and end, as far as they are known.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        match self {
            Self::Module(report) => report.span(),
            Self::Deployment(report) => report.span(),
        }
    }

    /// When it was written: the end of the execution.
    #[must_use]
    pub fn written_at(&self) -> Option<Timestamp> {
        match self {
            Self::Module(report) => report.written_at,
            Self::Deployment(report) => report.written_at,
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> &seedflow_core::pages::report_view::Status {
        match self {
            Self::Module(report) => &report.status,
            Self::Deployment(report) => &report.status,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn name(text: &str) -> Name {
        Name::parse("name", text).unwrap()
    }

    #[test]
    fn an_execution_that_only_destroyed_modules_has_deployed_nothing() {
        let shown = |state: &str, results: &[&str]| {
            let results: Vec<Value> = results
                .iter()
                .map(|state| json!({"group": "g", "module": "m", "state": state}))
                .collect();
            let report = json!({"status": {"state": state}, "results": results});
            let report = ParsedReport::Deployment(serde_json::from_value(report).unwrap());
            report.shown_state().to_owned()
        };
        assert_eq!(shown("SUCCEEDED", &["DESTROYED", "UNCHANGED"]), "DESTROYED");
        assert_eq!(shown("SUCCEEDED", &["DESTROYED", "SUCCEEDED"]), "SUCCEEDED");
        assert_eq!(shown("FAILED", &["DESTROYED", "FAILED"]), "FAILED");
        assert_eq!(shown("SUCCEEDED", &[]), "SUCCEEDED");
    }

    #[test]
    fn reports_are_listed_newest_first_without_their_pages_and_without_others() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let written = vec![
            ("reports/p/dev/e1.json".to_owned(), at(1)),
            ("reports/p/dev/g/m/e2.json".to_owned(), at(3)),
            ("reports/p/dev/g/m/e2.html".to_owned(), at(4)),
            ("reports/p/dev/g/other/e3.json".to_owned(), at(2)),
            ("reports/px/dev/g/m/e4.json".to_owned(), at(9)),
        ];
        let of = |target: Option<&str>| {
            let target: Option<Target> = target.map(|text| text.parse().unwrap());
            let found = newest_first(&name("p"), target.as_ref(), written.clone());
            found
                .iter()
                .map(|key| format!("{} {}", key.of(), key.execution))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(None), ["dev/g/m e2", "dev/g/other e3", "dev e1"]);
        assert_eq!(of(Some("dev/g/m")), ["dev/g/m e2"]);
        assert_eq!(of(Some("dev/g")), ["dev/g/m e2", "dev/g/other e3"]);
    }
}
