//! How the stand-in is set up.

use std::path::PathBuf;
use std::time::Duration;

use crate::aws_api::Credentials;

/// What the stand-in needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The account in the builds' ARNs.
    pub account: String,
    /// The account's own keys, for what CodeBuild itself does, and the region; builds use their role's.
    pub credentials: Credentials,
    /// Where builds have their workspaces.
    pub work_dir: PathBuf,
    /// A folder that comes first on the builds' `PATH` (where `aws` is); the host's `PATH` follows, which
    /// stands for what an image would bring.
    pub tools_dir: Option<PathBuf>,
    /// The `source` of the events; EventBridge lets nobody but AWS use `aws.codebuild`.
    pub event_source: String,
    /// How long a minute of a build's timeouts is. Tests make it short.
    pub minute: Duration,
    /// How many builds run at once.
    pub concurrent_builds: usize,
    /// How many more may wait; beyond, StartBuild answers AccountLimitExceededException. AWS lets five
    /// times the concurrent builds wait.
    pub queued_builds: usize,
}

/// What a build is that only lasts, for who measures what is around builds: it runs no command, and hands back `{}` for
/// every file that its artifacts name.
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
            tools_dir: None,
            event_source: "seedflow.codebuild".to_owned(),
            minute: Duration::from_secs(60),
            concurrent_builds: 20,
            queued_builds: 100,
        }
    }
}
