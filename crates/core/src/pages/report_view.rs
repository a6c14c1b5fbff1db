//! Reports as the pages read them: a field that is missing or invalid is unknown.
//!
//! Reports are kept for more than a year. So reports of older versions are read, and, after a rollback, also those of a
//! newer version.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::approval::ApprovalSummary;
use crate::console::LogUrl;
use crate::deployment::outcome::Failed;
use crate::deployment::previews::Preview;
use crate::module::fingerprint::Fingerprint;
use crate::started_by::StartedBy;
use crate::target::Target;

/// The state of an execution that has not ended.
pub const RUNNING: &str = "IN_PROGRESS";
/// The state of an execution whose plan waits for an approval.
pub const WAITING: &str = "WAITING_FOR_APPROVAL";

/// The field's value if it is valid, or else its default.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).unwrap_or_default())
}

macro_rules! read {
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[$field_about])* #[serde(deserialize_with = "lenient")] pub $field: $kind,)*
        }
    };
}

read!(
    /// Project, deployment, group and module; a deployment has no module.
    Names {
        /// The project.
        project: String,
        /// The deployment.
        deployment: String,
        /// The group.
        group: String,
        /// The module.
        module: String,
    }
);

read!(
    /// A request that was refused before anything ran.
    Refused {
        /// The name of the error.
        error: Option<String>,
        /// Why.
        cause: Option<String>,
        /// The commit that was refused.
        commit: Option<String>,
    }
);

read!(
    /// The status as it was stored.
    Status {
        /// The final state.
        state: String,
        /// Who started the execution.
        started_by: Option<StartedBy>,
        /// When the deployment began.
        started_at: Option<Timestamp>,
        /// When the last success was.
        deployed_at: Option<Timestamp>,
        /// The build.
        build_id: Option<String>,
        /// Where the module is; at home if absent.
        target: Option<Target>,
        /// The log of the build.
        log_url: Option<LogUrl>,
        /// Why it was deployed.
        reasons: Vec<String>,
        /// The name of the error.
        error: Option<String>,
        /// The phase of the build that failed.
        phase: Option<String>,
        /// Why it failed, in one sentence for people.
        cause: Option<String>,
        /// The reason of the failure as it was reported.
        reason: Option<String>,
        /// A request that was refused before anything ran.
        refused: Option<Refused>,
        /// The approval that the plan waits or waited for.
        approval: Option<ApprovalSummary>,
        /// The commit.
        commit: Option<String>,
        /// The author of the commit.
        author: Option<String>,
        /// Who pushed the commit, as the hand-over says.
        pusher: Option<String>,
        /// The branch of the commit.
        branch: Option<String>,
        /// The address of the commit's repository.
        repository: Option<String>,
        /// The number of modules by final state.
        modules: BTreeMap<String, usize>,
        /// Of a deployment's rollback, to what.
        rollback: Option<Rollback>,
    }
);

read!(
    /// A rollback.
    Rollback {
        /// The execution that it goes back to.
        to: String,
        /// The failure after which it started by itself.
        after: Option<After>,
    }
);

read!(
    /// The failure before a rollback.
    After {
        /// The execution.
        execution: String,
        /// Why it failed.
        cause: String,
    }
);

read!(
    /// A phase of a build.
    Phase {
        /// Such as `BUILD`.
        r#type: String,
        /// Such as `SUCCEEDED`.
        status: Option<String>,
        /// When it began.
        started_at: Option<Timestamp>,
        /// Its duration.
        seconds: Option<f64>,
        /// CodeBuild's message about it.
        context: Option<String>,
    }
);

read!(
    /// The outcome of a build.
    Build {
        /// The build.
        build_id: Option<String>,
        /// Its final status.
        status: String,
        /// Its log.
        log_url: Option<LogUrl>,
        /// The log group.
        log_group: Option<String>,
        /// The log stream.
        log_stream: Option<String>,
        /// Its phases.
        phases: Vec<Phase>,
    }
);

