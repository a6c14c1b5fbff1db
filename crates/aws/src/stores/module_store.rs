//! The stored data of modules and deployments: parameters, with values that are too long for them in S3; records of
//! deployed modules, and of checks for drift; reports.

use jiff::Timestamp;
use seedflow_core::deployment::status::DeploymentStatus;
use seedflow_core::drift;
use seedflow_core::drift::record::DriftRecord;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::{ModuleId, ParameterKind};
use seedflow_core::module::deployed_record;
use seedflow_core::module::deployed_record::DeployedModule;
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::parameters::Parameters;
use seedflow_core::module::report::Report;
use seedflow_core::module::rollback::{Goal, MAX_VERSIONS, Search};
use seedflow_core::module::status::Status;
use seedflow_core::module::stored_parameters::{EncodedParameter, ModuleParameters, Text};
use seedflow_core::module::stored_state::{StateNames, StoredState};
use seedflow_core::module::success::{ParameterWrite, status_write};

use crate::services::s3::Bucket;
use crate::services::ssm::{ParameterStore, about_references};
use crate::stores::spilled_values;

/// Stores the data of modules and deployments.
#[derive(Debug, Clone)]
pub struct ModuleStore {
    /// Parameter Store.
    pub parameters: ParameterStore,
    /// The work bucket.
    pub work: Bucket,
}

