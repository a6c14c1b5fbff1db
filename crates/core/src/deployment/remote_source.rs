//! Sources outside the deployment's repository: what `git::` and `archive::` paths of a manifest name.
//!
//! A path in the manifest becomes a [`RemoteSource`] and a path within it. The planner lists the sources of a manifest. The
//! function `fetch-sources` resolves each once per deployment, to a commit or the digest of an archive, and stores its files
//! as a zip in the work bucket ([`FetchedSource`]). From there a source is read like the repository itself.

use serde::{Deserialize, Serialize};

/// A source that the host of a manifest's path stores.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum RemoteSource {
    /// A git repository.
    Git {
        /// The repository's address, without `git::`, the folder and the query.
        url: String,
        /// The branch, tag or commit; `None` for the default branch.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
    },
    /// A `.zip` or `.tar.gz`.
    Archive {
        /// The archive's address with its query but for `module`.
        url: String,
    },
}

/// A source whose files are stored in the work bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchedSource {
    /// What was fetched.
    #[serde(flatten)]
    pub source: RemoteSource,
    /// The commit; `None` for an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The key of the zip in the work bucket: the same source, if it did not change, has the same key.
    pub key: String,
}
