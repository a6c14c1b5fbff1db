//! Sources outside the deployment's repository: what `git::` and `archive::` paths of a manifest name.
//!
//! A path in the manifest becomes a [`RemoteSource`] and a path within it. The planner lists the sources of a manifest. The
//! function `fetch-sources` resolves each once per deployment, to a commit or the digest of an archive, and stores its files
//! as a zip in the work bucket ([`FetchedSource`], decision 44). From there a source is read like the repository itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorName, excerpt};
use crate::module::commit_info::CommitInfo;
use crate::module::definition::DefinedSource;

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

impl RemoteSource {
    /// The error of a source that was not fetched in time.
    #[must_use]
    pub fn late(&self, minutes: u64) -> Error {
        let (Self::Git { url, .. } | Self::Archive { url }) = self;
        Error::new(
            ErrorName::SourceUnavailable,
            format!("{}: not fetched within {minutes} minutes", without_query(url)),
        )
    }
}

/// All failures of a deployment's sources as one error, so that a person can correct them at once. What passes by itself
/// comes first: the state machine then tries again.
#[must_use]
pub fn all_failures(mut failed: Vec<Error>) -> Option<Error> {
    failed.sort_by_key(|error| (!error.name.passes(), error.message.clone()));
    let name = failed.first()?.name;
    let messages: Vec<String> = failed.into_iter().map(|error| error.message).collect();
    Some(Error::new(name, messages.join("\n")))
}

/// The error of a manifest that names other sources than it did before they were fetched. To fetch again could go on for
/// ever.
#[must_use]
pub fn replaced(sources: &[RemoteSource]) -> Error {
    let named: Vec<String> = sources.iter().map(ToString::to_string).collect();
    Error::new(
        ErrorName::InvalidManifest,
        format!(
            "the manifest names {}, but named other sources when this execution began; the repository was replaced while it ran; start a new one",
            excerpt(&named.join(", "), 1000)
        ),
    )
}

impl fmt::Display for RemoteSource {
    /// The address without its query, which may be a signature, and the reference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git {
                url,
                reference: Some(reference),
            } => write!(f, "{url}@{reference}"),
            Self::Git { url, reference: None } => f.write_str(url),
            Self::Archive { url } => f.write_str(without_query(url)),
        }
    }
}

fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(address, _)| address)
}

/// A file or a folder of the deployment's repository, or of a remote source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePath {
    /// `None` for the deployment's own repository.
    pub source: Option<RemoteSource>,
    /// The path within the source, `""` for its root.
    pub path: String,
}

impl SourcePath {
    /// A path of the deployment's own repository.
    #[must_use]
    pub fn own(path: &str) -> Self {
        Self {
            source: None,
            path: path.to_owned(),
        }
    }

    /// The folder as the source of a module. `fetched` has the commits.
    #[must_use]
    pub fn defined(&self, fetched: &[FetchedSource]) -> DefinedSource {
        let path = self.path.clone();
        match &self.source {
            None => DefinedSource::Repository { path },
            Some(RemoteSource::Git { url, reference }) => {
                let found = fetched
                    .iter()
                    .find(|found| Some(&found.source) == self.source.as_ref());
                DefinedSource::Git {
                    url: url.clone(),
                    reference: reference.clone(),
                    commit: found.and_then(|found| found.commit.clone()),
                    path,
                }
            }
            Some(RemoteSource::Archive { url }) => DefinedSource::Archive {
                url: without_query(url).to_owned(),
                path,
            },
        }
    }

    /// A file in this folder.
    #[must_use]
    pub fn file(&self, name: &str) -> Self {
        Self {
            source: self.source.clone(),
            path: match self.path.as_str() {
                "" => name.to_owned(),
                folder => format!("{folder}/{name}"),
            },
        }
    }
}

