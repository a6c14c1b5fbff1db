//! The bundles of the modules that are deployed, packed from the zips of the repository and of remote sources, and uploaded.
//!
//! A bundle's key contains its digest, so a repeated upload writes the same objects. Packing copies the compressed bytes of
//! the zips' entries. Besides the bundles being uploaded only one is on disk.

use std::collections::BTreeSet;

use seedflow_aws::services::object_reader::{ObjectReader, blocking};
use seedflow_aws::services::s3::Bucket;
use seedflow_core::deployment::archives::{Archives, Content};
use seedflow_core::deployment::plan::{Plan, PlannedAction};
use seedflow_core::deployment::repository::{LoadedRepository, Packing};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::ModuleId;
use seedflow_core::module::commit_info::CommitInfo;
use tempfile::NamedTempFile;
use tokio::task::{JoinError, JoinSet};

/// Number of concurrent uploads.
const UPLOADS: usize = 8;

/// The modules whose bundles a plan needs.
pub(crate) fn of(plan: &Plan) -> BTreeSet<ModuleId> {
    plan.modules
        .iter()
        .filter(|planned| planned.execution.is_some() && planned.action != PlannedAction::Destroy)
        .map(|planned| {
            let (group, module) = (planned.module.group.clone(), planned.module.module.clone());
            plan.deployment.module(group, module)
        })
        .collect()
}

/// Stores the bundles of modules.
pub(crate) async fn store(
    bucket: &Bucket,
    repository: LoadedRepository<ObjectReader>,
    wanted: &BTreeSet<ModuleId>,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let (mut archives, packings) = repository.into_archives();
    let mut uploads = JoinSet::new();
    for (id, packing) in packings {
        if !wanted.contains(&id) {
            continue;
        }
        let Packing {
            content,
            key,
            commit_info,
        } = packing;
        let packed;
        (archives, packed) = blocking("repository", move || {
            let packed = pack(&mut archives, &content)?;
            Ok((archives, packed))
        })
        .await?;
        if uploads.len() >= UPLOADS {
            uploads.join_next().await.map_or(Ok(()), uploaded)?;
        }
        uploads.spawn(upload(bucket.clone(), key, packed, commit_info));
    }
    while let Some(done) = uploads.join_next().await {
        uploaded(done)?;
    }
    Ok(())
}

fn pack(archives: &mut Archives<ObjectReader>, content: &Content) -> Result<NamedTempFile> {
    let full = |e: std::io::Error| {
        Error::new(
            ErrorName::Refused,
            format!(
                "{}: the bundle can't be written to the function's disk: {e}",
                content.folder
            ),
        )
    };
    let mut file = NamedTempFile::new().map_err(full)?;
    archives.pack(content, file.as_file_mut())?;
    Ok(file)
}

async fn upload(bucket: Bucket, key: String, packed: NamedTempFile, commit_info: CommitInfo) -> Result<()> {
    bucket.put_planned(&key, packed.path(), &commit_info).await
}

fn uploaded(done: std::result::Result<Result<()>, JoinError>) -> Result<()> {
    done.map_err(|e| {
        Error::new(
            ErrorName::ServiceUnavailable,
            format!("uploading a bundle ended in a panic: {e}"),
        )
    })?
}