read!(
    /// The times at which an execution reached each step.
    Timeline {
        /// The execution was started.
        execution_started_at: Option<Timestamp>,
        /// The execution acquired its module's lock.
        lock_acquired_at: Option<Timestamp>,
        /// The deployment began.
        started_at: Option<Timestamp>,
        /// The build was started.
        build_started_at: Option<Timestamp>,
        /// The build ended.
        build_ended_at: Option<Timestamp>,
        /// The result was recorded.
        recorded_at: Option<Timestamp>,
    }
);

read!(
    /// The source of a bundle.
    Source {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The version.
        version_id: Option<String>,
        /// The folder within the bundle.
        path: Option<String>,
    }
);

read!(
    /// The report of a module's execution.
    Module {
        /// The module.
        module: Names,
        /// The execution.
        execution: String,
        /// When the report was written.
        written_at: Option<Timestamp>,
        /// The status.
        status: Status,
        /// The outcome of the build.
        build: Option<Build>,
        /// The source of the bundle.
        source: Option<Source>,
        /// The fingerprint of this execution.
        fingerprint: Option<Fingerprint>,
        /// The fingerprint of the previous success.
        previous_fingerprint: Option<Fingerprint>,
        /// The names of the parameters.
        parameters: Vec<String>,
        /// The outputs of the module's stack.
        outputs: Option<Map<String, Value>>,
        /// The times of its steps.
        timeline: Option<Timeline>,
    }
);

read!(
    /// A module in the plan of a deployment.
    PlannedModule {
        /// Its group.
        group: String,
        /// Its name.
        module: String,
        /// The planned action.
        action: String,
        /// The reasons.
        reasons: Vec<String>,
        /// The name of its execution, if it has one.
        execution: Option<String>,
    }
);

read!(
    /// The result of a module of a deployment.
    ModuleResult {
        /// Its group.
        group: String,
        /// Its name.
        module: String,
        /// Its final state.
        state: String,
        /// The name of its execution.
        execution: Option<String>,
    }
);

read!(
    /// A source that another host stores.
    FetchedSource {
        /// Its address.
        url: String,
        /// The branch, tag or commit that the manifest names.
        r#ref: Option<String>,
        /// The commit.
        commit: Option<String>,
    }
);

read!(
    /// The report of a deployment's execution.
    Deployment {
        /// The deployment.
        deployment: Names,
        /// The execution.
        execution: String,
        /// When the report was written.
        written_at: Option<Timestamp>,
        /// The status.
        status: Status,
        /// The plan.
        plan: Vec<PlannedModule>,
        /// The remote sources of the manifest.
        sources: Vec<FetchedSource>,
        /// The planner's warnings.
        warnings: Vec<String>,
        /// What the previews of modules show.
        previews: Vec<Preview>,
        /// The results.
        results: Vec<ModuleResult>,
        /// The times of its steps.
        timeline: Option<Timeline>,
    }
);

/// The reports of a deployment's modules, by group and module.
pub type Reports = BTreeMap<(String, String), Module>;

impl Status {
    /// Why it failed or was refused: the sentence for people, or else the reason as it was reported.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        let refused = self.refused.as_ref().filter(|_| self.is_refused());
        let cause = refused.and_then(|refused| refused.cause.as_deref());
        cause.or(self.cause.as_deref()).or(self.reason.as_deref())
    }

    /// The name of the error of a refusal.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let refused = self.refused.as_ref().and_then(|refused| refused.error.as_deref());
        refused.or(self.error.as_deref())
    }

    /// Whether nothing ran, because the request could not be carried out.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.state == "REFUSED"
    }

    /// What the time of the report is.
    #[must_use]
    pub fn ended(&self) -> &'static str {
        if self.is_refused() { "Refused" } else { "Ended" }
    }

    /// The commit that the report is about.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        let refused = self.refused.as_ref().filter(|_| self.is_refused());
        let refused = refused.and_then(|refused| refused.commit.as_deref());
        refused.or(self.commit.as_deref())
    }
}

