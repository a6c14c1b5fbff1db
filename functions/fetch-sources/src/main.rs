//! `fetch-sources`: fetches what a manifest names on other hosts, once for a whole deployment.
//!
//! Each source is resolved by one request: a git reference to its commit, an archive to the digest of its content. Its
//! files are stored as a zip at a key that follows from that, and nothing is fetched or stored if the object is there
//! already. So it is idempotent, and a later deployment of the same commit costs one request to the host.
//!
//! Only this function talks to hosts outside AWS, and it has no right but to store zips, and to read one secret and the
//! archives in S3 that the template's parameters name.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seedflow_aws::runtime::config::SdkConfig;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler};
use seedflow_aws::services::object_reader::blocking;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::secrets;
use seedflow_core::deployment::remote_source::{FetchedSource, RemoteSource, all_failures};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::storage_layout::{fetched_archive_key, fetched_commit_key};
use seedflow_fetch::{Credentials, Fetcher, Limits, S3Object};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Number of sources that are fetched at once.
const CONCURRENCY: usize = 4;
/// The time for all sources: Lambda's own limit is a minute later, and could not name those that are missing.
const TIME: Duration = Duration::from_secs(14 * 60);
/// A zip that is older is stored again: the template's lifecycle rule removes it after 30 days, which must not happen
/// between this function and the planner.
const FRESH: Duration = Duration::from_secs(28 * 24 * 3600);

#[derive(Deserialize)]
struct Event {
    sources: Vec<RemoteSource>,
}

#[derive(Debug, Serialize)]
struct Answer {
    sources: Vec<FetchedSource>,
}

#[derive(Clone)]
struct Handler {
    work: Bucket,
    fetcher: Arc<Fetcher>,
    /// The configuration for archives in S3; `None` if the role may read none.
    s3: Option<SdkConfig>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let work = Bucket::new(&aws, config::setting("WORK_BUCKET")?);
    let secret = config::optional_setting("GIT_CREDENTIALS_SECRET");
    let s3 = config::optional_setting("SOURCE_OBJECT_ARNS").map(|_| aws.clone());
    handler::run(async |Invocation { event, .. }: Invocation<Event>| {
        // Read anew each time: a rotated secret is used by the next deployment.
        let credentials = match &secret {
            Some(id) => Credentials::parse(secrets::secret(&aws, id).await?.expose())?,
            None => Credentials::default(),
        };
        let handler = Handler {
            work: work.clone(),
            fetcher: Arc::new(Fetcher::new(credentials, Limits::default())),
            s3: s3.clone(),
        };
        handler.fetch_all(event.sources, Instant::now() + TIME).await
    })
    .await
}

impl Handler {
    /// Fetches the sources. Those that are not fetched at the deadline are failures.
    async fn fetch_all(&self, sources: Vec<RemoteSource>, deadline: Instant) -> Result<Answer> {
        let waiting: BTreeSet<RemoteSource> = sources.into_iter().collect();
        let slots = Arc::new(Semaphore::new(CONCURRENCY));
        let mut running = JoinSet::new();
        for source in waiting.clone() {
            let (handler, slots) = (self.clone(), Arc::clone(&slots));
            running.spawn(async move {
                let _slot = slots.acquire_owned().await;
                (handler.fetch(source.clone()).await, source)
            });
        }
        ended(running, waiting, deadline).await
    }

    async fn fetch(&self, source: RemoteSource) -> Result<FetchedSource> {
        let fetched = match &source {
            RemoteSource::Git { url, reference } => self.commit(url, reference.as_deref()).await?,
            RemoteSource::Archive { url } => self.archive(url).await?,
        };
        let (commit, key) = fetched;
        tracing::info!(commit, key, "fetched");
        Ok(FetchedSource { source, commit, key })
    }

    async fn commit(&self, url: &str, reference: Option<&str>) -> Result<(Option<String>, String)> {
        let git = self.fetcher.git(url, reference)?;
        let (git, commit) = blocking("git", move || {
            let commit = git.resolve()?;
            Ok((git, commit))
        })
        .await?;
        let key = fetched_commit_key(url, &commit);
        if !self.is_stored(&key).await? {
            let wanted = commit.clone();
            let zip = blocking("git", move || {
                let mut zip = temporary()?;
                git.fetch(&wanted, zip.as_file_mut())?;
                Ok(zip)
            });
            self.work.put_file(&key, zip.await?.path()).await?;
        }
        Ok((Some(commit), key))
    }

    async fn archive(&self, url: &str) -> Result<(Option<String>, String)> {
        let (fetcher, asked) = (Arc::clone(&self.fetcher), self.signed(url).await?);
        let (zip, digest) = blocking("archive", move || {
            let mut zip = temporary()?;
            let digest = fetcher.archive(&asked, zip.as_file_mut())?;
            Ok((zip, digest))
        })
        .await?;
        let key = fetched_archive_key(&digest);
        if !self.is_stored(&key).await? {
            self.work.put_file(&key, zip.path()).await?;
        }
        Ok((None, key))
    }

