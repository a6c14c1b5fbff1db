//! The outcome of a build, from either of two sources: CodeBuild's answer to BatchGetBuilds, or its event.
//!
//! Events are read leniently (docs/architecture.md). Only the build's id and status are required. Any other field that
//! is missing, null or of another type counts as unknown.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::console::LogUrl;
use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::describe;
use crate::ids::BuildId;

/// The build variable that holds the ARN of its execution. CodeBuild's events repeat it, so the function that receives
/// them can name the execution.
pub const EXECUTION_VARIABLE: &str = "SEEDFLOW_EXECUTION";

/// CodeBuild's build statuses (API reference, `Build.buildStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BuildStatus {
    /// All phases succeeded.
    Succeeded,
    /// A command or another step failed.
    Failed,
    /// CodeBuild itself failed.
    Fault,
    /// The build took longer than its timeout.
    TimedOut,
    /// It has not ended.
    InProgress,
    /// It was stopped by a request.
    Stopped,
}

impl BuildStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Succeeded,
        Self::Failed,
        Self::Fault,
        Self::TimedOut,
        Self::InProgress,
        Self::Stopped,
    ];

    /// Parses CodeBuild's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// CodeBuild's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Fault => "FAULT",
            Self::TimedOut => "TIMED_OUT",
            Self::InProgress => "IN_PROGRESS",
            Self::Stopped => "STOPPED",
        }
    }

    /// The error that a build with this status gives its execution; `None` for a success and a running build.
    #[must_use]
    pub const fn error_name(self) -> Option<&'static str> {
        match self {
            Self::Succeeded | Self::InProgress => None,
            Self::Failed => Some("BuildFailed"),
            Self::Fault => Some("BuildFault"),
            Self::TimedOut => Some("BuildTimedOut"),
            Self::Stopped => Some("BuildStopped"),
        }
    }
}

/// A phase of a build.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Phase {
    /// Such as `BUILD`.
    #[serde(rename = "type")]
    pub name: String,
    /// Such as `SUCCEEDED`; a running phase has none.
    pub status: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How long it took.
    pub seconds: Option<i64>,
    /// CodeBuild's context of the phase, `CODE: message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// The outcome of a build.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BuildOutcome {
    /// The build.
    pub build_id: BuildId,
    /// Its status.
    pub status: BuildStatus,
    /// When it was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The phase that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_phase: Option<String>,
    /// The reason, from CodeBuild.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The exit status of the command that failed, as CodeBuild says it in the reason. It doesn't travel.
    #[serde(skip)]
    pub exit_status: Option<i32>,
    /// The URL of the log.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "LogUrl::lenient"
    )]
    pub log_url: Option<LogUrl>,
    /// The log group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_group: Option<String>,
    /// The log stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_stream: Option<String>,
    /// The phases that CodeBuild reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
}

/// The longest reason that travels through the state machine.
const MAX_REASON: usize = 2000;
/// The longest name that CodeBuild may give a phase or its status, such as `DOWNLOAD_SOURCE`.
const MAX_WORD: usize = 80;

impl Phase {
    /// Cuts the outcome to what may travel through the state machine and into the status.
    fn short(self) -> Self {
        Self {
            name: excerpt(&self.name, MAX_WORD),
            status: self.status.map(|status| excerpt(&status, MAX_WORD)),
            context: self.context.map(|context| excerpt(&context, MAX_REASON)),
            ..self
        }
    }
}

impl BuildOutcome {
    /// An outcome with nothing but a status.
    #[must_use]
    pub fn ended(build_id: BuildId, status: BuildStatus) -> Self {
        Self {
            build_id,
            status,
            started_at: None,
            ended_at: None,
            failed_phase: None,
            reason: None,
            exit_status: None,
            log_url: None,
            log_group: None,
            log_stream: None,
            phases: Vec::new(),
        }
    }

    /// Adds the phases. The first phase that did not succeed gives the failing phase and the reason.
    ///
    /// CodeBuild has been observed to report FAILED for a build with a TIMED_OUT phase; the phase is more precise.
    #[must_use]
    pub fn with_phases(mut self, phases: Vec<Phase>) -> Self {
        let is_failed = |phase: &&Phase| {
            phase
                .status
                .as_deref()
                .is_some_and(|status| status != "SUCCEEDED")
        };
        let context = phases
            .iter()
            .find(is_failed)
            .and_then(|phase| phase.context.as_deref());
        self.exit_status = context.and_then(exit_status);
        let phases: Vec<Phase> = phases.into_iter().map(Phase::short).collect();
        let failed = phases.iter().find(is_failed);
        if let (true, Some(failed)) = (self.status != BuildStatus::Succeeded, failed) {
            self.failed_phase = Some(failed.name.clone());
            self.reason.clone_from(&failed.context);
            if self.status == BuildStatus::Failed && failed.status.as_deref() == Some("TIMED_OUT") {
                self.status = BuildStatus::TimedOut;
            }
        }
        self.phases = phases;
        self
    }

