//! The exit codes of the commands.

use std::fmt;
use std::process::ExitCode;

/// Something failed: a module, a deployment, a check, or the command itself.
pub const FAILED: u8 = 1;
/// A plan has changes, and `--detailed-exitcode` asked for it. clap uses 2 for a wrong command line.
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

/// The code of an error.
#[must_use]
pub fn code_of(error: &anyhow::Error) -> ExitCode {
    match error.is::<Refused>() {
        true => ExitCode::from(REFUSED),
        false => ExitCode::from(FAILED),
    }
}
