//! What is stored of a deployment and its modules.

use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::spilled_values;
use seedflow_core::deployment::renames::Renames;
use seedflow_core::deployment::state::DeploymentState;
use seedflow_core::error::Result;
use seedflow_core::ids::{DeploymentId, ModuleId};
use seedflow_core::module::deployed_record::DeployedModule;
use seedflow_core::module::metadata_reference::ModuleRef;
use tokio::task::JoinSet;

/// Number of concurrent reads of records.
const READS: usize = 16;

/// The stored state of a deployment.
pub(crate) async fn state(store: &ModuleStore, deployment: &DeploymentId) -> Result<DeploymentState> {
    let mut whole = Vec::new();
    for (name, text) in store.parameters.below(&deployment.path()).await? {
        if DeploymentState::plans_by(&name) {
            whole.push((name, spilled_values::resolve(&store.work, text).await?));
        }
    }
    Ok(DeploymentState::of(deployment, whole))
}

/// The records of modules that are deployed. That of a module to rename is under its old name.
pub(crate) async fn records(
    store: &ModuleStore,
    modules: &[ModuleId],
    renames: &Renames,
) -> Result<Vec<DeployedModule>> {
    let mut records = Vec::new();
    for some in modules.chunks(READS) {
        let mut reading = JoinSet::new();
        for module in some {
            let (store, module) = (store.clone(), module.clone());
            let from = renames
                .from
                .get(&ModuleRef::from(&module))
                .map(|from| from.id(&module));
            reading.spawn(async move {
                let record = store.record(from.as_ref().unwrap_or(&module)).await?;
                Result::Ok(record.map(|record| DeployedModule { module, ..record }))
            });
        }
        for record in reading.join_all().await {
            records.extend(record?);
        }
    }
    Ok(records)
}
