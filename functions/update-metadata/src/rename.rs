//! Renames a module: writes what is stored under its old name under the new one, then removes the old (decision 66).
//!
//! The execution holds the lock of the new name. The old name gets a mark first, and then its lock has to be free: an
//! execution of the old name either has its lock before that, or finds the mark.

use jiff::Timestamp;
use seedflow_aws::stores::stored_lock;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{ExecutionArn, ModuleId, ParameterKind};
use seedflow_core::module::deployed_record::DeployedModule;
use seedflow_core::module::destroy;
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::refusal::Refusal;
use seedflow_core::module::rename;
use seedflow_core::module::rename::{RenameState, RenameStep};
use seedflow_core::module::source::Source;
use seedflow_core::workflow::lock::Lease;
use serde_json::{Value, json};

use crate::handler::Handler;

impl Handler {
    pub(crate) async fn rename(
        &self,
        execution: &ExecutionArn,
        lock: &Lease,
        from: &ModuleRef,
        now: Timestamp,
    ) -> Result<Value> {
        let module = &lock.of;
        let old = from.id(module);
        stored_lock::ensure_held(&self.modules.work, lock, execution).await?;
        let kinds = [ParameterKind::Renamed];
        let marked = self.modules.parameters.stored(&old, &kinds).await?;
        let is_begun = marked.renamed_to() == Some(ModuleRef::from(module));
        if !is_begun {
            self.modules.mark_renamed(&old, module).await?;
        }
        let steps = self.steps(module, from, execution, now).await;
        // The mark of a rename that was begun shows that it is to be completed.
        if !is_begun
            && steps
                .as_ref()
                .is_err_and(|error| Refusal::is_by(error.name.as_str()))
        {
            self.unmark(&old).await?;
        }
        let mut kept = None;
        for step in steps? {
            match step {
                RenameStep::KeepBundle(bundle) => kept = Some(self.keep_again(&bundle, module).await?),
                RenameStep::Record(record) => {
                    let bundle = kept.take();
                    let record = DeployedModule { bundle, ..*record };
                    self.modules.write_record(&record).await?;
                }
                RenameStep::Parameter(write) => self.modules.write(module, write).await?,
                RenameStep::Unmark => self.unmark(module).await?,
                RenameStep::DropBundles => self.drop_bundles(&old).await?,
                RenameStep::DropRecord => self.modules.work.delete(&old.record_key()).await?,
                RenameStep::DropParameters => {
                    let parameters = &self.modules.parameters;
                    parameters.delete(&old, &destroy::OF_A_SUCCESS).await?;
                }
                RenameStep::DropValues => self.modules.delete_values(&old).await?,
                RenameStep::DropStatus => {
                    let status = [ParameterKind::Status];
                    self.modules.parameters.delete(&old, &status).await?;
                }
            }
        }
        tracing::info!(%from, "renamed");
        Ok(json!({"module": module, "execution": execution, "renamed_from": from}))
    }

    /// What is to be done, once no execution of the old name runs.
    async fn steps(
        &self,
        module: &ModuleId,
        from: &ModuleRef,
        execution: &ExecutionArn,
        now: Timestamp,
    ) -> Result<Vec<RenameStep>> {
        let old = from.id(module);
        self.refuse_busy(&old, module).await?;
        let modules = &self.modules;
        let (own, stored) = (modules.stored(module).await?, modules.stored(&old).await?);
        let (own_record, old_record) = (modules.record(module).await?, modules.record(&old).await?);
        let stored = RenameState {
            own: &own,
            own_record: own_record.as_ref(),
            old: &stored,
            old_record: old_record.as_ref(),
        };
        rename::steps(module, from, stored, execution, now)
    }

    /// Refuses to rename a module while an execution of its old name runs.
    async fn refuse_busy(&self, old: &ModuleId, module: &ModuleId) -> Result<()> {
        let Some((lock, _)) = stored_lock::read(&self.modules.work, &old.lock_key()).await? else {
            return Ok(());
        };
        Err(Error::new(
            ErrorName::StateConflict,
            format!(
                "{module}: expected no execution of {old}, from which it is renamed, found {}; start this again when that has ended",
                lock.holder.execution.as_str()
            ),
        ))
    }

    async fn keep_again(&self, bundle: &Source, module: &ModuleId) -> Result<Source> {
        let key = module.kept_bundle_key();
        let work = &self.modules.work;
        Ok(Source {
            version_id: work.copy_from(bundle, None, &key).await?,
            bucket: work.name().to_owned(),
            key,
            path: bundle.path.clone(),
        })
    }
}
