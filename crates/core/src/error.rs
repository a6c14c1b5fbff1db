//! The errors that functions return.
//!
//! Step Functions decides by an error's name (`ErrorEquals`); people read its message. So an [`Error`] is exactly these
//! two. The name is from the closed list [`ErrorName`], which the state machine's `Retry` and `Catch` use. The message says
//! which field or object is wrong, what was expected, what was found and what to do. A secret or a task token never becomes
//! part of a message.

use std::borrow::Cow;
use std::fmt;

/// The names of errors; the state machine catches each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorName {
    /// A field of the execution's input (or of the bundle's `manifest.yaml`) is not valid.
    InvalidInput,
    /// The object that the input names does not exist, or may not be read.
    SourceNotFound,
    /// A host outside AWS does not hand out a source: it refuses, doesn't know it, or does not answer.
    SourceUnavailable,
    /// The bundle is not a zip, is damaged, or contains something that may not be unpacked.
    InvalidBundle,
    /// `deployspec.yaml` is missing or not valid.
    InvalidDeployspec,
    /// `modulestack.yaml` is not valid.
    InvalidModuleStack,
    /// CloudFormation could not deploy or delete the module's stack.
    ModuleStackFailed,
    /// CloudFormation did not finish with the module's stack within its time limit.
    ModuleStackTimedOut,
    /// CodeBuild can't assume the module's role yet; the state machine waits and repeats.
    RoleNotReady,
    /// The parameters at the module's path belong to another module.
    StateConflict,
    /// The execution no longer holds the module's lock, so it may not write.
    LockLost,
    /// The manifest of a deployment, or what it refers to, is not valid.
    InvalidManifest,
    /// A part of a deployment is to be deployed or destroyed while another execution deploys the deployment.
    DeploymentBusy,
    /// Modules can't be deployed or destroyed: a module that they consume does not exist, or a module that consumes them
    /// stays.
    Blocked,
    /// The policy of the deployment does not allow it.
    DeniedByPolicy,
    /// The rules of the deployment can't be evaluated, so they allow nothing.
    PolicyNotEvaluated,
    /// The policy wants the approval of a whole plan, and a request for one module has none.
    ApprovalRequired,
    /// A plan is not, or not any more, the one that was approved or is to be approved.
    ApprovalVoid,
    /// An approver rejected the plan.
    ApprovalRejected,
    /// Nobody decided on the plan in time.
    ApprovalExpired,
    /// A newer execution deploys in the place of a plan that waited for an approval.
    PlanSuperseded,
    /// The caller may not decide on the plan.
    NotApprover,
    /// IAM refused a call.
    AccessDenied,
    /// AWS refused a call for a reason that retries don't change.
    Refused,
    /// CodeBuild doesn't know the build.
    BuildNotFound,
    /// AWS throttled the call; the state machine retries it.
    Throttled,
    /// AWS answered 5xx or not at all; the state machine retries the call.
    ServiceUnavailable,
    /// The account is at its limit of concurrent builds; the state machine waits and retries.
    AccountLimitExceeded,
}

impl ErrorName {
    /// Every name, for the test that compares them with the state machine.
    pub const ALL: [Self; 28] = [
        Self::InvalidInput,
        Self::SourceNotFound,
        Self::SourceUnavailable,
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
        Self::DeniedByPolicy,
        Self::PolicyNotEvaluated,
        Self::ApprovalRequired,
        Self::ApprovalVoid,
        Self::ApprovalRejected,
        Self::ApprovalExpired,
        Self::PlanSuperseded,
        Self::NotApprover,
        Self::AccessDenied,
        Self::Refused,
        Self::BuildNotFound,
        Self::Throttled,
        Self::ServiceUnavailable,
        Self::AccountLimitExceeded,
    ];

