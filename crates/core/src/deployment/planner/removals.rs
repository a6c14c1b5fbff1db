//! The modules of a plan that are destroyed: those that are deployed and no longer kept, consumers first.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::draft::Planner;
use crate::deployment::order;
use crate::deployment::plan::{Item, PlannedAction, PlannedModule};
use crate::module::metadata_reference::ModuleRef;

impl Planner<'_> {
    /// Adds the modules that are not kept, consumers first.
    pub(super) fn destroy(
        &mut self,
        modules: Vec<ModuleRef>,
        kept: &BTreeSet<ModuleRef>,
        why: &str,
        groups: &[String],
    ) {
        let deployed: BTreeSet<ModuleRef> = modules.into_iter().collect();
        let going: BTreeSet<ModuleRef> = deployed
            .iter()
            .filter(|module| !kept.contains(*module) && self.planning.only.covers(&self.id(module)))
            .cloned()
            .collect();
        let by_name = self.by_name(&deployed);
        let consumes: BTreeMap<ModuleRef, BTreeSet<ModuleRef>> = deployed
            .iter()
            .map(|module| (module.clone(), self.consumed_by(module, &by_name)))
            .collect();
        for wave in order::destroying(&going, &consumes, groups) {
            let planned: Vec<PlannedModule> = wave
                .iter()
                .map(|module| self.gone(module, why, &deployed, &going, &consumes))
                .collect();
            let items: Vec<Item> = planned
                .iter()
                .filter_map(|planned| {
                    let mut input = json!(self.id(&planned.module));
                    input["action"] = json!("destroy");
                    Some(Item {
                        name: planned.execution.clone()?,
                        input,
                    })
                })
                .collect();
            self.wave(None, items.into_iter());
            self.modules.extend(planned);
        }
        for path in self.planning.state.without_owner() {
            let path = format!("{}/{path}", self.planning.deployment.path());
            self.warnings.push(format!(
                "{path}: the status there names no module, so nobody knows whose parameters these are; deploy the module again or delete them"
            ));
        }
    }

    /// Decides on a module that is to be destroyed.
    fn gone(
        &self,
        module: &ModuleRef,
        why: &str,
        deployed: &BTreeSet<ModuleRef>,
        going: &BTreeSet<ModuleRef>,
        consumes: &BTreeMap<ModuleRef, BTreeSet<ModuleRef>>,
    ) -> PlannedModule {
        // A module that is executed in this plan does not consume it afterwards: a manifest can only refer to its own
        // modules.
        let stays = |other: &&ModuleRef| !going.contains(*other) && !self.renewed.contains(*other);
        let dependents: Vec<String> = deployed
            .iter()
            .filter(stays)
            .filter(|other| consumes.get(*other).is_some_and(|of| of.contains(module)))
            .map(ToString::to_string)
            .collect();
        let stored = self.planning.state.stored(&self.id(module));
        let renamed_to = stored.renamed_to().filter(|_| !stored.is_refused_only());
        let (action, reason) = if let Some(to) = renamed_to {
            (
                PlannedAction::Blocked,
                format!("its rename to {to} was interrupted; deploy {to} with its renamedFrom"),
            )
        } else if dependents.is_empty() {
            (PlannedAction::Destroy, why.to_owned())
        } else {
            (
                PlannedAction::Blocked,
                format!(
                    "it can't be destroyed while {} consumes its values; deploy without them, or destroy both",
                    dependents.join(", ")
                ),
            )
        };
        PlannedModule {
            module: module.clone(),
            action,
            moves: false,
            renamed_from: None,
            reasons: vec![reason],
            changes: Vec::new(),
            definition: None,
            redeploy_if_changed: Vec::new(),
            execution: (action == PlannedAction::Destroy).then(|| self.name(&self.id(module))),
        }
    }

    /// The modules by each name that they have or had. A name that one had may be that of another now.
    fn by_name(&self, deployed: &BTreeSet<ModuleRef>) -> BTreeMap<String, BTreeSet<ModuleRef>> {
        let mut by_name: BTreeMap<String, BTreeSet<ModuleRef>> = BTreeMap::new();
        for module in deployed {
            let status = self.planning.state.status_of(&self.id(module)).ok().flatten();
            let former = status.map(|status| status.former_names).unwrap_or_default();
            for name in former.iter().chain([module]) {
                let named = by_name.entry(name.to_string()).or_default();
                named.insert(module.clone());
            }
        }
        by_name
    }

    /// The modules whose values a module was deployed with.
    fn consumed_by(
        &self,
        module: &ModuleRef,
        by_name: &BTreeMap<String, BTreeSet<ModuleRef>>,
    ) -> BTreeSet<ModuleRef> {
        let fingerprint = self.planning.state.fingerprint(&self.id(module));
        let names = fingerprint.map(|found| found.consumes).unwrap_or_default();
        let consumed = names.iter().filter_map(|name| by_name.get(name));
        consumed.flatten().cloned().collect()
    }
}
