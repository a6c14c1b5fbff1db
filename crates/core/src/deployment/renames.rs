//! The renames of a deployment: which modules of the manifest are deployed under another name (decision 66).
//!
//! A plan is made from the state as it will be after the renames, so nothing else of planning knows of them: the old name
//! is gone and so isn't destroyed, and consumers find the values under the new one.

use std::collections::{BTreeMap, BTreeSet};

use super::plannable::{PlannableGroup, PlannableModule};
use super::selection::Selection;
use super::state::DeploymentState;
use crate::error::Result;
use crate::ids::{ExecutionArn, ModuleId};
use crate::module::metadata_reference::ModuleRef;
use crate::module::rename;
use crate::module::status::{self, Status};

/// The renames of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames {
    /// The old name of each module that is renamed.
    pub from: BTreeMap<ModuleRef, ModuleRef>,
    /// Why modules can't have their names.
    pub blocked: BTreeMap<ModuleRef, String>,
    /// Former names in the manifest: what is deployed under one of them stays, whatever is planned.
    pub kept: BTreeSet<ModuleRef>,
}

impl Renames {
    /// Finds the renames of the selected modules, and changes the state to that after them. The options of modules that are or
    /// were renamed get the names of their resources.
    #[must_use]
    pub fn apply(
        groups: &mut [PlannableGroup],
        state: &mut DeploymentState,
        only: &Selection,
        execution: &ExecutionArn,
    ) -> Self {
        let mut renames = Self::default();
        let mut modules: Vec<&mut PlannableModule> =
            groups.iter_mut().flat_map(|group| &mut group.modules).collect();
        let selected = |module: &PlannableModule| only.covers(&module.id);
        for module in &modules {
            renames.kept.extend(module.options.renamed_from.clone());
        }
        for module in modules.iter().filter(|module| selected(module)) {
            match renamed(module, state, execution) {
                Ok(Some((from, status))) => {
                    state.rename(&from.id(&module.id), &module.id, status.as_ref());
                    renames.from.insert(ModuleRef::from(&module.id), from);
                }
                Ok(None) => {}
                Err(error) => {
                    renames.blocked.insert(ModuleRef::from(&module.id), error.message);
                }
            }
        }
        for module in &mut modules {
            if let Ok(status) = state.status_of(&module.id) {
                let names = rename::names_to_keep(status.as_ref(), module.options.target.as_ref());
                module.options = module.options.clone().named_after(&names, &module.id);
            }
        }
        renames
    }
}

/// The old name of a module that is to be renamed, and its status after that; `None` if all that is new was written by an
/// execution that was interrupted.
fn renamed(
    module: &PlannableModule,
    state: &DeploymentState,
    execution: &ExecutionArn,
) -> Result<Option<(ModuleRef, Option<Status>)>> {
    let id: &ModuleId = &module.id;
    let own = state.stored(id);
    let Some(from) = &module.options.renamed_from else {
        return rename::refuse_taken(id, &own, None).map(|()| None);
    };
    let old = state.stored(&from.id(id));
    let is_due = rename::is_due(id, &own, from, &old)?;
    rename::refuse_taken(id, &own, is_due.then_some((from, &old)))?;
    if !is_due {
        return Ok(None);
    }
    let before = old.status_of(&from.id(id))?;
    rename::refuse_move(from, before.as_ref(), module.options.target.as_ref())?;
    if own
        .status_of(id)?
        .is_some_and(|status| status.former_names.contains(from))
    {
        return Ok(Some((from.clone(), None)));
    }
    let names = before.as_ref().map(|status| status.former_names.clone());
    let names = names.unwrap_or_default().and(from.clone());
    let now = before
        .as_ref()
        .map_or(jiff::Timestamp::UNIX_EPOCH, |status| status.updated_at);
    let renamed = Status::rename(before.as_ref(), from, names, id, execution, now);
    // Its deployment is decided as if it had always had its name.
    let state = before.map_or(status::State::Succeeded, |status| status.state);
    Ok(Some((from.clone(), Some(Status { state, ..renamed }))))
}