impl fmt::Display for SourcePath {
    /// `modules/vpc`, or `https://host/repository@main//modules/vpc`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, self.path.as_str()) {
            (None, "") => f.write_str("."),
            (None, path) => f.write_str(path),
            (Some(source), "") => write!(f, "{source}"),
            (Some(source), path) => write!(f, "{source}//{path}"),
        }
    }
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

impl FetchedSource {
    /// The commit, with the reference in the place of the branch.
    #[must_use]
    pub fn commit_info(&self) -> CommitInfo {
        let reference = match &self.source {
            RemoteSource::Git { reference, .. } => reference.as_deref(),
            RemoteSource::Archive { .. } => None,
        };
        let commit = self.commit.as_deref();
        // The reference may be the commit itself.
        let is_commit = |reference: &str| commit.is_some_and(|commit| commit.eq_ignore_ascii_case(reference));
        CommitInfo::of_commit(commit, reference.filter(|reference| !is_commit(reference)))
    }

    /// The same for people: without the query of an address, which may be a signature.
    #[must_use]
    pub fn shown(&self) -> Self {
        let source = match &self.source {
            RemoteSource::Archive { url } => RemoteSource::Archive {
                url: without_query(url).to_owned(),
            },
            git @ RemoteSource::Git { .. } => git.clone(),
        };
        Self {
            source,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_in_an_address_is_never_shown() {
        let fetched = FetchedSource {
            source: RemoteSource::Archive {
                url: "https://b.s3.amazonaws.com/a.zip?X-Amz-Signature=s3cret".to_owned(),
            },
            commit: None,
            key: "fetched/a.zip".to_owned(),
        };
        let folder = SourcePath {
            source: Some(fetched.source.clone()),
            path: "modules/vpc".to_owned(),
        };
        assert_eq!(
            folder.file("deployspec.yaml").to_string(),
            "https://b.s3.amazonaws.com/a.zip//modules/vpc/deployspec.yaml"
        );
        assert_eq!(
            folder.defined(&[]),
            DefinedSource::Archive {
                url: "https://b.s3.amazonaws.com/a.zip".to_owned(),
                path: "modules/vpc".to_owned()
            }
        );
        assert_eq!(
            fetched.shown().source,
            RemoteSource::Archive {
                url: "https://b.s3.amazonaws.com/a.zip".to_owned()
            }
        );
    }

    #[test]
    fn failures_are_one_error_and_what_passes_by_itself_decides_its_name() {
        let archive = |url: &str| RemoteSource::Archive { url: url.to_owned() };
        let late = archive("https://b/slow.zip?X-Amz-Signature=s3cret").late(14);
        assert_eq!(late.message, "https://b/slow.zip: not fetched within 14 minutes");
        let busy = Error::new(ErrorName::ServiceUnavailable, "the work bucket: 503");
        assert_eq!(
            all_failures(vec![late.clone(), busy.clone()]),
            Some(Error::new(
                busy.name,
                format!("{}\n{}", busy.message, late.message)
            ))
        );
        assert_eq!(all_failures(Vec::new()), None);
        let message = replaced(&[archive("https://b/a.zip?X-Amz-Signature=s3cret")]).message;
        assert!(
            message.starts_with("the manifest names https://b/a.zip, "),
            "{message}"
        );
    }

    #[test]
    fn the_commit_of_a_source_is_the_modules_and_its_reference_the_branch() {
        let of = |reference: &str| {
            let source = RemoteSource::Git {
                url: "https://h/r".to_owned(),
                reference: Some(reference.to_owned()),
            };
            let fetched = FetchedSource {
                source,
                commit: Some("c0ffee".to_owned()),
                key: String::new(),
            };
            let info = fetched.commit_info();
            (info.commit().map(str::to_owned), info.branch().map(str::to_owned))
        };
        let commit = Some("c0ffee".to_owned());
        assert_eq!(
            of("release/1.2"),
            (commit.clone(), Some("release/1.2".to_owned()))
        );
        assert_eq!(of("c0ffee"), (commit, None));
    }
}
