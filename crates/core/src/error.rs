//! The errors that the outside sees.
//!
//! Step Functions decides by an error's name (`ErrorEquals`), people by its message. So an [`Error`] is
//! exactly these two: a name from the closed list [`ErrorName`], which the state machine's `Retry` and
//! `Catch` know, and a message that says which field or object, what was found, what is allowed and what
//! to do. A secret or a task token never becomes part of a message.

use std::fmt;

/// The names under which functions fail; the state machine catches each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorName {
    /// A field of the execution's input (or of the bundle's `manifest.yaml`) is not valid.
    InvalidInput,
    /// The object that the input names is not there, or may not be read.
    SourceNotFound,
    /// The bundle is no zip, is damaged, or holds what may not be unpacked.
    InvalidBundle,
    /// `deployspec.yaml` is missing or can't be read as one.
    InvalidDeployspec,
    /// `modulestack.yaml` can't be used.
    InvalidModuleStack,
    /// CloudFormation could not deploy or delete the module's stack.
    ModuleStackFailed,
    /// CloudFormation did not finish with the module's stack in the time that it has.
    ModuleStackTimedOut,
    /// CodeBuild can't assume the module's role yet; the state machine waits and repeats.
    RoleNotReady,
    /// What Parameter Store holds at the module's path belongs to another module.
    StateConflict,
    /// The execution doesn't hold the module's lock any more, so it may not write.
    LockLost,
    /// The manifest of a deployment, or what it refers to, is not valid.
    InvalidManifest,
    /// A part of a deployment is to be deployed or destroyed while another execution deploys it.
    DeploymentBusy,
    /// Modules can't have their turn: what they consume isn't there, or what consumes them stays.
    Blocked,
    /// IAM refused a call.
    AccessDenied,
    /// AWS refused a call for a reason that a repetition doesn't change.
    Refused,
    /// CodeBuild doesn't know the build.
    BuildNotFound,
    /// AWS throttled the call; the state machine repeats it.
    Throttled,
    /// AWS answered 5xx or not at all; the state machine repeats the call.
    ServiceUnavailable,
    /// The account already runs as many builds as it may; the state machine waits and repeats.
    AccountLimitExceeded,
}

impl ErrorName {
    /// Every name, for the test that holds them against the state machine.
    pub const ALL: [Self; 19] = [
        Self::InvalidInput,
        Self::SourceNotFound,
        Self::InvalidBundle,
        Self::InvalidDeployspec,
        Self::InvalidModuleStack,
        Self::ModuleStackFailed,
        Self::ModuleStackTimedOut,
        Self::RoleNotReady,
        Self::StateConflict,
        Self::LockLost,
        Self::InvalidManifest,
        Self::DeploymentBusy,
        Self::Blocked,
        Self::AccessDenied,
        Self::Refused,
        Self::BuildNotFound,
        Self::Throttled,
        Self::ServiceUnavailable,
        Self::AccountLimitExceeded,
    ];

    /// Whether the same call may succeed later without anybody doing anything about it.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(
            self,
            Self::Throttled | Self::ServiceUnavailable | Self::RoleNotReady | Self::AccountLimitExceeded
        )
    }

    /// The name as `errorType` of a Lambda answer and in `ErrorEquals`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "InvalidInput",
            Self::SourceNotFound => "SourceNotFound",
            Self::InvalidBundle => "InvalidBundle",
            Self::InvalidDeployspec => "InvalidDeployspec",
            Self::InvalidModuleStack => "InvalidModuleStack",
            Self::ModuleStackFailed => "ModuleStackFailed",
            Self::ModuleStackTimedOut => "ModuleStackTimedOut",
            Self::RoleNotReady => "RoleNotReady",
            Self::StateConflict => "StateConflict",
            Self::LockLost => "LockLost",
            Self::InvalidManifest => "InvalidManifest",
            Self::DeploymentBusy => "DeploymentBusy",
            Self::Blocked => "Blocked",
            Self::AccessDenied => "AccessDenied",
            Self::Refused => "Refused",
            Self::BuildNotFound => "BuildNotFound",
            Self::Throttled => "Throttled",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::AccountLimitExceeded => "AccountLimitExceeded",
        }
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure with a name for the state machine and a message for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What the state machine decides by.
    pub name: ErrorName,
    /// What people read.
    pub message: String,
}

/// A result whose error has a name for the state machine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of that name.
    pub fn new(name: ErrorName, message: impl Into<String>) -> Self {
        Self {
            name,
            message: message.into(),
        }
    }

    /// A bad field: its path, what was found, what is allowed.
    pub fn field(path: &str, found: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self::new(
            ErrorName::InvalidInput,
            format!("{path}: {}", expected(found, allowed)),
        )
    }
}

/// `expected X, found Y`. What `allowed` says after a semicolon is advice, and comes last.
#[must_use]
pub fn expected(found: impl fmt::Display, allowed: impl fmt::Display) -> String {
    let allowed = allowed.to_string();
    match allowed.split_once("; ") {
        Some((allowed, advice)) => format!("expected {allowed}, found {found}; {advice}"),
        None => format!("expected {allowed}, found {found}"),
    }
}

/// At most `limit` characters of a text, for messages that quote what came from outside.
#[must_use]
pub fn excerpt(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit).chain(['…']).collect()
}

/// Whether a message has all parts of `pattern`, which `…` divides, in their order: tests leave out what they are not about.
#[cfg(test)]
pub(crate) fn says(message: &str, pattern: &str) -> bool {
    let mut rest = message;
    pattern.split('…').all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
