//! The definitions of a plan's modules, for rules and for people ([`crate::module::definition`]).

use std::collections::BTreeMap;

use super::plan::Plan;
use super::planner::{PlannableGroup, PlannableModule, Planning};
use crate::ids::ModuleId;
use crate::module::definition::{DefinedSource, Definition, StackDefaults};
use crate::module::metadata_reference::ModuleRef;

/// Adds the definitions of all modules that the manifest has. What another module publishes is in them if it is known.
pub fn add(
    plan: &mut Plan,
    planning: &Planning<'_>,
    groups: &[PlannableGroup],
    sources: &BTreeMap<ModuleId, DefinedSource>,
    defaults: &StackDefaults<'_>,
) {
    let modules = groups.iter().flat_map(|group| &group.modules);
    let modules: BTreeMap<ModuleRef, &PlannableModule> = modules
        .map(|module| (ModuleRef::from(&module.id), module))
        .collect();
    for planned in &mut plan.modules {
        let Some(module) = modules.get(&planned.module) else {
            continue;
        };
        if let Some(source) = sources.get(&module.id) {
            let upstreams = module.options.parameters.upstreams();
            let known = planning.state.upstreams(upstreams, &module.id);
            let resolved = module.options.clone().resolve(&module.id, &known);
            let options = resolved.as_ref().unwrap_or(&module.options);
            let definition = Definition::of(source.clone(), &module.digest, options, defaults);
            planned.definition = Some(Box::new(definition));
        }
    }
}