    /// Reads a "CodeBuild Build State Change" event; `None` if the build is still running.
    pub fn from_event(event: &Value) -> Result<Option<Self>> {
        let detail = event.get("detail").unwrap_or(&Value::Null);
        let text = |key: &str| {
            let found = detail.get(key).unwrap_or(&Value::Null);
            found
                .as_str()
                .ok_or_else(|| Error::field(&format!("detail.{key}"), describe(found), "a text"))
        };
        let build_id = BuildId::parse(text("build-id")?)?;
        let status = text("build-status")?;
        let status = BuildStatus::parse(status).ok_or_else(|| {
            Error::field(
                "detail.build-status",
                format!("\"{}\"", excerpt(status, 80)),
                BuildStatus::ALL.map(BuildStatus::as_str).join(", "),
            )
        })?;
        if status == BuildStatus::InProgress {
            return Ok(None);
        }
        let more = detail.get("additional-information").unwrap_or(&Value::Null);
        let log = |key: &str| {
            more.get("logs")
                .and_then(|logs| logs.get(key))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let listed = more.get("phases").and_then(Value::as_array);
        let phases = listed.map(|phases| phases.iter().filter_map(event_phase).collect());
        // The last phase, COMPLETED, begins when the build has ended, and has no end.
        let ends = |phase: &Value| event_time(phase, "end-time").or_else(|| event_time(phase, "start-time"));
        let outcome = Self {
            started_at: event_time(more, "build-start-time"),
            ended_at: listed.and_then(|phases| phases.iter().filter_map(ends).max()),
            log_url: log("deep-link").as_deref().and_then(LogUrl::parse),
            log_group: log("group-name"),
            log_stream: log("stream-name"),
            ..Self::ended(build_id, status)
        };
        Ok(Some(outcome.with_phases(phases.unwrap_or_default())))
    }

    /// Whether one of the module's or Seedflow's commands failed, so that the build's log says why.
    #[must_use]
    pub fn failed_in_commands(&self) -> bool {
        let phases = ["INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"];
        let phase = self.failed_phase.as_deref();
        self.status == BuildStatus::Failed && phase.is_some_and(|phase| phases.contains(&phase))
    }

    /// The failure for people: the phase and CodeBuild's reason.
    #[must_use]
    pub fn explain(&self) -> String {
        let what = match self.status {
            BuildStatus::Stopped => "build stopped",
            BuildStatus::TimedOut => "build timed out",
            BuildStatus::Fault => "CodeBuild failed to run the build",
            BuildStatus::Failed => "build failed",
            BuildStatus::Succeeded => "build succeeded",
            BuildStatus::InProgress => "build in progress",
        };
        let phase = self
            .failed_phase
            .as_ref()
            .map_or(String::new(), |phase| format!(" in {phase}"));
        let reason = self
            .reason
            .as_ref()
            .map_or(String::new(), |reason| format!(": {reason}"));
        format!("{what}{phase}{reason}")
    }
}

/// The exit status at the end of a phase's context, such as
/// `COMMAND_EXECUTION_ERROR: Error while executing command: make. Reason: exit status 2`.
fn exit_status(context: &str) -> Option<i32> {
    let (_, reason) = context.rsplit_once("Reason: exit status ")?;
    reason.trim_end().trim_end_matches('.').parse().ok()
}

fn event_phase(phase: &Value) -> Option<Phase> {
    let contexts = phase.get("phase-context").and_then(Value::as_array);
    let context = contexts.and_then(|c| {
        c.iter()
            .filter_map(Value::as_str)
            .find(|text| !is_blank_context(text))
    });
    Some(Phase {
        name: phase.get("phase-type")?.as_str()?.to_owned(),
        status: phase
            .get("phase-status")
            .and_then(Value::as_str)
            .map(str::to_owned),
        started_at: event_time(phase, "start-time"),
        seconds: phase
            .get("duration-in-seconds")
            .and_then(Value::as_f64)
            .map(|seconds| seconds as i64),
        context: context.map(str::to_owned),
    })
}

/// A time in an event, `Sep 1, 2017 4:12:29 PM` in UTC (CodeBuild user guide, "Build notifications input format
/// reference").
fn event_time(within: &Value, field: &str) -> Option<Timestamp> {
    let text = within.get(field)?.as_str()?;
    let at = DateTime::strptime("%b %d, %Y %I:%M:%S %p", text).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A successful phase has the context `": "`: a code and a message, both empty.
#[must_use]
pub fn is_blank_context(text: &str) -> bool {
    text.trim_matches([':', ' ']).is_empty()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;
    use serde_json::json;

    const LOG: &str = "https://console.aws.amazon.com/cloudwatch/home?region=us-west-2#logEvent:group=/aws/codebuild/p;stream=u";

    fn event(status: &str) -> Value {
        json!({"detail": {"build-status": status, "build-id": "arn:aws:codebuild:us-west-2:123456789012:build/p:u"}})
    }

    #[test]
    fn every_status_of_codebuild_has_its_end() {
        for (status, error) in [
            ("SUCCEEDED", None),
            ("FAILED", Some("BuildFailed")),
            ("FAULT", Some("BuildFault")),
            ("TIMED_OUT", Some("BuildTimedOut")),
            ("STOPPED", Some("BuildStopped")),
        ] {
            let outcome = BuildOutcome::from_event(&event(status)).unwrap().unwrap();
            assert_eq!(outcome.status.error_name(), error, "{status}");
        }
        assert_eq!(BuildOutcome::from_event(&event("IN_PROGRESS")).unwrap(), None);
        assert_eq!(BuildStatus::ALL.len(), 6);
    }

    #[test]
    fn the_first_phase_that_failed_gives_the_reason() {
        let mut failed = event("FAILED");
        failed["detail"]["additional-information"] = json!({
            "logs": {"deep-link": LOG, "group-name": null, "stream-name": 7},
            "phases": [
                {"phase-type": "INSTALL", "phase-status": "SUCCEEDED", "phase-context": [": "], "duration-in-seconds": 3.0},
                {"phase-type": "BUILD", "phase-status": "FAILED", "phase-context": ["COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1"]},
                {"phase-type": "COMPLETED"}, {"no": "type"}, 7
            ]
        });
        let outcome = BuildOutcome::from_event(&failed).unwrap().unwrap();
        assert_eq!(
            outcome.explain(),
            "build failed in BUILD: COMMAND_EXECUTION_ERROR: Error while executing command: false. Reason: exit status 1"
        );
        assert_eq!(
            (
                outcome.log_url.as_ref().map(LogUrl::as_str),
                outcome.log_stream,
                outcome.phases.len()
            ),
            (Some(LOG), None, 3)
        );
        assert_eq!(
            (outcome.phases[0].seconds, outcome.phases[0].context.as_ref()),
            (Some(3), None)
        );
    }

    #[test]
    fn a_link_out_of_the_console_is_dropped() {
        for link in ["https://evil.example/", "https://console.aws.amazon.com/iam/home"] {
            let mut sent = event("FAILED");
            sent["detail"]["additional-information"] =
                json!({"logs": {"deep-link": link, "group-name": "g"}});
            let outcome = BuildOutcome::from_event(&sent).unwrap().unwrap();
            assert_eq!(
                (outcome.log_url.as_ref(), outcome.log_group.as_deref()),
                (None, Some("g"))
            );
            let mut stored = serde_json::to_value(&outcome).unwrap();
            stored["log_url"] = json!(link);
            assert_eq!(serde_json::from_value::<BuildOutcome>(stored).unwrap(), outcome);
        }
    }

    #[test]
    fn an_event_has_the_times_of_the_build_and_its_phases() {
        let mut event = event("SUCCEEDED");
        event["detail"]["additional-information"] = json!({
            "build-start-time": "Sep 1, 2017 4:12:29 PM",
            "phases": [
                {"phase-type": "BUILD", "start-time": "Sep 1, 2017 4:12:36 PM", "end-time": "Sep 1, 2017 4:13:06 PM"},
                {"phase-type": "COMPLETED", "start-time": "Sep 1, 2017 4:13:09 PM"},
                {"phase-type": "ODD", "start-time": "yesterday"}
            ]
        });
        let outcome = BuildOutcome::from_event(&event).unwrap().unwrap();
        let at = |time: &str| Some(format!("2017-09-01T{time}Z").parse().unwrap());
        assert_eq!(
            (outcome.started_at, outcome.ended_at),
            (at("16:12:29"), at("16:13:09"))
        );
        let phases: Vec<_> = outcome.phases.iter().map(|phase| phase.started_at).collect();
        assert_eq!(phases, [at("16:12:36"), at("16:13:09"), None]);
    }

    #[test]
    fn a_failed_build_whose_phase_timed_out_timed_out() {
        let mut event = event("FAILED");
        event["detail"]["additional-information"] = json!({"phases": [{"phase-type": "BUILD", "phase-status": "TIMED_OUT", "phase-context": ["BUILD_TIMED_OUT: Build has timed out."]}]});
        let outcome = BuildOutcome::from_event(&event).unwrap().unwrap();
        assert_eq!(outcome.status, BuildStatus::TimedOut);
        assert_eq!(
            outcome.explain(),
            "build timed out in BUILD: BUILD_TIMED_OUT: Build has timed out."
        );
    }

    #[test]
    fn an_event_without_id_or_status_is_refused_by_field() {
        for (event, part) in [
            (json!({}), "detail.build-id: expected …found nothing"),
            (
                json!({"detail": {"build-id": "x:y"}}),
                "detail.build-status: expected …found nothing",
            ),
            (event("ENDED"), "detail.build-status: expected …found \"ENDED\""),
            (
                json!({"detail": {"build-id": 7, "build-status": "FAILED"}}),
                "detail.build-id: expected …found 7",
            ),
        ] {
            let error = BuildOutcome::from_event(&event).unwrap_err();
            assert!(says(&error.message, part), "{error}");
        }
    }
}
