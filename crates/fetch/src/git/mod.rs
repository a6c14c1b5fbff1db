//! A commit of a git repository, by git's smart HTTP protocol.
//!
//! The first request asks which version of the protocol the host speaks. Most speak version 2: a second request then asks
//! for the refs that a reference may mean, and for no others. Azure DevOps and CodeCommit speak version 0, where the first
//! answer has all refs. A third request transfers the files of one commit (`depth 1`).

mod pack;
mod packet;
mod refs;

use std::cell::OnceCell;
use std::fs::File;
use std::sync::Arc;

use seedflow_core::error::{Error, Result, excerpt};

use crate::failure::Failure;
use crate::http::{Answer, Client};
use crate::source_zip::SourceZip;
use crate::url::RemoteUrl;
use pack::Pack;
use refs::{Advertisement, Ref};

/// The service of a repository that is read.
const SERVICE: &str = "git-upload-pack";

/// A reference of a git repository.
#[derive(Debug)]
pub struct GitSource {
    client: Arc<Client>,
    url: RemoteUrl,
    reference: Option<String>,
    repository: OnceCell<Repository>,
}

/// A repository that has answered.
#[derive(Debug)]
struct Repository {
    /// Its address, after redirects.
    url: RemoteUrl,
    advertised: Advertisement,
}

impl GitSource {
    pub(crate) fn new(client: Arc<Client>, url: RemoteUrl, reference: Option<&str>) -> Self {
        Self {
            client,
            url,
            reference: reference.map(str::to_owned),
            repository: OnceCell::new(),
        }
    }

    /// The commit. A reference that is a whole commit id is one already, and nothing is asked.
    ///
    /// # Errors
    /// `SourceUnavailable` with the host's answer.
    pub fn resolve(&self) -> Result<String> {
        if let Some(commit) = self.reference.as_deref().filter(|text| refs::is_commit(text)) {
            return Ok(commit.to_ascii_lowercase());
        }
        self.client.attempts(&self.to_string(), || {
            let repository = self.repository()?;
            let candidates = refs::candidates(self.reference.as_deref());
            let found = match &repository.advertised {
                Advertisement::V0 { refs } => refs::choose(refs, &candidates),
                Advertisement::V2 => refs::choose(&self.list(repository, &candidates)?, &candidates),
            };
            found.ok_or_else(|| Failure::refused(self.unknown()))
        })
    }

    /// Writes the files of a commit as a zip.
    ///
    /// # Errors
    /// `SourceUnavailable` with the host's answer, `InvalidBundle` for files that may not be unpacked.
    pub fn fetch(&self, commit: &str, zip: &mut File) -> Result<()> {
        let source = self.to_string();
        let pack = self.client.attempts(&source, || {
            let repository = self.repository()?;
            let request = repository.advertised.fetch(commit);
            let answer = self.post(repository, &request)?;
            Pack::receive(answer.body)
        })?;
        let mut zip = SourceZip::new(zip);
        pack.write(commit, &mut zip)
            .and_then(|()| zip.finish())
            .map_err(|e| Error::new(e.name, format!("{source}: {}", e.message)))
    }

    /// The repository, which is asked once.
    fn repository(&self) -> Result<&Repository, Failure> {
        if let Some(repository) = self.repository.get() {
            return Ok(repository);
        }
        let asked = self
            .url
            .with_path(&format!("{}/info/refs?service={SERVICE}", self.url.path()))?;
        let answer = self.client.get(&asked, &[("Git-Protocol", "version=2")])?;
        let Answer {
            url,
            content_type,
            body,
        } = answer;
        if content_type != format!("application/x-{SERVICE}-advertisement") {
            return Err(Failure::refused(
                "expected a git repository, found another document; check the address",
            ));
        }
        let path = url.path().strip_suffix("/info/refs").ok_or_else(|| {
            Failure::refused(format!("expected a git repository, found a redirect to {url}"))
        })?;
        let repository = Repository {
            url: url.with_path(path)?,
            advertised: Advertisement::read(body)?,
        };
        Ok(self.repository.get_or_init(|| repository))
    }

    /// The refs that a reference may mean.
    fn list(&self, repository: &Repository, candidates: &[String]) -> Result<Vec<Ref>, Failure> {
        let answer = self.post(repository, &refs::list(candidates))?;
        refs::read(answer.body)
    }

    fn post(&self, repository: &Repository, request: &[u8]) -> Result<Answer, Failure> {
        let url = repository
            .url
            .with_path(&format!("{}/{SERVICE}", repository.url.path()))?;
        let content_type = format!("application/x-{SERVICE}-request");
        let mut headers = vec![("Content-Type", content_type.as_str())];
        if matches!(repository.advertised, Advertisement::V2) {
            headers.push(("Git-Protocol", "version=2"));
        }
        // The host that was named is the one that the first answer came from, unless that was a redirect.
        self.client.post(&url, &self.url, &headers, request)
    }

    fn unknown(&self) -> String {
        match &self.reference {
            Some(reference) => format!(
                "the repository has no branch and no tag \"{}\"; a commit needs its whole id of 40 digits",
                excerpt(reference, 120)
            ),
            None => {
                "the repository has no default branch; name a branch, a tag or a commit by ?ref=".to_owned()
            }
        }
    }
}

impl std::fmt::Display for GitSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.url)?;
        match &self.reference {
            Some(reference) => write!(f, " (ref {})", excerpt(reference, 120)),
            None => Ok(()),
        }
    }
}
