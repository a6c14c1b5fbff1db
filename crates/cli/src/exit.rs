//! The exit codes of the commands.

use std::fmt;

use anyhow::anyhow;
use seedflow_core::error::{Error, ErrorName};
use seedflow_core::module::refusal::Refusal;

/// Something failed: a module, a deployment, a check, or the command itself.
pub const FAILED: u8 = 1;
/// The arguments are wrong. clap uses the same code.
pub const WRONG: u8 = 2;
/// A plan has changes, and `--detailed-exitcode` asked for it.
pub const CHANGES_PENDING: u8 = 3;
/// The request was refused before anything ran.
pub const REFUSED: u8 = 4;
/// The command was ended by Ctrl-C: 128 and the signal's number.
pub const INTERRUPTED: u8 = 130;

/// An error that ends the command with a code of its own.
#[derive(Debug)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A wrong argument that only the stack's answer reveals.
#[derive(Debug)]
pub struct Wrong(pub String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

/// The end of a command by Ctrl-C, with what that means.
#[derive(Debug)]
pub struct Interrupted(pub &'static str);

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Interrupted {}

/// The code of an error.
#[must_use]
pub fn code_of(error: &anyhow::Error) -> u8 {
    match error {
        error if error.is::<Refused>() => REFUSED,
        error if error.is::<Wrong>() => WRONG,
        error if error.is::<Interrupted>() => INTERRUPTED,
        _ => FAILED,
    }
}

/// What a person reads of an error.
#[must_use]
pub fn text_of(error: &anyhow::Error) -> String {
    match error.is::<Interrupted>() {
        // The terminal has just shown ^C.
        true => format!("\n{error:#}"),
        false => format!("error: {error:#}"),
    }
}

/// Whether an error is that of a request that was refused before anything ran (docs/errors.md): by a module's check, or by
/// what a deployment adds to it.
#[must_use]
pub fn is_refusal(error: &str) -> bool {
    Refusal::is_by(error) || OF_DEPLOYMENTS.iter().any(|name| name.as_str() == error)
}

/// The errors with which a deployment is refused, besides those of a module.
const OF_DEPLOYMENTS: [ErrorName; 9] = [
    ErrorName::InvalidManifest,
    ErrorName::SourceUnavailable,
    ErrorName::Blocked,
    ErrorName::DeploymentBusy,
    ErrorName::StateConflict,
    ErrorName::ApprovalRejected,
    ErrorName::ApprovalExpired,
    ErrorName::PlanSuperseded,
    ErrorName::NotApprover,
];

/// Turns an error of core into one for people.
pub fn for_people(error: Error) -> anyhow::Error {
    match is_refusal(error.name.as_str()) {
        true => Refused(error.message).into(),
        false => anyhow!(error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn an_error_keeps_its_code_below_what_is_said_around_it() {
        let of = |error: anyhow::Error| code_of(&error);
        assert_eq!(of(Refused("r".to_owned()).into()), REFUSED);
        assert_eq!(of(Wrong("w".to_owned()).into()), WRONG);
        assert_eq!(of(anyhow!("a")), FAILED);
        let interrupted = Err::<(), _>(Interrupted("nothing was started")).context("while asking");
        let interrupted = interrupted.map_err(|error| (code_of(&error), text_of(&error)));
        assert_eq!(
            interrupted,
            Err((INTERRUPTED, "\nwhile asking: nothing was started".to_owned()))
        );
    }

    #[test]
    fn a_request_is_refused_by_a_module_or_by_a_deployment() {
        for name in [
            "InvalidModuleStack",
            "InvalidInput",
            "InvalidManifest",
            "DeploymentBusy",
        ] {
            assert!(is_refusal(name), "{name}");
        }
        for name in ["BuildFailed", "Throttled", "AccessDenied", ""] {
            assert!(!is_refusal(name), "{name}");
        }
    }
}
