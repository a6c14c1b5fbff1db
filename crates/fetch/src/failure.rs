//! Why a source can't be fetched, and whether the host should be asked again.

use std::io;

use seedflow_core::error::{Error, ErrorName};

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whether another attempt may succeed.
    pub(crate) passes: bool,
    /// The error, without the source's address.
    pub(crate) error: Error,
}

impl Failure {
    /// The host's answer is final.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self {
            passes: false,
            error: Error::new(ErrorName::SourceUnavailable, message),
        }
    }

    /// The host failed, or did not answer.
    pub(crate) fn passing(message: impl Into<String>) -> Self {
        Self {
            passes: true,
            error: Error::new(ErrorName::SourceUnavailable, message),
        }
    }

    /// The host's answer ended too early.
    pub(crate) fn broke_off(error: &io::Error) -> Self {
        Self::passing(format!("the host's answer broke off: {error}"))
    }
}

/// What was received is not valid, or can't be stored.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { passes: false, error }
    }
}

/// The error of a file on this machine's disk.
pub(crate) fn disk(error: &io::Error) -> Error {
    Error::new(
        ErrorName::Refused,
        format!("the source can't be written to the disk: {error}"),
    )
}

/// The error of a source that may not be unpacked.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorName::InvalidBundle, message)
}
