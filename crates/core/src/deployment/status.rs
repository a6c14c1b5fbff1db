//! The `status` parameter of a deployment: how its last execution went.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::excerpt;
use crate::ids::ExecutionArn;
use crate::module::commit_info::CommitInfo;
use crate::module::status::State;

/// How many modules a status names.
const MAX_NAMED: usize = 20;
/// How long a reason may be: the whole status should stay within Parameter Store's cheap 4 KB.
const MAX_REASON: usize = 1000;

/// What the parameter holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How it stands.
    pub state: State,
    /// What the last execution left that ended before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_state: Option<State>,
    /// When this was written, UTC.
    pub updated_at: Timestamp,
    /// The execution that wrote it.
    pub execution: ExecutionArn,
    /// When that execution began to deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// The commit that is or was deployed.
    #[serde(flatten)]
    pub origin: CommitInfo,
    /// The groups of the manifest in their order: what is destroyed later goes the other way.
    #[serde(default)]
    pub groups: Vec<String>,
    /// How many modules ended how.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<String, usize>,
    /// The modules that failed, up to twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// The name of the error of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Status {
    /// A status of an execution, with nothing said but its state.
    #[must_use]
    pub fn new(state: State, execution: &ExecutionArn, now: Timestamp) -> Self {
        Self {
            state,
            previous_state: None,
            updated_at: now,
            execution: execution.clone(),
            started_at: None,
            origin: CommitInfo::default(),
            groups: Vec::new(),
            modules: BTreeMap::new(),
            failed: Vec::new(),
            error: None,
            reason: None,
        }
    }

    /// The same with a failure.
    #[must_use]
    pub fn failed(self, error: &str, reason: &str) -> Self {
        Self {
            error: Some(error.to_owned()),
            reason: Some(excerpt(reason, MAX_REASON)),
            ..self
        }
    }

    /// The same with the modules that failed.
    #[must_use]
    pub fn naming(self, failed: &[String]) -> Self {
        Self {
            failed: failed.iter().take(MAX_NAMED).cloned().collect(),
            ..self
        }
    }

    /// What the last execution left that had ended, for the one that writes now.
    #[must_use]
    pub fn state_before(&self, execution: &ExecutionArn) -> Option<State> {
        State::before(self.state, self.previous_state, self.execution == *execution)
    }

    /// The same after what the last execution left: that state, and the groups where this one doesn't know them.
    #[must_use]
    pub fn after(self, before: Option<&Self>) -> Self {
        let groups = match before {
            Some(before) if self.groups.is_empty() => before.groups.clone(),
            _ => self.groups,
        };
        Self {
            groups,
            previous_state: before.and_then(|before| before.state_before(&self.execution)),
            ..self
        }
    }
}