impl ModuleStore {
    /// The store of this account and region, with this work bucket.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, work_bucket: String) -> Self {
        Self {
            parameters: ParameterStore::new(config),
            work: Bucket::new(config, work_bucket),
        }
    }

    /// Writes one parameter. A value in S3 is written first, so that a reference never points to a missing object.
    pub async fn write(&self, module: &ModuleId, write: ParameterWrite) -> Result<()> {
        self.write_encoded(&module.parameter(write.kind), write.encoded)
            .await
    }

    async fn write_encoded(&self, parameter: &str, encoded: EncodedParameter) -> Result<()> {
        if let Some((key, text)) = encoded.spilled {
            self.work.put(&key, text).await?;
        }
        self.parameters.put(parameter, &encoded.parameter).await
    }

    /// The status of a deployment; `None` if it is missing or can't be parsed.
    pub async fn deployment_status(&self, deployment: &DeploymentId) -> Result<Option<DeploymentStatus>> {
        let name = deployment.status_parameter();
        let found = self.parameters.get(std::slice::from_ref(&name)).await?;
        let Some((text, _)) = found.get(&name) else {
            return Ok(None);
        };
        let whole = spilled_values::resolve(&self.work, text.clone()).await?;
        Ok(serde_json::from_str(&whole).ok())
    }

    /// Writes the status of a deployment.
    pub async fn write_deployment_status(
        &self,
        deployment: &DeploymentId,
        status: &DeploymentStatus,
    ) -> Result<()> {
        let text = serde_json::to_string(status)
            .map_err(|e| Error::unwritable(&format!("the status of {deployment}"), &e))?;
        let encoded = EncodedParameter::status_of_deployment(deployment, &text);
        self.write_encoded(&deployment.status_parameter(), encoded).await
    }

    /// Deletes the status of a deployment, and earlier ones that were too long for Parameter Store.
    pub async fn delete_deployment_status(&self, deployment: &DeploymentId) -> Result<()> {
        let name = deployment.status_parameter();
        self.parameters.delete_named(vec![name]).await?;
        for key in self.work.keys(&deployment.status_values_folder()).await? {
            self.work.delete(&key).await?;
        }
        Ok(())
    }

    /// Writes a status unless it equals the stored one.
    pub async fn write_status(
        &self,
        module: &ModuleId,
        stored: &ModuleParameters,
        status: &Status,
    ) -> Result<()> {
        if let Some(write) = status_write(module, stored, status) {
            self.write(module, write).await?;
        }
        tracing::info!(state = status.state.as_str(), "recorded");
        Ok(())
    }

    /// Marks a module as one that is renamed to `to`.
    pub async fn mark_renamed(&self, module: &ModuleId, to: &ModuleId) -> Result<()> {
        let text = serde_json::to_string(&ModuleRef::from(to))
            .map_err(|e| Error::unwritable("the mark of a renamed module", &e))?;
        let name = module.parameter(ParameterKind::Renamed);
        self.parameters.put(&name, &Text::of_json(&text)).await
    }

    /// Writes the record of what is deployed (decision 24).
    pub async fn write_record(&self, record: &DeployedModule) -> Result<()> {
        let text = serde_json::to_string(record).map_err(|e| Error::unwritable("the record", &e))?;
        self.work.put(&record.module.record_key(), text).await
    }

    /// Deletes the module's values that were too long for Parameter Store, including those of earlier deployments.
    pub async fn delete_values(&self, module: &ModuleId) -> Result<()> {
        for key in self.work.keys(&module.values_folder()).await? {
            self.work.delete(&key).await?;
        }
        Ok(())
    }

    /// Writes the report of an execution.
    pub async fn write_report(&self, report: &Report<'_>) -> Result<()> {
        let text = serde_json::to_string_pretty(report).map_err(|e| Error::unwritable("the report", &e))?;
        self.work
            .put(&report.module.report_key(report.execution), text)
            .await
    }

    /// The record of a module; `None` if it has none.
    pub async fn record(&self, module: &ModuleId) -> Result<Option<DeployedModule>> {
        let key = module.record_key();
        self.record_version(&key, None).await
    }

    /// The record of a module that nobody deploys right now; `None` without one, and of a module whose first deployment has not
    /// succeeded. The lock is not read: it has a task token.
    pub async fn record_at_rest(&self, module: &ModuleId) -> Result<Option<DeployedModule>> {
        let lock = module.lock_key();
        if self.work.keys(&lock).await?.contains(&lock) {
            return Ok(None);
        }
        let found = self.record(module).await?;
        Ok(found.filter(|deployed| !deployed.attempt))
    }

    /// What the last check of a module for drift has found.
    pub async fn drift(&self, module: &ModuleId) -> Result<Option<DriftRecord>> {
        let key = module.drift_key();
        let Some((bytes, _)) = self.work.get(&key, drift::record::MAX_BYTES).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            Error::new(
                ErrorName::Refused,
                format!("{key}: expected the record of a check for drift, found another text: {e}; delete the object, and the next check writes it anew"),
            )
        })
    }

    /// Writes what a check for drift has found.
    pub async fn write_drift(&self, record: &DriftRecord) -> Result<()> {
        let key = record.module.drift_key();
        let text = serde_json::to_string(record).map_err(|e| Error::unwritable(&key, &e))?;
        self.work.put(&key, text).await
    }

    async fn record_version(&self, key: &str, version: Option<String>) -> Result<Option<DeployedModule>> {
        let found = self
            .work
            .get_version(key, version, deployed_record::MAX_BYTES)
            .await?;
        let parse = |(bytes, _): (Vec<u8>, _)| {
            serde_json::from_slice(&bytes).map_err(|e| {
                Error::new(
                    ErrorName::Refused,
                    format!("{key}: the object is not a record of a deployment: {e}; deploy the module once more with \"force_update\": true, which writes it anew"),
                )
            })
        };
        found.map(parse).transpose()
    }

    /// The record of the deployment to which a module goes back.
    ///
    /// # Errors
    /// `SourceNotFound` if there is none.
    pub async fn record_to_roll_back_to(&self, module: &ModuleId, goal: Goal) -> Result<DeployedModule> {
        let status = match goal {
            Goal::Previous => self.stored(module).await?.status_of(module)?,
            Goal::Execution(_) | Goal::At(_) => None,
        };
        let search = Search::new(module, goal, status.as_ref());
        self.find_record(module, search).await
    }

    /// The last record of a module that is not later than `time`.
    ///
    /// # Errors
    /// `SourceNotFound` if there is none.
    pub async fn record_at(&self, module: &ModuleId, time: Timestamp) -> Result<DeployedModule> {
        self.find_record(module, Search::new(module, Goal::At(time), None))
            .await
    }

    async fn find_record(&self, module: &ModuleId, mut search: Search) -> Result<DeployedModule> {
        let key = module.record_key();
        for version in self.work.versions(&key, MAX_VERSIONS).await? {
            // A version that expired meanwhile is one that can't be gone back to.
            let Some(record) = self.record_version(&key, Some(version)).await? else {
                continue;
            };
            if search.look_at(record) {
                break;
            }
        }
        search.end()
    }

    /// The state by which a module with these parameters is checked; `elsewhere` is the Parameter Store of the module's
    /// target.
    pub async fn state(
        &self,
        module: &ModuleId,
        parameters: &Parameters,
        elsewhere: Option<&ParameterStore>,
    ) -> Result<StoredState> {
        let names = StateNames::new(module, parameters);
        let referenced = match elsewhere {
            None => None,
            Some(elsewhere) => {
                let references: Vec<String> = names.references().collect();
                Some(elsewhere.get(&references).await.map_err(about_references)?)
            }
        };
        let ours = match referenced {
            None => names.all(),
            Some(_) => names.written_by_us().collect(),
        };
        let found = self.parameters.get(&ours).await;
        let mut found = found.map_err(|e| {
            if names.has_references() {
                about_references(e)
            } else {
                e
            }
        })?;
        for name in names.written_by_us() {
            if let Some((text, _)) = found.get_mut(&name) {
                *text = spilled_values::resolve(&self.work, std::mem::take(text)).await?;
            }
        }
        Ok(names.state(&found, referenced.as_ref().unwrap_or(&found)))
    }

    /// All parameters of a module, with the values that are in S3.
    pub async fn stored(&self, module: &ModuleId) -> Result<ModuleParameters> {
        let all = [&ParameterKind::ALL[..], &[ParameterKind::Renamed]].concat();
        let mut stored = self.parameters.stored(module, &all).await?;
        for kind in ParameterKind::ALL {
            if let Some(text) = stored.text(kind).map(str::to_owned) {
                stored.set(kind, spilled_values::resolve(&self.work, text).await?);
            }
        }
        Ok(stored)
    }
}
