//! The configuration of the CodeBuild emulator, and of simulated builds.

use std::path::PathBuf;
use std::time::Duration;

use seedflow_core::target::Target;

use crate::aws_api::{ApiError, Credentials};

/// The configuration of the CodeBuild emulator.
#[derive(Debug, Clone)]
pub struct Config {
    /// The stack's own account.
    pub account: String,
    /// The account's own keys and region, for what CodeBuild itself does; in another account it has that one's. Builds use
    /// their role's.
    pub credentials: Credentials,
    /// Where builds have their workspaces.
    pub work_dir: PathBuf,
    /// The folders that come first on the builds' `PATH` (where `aws` is, and Node if the machine has none). The host's
    /// `PATH` follows, in place of what an image would bring.
    pub tools: Vec<PathBuf>,
    /// The `source` of the events; EventBridge allows only AWS to use `aws.codebuild`.
    pub event_source: String,
    /// How long a minute of a build's timeouts is. Tests make it short.
    pub minute: Duration,
    /// How many builds run at once.
    pub concurrent_builds: usize,
    /// How many more may wait; beyond, StartBuild answers AccountLimitExceededException. AWS lets five
    /// times the concurrent builds wait.
    pub queued_builds: usize,
}

/// A simulated build, for measurements of what is around builds: it runs no command, and its artifacts are `{}` for every
/// file that they name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimulatedBuild {
    /// How long its BUILD phase lasts.
    pub lasts: Duration,
    /// Whether that phase fails then.
    pub fails: bool,
}

impl Config {
    /// The usual configuration for workspaces under `work_dir`.
    #[must_use]
    pub fn new(account: impl Into<String>, credentials: Credentials, work_dir: impl Into<PathBuf>) -> Self {
        Self {
            account: account.into(),
            credentials,
            work_dir: work_dir.into(),
            tools: Vec::new(),
            event_source: "seedflow.codebuild".to_owned(),
            minute: Duration::from_secs(60),
            concurrent_builds: 20,
            queued_builds: 100,
        }
    }

    /// The stack's own account and region.
    pub(crate) fn home(&self) -> Result<Target, ApiError> {
        Target::parse("stack", &self.account, &self.credentials.region)
            .map_err(|error| ApiError::server("ServiceUnavailableException", error.message))
    }
}