    /// The address to fetch. An unsigned S3 address is signed with the function's role.
    async fn signed(&self, url: &str) -> Result<String> {
        let (Some(config), Some(object)) = (&self.s3, S3Object::of(url)) else {
            return Ok(url.to_owned());
        };
        let bucket = match object.region {
            Some(region) => Bucket::in_region(config, object.bucket, region),
            None => Bucket::new(config, object.bucket),
        };
        bucket.presigned(&object.key, TIME).await
    }

    async fn is_stored(&self, key: &str) -> Result<bool> {
        let written_at = self.work.written_at(key).await?;
        Ok(written_at.is_some_and(|at| SystemTime::now().duration_since(at).unwrap_or_default() < FRESH))
    }
}

/// What the fetches of these sources led to. Those that run at the deadline are ended, and are failures.
async fn ended(
    mut running: JoinSet<(Result<FetchedSource>, RemoteSource)>,
    mut waiting: BTreeSet<RemoteSource>,
    deadline: Instant,
) -> Result<Answer> {
    let (mut fetched, mut failed) = (Vec::new(), Vec::new());
    while let Ok(Some(ended)) = timeout_at(deadline, running.join_next()).await {
        let (result, source) = ended.map_err(panicked)?;
        waiting.remove(&source);
        match result {
            Ok(source) => fetched.push(source),
            Err(error) => failed.push(error),
        }
    }
    failed.extend(waiting.iter().map(|source| source.late(TIME.as_secs() / 60)));
    fetched.sort_by(|a, b| a.source.cmp(&b.source));
    match all_failures(failed) {
        Some(error) => Err(error),
        None => Ok(Answer { sources: fetched }),
    }
}

fn temporary() -> Result<NamedTempFile> {
    NamedTempFile::new().map_err(|e| {
        Error::new(
            ErrorName::Refused,
            format!("a file can't be made on the function's disk: {e}"),
        )
    })
}

fn panicked(error: tokio::task::JoinError) -> Error {
    Error::new(
        ErrorName::ServiceUnavailable,
        format!("fetching a source ended in a panic: {error}"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn archive(url: &str) -> RemoteSource {
        RemoteSource::Archive { url: url.to_owned() }
    }

    /// A fetch of each source; those without a result never end.
    async fn started(
        sources: &[(&RemoteSource, Option<Result<FetchedSource>>)],
    ) -> (
        JoinSet<(Result<FetchedSource>, RemoteSource)>,
        BTreeSet<RemoteSource>,
    ) {
        let mut running = JoinSet::new();
        for (source, result) in sources {
            let (source, result) = ((*source).clone(), result.clone());
            running.spawn(async move {
                match result {
                    Some(result) => (result, source),
                    None => std::future::pending().await,
                }
            });
        }
        // Lets those with a result end.
        tokio::task::yield_now().await;
        let waiting = sources.iter().map(|(source, _)| (*source).clone()).collect();
        (running, waiting)
    }

    #[tokio::test]
    async fn at_the_deadline_the_missing_sources_are_named_without_signatures() {
        let done = archive("https://host.example/done.zip");
        let slow = archive("https://host.example/slow.zip?X-Amz-Signature=secret");
        let refused = archive("https://host.example/refused.zip");
        let fetched = FetchedSource {
            source: done.clone(),
            commit: None,
            key: "fetched/done".to_owned(),
        };
        let no = Error::new(ErrorName::SourceNotFound, "https://host.example/refused.zip: 404");
        let (running, waiting) = started(&[
            (&done, Some(Ok(fetched.clone()))),
            (&slow, None),
            (&refused, Some(Err(no))),
        ])
        .await;
        let error = ended(running, waiting, Instant::now()).await.unwrap_err();
        assert_eq!(
            error.message,
            "https://host.example/refused.zip: 404\nhttps://host.example/slow.zip: not fetched within 14 minutes"
        );

        let (running, waiting) = started(&[(&slow, None)]).await;
        let error = ended(running, waiting, Instant::now()).await.unwrap_err();
        assert_eq!(error.name, ErrorName::SourceUnavailable);

        let (running, waiting) = started(&[(&done, Some(Ok(fetched)))]).await;
        let answer = ended(running, waiting, Instant::now()).await.unwrap();
        assert_eq!(answer.sources[0].key, "fetched/done");
    }

    #[test]
    fn lambda_ends_the_function_after_the_deadline() {
        let template = include_str!("../../../template.yaml");
        let function = template.split_once("  FetchSourcesFunction:").unwrap().1;
        let timeout = function
            .split_once("Timeout: ")
            .unwrap()
            .1
            .lines()
            .next()
            .unwrap();
        assert!(timeout.parse::<u64>().unwrap() > TIME.as_secs(), "{timeout}");
    }
}
