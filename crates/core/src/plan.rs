//! What travels between the states of the state machine.
//!
//! `check-md5` makes a [`Plan`] of everything that later states need, pinned to what it read (the bundle's
//! version, the deployspec, the state before), so that no later state reads and judges again. The plan is
//! opaque to the state machine.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deployspec::Deployspec;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::ids::ModuleId;
use crate::request::{Options, Source};
use crate::status::Status;

/// Step Functions ends payloads at 256 KB; the plan has to leave room for what is around it, and its text is
/// escaped once more where a payload carries it.
const MAX_PLAN: usize = 180 * 1024;

/// How a changed module is to be deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What is deployed.
    pub module: ModuleId,
    /// The bundle, with its version.
    pub source: Source,
    /// The commit that the bundle was made of, if the object's metadata names one.
    pub commit: Option<String>,
    /// Parameters and settings.
    pub options: Options,
    /// The module's commands.
    pub deployspec: Deployspec,
    /// What is stored as `md5` after a success.
    pub fingerprint: Fingerprint,
    /// The status before.
    pub previous_status: Option<Status>,
    /// The metadata of the last success, for the build's `…_MODULE_METADATA`.
    pub previous_metadata: Option<Value>,
}

/// The answer of `check-md5`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Whether the module has to be deployed.
    pub changed: bool,
    /// Why.
    pub reasons: Vec<String>,
    /// How.
    pub plan: Plan,
}

impl Checked {
    /// Refuses an answer that would not fit into a state's payload.
    pub fn fitting(self) -> Result<Self> {
        let length = serde_json::to_string(&self).map_or(usize::MAX, |text| text.len());
        if length <= MAX_PLAN {
            return Ok(self);
        }
        Err(Error::field(
            "parameters and deployspec.yaml",
            format!("{length} bytes together with the stored metadata"),
            format!(
                "at most {MAX_PLAN} bytes; move long commands into scripts and long values into files of the bundle"
            ),
        ))
    }
}
