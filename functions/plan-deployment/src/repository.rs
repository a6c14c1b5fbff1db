//! The zips of a repository and of its remote sources in S3, read on a thread that may block.

use std::collections::BTreeMap;

use seedflow_aws::services::object_reader::{ObjectReader, blocking};
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::ssm::ParameterStore;
use seedflow_core::deployment::archives::Archives;
use seedflow_core::deployment::input::DeploymentInput;
use seedflow_core::deployment::manifest::{LoadContext, MANIFEST_NAME};
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::deployment::remote_source::FetchedSource;
use seedflow_core::deployment::repository;
use seedflow_core::deployment::repository::{Found, Opened};
use seedflow_core::deployment::repository_zip::Repository;
use seedflow_core::error::Result;
use seedflow_core::ids::AwsEnvironment;
use seedflow_core::ids::DeploymentId;
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::maximum::Maxima;
use seedflow_core::module::source::Source;

/// What a repository and its variables are read from.
#[derive(Clone, Copy)]
pub(crate) struct Stores<'a> {
    pub(crate) work: &'a Bucket,
    pub(crate) parameters: &'a ParameterStore,
}

/// The part of a request that is about its repository.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a DeploymentInput,
    pub(crate) source: &'a Source,
    /// The remote sources that are fetched.
    pub(crate) fetched: &'a [FetchedSource],
    pub(crate) options: &'a ManifestOptions,
    pub(crate) environment: &'a AwsEnvironment,
    pub(crate) maxima: &'a Maxima,
}

/// Reads the repository of a source.
pub(crate) async fn read(stores: Stores<'_>, asked: &Asked<'_>) -> Result<Found<ObjectReader>> {
    let mut zips = Vec::new();
    for fetched in asked.fetched {
        let source = Source {
            key: fetched.key.clone(),
            version_id: None,
            path: String::new(),
            ..asked.source.clone()
        };
        zips.push(ObjectReader::open(stores.work, &source).await?);
    }
    let fetched = asked.fetched.to_vec();
    open(stores, asked, |repository, commit_info, given| {
        let mut archives = Archives::new(repository);
        for (fetched, (reader, opened)) in fetched.iter().zip(zips) {
            archives.add(fetched.source.clone(), Repository::open(reader, opened.size)?)?;
        }
        let opened = Opened {
            archives,
            commit_info,
            fetched,
        };
        repository::read(opened, given)
    })
    .await
}

/// Reads the name of the deployment in a source's manifest, and the repository's commit.
pub(crate) async fn name(stores: Stores<'_>, asked: &Asked<'_>) -> Result<(DeploymentId, CommitInfo)> {
    open(stores, asked, |mut archive, commit_info, given| {
        Ok((repository::name(&mut archive, given)?, commit_info))
    })
    .await
}

/// Opens the repository's folder in the source's zip, and reads it with the options of the input and of the zip's own
/// metadata.
async fn open<T: Send + 'static>(
    stores: Stores<'_>,
    asked: &Asked<'_>,
    read: impl FnOnce(Repository<ObjectReader>, CommitInfo, &LoadContext<'_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (reader, opened) = ObjectReader::open(stores.work, asked.source).await?;
    let metadata = ManifestOptions::from_metadata(|name| opened.metadata.get(name).map(String::as_str))?;
    let options = asked.options.clone().or(metadata);
    let stored_variables = match &options.env_path {
        Some(path) => stores.parameters.variables(path).await?,
        None => BTreeMap::new(),
    };
    let project = asked.request.project.clone();
    let (root, environment) = (asked.source.path.clone(), asked.environment.clone());
    let maxima = asked.maxima.clone();
    blocking("repository", move || {
        let given = LoadContext {
            options: &options,
            stored_variables: &stored_variables,
            project: Some(&project),
            environment: Some(&environment),
            maxima: &maxima,
        };
        let manifest = options.manifest.as_deref().unwrap_or(MANIFEST_NAME);
        let archive = Repository::open(reader, opened.size)?.rooted(&root, manifest)?;
        read(archive, opened.commit_info, &given)
    })
    .await
}
