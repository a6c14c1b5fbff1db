//! The fields that the pages take from our own events: an execution has begun to work, has ended, or was refused.
//!
//! Such an event is untrusted like any other on EventBridge: it may arrive twice, late, and from anyone with the permission
//! for PutEvents. So names are parsed, and the key of a report is built from them instead of being taken from the event.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::describe;
use crate::ids::DeploymentId;
use crate::ids::{ExecutionArn, ModuleId, Name};
use crate::module::former_names::FormerNames;

/// The states that pages show.
const SHOWN: [&str; 8] = [
    "IN_PROGRESS",
    "WAITING_FOR_APPROVAL",
    "SUCCEEDED",
    "UNCHANGED",
    "FAILED",
    "ABORTED",
    "DESTROYED",
    "REFUSED",
];
/// Maximum length of a text that is kept.
const MAX_TEXT: usize = 200;
/// The most failed modules that an event of ours names.
const MAX_FAILED: usize = 20;

/// The module or the deployment of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexKey {
    /// A module.
    Module(ModuleId),
    /// A whole deployment.
    Deployment(DeploymentId),
}

/// An execution and the state that it has reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionState {
    /// The module or the deployment.
    pub key: IndexKey,
    /// Its state.
    pub state: String,
    /// The execution.
    pub execution: ExecutionArn,
    /// The deployment's execution that started this one.
    pub part_of: Option<ExecutionArn>,
    /// When it reached the state.
    pub at: Timestamp,
    /// Its duration.
    pub milliseconds: Option<i64>,
    /// Whether it has a report.
    pub has_report: bool,
    /// Why it was started, or the name of the error.
    pub why: Option<String>,
    /// Why it failed or was refused.
    pub cause: Option<String>,
    /// The names that a module had before it was renamed.
    pub former_names: FormerNames,
    /// All modules that failed in a deployment, `group/module`; empty if not all are known.
    pub failed: Vec<String>,
    /// The commit.
    pub commit: Option<String>,
    /// The author of the commit.
    pub author: Option<String>,
    /// The branch of the commit.
    pub branch: Option<String>,
    /// The address of the commit's repository.
    pub repository: Option<String>,
}

/// The required fields.
#[derive(Deserialize)]
struct Needed {
    project: String,
    deployment: String,
    state: String,
    execution: ExecutionArn,
    at: Timestamp,
}

impl ExecutionState {
    /// Parses an event of EventBridge; `None` if pages don't show its state.
    pub fn from_event(event: &Value) -> Result<Option<Self>> {
        let detail = event.get("detail").unwrap_or(&Value::Null);
        let needed: Needed = serde_json::from_value(detail.clone()).map_err(|_| {
            Error::field(
                "detail",
                describe(detail),
                "an object with project, deployment, state, execution and at, as Seedflow's own events have them",
            )
        })?;
        if !SHOWN.contains(&needed.state.as_str()) {
            return Ok(None);
        }
        check_name("execution", &needed.execution)?;
        let part_of = detail
            .get("part_of")
            .and_then(Value::as_str)
            .map(ExecutionArn::new);
        if let Some(part_of) = &part_of {
            check_name("part_of", part_of)?;
        }
        let text = |field: &str| {
            let found = detail.get(field).and_then(Value::as_str);
            found
                .map(|text| excerpt(text, MAX_TEXT))
                .filter(|text| !text.is_empty())
        };
        let seconds = detail.get("duration_seconds").and_then(Value::as_f64);
        Ok(Some(Self {
            key: key(&needed, detail)?,
            has_report: detail.get("report").is_some_and(Value::is_object),
            milliseconds: seconds.map(|seconds| (seconds.clamp(0.0, 1e9) * 1000.0) as i64),
            part_of,
            why: text("error").or_else(|| reasons(detail)),
            cause: text("cause"),
            former_names: former_names(detail),
            failed: failed(detail),
            commit: text("commit"),
            author: text("author"),
            branch: text("branch"),
            repository: text("repository"),
            state: needed.state,
            execution: needed.execution,
            at: needed.at,
        }))
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &Name {
        match &self.key {
            IndexKey::Module(id) => &id.project,
            IndexKey::Deployment(id) => &id.project,
        }
    }

    /// The key of the report, if it has one.
    #[must_use]
    pub fn report_key(&self) -> Option<String> {
        let key = match &self.key {
            IndexKey::Module(id) => id.report_key(&self.execution),
            IndexKey::Deployment(id) => id.report_key(&self.execution),
        };
        self.has_report.then_some(key)
    }
}

/// Refuses a text that isn't a valid name of an execution (StartExecution, `name`: up to 80 characters, no slash): the name
/// becomes part of a key.
fn check_name(field: &str, execution: &ExecutionArn) -> Result<()> {
    let name = execution.name();
    if (1..=80).contains(&name.chars().count())
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
    {
        return Ok(());
    }
    Err(Error::field(
        &format!("detail.{field}"),
        format!("\"{}\"", excerpt(execution.as_str(), 120)),
        "the ARN of an execution",
    ))
}

fn key(needed: &Needed, detail: &Value) -> Result<IndexKey> {
    let name = |field: &str| match detail.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.as_str())),
        Some(other) => Err(Error::field(
            &format!("detail.{field}"),
            describe(other),
            "a name",
        )),
    };
    Ok(match (name("group")?, name("module")?) {
        (Some(group), Some(module)) => IndexKey::Module(ModuleId::parse(
            &needed.project,
            &needed.deployment,
            group,
            module,
        )?),
        _ => IndexKey::Deployment(DeploymentId {
            project: ModuleId::project(&needed.project)?,
            deployment: Name::parse("deployment", &needed.deployment)?,
        }),
    })
}

