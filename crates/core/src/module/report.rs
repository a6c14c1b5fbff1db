//! The build report: one JSON file per execution, with its results and links.
//!
//! It contains what does not fit into the status: every phase with its duration, and the parameters' names. Values of
//! plain parameters are only in the execution's input; secrets are nowhere.

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
    /// The module.
    pub module: &'a ModuleId,
    /// The execution.
    pub execution: &'a ExecutionArn,
    /// When this was written.
    pub written_at: Timestamp,
    /// The status, as stored.
    pub status: &'a Status,
    /// The times of the execution's steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<&'a Timeline>,
    /// The build's outcome, if there was a build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<&'a BuildOutcome>,
    /// The location of the bundle, if the execution got that far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'a crate::module::source::Source>,
    /// The commit of the bundle's files, if known.
    #[serde(flatten)]
    pub commit_info: &'a CommitInfo,
    /// The fingerprint that was deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<&'a crate::module::fingerprint::Fingerprint>,
    /// The fingerprint that was deployed before; it shows what a success changed.
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
    /// A report of a success; `before` is the fingerprint that was deployed until then.
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

    /// A report of a failure; less may be known.
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
            commit_info: &status.commit_info,
            fingerprint: None,
            previous_fingerprint: None,
            parameters: Vec::new(),
            outputs: None,
        }
    }
}
