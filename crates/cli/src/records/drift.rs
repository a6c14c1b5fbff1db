//! What drift detection last found in the modules of a project.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context, Result};
use seedflow_aws::services::s3::Bucket;
use seedflow_core::drift::record::{DriftRecord, MAX_BYTES};
use seedflow_core::ids::{ModuleId, Name};
use seedflow_core::storage_layout;
use tokio::task::JoinSet;

/// Number of records that are read at once.
const AT_ONCE: usize = 16;

/// The records of a project, as far as they were read.
#[derive(Debug, Clone, Default)]
pub struct DriftRecords(BTreeMap<String, (SystemTime, DriftRecord)>);

impl DriftRecords {
    /// Reads what was written since the last time.
    pub async fn refresh(&mut self, bucket: &Bucket, project: &Name) -> Result<()> {
        let listed = bucket
            .keys_by_time(&storage_layout::drift_of_project(project))
            .await?;
        self.0
            .retain(|key, _| listed.iter().any(|(found, _)| found == key));
        let is_new = |(key, at): &(String, SystemTime)| self.0.get(key).is_none_or(|(known, _)| known != at);
        let new: Vec<(String, SystemTime)> = listed.into_iter().filter(is_new).collect();
        for some in new.chunks(AT_ONCE) {
            let mut reading = JoinSet::new();
            for (key, at) in some.iter().cloned() {
                let bucket = bucket.clone();
                reading.spawn(async move { anyhow::Ok((read(&bucket, &key).await?, key, at)) });
            }
            while let Some(done) = reading.join_next().await {
                let (record, key, at) = done??;
                if let Some(record) = record {
                    self.0.insert(key, (at, record));
                }
            }
        }
        Ok(())
    }

    /// The record of a module.
    #[must_use]
    pub fn of(&self, module: &ModuleId) -> Option<&DriftRecord> {
        self.0.get(&module.drift_key()).map(|(_, record)| record)
    }
}

async fn read(bucket: &Bucket, key: &str) -> Result<Option<DriftRecord>> {
    let Some((bytes, _)) = bucket.get(key, MAX_BYTES).await? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .with_context(|| format!("{key}: expected the record of a check for drift, found another text"))
}