/// The former names of a module; none if they can't be parsed.
fn former_names(detail: &Value) -> FormerNames {
    let names = detail.get("former_names").cloned().unwrap_or_default();
    serde_json::from_value(names).unwrap_or_default()
}

/// The modules that failed, unless there were more than an event names.
fn failed(detail: &Value) -> Vec<String> {
    let named = detail.get("failed").and_then(Value::as_array);
    let named: Vec<String> = named
        .into_iter()
        .flatten()
        .filter_map(|name| Some(excerpt(name.as_str()?, MAX_TEXT)))
        .collect();
    let count = detail.pointer("/modules/FAILED").and_then(Value::as_u64);
    match count == u64::try_from(named.len()).ok() && named.len() <= MAX_FAILED {
        true => named,
        false => Vec::new(),
    }
}

fn reasons(detail: &Value) -> Option<String> {
    let reasons = detail.get("reasons")?.as_array()?;
    let texts: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
    (!texts.is_empty()).then(|| excerpt(&texts.join(", "), MAX_TEXT))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn event(more: Value) -> Value {
        let mut detail = json!({
            "project": "p", "deployment": "d", "group": "g", "module": "m", "state": "FAILED",
            "execution": "arn:aws:states:r:1:execution:x:e", "at": "2026-01-01T00:00:00Z", "duration_seconds": 1.25,
            "error": "BuildFailed", "reasons": ["forced"], "report": {"bucket": "other", "key": "locks/p/d/g/m.json"}
        });
        detail
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"detail": detail})
    }

    #[test]
    fn the_report_key_follows_from_the_names_and_not_from_the_event() {
        let ended = ExecutionState::from_event(&event(json!({}))).unwrap().unwrap();
        assert_eq!(ended.report_key().unwrap(), "reports/p/d/g/m/e.json");
        assert_eq!(
            (ended.milliseconds, ended.why.as_deref()),
            (Some(1250), Some("BuildFailed"))
        );
        let whole = event(json!({"group": null, "module": null, "state": "SUCCEEDED", "error": null}));
        let ended = ExecutionState::from_event(&whole).unwrap().unwrap();
        assert_eq!(ended.report_key().unwrap(), "reports/p/d/e.json");
        assert_eq!(ended.why.as_deref(), Some("forced"));
    }

    #[test]
    fn what_pages_do_not_show_is_left_out_and_what_is_wrong_is_refused() {
        assert_eq!(
            ExecutionState::from_event(&event(json!({"state": "SUPERSEDED"}))).unwrap(),
            None
        );
        for bad in [
            json!({"project": "../x"}),
            json!({"module": "a/b"}),
            json!({"group": 1}),
            json!({"at": "now"}),
            json!({"execution": null}),
            json!({"part_of": "arn:aws:states:r:1:execution:x:../x"}),
            json!({"execution": "arn:aws:states:r:1:execution:x:../../locks/x"}),
        ] {
            assert!(ExecutionState::from_event(&event(bad.clone())).is_err(), "{bad}");
        }
    }
}
