//! The zip of a repository in S3, read where reading may block.

use std::collections::BTreeMap;

use seedflow_aws::object_reader::ObjectReader;
use seedflow_aws::s3::Bucket;
use seedflow_core::bundle::repository::Repository;
use seedflow_core::deployment::repository::{self, Found};
use seedflow_core::deployment::request::Scope;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::Place;
use seedflow_core::manifest::Given;
use seedflow_core::maximum::Maxima;
use seedflow_core::request::Source;

/// A repository that is read from S3.
pub(crate) type Read = repository::Read<ObjectReader>;

/// Reads the repository of a source.
pub(crate) async fn read(
    bucket: &Bucket,
    source: &Source,
    env: &BTreeMap<String, String>,
    scope: &Scope,
    place: &Place,
    maxima: Maxima,
) -> Result<Found<ObjectReader>> {
    let (reader, opened) = ObjectReader::open(bucket, source).await?;
    let (env, scope, place) = (env.clone(), scope.clone(), place.clone());
    // The zip library reads blocking; on a thread of its own it leaves this one to move the bytes.
    blocking(move || {
        let given = Given {
            manifest: &scope.manifest,
            env: &env,
            project: Some(&scope.project),
            place: Some(&place),
            maxima: &maxima,
        };
        repository::read(Repository::open(reader, opened.size)?, opened.origin, &given)
    })
    .await
}

/// Runs what reads the archive where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        Error::new(
            ErrorName::InvalidBundle,
            format!("repository: reading it ended in a panic: {e}"),
        )
    })?
}
