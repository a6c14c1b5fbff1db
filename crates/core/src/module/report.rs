//! The build report: one JSON file an execution, with what happened and where to look.
//!
//! It says what the status can't hold for want of room: every phase with its duration, and the parameters by
//! name (values only of plain ones are in the execution's input; secrets are nowhere).

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::ids::{ExecutionArn, ModuleId};
use crate::module::commit_info::CommitInfo;
use crate::module::plan::Plan;
use crate::module::status::Status;
use crate::module::timeline::Timeline;
use crate::workflow::build_outcome::BuildOutcome;

/// The report of one execution.
#[derive(Debug, Clone, Serialize)]
pub struct Report<'a> {
    /// What was to be deployed.
    pub module: &'a ModuleId,
    /// By which execution.
    pub execution: &'a ExecutionArn,
    /// When this was written.
    pub written_at: Timestamp,
    /// The status as it was stored.
    pub status: &'a Status,
    /// When it did what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<&'a Timeline>,
    /// The build's end, if there was a build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<&'a BuildOutcome>,
    /// Where the bundle came from, if it got that far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'a crate::module::input::Source>,
    /// Where the bundle's files came from, as far as known.
    #[serde(flatten)]
    pub origin: &'a CommitInfo,
    /// The fingerprint that was deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<&'a crate::module::fingerprint::Fingerprint>,
    /// The one that was deployed before, for what a success changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_fingerprint: Option<&'a crate::module::fingerprint::Fingerprint>,
    /// The names of the parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<&'a str>,
    /// The outputs of the module's stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<&'a Map<String, Value>>,
}

impl<'a> Report<'a> {
    /// A report of a success; `before` is the fingerprint of what was deployed until then.
    #[must_use]
    pub fn of_success(
        plan: &'a Plan,
        before: Option<&'a crate::module::fingerprint::Fingerprint>,
        status: &'a Status,
        timeline: &'a Timeline,
        build: &'a BuildOutcome,
        outputs: &'a Map<String, Value>,
    ) -> Self {
        Self {
            source: Some(&plan.source),
            fingerprint: Some(&plan.fingerprint),
            previous_fingerprint: before,
            parameters: plan.options.parameters.iter().map(|(name, _)| name).collect(),
            outputs: Some(outputs),
            ..Self::of_failure(&plan.module, status, Some(timeline), Some(build))
        }
    }

    /// A report of a module's destruction.
    #[must_use]
    pub fn of_destruction(
        plan: &'a Plan,
        status: &'a Status,
        timeline: &'a Timeline,
        build: &'a BuildOutcome,
    ) -> Self {
        Self {
            source: Some(&plan.source),
            fingerprint: Some(&plan.fingerprint),
            parameters: plan.options.parameters.iter().map(|(name, _)| name).collect(),
            ..Self::of_failure(&plan.module, status, Some(timeline), Some(build))
        }
    }

    /// A report of a failure, of which less may be known.
    #[must_use]
    pub fn of_failure(
        module: &'a ModuleId,
        status: &'a Status,
        timeline: Option<&'a Timeline>,
        build: Option<&'a BuildOutcome>,
    ) -> Self {
        Self {
            module,
            execution: &status.execution,
            written_at: status.updated_at,
            status,
            timeline,
            build,
            source: None,
            origin: &status.origin,
            fingerprint: None,
            previous_fingerprint: None,
            parameters: Vec::new(),
            outputs: None,
        }
    }
}
