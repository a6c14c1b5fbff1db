//! Reports as they are read: whatever a field holds that it shouldn't, or that is missing, is not known.
//!
//! Reports are kept for more than a year, so those of older versions are read too, and those of a newer one after a
//! version was taken back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::console::LogUrl;
use crate::module::fingerprint::Fingerprint;

/// A field that is what it should be, or else its default.
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
    /// The four names, or three of them.
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
    /// The status as it was stored.
    Status {
        /// How it ended.
        state: String,
        /// When it began to deploy.
        started_at: Option<Timestamp>,
        /// When it was last deployed with success.
        deployed_at: Option<Timestamp>,
        /// The build.
        build_id: Option<String>,
        /// Its log.
        log_url: Option<LogUrl>,
        /// Why it was deployed.
        reasons: Vec<String>,
        /// The error's name.
        error: Option<String>,
        /// The build's phase that failed.
        phase: Option<String>,
        /// Why it failed.
        reason: Option<String>,
        /// The commit.
        commit: Option<String>,
        /// Who wrote it.
        author: Option<String>,
        /// On which branch.
        branch: Option<String>,
        /// How many modules ended how.
        modules: BTreeMap<String, usize>,
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
        /// How long it took.
        seconds: Option<f64>,
        /// CodeBuild's word on it.
        context: Option<String>,
    }
);

read!(
    /// A build's end.
    Build {
        /// The build.
        build_id: Option<String>,
        /// How it ended.
        status: String,
        /// Its log.
        log_url: Option<LogUrl>,
        /// The log's group.
        log_group: Option<String>,
        /// The log's stream.
        log_stream: Option<String>,
        /// Its phases.
        phases: Vec<Phase>,
    }
);

read!(
    /// When an execution came how far.
    Timeline {
        /// It was started.
        execution_started_at: Option<Timestamp>,
        /// It held its module's lock.
        lock_acquired_at: Option<Timestamp>,
        /// It began to deploy.
        started_at: Option<Timestamp>,
        /// Its build was started.
        build_started_at: Option<Timestamp>,
        /// Its build ended.
        build_ended_at: Option<Timestamp>,
        /// All of it was written down.
        recorded_at: Option<Timestamp>,
    }
);

read!(
    /// Where a bundle came from.
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
        /// What was to be deployed.
        module: Names,
        /// By which execution.
        execution: String,
        /// When the report was written.
        written_at: Option<Timestamp>,
        /// The status.
        status: Status,
        /// The build's end.
        build: Option<Build>,
        /// Where the bundle came from.
        source: Option<Source>,
        /// What was deployed.
        fingerprint: Option<Fingerprint>,
        /// What was deployed before that.
        previous_fingerprint: Option<Fingerprint>,
        /// The names of the parameters.
        parameters: Vec<String>,
        /// The outputs of the module's stack.
        outputs: Option<Map<String, Value>>,
        /// When it came how far.
        timeline: Option<Timeline>,
    }
);

read!(
    /// A module in the plan of a deployment.
    Planned {
        /// Its group.
        group: String,
        /// Its name.
        module: String,
        /// What was to be done with it.
        action: String,
        /// Why.
        reasons: Vec<String>,
    }
);

read!(
    /// What came of a module of a deployment.
    Ended {
        /// Its group.
        group: String,
        /// Its name.
        module: String,
        /// How it ended.
        state: String,
        /// The name of its execution.
        execution: Option<String>,
    }
);

read!(
    /// The report of a deployment's execution.
    Deployment {
        /// Which deployment.
        deployment: Names,
        /// By which execution.
        execution: String,
        /// When the report was written.
        written_at: Option<Timestamp>,
        /// The status.
        status: Status,
        /// What was planned.
        plan: Vec<Planned>,
        /// What the planner warned of.
        warnings: Vec<String>,
        /// What came of it.
        results: Vec<Ended>,
        /// When it came how far.
        timeline: Option<Timeline>,
    }
);

impl Module {
    /// From when to when the execution ran, as far as the report says it.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        span(self.timeline.as_ref(), self.status.started_at, self.written_at)
    }

    /// Whether a build took part, which may have a word in why it failed.
    #[must_use]
    pub fn was_built(&self) -> bool {
        self.build.is_some() || self.status.phase.is_some() || self.status.build_id.is_some()
    }

    /// How many milliseconds it took.
    #[must_use]
    pub fn took(&self) -> Option<i64> {
        self.span()
            .map(|(from, to)| crate::pages::format::between(from, to))
    }
}

impl Deployment {
    /// From when to when the execution ran, as far as the report says it.
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
