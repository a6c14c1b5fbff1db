//! Skeleton: replaced below.

use std::fs::File;

use seedflow_core::error::{Error, ErrorName, Result};

pub mod credentials;

pub use credentials::Credentials;

/// Fetches sources from their hosts.
#[derive(Debug)]
pub struct Fetcher {
    credentials: Credentials,
}

impl Fetcher {
    /// A client with the credentials of hosts.
    #[must_use]
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials }
    }

    /// The commit of a branch, a tag or the default branch.
    pub fn resolve(&self, url: &str, reference: Option<&str>) -> Result<String> {
        Err(Error::new(
            ErrorName::SourceUnavailable,
            format!("{url}: {reference:?} {:?}", self.credentials),
        ))
    }

    /// Writes the files of a commit as a zip.
    pub fn fetch_commit(&self, url: &str, _commit: &str, _zip: &mut File) -> Result<()> {
        self.resolve(url, None).map(drop)
    }

    /// Writes the files of an archive as a zip, and returns the archive's SHA-256.
    pub fn fetch_archive(&self, url: &str, _zip: &mut File) -> Result<String> {
        self.resolve(url, None)
    }
}
