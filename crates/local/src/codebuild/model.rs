//! A build's record: the API's answers and the events are two views of it.

use jiff::Timestamp;
use seedflow_core::target::Target;
use serde_json::{Value, json};

use super::plan::{Plan, Variable};
use super::time::{epoch, event_date, seconds};

/// The status of a build or of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Runs, or waits to run.
    InProgress,
    Succeeded,
    /// The build's own commands, source or artifacts failed.
    Failed,
    /// The CodeBuild emulator itself failed.
    Fault,
    /// Took longer than its timeout.
    TimedOut,
    /// `StopBuild` ended it.
    Stopped,
}

impl Status {
    /// The name in the API and in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Fault => "FAULT",
            Self::TimedOut => "TIMED_OUT",
            Self::Stopped => "STOPPED",
        }
    }
}

/// The phases in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseKind {
    /// Accepted by `StartBuild`.
    Submitted,
    /// Waits for a free place among the concurrent builds.
    Queued,
    /// The workspace is made.
    Provisioning,
    /// The source, the buildspec and the variables are read.
    DownloadSource,
    Install,
    PreBuild,
    Build,
    PostBuild,
    /// The artifacts go to S3.
    UploadArtifacts,
    /// Logs are delivered, the workspace is removed.
    Finalizing,
    Completed,
}

impl PhaseKind {
    /// The name in the API, in events and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Queued => "QUEUED",
            Self::Provisioning => "PROVISIONING",
            Self::DownloadSource => "DOWNLOAD_SOURCE",
            Self::Install => "INSTALL",
            Self::PreBuild => "PRE_BUILD",
            Self::Build => "BUILD",
            Self::PostBuild => "POST_BUILD",
            Self::UploadArtifacts => "UPLOAD_ARTIFACTS",
            Self::Finalizing => "FINALIZING",
            Self::Completed => "COMPLETED",
        }
    }

    /// Phases inside the build container carry an empty context when they succeed, the others none.
    fn in_container(self) -> bool {
        !matches!(self, Self::Submitted | Self::Queued | Self::Completed)
    }
}

/// Why a phase failed: CodeBuild's status code and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For example `COMMAND_EXECUTION_ERROR`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Failure {
    /// A failure with CodeBuild's status code and a message.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// One phase of a build, running or ended.
#[derive(Debug, Clone)]
pub struct Phase {
    pub kind: PhaseKind,
    /// None for `COMPLETED`, which has no status.
    pub status: Option<Status>,
    pub start: Timestamp,
    pub end: Option<Timestamp>,
    pub failure: Option<Failure>,
}

impl Phase {
    fn api_json(&self) -> Value {
        let mut json = json!({"phaseType": self.kind.name(), "startTime": epoch(self.start)});
        if let (Some(status), Some(end)) = (self.status, self.end) {
            json["phaseStatus"] = status.name().into();
            json["endTime"] = epoch(end).into();
            json["durationInSeconds"] = seconds(self.start, end).into();
        }
        if let Some(failure) = &self.failure {
            json["contexts"] = json!([{"statusCode": failure.code, "message": failure.message}]);
        } else if self.end.is_some() && self.kind.in_container() {
            json["contexts"] = json!([{"statusCode": "", "message": ""}]);
        }
        json
    }

    fn event_json(&self) -> Value {
        let mut json = json!({"phase-type": self.kind.name(), "start-time": event_date(self.start)});
        if let (Some(status), Some(end)) = (self.status, self.end) {
            json["phase-context"] = self.failure.iter().map(ToString::to_string).collect();
            json["end-time"] = event_date(end).into();
            json["duration-in-seconds"] = float(seconds(self.start, end));
            json["phase-status"] = status.name().into();
        }
        json
    }

    /// The contexts as one string, as events carry those of the current phase.
    fn context_text(&self) -> String {
        self.failure
            .as_ref()
            .map_or_else(|| "[]".to_owned(), |failure| format!("[{failure}]"))
    }
}

/// Where the artifacts went.
#[derive(Debug, Clone, Default)]
pub struct Artifact {
    /// `arn:aws:s3:::bucket/path/…`.
    pub location: String,
    /// Of a zip.
    pub md5: Option<String>,
    /// Of a zip.
    pub sha256: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Build {
    /// `project:uuid`.
    pub id: String,
    pub arn: String,
    /// Where it was started; everything of it is there.
    pub at: Target,
    /// Counts the builds of a project from 1.
    pub number: u64,
    pub plan: Plan,
    /// When it was submitted.
    pub start: Timestamp,
    /// When it was completed.
    pub end: Option<Timestamp>,
    /// The whole build's status.
    pub status: Status,
    /// The phases so far.
    pub phases: Vec<Phase>,
    /// Whether the log's stream has been made.
    pub log_is_there: bool,
    /// The values of the buildspec's exported variables.
    pub exported: Vec<(String, String)>,
    /// Where the artifacts went.
    pub artifact: Artifact,
}

impl Build {
    /// The part of the id that is the build's own, which names its log stream and its artifacts.
    pub fn uuid(&self) -> &str {
        self.id.split_once(':').map_or(self.id.as_str(), |(_, uuid)| uuid)
    }

    pub fn begin(&mut self, kind: PhaseKind, now: Timestamp) {
        let status = (kind != PhaseKind::Completed).then_some(Status::InProgress);
        self.phases.push(Phase {
            kind,
            status,
            start: now,
            end: None,
            failure: None,
        });
    }

