//! Updates the index of a project: reads it, adds the states that executions have reached, and writes it unless it was
//! written in between.

use seedflow_aws::services::s3::{Conditional, Expect};
use seedflow_core::drift::record::DriftRecord;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::Name;
use seedflow_core::pages::index::Index;
use seedflow_core::pages::{PageContext, index_page};
use seedflow_core::storage_layout::index_key;

use crate::handler::{Events, Handler};

/// Maximum size of an index: some four thousand modules. The function's memory holds it several times.
const MAX_INDEX: u64 = 16 * 1024 * 1024;
/// Maximum number of tries. At most two calls run concurrently, so the one that loses wins next.
pub(crate) const TRIES: usize = 5;

impl Handler {
    /// Adds the states, and what was found of drift, to the index that was read, and returns the index that is stored then.
    pub(crate) async fn update_index(
        &self,
        context: &PageContext<'_>,
        project: &Name,
        read: (Index, Expect),
        (reached, drifts): (&Events, &[DriftRecord]),
    ) -> Result<Index> {
        let key = index_key(project);
        let (mut before, mut expect) = read;
        for _ in 0..TRIES {
            let index = reached
                .iter()
                .fold(before.clone(), |index, (_, state)| index.with(state));
            let index = drifts.iter().fold(index, Index::with_drift);
            if index == before && expect != Expect::Nothing {
                return Ok(index);
            }
            let page = index_page::render(&index, context, project);
            if let Conditional::Done(_) = self.work.put_page_if(&key, page, expect).await? {
                return Ok(index);
            }
            (before, expect) = self.index(project).await?;
        }
        Err(Error::new(
            ErrorName::ServiceUnavailable,
            format!("{key}: another writer changed it during each of {TRIES} tries"),
        ))
    }

    /// The stored index, and what to expect of it when it is written.
    pub(crate) async fn index(&self, project: &Name) -> Result<(Index, Expect)> {
        let key = index_key(project);
        let Some((bytes, tag)) = self.work.get(&key, MAX_INDEX).await? else {
            return Ok((Index::default(), Expect::Nothing));
        };
        let index = Index::read(&String::from_utf8_lossy(&bytes)).unwrap_or_else(|| {
            // The page was edited by hand. Its previous version is kept for a while, and every module reappears at its next
            // end.
            tracing::warn!(key, "the page holds no index that can be read; it begins anew");
            Index::default()
        });
        Ok((index, Expect::Tag(tag)))
    }
}