    /// Whether a retry of the same call may succeed without any other change.
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
            Self::SourceUnavailable => "SourceUnavailable",
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
            Self::DeniedByPolicy => "DeniedByPolicy",
            Self::PolicyNotEvaluated => "PolicyNotEvaluated",
            Self::ApprovalRequired => "ApprovalRequired",
            Self::ApprovalVoid => "ApprovalVoid",
            Self::ApprovalRejected => "ApprovalRejected",
            Self::ApprovalExpired => "ApprovalExpired",
            Self::PlanSuperseded => "PlanSuperseded",
            Self::NotApprover => "NotApprover",
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

/// An error with a name for the state machine and a message for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The name, for the state machine.
    pub name: ErrorName,
    /// The message, for people.
    pub message: String,
}

/// A result whose error has a name for the state machine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with this name and message.
    pub fn new(name: ErrorName, message: impl Into<String>) -> Self {
        Self {
            name,
            message: message.into(),
        }
    }

    /// The error for a value that cannot be written as JSON.
    #[must_use]
    pub fn unwritable(what: &str, error: &serde_json::Error) -> Self {
        Self::new(
            ErrorName::Refused,
            format!("{what} can't be written as JSON: {error}"),
        )
    }

    /// The error of an invalid field: its path, what was found, what is allowed.
    pub fn field(path: &str, found: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self::new(
            ErrorName::InvalidInput,
            format!("{path}: {}", expected(found, allowed)),
        )
    }
}

/// `expected X, found Y`. The part of `allowed` after a semicolon is advice and goes to the end.
#[must_use]
pub fn expected(found: impl fmt::Display, allowed: impl fmt::Display) -> String {
    let allowed = allowed.to_string();
    match allowed.split_once("; ") {
        Some((allowed, advice)) => format!("expected {allowed}, found {found}; {advice}"),
        None => format!("expected {allowed}, found {found}"),
    }
}

/// `; did you mean X?` if one of the names is similar to what was found, or nothing.
#[must_use]
pub fn did_you_mean(found: &str, names: &[&str]) -> String {
    // A longer one is not a misspelling, and would cost time.
    if found.len() > 64 {
        return String::new();
    }
    let plain = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
    let found = plain(found);
    let distances = names.iter().map(|name| (distance(&found, &plain(name)), name));
    match distances.min_by_key(|(distance, _)| *distance) {
        Some((distance, name)) if distance <= 2 && distance < found.chars().count() => {
            format!("; did you mean {name}?")
        }
        _ => String::new(),
    }
}

/// How many letters have to be inserted, removed, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// At most `limit` characters of a text, for messages that quote text from outside.
#[must_use]
pub fn excerpt(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit).chain(['…']).collect()
}

/// A text of a user for a message, without what may be a password: what precedes an `@`, if it has a colon as in
/// `user:password@host`, besides that of `https://`. The form of the text doesn't matter: it is shown where it is wrong.
#[must_use]
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    match text.rsplit_once('@') {
        Some((before, rest)) if before.replacen("://", "", 1).contains(':') => {
            Cow::Owned(format!("…@{rest}"))
        }
        _ => Cow::Borrowed(text),
    }
}

/// An error in the answer of a function that has done its work: why nothing runs. Its fields are those of the error output of
/// Step Functions.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ErrorOutput {
    /// The name of the error.
    pub error: &'static str,
    /// Why, for people.
    pub cause: String,
}

impl From<Error> for ErrorOutput {
    fn from(error: Error) -> Self {
        Self {
            error: error.name.as_str(),
            cause: error.message,
        }
    }
}

/// Whether a message contains the parts of `pattern`, separated by `…`, in order. Tests omit the parts that they do not check.
#[cfg(test)]
pub(crate) fn says(message: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    parts
        .try_fold(message, |rest, part| Some(rest.split_once(part)?.1))
        .is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_is_recognised_and_another_word_is_not() {
        let phases = ["install", "pre_build", "build", "post_build"];
        for (found, meant) in [
            ("biuld", "; did you mean build?"),
            ("Build", "; did you mean build?"),
            ("pre-build", "; did you mean pre_build?"),
            ("postbuid", "; did you mean post_build?"),
            ("instal", "; did you mean install?"),
            ("test", ""),
            ("", ""),
            ("finally", ""),
        ] {
            assert_eq!(did_you_mean(found, &phases), meant, "{found}");
        }
        assert_eq!(did_you_mean(&"build".repeat(20), &phases), "");
    }
}