    /// Ends the phase that runs, if one does, and answers it.
    pub fn finish(&mut self, status: Status, failure: Option<Failure>, now: Timestamp) -> Option<Phase> {
        let phase = self.phases.last_mut().filter(|phase| phase.end.is_none())?;
        phase.status = Some(status);
        phase.end = Some(now);
        phase.failure = failure;
        Some(phase.clone())
    }

    fn current(&self) -> Option<&Phase> {
        self.phases.last()
    }

    fn current_name(&self) -> &'static str {
        self.current().map_or("SUBMITTED", |phase| phase.kind.name())
    }

    /// The build as `BatchGetBuilds` answers it.
    pub fn api_json(&self) -> Value {
        let exported: Vec<Value> = self
            .exported
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let mut json = json!({
            "id": self.id,
            "arn": self.arn,
            "buildNumber": self.number,
            "startTime": epoch(self.start),
            "currentPhase": self.current_name(),
            "buildStatus": self.status.name(),
            "projectName": self.plan.project,
            "phases": self.phases.iter().map(Phase::api_json).collect::<Vec<_>>(),
            "source": self.plan.source_json(),
            "secondarySources": [],
            "secondarySourceVersions": [],
            "artifacts": self.artifact_json(),
            "secondaryArtifacts": [],
            "cache": {"type": "NO_CACHE"},
            "environment": self.plan.environment_json(),
            "serviceRole": self.plan.service_role,
            "logs": self.plan.logs_json(self.uuid(), self.log_is_there),
            "timeoutInMinutes": self.plan.timeout_minutes,
            "queuedTimeoutInMinutes": self.plan.queued_timeout_minutes,
            "buildComplete": self.end.is_some(),
            "initiator": self.plan.initiator,
            "encryptionKey": self.plan.encryption_key,
            "exportedEnvironmentVariables": exported,
            "reportArns": [],
        });
        // No `resolvedSourceVersion`: "For Amazon S3, this does not apply" (API reference, `Build`).
        let optional = [
            ("endTime", self.end.map(|end| epoch(end).into())),
            ("sourceVersion", self.plan.source.version.clone().map(Value::from)),
            (
                "vpcConfig",
                Some(self.plan.vpc_config.clone()).filter(|network| !network.is_null()),
            ),
        ];
        for (field, value) in optional {
            if let Some(value) = value {
                json[field] = value;
            }
        }
        json
    }

    fn artifact_json(&self) -> Value {
        let mut json = json!({"location": self.artifact.location, "encryptionDisabled": false});
        if let (Some(md5), Some(sha256)) = (&self.artifact.md5, &self.artifact.sha256) {
            json["md5sum"] = md5.as_str().into();
            json["sha256sum"] = sha256.as_str().into();
        }
        json
    }

    /// The detail of a "CodeBuild Build State Change" event.
    pub fn state_change(&self) -> Value {
        json!({
            "build-status": self.status.name(),
            "project-name": self.plan.project,
            "build-id": self.arn,
            "additional-information": self.additional_information(),
            "current-phase": self.current_name(),
            "current-phase-context": self.current().map_or_else(|| "[]".to_owned(), Phase::context_text),
            "version": "1",
        })
    }

    /// The detail of a "CodeBuild Build Phase Change" event.
    pub fn phase_change(&self, phase: &Phase) -> Value {
        let end = phase.end.unwrap_or(phase.start);
        json!({
            "completed-phase": phase.kind.name(),
            "project-name": self.plan.project,
            "build-id": self.arn,
            "completed-phase-context": phase.context_text(),
            "additional-information": self.additional_information(),
            "completed-phase-status": phase.status.unwrap_or(self.status).name(),
            "completed-phase-duration-seconds": float(seconds(phase.start, end)),
            "version": "1",
            "completed-phase-start": event_date(phase.start),
            "completed-phase-end": event_date(end),
        })
    }

    fn additional_information(&self) -> Value {
        let environment = self.plan.environment_json();
        let mut artifact = json!({"location": self.artifact.location});
        if let (Some(md5), Some(sha256)) = (&self.artifact.md5, &self.artifact.sha256) {
            artifact = json!({"md5sum": md5, "sha256sum": sha256, "location": self.artifact.location});
        }
        let mut json = json!({
            "artifact": artifact,
            "environment": {
                "image": environment["image"],
                "privileged-mode": environment["privilegedMode"],
                "compute-type": environment["computeType"],
                "type": environment["type"],
                "environment-variables": self.plan.variables.iter().map(Variable::to_json).collect::<Vec<_>>(),
            },
            "timeout-in-minutes": float(self.plan.timeout_minutes.into()),
            "build-complete": self.end.is_some(),
            "build-number": float(self.number.cast_signed()),
            "initiator": self.plan.initiator,
            "build-start-time": event_date(self.start),
            "source": {"location": self.plan.source.location, "type": self.plan.source.kind},
            "phases": self.phases.iter().map(Phase::event_json).collect::<Vec<_>>(),
        });
        if let Some(version) = &self.plan.source.version {
            json["source-version"] = version.as_str().into();
        }
        if let Some(logs) = &self.plan.logs {
            json["logs"] = json!({"deep-link": self.plan.deep_link(self.uuid(), self.log_is_there)});
            if self.log_is_there {
                json["logs"]["group-name"] = logs.group.as_str().into();
                json["logs"]["stream-name"] = logs.stream(self.uuid()).into();
            }
        }
        json
    }
}

/// Events carry whole numbers as floats.
#[expect(clippy::cast_precision_loss, reason = "seconds and counters are small")]
fn float(number: i64) -> Value {
    (number as f64).into()
}
