//! A plan under construction, with the waves of its executions and their names.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::planning::Planning;
use crate::deployment::module_part::ModulePart;
use crate::deployment::plan::{Item, PlannedAction, PlannedModule, Wave};
use crate::ids::{ExecutionArn, ModuleId, hyphens};
use crate::module::metadata_reference::ModuleRef;

/// How much of the deployment's execution name the names of its modules' executions contain: half a UUID, enough to
/// find them all in the logs (docs/observability.md).
pub const SHARED_NAME: usize = 22;

/// A plan under construction.
pub(super) struct Planner<'a> {
    pub(super) planning: &'a Planning<'a>,
    pub(super) modules: Vec<PlannedModule>,
    pub(super) waves: Vec<Wave>,
    /// The modules of earlier waves whose values may change, with their actions.
    pub(super) before: BTreeMap<ModuleRef, PlannedAction>,
    /// The modules with an execution: after it, their stored fingerprints name the upstream modules of the manifest.
    pub(super) renewed: BTreeSet<ModuleRef>,
    /// What the modules with an execution are deployed from.
    pub(super) parts: BTreeMap<ModuleRef, ModulePart>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(planning: &'a Planning<'a>) -> Self {
        Self {
            planning,
            modules: Vec::new(),
            waves: Vec::new(),
            before: BTreeMap::new(),
            renewed: BTreeSet::new(),
            parts: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn id(&self, module: &ModuleRef) -> ModuleId {
        self.planning
            .deployment
            .module(module.group.clone(), module.module.clone())
    }

    pub(super) fn name(&self, module: &ModuleId) -> String {
        execution_name(self.planning.execution, module)
    }

    pub(super) fn wave(&mut self, concurrency: Option<u32>, items: impl Iterator<Item = Item>) {
        let items: Vec<Item> = items.collect();
        if !items.is_empty() {
            let most = self.planning.concurrency;
            self.waves.push(Wave {
                concurrency: concurrency.unwrap_or(most).clamp(1, most),
                items,
            });
        }
    }
}

/// A readable name: it contains the deployment's execution, and a digest that makes it unique (Step Functions: up to 80
/// characters).
pub(super) fn execution_name(of: &ExecutionArn, module: &ModuleId) -> String {
    let digest = hex::encode(Sha256::digest(format!("{}/{module}", of.as_str())));
    let readable: String = hyphens(&module.module_name()).chars().take(40).collect();
    let shared: String = of.name().chars().take(SHARED_NAME).collect();
    format!("{readable}-{shared}-{}", &digest[..16])
}
