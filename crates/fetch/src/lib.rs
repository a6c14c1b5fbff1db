//! Fetches the sources that a manifest names on other hosts: commits of git repositories, and archives.
//!
//! Each source becomes a zip that is read like the repository itself. [`GitSource`] resolves a reference by one exchange
//! with the host and transfers the files of one commit, whatever the length of its history. An archive is a `.zip` or a
//! `.tar.gz` by its content.
//!
//! A host is a stranger: it is asked over TLS and at public addresses only (`url`, `address`), gets the credentials that
//! are meant for it and no others (`credentials`), and what it sends is checked like an upload. A host that fails is asked
//! again, a few times. What it refuses is final, with its answer in the message.
//!
//! The calls block.

mod address;
mod archive;
mod credentials;
mod failure;
mod git;
mod http;
mod s3_object;
mod source_zip;
mod url;

use std::fs::File;
use std::sync::Arc;

use seedflow_core::deployment::remote_source::RemoteSource;
use seedflow_core::deployment::repository_zip::Repository;
use seedflow_core::error::Result;

pub use crate::credentials::Credentials;
use crate::failure::disk;
pub use crate::git::GitSource;
use crate::http::Client;
pub use crate::http::Limits;
pub use crate::s3_object::S3Object;
use crate::url::RemoteUrl;

/// Fetches sources from their hosts.
#[derive(Debug)]
pub struct Fetcher {
    client: Arc<Client>,
}

impl Fetcher {
    /// A fetcher with the credentials of hosts.
    #[must_use]
    pub fn new(credentials: Credentials, limits: Limits) -> Self {
        Self {
            client: Arc::new(Client::new(credentials, limits)),
        }
    }

    /// Fetches a source to read it here, and returns its commit if it has one.
    ///
    /// # Errors
    /// Those of [`Self::archive`] and of [`GitSource`].
    pub fn repository(&self, source: &RemoteSource) -> Result<(Repository<File>, Option<String>)> {
        let mut zip = tempfile::tempfile().map_err(|e| disk(&e))?;
        let commit = match source {
            RemoteSource::Git { url, reference } => {
                let git = self.git(url, reference.as_deref())?;
                let commit = git.resolve()?;
                git.fetch(&commit, &mut zip)?;
                Some(commit)
            }
            RemoteSource::Archive { url } => {
                self.archive(url, &mut zip)?;
                None
            }
        };
        let size = zip.metadata().map_err(|e| disk(&e))?.len();
        Ok((Repository::open(zip, size)?, commit))
    }

    /// A branch, a tag, a commit or the default branch of a git repository. Nothing is asked yet.
    ///
    /// # Errors
    /// `InvalidInput` for an address that may not be asked.
    pub fn git(&self, url: &str, reference: Option<&str>) -> Result<GitSource> {
        Ok(GitSource::new(
            Arc::clone(&self.client),
            RemoteUrl::parse(url)?,
            reference,
        ))
    }

    /// Writes the files of an archive as a zip, and returns the SHA-256 of the archive.
    ///
    /// # Errors
    /// `InvalidInput` for an address that may not be asked, `SourceUnavailable` with the host's answer, `InvalidBundle` for
    /// an archive that may not be unpacked.
    pub fn archive(&self, url: &str, zip: &mut File) -> Result<String> {
        let url = RemoteUrl::parse(url)?;
        archive::fetch(&self.client, &url, zip)
    }
}
