//! What a deployment was at the end of an earlier execution, read from the records of the deployment and of its modules.

use std::collections::{BTreeMap, BTreeSet};

use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_core::deployment::plan::{Plan, PlannedAction};
use seedflow_core::deployment::record::{self, DeploymentRecord, Search};
use seedflow_core::deployment::rollback::{OnFailure, To};
use seedflow_core::deployment::state::DeploymentState;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{DeploymentId, ModuleId};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::definition::DefinedSource;
use seedflow_core::module::deployed_record::DeployedModule;
use seedflow_core::module::metadata_reference::ModuleRef;
use tokio::task::JoinSet;

/// Number of concurrent reads.
const READS: usize = 16;

/// A deployment as it was.
pub(crate) struct Earlier {
    pub(crate) record: DeploymentRecord,
    pub(crate) modules: Vec<DeployedModule>,
}

impl Earlier {
    /// The commits of the modules' files.
    pub(crate) fn commits(&self) -> BTreeMap<ModuleId, CommitInfo> {
        let modules = self.modules.iter();
        modules
            .map(|module| (module.module.clone(), module.commit_info.clone()))
            .collect()
    }

    /// Where the modules come from: their kept bundles.
    pub(crate) fn sources(&self) -> BTreeMap<ModuleId, DefinedSource> {
        let modules = self.modules.iter();
        let kept = modules.filter_map(|module| {
            let bundle = module.bundle.as_ref()?;
            Some((module.module.clone(), DefinedSource::of_bundle(bundle)))
        });
        kept.collect()
    }
}

/// A module, and its missing part.
type Missing = (ModuleId, String);

/// Notes in a plan to which execution it is rolled back if a module fails, if the request or the policy asks for it.
pub(crate) async fn prepare(store: &ModuleStore, plan: &mut Plan, on_failure: OnFailure) -> Result<()> {
    let by_policy = plan.policy.as_ref().is_some_and(|policy| policy.rolls_back);
    if on_failure == OnFailure::Stop && !by_policy {
        return Ok(());
    }
    match last(store, &plan.deployment).await? {
        Some(last) => plan.on_failure_to = Some(last.execution.name().to_owned()),
        None => plan.warnings.push(
            "on_failure: the whole deployment has not succeeded yet, so a failure is not rolled back"
                .to_owned(),
        ),
    }
    Ok(())
}

/// Finds what a deployment goes back to, with the records of all its modules.
pub(crate) async fn find(
    store: &ModuleStore,
    deployment: &DeploymentId,
    to: To,
    state: &DeploymentState,
) -> Result<Earlier> {
    let record = record(store, deployment, to, state).await?;
    let time = record.ended_at;
    let wanted: Vec<ModuleId> = record.modules.iter().map(|module| record.id(module)).collect();
    let (mut modules, mut missing) = (Vec::new(), Vec::new());
    for some in wanted.chunks(READS) {
        let mut reading = JoinSet::new();
        for module in some {
            let (store, module) = (store.clone(), module.clone());
            reading.spawn(async move {
                let found = store.record_at(&module, time).await;
                (module, found)
            });
        }
        for (module, found) in reading.join_all().await {
            match found {
                Ok(found) => modules.push(found),
                Err(error) if error.name == ErrorName::SourceNotFound => {
                    missing.push((module, "no record of it from then".to_owned()));
                }
                Err(error) => return Err(error),
            }
        }
    }
    refuse(&record, missing)?;
    // Reads end in any order, and a plan has one.
    modules.sort_by_key(|one| one.module.to_string());
    Ok(Earlier { record, modules })
}

/// Refuses a rollback before anything runs if a bundle that it may deploy is not kept.
pub(crate) async fn check_bundles(store: &ModuleStore, earlier: &Earlier, plan: &Plan) -> Result<()> {
    let starts: BTreeSet<&ModuleRef> = plan
        .modules
        .iter()
        .filter(|planned| planned.execution.is_some() && planned.action != PlannedAction::Destroy)
        .map(|planned| &planned.module)
        .collect();
    let started: Vec<&DeployedModule> = earlier
        .modules
        .iter()
        .filter(|module| starts.contains(&ModuleRef::from(&module.module)))
        .collect();
    let mut missing = Vec::new();
    for some in started.chunks(READS) {
        let mut looking = JoinSet::new();
        for module in some {
            let (store, module) = (store.clone(), (*module).clone());
            looking.spawn(async move { why_missing(&store, &module).await });
        }
        for found in looking.join_all().await {
            missing.extend(found?);
        }
    }
    missing.sort_by_key(|one: &Missing| one.0.to_string());
    refuse(&earlier.record, missing)
}

async fn record(
    store: &ModuleStore,
    deployment: &DeploymentId,
    to: To,
    state: &DeploymentState,
) -> Result<DeploymentRecord> {
    let key = deployment.record_key();
    let mut search = Search::new(deployment, to, state);
    for version in store.work.versions(&key, record::MAX_VERSIONS).await? {
        // A version that expired meanwhile is one that can't be gone back to.
        let Some((bytes, _)) = store
            .work
            .get_version(&key, Some(version), record::MAX_BYTES)
            .await?
        else {
            continue;
        };
        if search.look_at(parse(&key, &bytes)?) {
            break;
        }
    }
    search.end()
}

/// The record of the last success; `None` if there was none.
pub(crate) async fn last(store: &ModuleStore, deployment: &DeploymentId) -> Result<Option<DeploymentRecord>> {
    let key = deployment.record_key();
    let found = store.work.get(&key, record::MAX_BYTES).await?;
    found.map(|(bytes, _)| parse(&key, &bytes)).transpose()
}

fn parse(key: &str, bytes: &[u8]) -> Result<DeploymentRecord> {
    serde_json::from_slice(bytes).map_err(|e| {
        Error::new(
            ErrorName::Refused,
            format!("{key}: expected a record of a deployment, found {e}; the next success of the whole deployment writes it anew"),
        )
    })
}

/// Why the bundle of a module can't be deployed again.
async fn why_missing(store: &ModuleStore, module: &DeployedModule) -> Result<Option<Missing>> {
    let id = module.module.clone();
    let Some(bundle) = &module.bundle else {
        return Ok(Some((id, "it was deployed with \"bundle\": false".to_owned())));
    };
    let key = id.kept_bundle_key();
    // Old records name the published copy, which only the module's own execution may read.
    if bundle.key != key {
        return Ok(None);
    }
    let kept = store.work.versions(&key, record::MAX_VERSIONS).await?;
    let is_kept = bundle
        .version_id
        .as_ref()
        .is_none_or(|version| kept.contains(version));
    Ok((!is_kept).then(|| (id, "its bundle is not kept any more".to_owned())))
}

fn refuse(record: &DeploymentRecord, missing: Vec<Missing>) -> Result<()> {
    match missing.is_empty() {
        true => Ok(()),
        false => Err(record::missing(record, &missing)),
    }
}
