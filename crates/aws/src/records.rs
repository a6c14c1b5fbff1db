//! What is written about a module: parameters, with what is too long for them in S3, records and reports.

use seedflow_core::commit::{Write, status_write};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::ModuleId;
use seedflow_core::record::{self, Record};
use seedflow_core::report::Report;
use seedflow_core::status::Status;
use seedflow_core::stored::Stored;

use crate::s3::Bucket;
use crate::ssm::ParameterStore;

/// Where the records of modules are kept.
#[derive(Debug, Clone)]
pub struct Records {
    /// Parameter Store.
    pub parameters: ParameterStore,
    /// The work bucket.
    pub work: Bucket,
}

impl Records {
    /// Writes one parameter: what goes to S3 first, so that a reference never points to nothing.
    pub async fn write(&self, module: &ModuleId, write: Write) -> Result<()> {
        if let Some((key, text)) = write.laid.spilled {
            self.work.put(&key, text).await?;
        }
        self.parameters
            .put(&module.parameter(write.slot), &write.laid.parameter)
            .await
    }

    /// Writes a status unless it says what is stored already.
    pub async fn write_status(&self, module: &ModuleId, stored: &Stored, status: &Status) -> Result<()> {
        if let Some(write) = status_write(module, stored, status) {
            self.write(module, write).await?;
        }
        tracing::info!(state = status.state.as_str(), "recorded");
        Ok(())
    }

    /// Writes the record of what is deployed.
    pub async fn write_record(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_string(record).map_err(|e| {
            Error::new(
                ErrorName::Refused,
                format!("the record can't be written as JSON: {e}"),
            )
        })?;
        self.work.put(&record.module.record_key(), text).await
    }

    /// Removes the values of a module that were too long for Parameter Store, those of earlier deployments too.
    pub async fn delete_values(&self, module: &ModuleId) -> Result<()> {
        for key in self.work.keys(&module.values_folder()).await? {
            self.work.delete(&key).await?;
        }
        Ok(())
    }

    /// Writes the report of an execution.
    pub async fn write_report(&self, report: &Report<'_>) -> Result<()> {
        let text = serde_json::to_string_pretty(report).map_err(|e| {
            Error::new(
                ErrorName::Refused,
                format!("the report can't be written as JSON: {e}"),
            )
        })?;
        self.work
            .put(&report.module.report_key(report.execution), text)
            .await
    }
}

/// The record of a module; `None` where there is none.
pub async fn read(work: &Bucket, module: &ModuleId) -> Result<Option<Record>> {
    let key = module.record_key();
    let found = work.get(&key, record::MAX_BYTES).await?;
    let parse = |(bytes, _): (Vec<u8>, _)| {
        serde_json::from_slice(&bytes).map_err(|e| {
            Error::new(
                ErrorName::Refused,
                format!("{key}: the object is no record of a deployment: {e}; deploy the module once more with \"force_update\": true, which writes it anew"),
            )
        })
    };
    found.map(parse).transpose()
}
