//! The pages of reports: links for a browser of this machine.
//!
//! A presigned link shows one page of a running stack; links from it to other pages lead nowhere, because each page needs
//! a signature of its own. A copy of all pages in a folder has them all, and outlives the stack.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use seedflow_core::ids::{ExecutionArn, ModuleId};
use seedflow_core::pages::index::Index;
use seedflow_core::storage_layout::{index_key, page_key, prefix};

use crate::aws_api::AwsApi;
use crate::client::deployment::Finished;
use crate::stack::Connection;

/// How long a link works.
const LINK_LASTS: Duration = Duration::from_secs(12 * 3600);
/// How long a page may take: the function that makes it waits some seconds for more to do at once.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The link to the page of an execution, as soon as there is one; `None` where none comes.
pub async fn link(
    api: &AwsApi,
    stack: &Connection,
    module: &ModuleId,
    finished: &Finished,
) -> Result<Option<String>> {
    let Some(key) = key_of(module, finished) else {
        return Ok(None);
    };
    let looking = async {
        while api.object_metadata(&stack.work_bucket, &key).await.is_err() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    if tokio::time::timeout(PATIENCE, looking).await.is_err() {
        return Ok(None);
    }
    Ok(Some(api.presigned(&stack.work_bucket, &key, LINK_LASTS)?))
}

/// Nothing is reported of an execution that changed nothing, or that gave way to another.
fn key_of(module: &ModuleId, finished: &Finished) -> Option<String> {
    if matches!(finished.state(), "UNCHANGED" | "SUPERSEDED") {
        return None;
    }
    page_key(&module.report_key(&ExecutionArn::new(finished.execution.as_str())))
}

/// The links to a project's index and to the last page of each of its modules and deployments; none where there is no
/// index yet.
pub async fn links(api: &AwsApi, stack: &Connection, project: &str) -> Result<Vec<(String, String)>> {
    let project = ModuleId::project(project)?;
    let key = index_key(&project);
    if api.object_metadata(&stack.work_bucket, &key).await.is_err() {
        return Ok(Vec::new());
    }
    let page = api.read_object(&stack.work_bucket, &key).await?;
    let index = Index::read(&String::from_utf8_lossy(&page)).context("the index can't be read")?;
    let mut pages = vec![(format!("{project} (index)"), key)];
    pages.extend(
        index
            .pages(&project)
            .map(|(name, key)| (format!("{project}/{name}"), key)),
    );
    let link = |(name, key): (String, String)| {
        let link = api.presigned(&stack.work_bucket, &key, LINK_LASTS)?;
        Ok((name, link))
    };
    pages.into_iter().map(link).collect()
}

/// Waits until a project's index has the end of an execution; whether it has.
pub async fn indexed(api: &AwsApi, stack: &Connection, project: &str, execution: &str) -> Result<bool> {
    let key = index_key(&ModuleId::project(project)?);
    let looking = async {
        loop {
            let page = api
                .read_object(&stack.work_bucket, &key)
                .await
                .unwrap_or_default();
            let index = Index::read(&String::from_utf8_lossy(&page));
            if index.is_some_and(|index| index.has_ended(execution)) {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, looking).await.is_ok())
}

/// Copies all pages into a folder and returns those of the indexes.
pub async fn copy(api: &AwsApi, stack: &Connection, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut indexes = Vec::new();
    for pages in [prefix::INDEXES, prefix::REPORTS] {
        for key in api.list_objects(&stack.work_bucket, pages).await? {
            let file = folder.join(&key);
            let parent = file.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
            api.get_object(&stack.work_bucket, &key, None, &file).await?;
            if pages == prefix::INDEXES {
                indexes.push(file);
            }
        }
    }
    Ok(indexes)
}