impl Module {
    /// Why the execution failed or was refused; `None` if it did not.
    #[must_use]
    pub fn failed(&self) -> Option<Failed> {
        let cause = self.status.cause()?;
        Some(Failed::new(self.status.reason.as_deref().unwrap_or(cause), cause))
    }

    /// Start and end of the execution, as far as the report has them.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        span(self.timeline.as_ref(), self.status.started_at, self.written_at)
    }

    /// Whether the reason of a failure may quote what a build printed: there was a build, and nobody stopped the execution
    /// from outside.
    #[must_use]
    pub fn quotes_build(&self) -> bool {
        let was_built = self.build.is_some() || self.status.phase.is_some() || self.status.build_id.is_some();
        was_built && self.status.state != "ABORTED"
    }

    /// The duration in milliseconds.
    #[must_use]
    pub fn took(&self) -> Option<i64> {
        self.span()
            .map(|(from, to)| crate::pages::format::between(from, to))
    }
}

impl Deployment {
    /// Whether its plan waits for an approval.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.status.state == WAITING
    }

    /// Whether its page loads itself again. One with previews does not while it waits: what somebody has unfolded to read
    /// would fold again.
    #[must_use]
    pub fn reloads(&self) -> bool {
        self.is_running() || (self.waits() && self.previews.is_empty())
    }

    /// Whether it is the report that was written at the start: its results are not known yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status.state == RUNNING
    }

    /// Start and end of the execution, as far as the report has them.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        span(self.timeline.as_ref(), self.status.started_at, self.written_at)
    }
}

fn span(
    timeline: Option<&Timeline>,
    started: Option<Timestamp>,
    written: Option<Timestamp>,
) -> Option<(Timestamp, Timestamp)> {
    let from = timeline.and_then(|t| t.execution_started_at).or(started)?;
    let to = timeline.and_then(|t| t.recorded_at).or(written)?;
    Some((from, to))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failure_is_named_by_its_reason_and_its_cause() {
        let failed = |status: Value| {
            let report: Module = serde_json::from_value(json!({"status": status})).unwrap();
            report.failed()
        };
        let both = failed(json!({"state": "FAILED", "reason": "r".repeat(500), "cause": "no disk"})).unwrap();
        assert_eq!(both.cause, "no disk");
        assert!(
            both.reason.starts_with("rrr") && both.reason.len() < 300,
            "{}",
            both.reason
        );
        let cause = failed(json!({"state": "FAILED", "cause": "no disk"})).unwrap();
        assert_eq!(
            (cause.reason.as_str(), cause.cause.as_str()),
            ("no disk", "no disk")
        );
        assert_eq!(failed(json!({"state": "SUCCEEDED"})), None);
    }

    #[test]
    fn what_is_wrong_or_missing_is_not_known_and_the_rest_is() {
        let report: Module = serde_json::from_value(json!({
            "module": {"project": "p", "group": 7}, "execution": null, "written_at": "yesterday",
            "status": {"state": "FAILED", "reasons": "all", "error": "BuildFailed"},
            "build": {"status": "FAILED", "phases": [{"type": "BUILD", "seconds": 3, "started_at": 5}]},
            "fingerprint": {"hash": "x"}, "parameters": {"a": 1}, "outputs": [], "new": true
        }))
        .unwrap();
        assert_eq!(
            (report.module.project.as_str(), report.module.group.as_str()),
            ("p", "")
        );
        assert_eq!(
            (report.status.error.as_deref(), report.status.reasons.len()),
            (Some("BuildFailed"), 0)
        );
        let phases = report.build.unwrap().phases;
        assert_eq!((phases[0].seconds, phases[0].started_at), (Some(3.0), None));
        assert!(report.fingerprint.is_none() && report.outputs.is_none() && report.written_at.is_none());
    }
}
