//! The zip of a repository in S3, read on a thread that may block.

use std::collections::BTreeMap;

use seedflow_aws::services::object_reader::ObjectReader;
use seedflow_aws::services::s3::Bucket;
use seedflow_core::deployment::input::DeploymentInput;
use seedflow_core::deployment::manifest::LoadContext;
use seedflow_core::deployment::repository;
use seedflow_core::deployment::repository::Found;
use seedflow_core::deployment::repository_zip::Repository;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::AwsEnvironment;
use seedflow_core::ids::DeploymentId;
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::input::Source;
use seedflow_core::module::maximum::Maxima;

/// A repository that is read from S3.
pub(crate) type Read = repository::LoadedRepository<ObjectReader>;

/// The part of a request that is about its repository.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a DeploymentInput,
    pub(crate) source: &'a Source,
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) place: &'a AwsEnvironment,
    pub(crate) maxima: Maxima,
}

/// Reads the repository of a source.
pub(crate) async fn read(bucket: &Bucket, asked: &Asked<'_>) -> Result<Found<ObjectReader>> {
    open(bucket, asked, repository::read).await
}

/// Reads the name of the deployment in a source's manifest.
pub(crate) async fn name(bucket: &Bucket, asked: &Asked<'_>) -> Result<DeploymentId> {
    open(bucket, asked, |mut archive, _, given| {
        repository::name(&mut archive, given)
    })
    .await
}

/// Opens the repository's folder in the source's zip, and reads it.
async fn open<T: Send + 'static>(
    bucket: &Bucket,
    asked: &Asked<'_>,
    read: impl FnOnce(Repository<ObjectReader>, CommitInfo, &LoadContext<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (reader, opened) = ObjectReader::open(bucket, asked.source).await?;
    let (project, manifest) = (asked.request.project.clone(), asked.request.manifest.clone());
    let (root, env, place) = (asked.source.path.clone(), asked.env.clone(), asked.place.clone());
    let maxima = asked.maxima;
    // The zip library blocks; on a thread of its own it leaves this one to move the bytes.
    blocking(move || {
        let given = LoadContext {
            manifest: &manifest,
            env: &env,
            project: Some(&project),
            place: Some(&place),
            maxima: &maxima,
        };
        let archive = Repository::open(reader, opened.size)?.rooted(&root, &manifest)?;
        read(archive, opened.origin, &given)
    })
    .await
}

/// Runs code that reads the archive on a thread that may block.
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
