//! The stored state of a deployment, read from Parameter Store by its path.
//!
//! One path holds the four parameters of every module. So the deployed modules are known without a request for each
//! module, and without a list to maintain. A module's path joins group and module by a hyphen; the status holds the two
//! names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::status::DeploymentStatus;
use crate::error::Result;
use crate::ids::DeploymentId;
use crate::ids::{ModuleId, Name, ParameterKind};
use crate::module::fingerprint::Fingerprint;
use crate::module::metadata_reference::{ModuleRef, UpstreamMetadata};
use crate::module::status::Status;
use crate::module::stored_parameters::ModuleParameters;

/// The stored state of a deployment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeploymentState {
    /// Parameters by `{group}-{module}`.
    stored: BTreeMap<String, ModuleParameters>,
    /// The marks of the modules that were renamed, by their `{group}-{module}`.
    renamed: BTreeMap<String, String>,
    /// The deployment's own status, if it exists and is readable.
    pub status: Option<DeploymentStatus>,
}

impl DeploymentState {
    /// Groups parameters by module; `parameters` are names with resolved values.
    #[must_use]
    pub fn of(deployment: &DeploymentId, parameters: impl IntoIterator<Item = (String, String)>) -> Self {
        let above = format!("{}/", deployment.path());
        let mut state = Self::default();
        for (name, text) in parameters {
            let Some(rest) = name.strip_prefix(&above) else {
                continue;
            };
            match rest.split_once('/') {
                None if rest == "status" => state.status = serde_json::from_str(&text).ok(),
                Some((module, kind)) => {
                    if let Some(kind) = ParameterKind::ALL
                        .into_iter()
                        .find(|known| known.to_string() == kind)
                    {
                        state.stored.entry(module.to_owned()).or_default().set(kind, text);
                    } else if kind == ParameterKind::Renamed.to_string() {
                        state.renamed.insert(module.to_owned(), text);
                    }
                }
                None => {}
            }
        }
        state
    }

    /// Whether planning needs a parameter below the deployment's path. No decision needs outputs, and one module's
    /// outputs may be longer than all the rest.
    #[must_use]
    pub fn plans_by(parameter: &str) -> bool {
        !parameter.ends_with(&format!("/{}", ParameterKind::Outputs))
    }

    /// The stored parameters of a module.
    #[must_use]
    pub fn stored(&self, module: &ModuleId) -> ModuleParameters {
        let path = module.module_name();
        ModuleParameters {
            renamed: self.renamed.get(&path).cloned(),
            ..self.stored.get(&path).cloned().unwrap_or_default()
        }
    }

    /// The state after a module was renamed, for planning what follows.
    /// Without a status all that is stored under the new name is as it will be.
    pub fn rename(&mut self, from: &ModuleId, to: &ModuleId, status: Option<&Status>) {
        let mut moved = self.stored.remove(&from.module_name()).unwrap_or_default();
        if let Some(status) = status {
            // Its types have only text keys, so it always serialises.
            moved.set(
                ParameterKind::Status,
                serde_json::to_string(status).unwrap_or_default(),
            );
            self.stored.insert(to.module_name(), moved);
        }
        self.renamed.remove(&to.module_name());
        // Its types have only text keys, so it always serialises.
        let mark = serde_json::to_string(&ModuleRef::from(to)).unwrap_or_default();
        self.renamed.insert(from.module_name(), mark);
    }

    /// A module's status.
    ///
    /// # Errors
    /// `StateConflict` if it belongs to another module.
    pub fn status_of(&self, module: &ModuleId) -> Result<Option<Status>> {
        self.stored(module).status_of(module)
    }

    /// The fingerprint of a module's last success.
    #[must_use]
    pub fn fingerprint(&self, module: &ModuleId) -> Option<Fingerprint> {
        self.stored(module).fingerprint()
    }

    /// The metadata that the modules published at their last successes.
    #[must_use]
    pub fn upstreams(&self, asked: impl IntoIterator<Item = ModuleRef>, of: &ModuleId) -> UpstreamMetadata {
        asked
            .into_iter()
            .filter_map(|upstream| {
                let metadata = self.stored(&upstream.id(of)).metadata_object()?;
                Some((upstream, metadata))
            })
            .collect()
    }

    /// The modules with stored parameters, if their status names them; also those that were only ever refused.
    #[must_use]
    pub fn modules(&self) -> Vec<ModuleRef> {
        self.stored
            .iter()
            .filter_map(|(path, stored)| owner(path, stored))
            .collect()
    }

    /// The modules that have, or may have, something deployed: those with stored parameters, except where these are only a
    /// request that was refused (decision 51).
    #[must_use]
    pub fn deployed(&self) -> Vec<ModuleRef> {
        let deployed = self.stored.iter().filter(|(_, stored)| !stored.is_refused_only());
        deployed
            .filter_map(|(path, stored)| owner(path, stored))
            .collect()
    }

    /// Paths with a status that names no module, or a different one: their modules are unknown.
    #[must_use]
    pub fn without_owner(&self) -> Vec<&str> {
        self.stored
            .iter()
            .filter(|(path, stored)| owner(path, stored).is_none())
            .map(|(path, _)| path.as_str())
            .collect()
    }
}

/// The module that a status names.
fn owner(path: &str, stored: &ModuleParameters) -> Option<ModuleRef> {
    let status: Value = serde_json::from_str(stored.status.as_deref()?).ok()?;
    let name = |key: &str| Name::parse(key, status.get(key)?.as_str()?).ok();
    let owner = ModuleRef {
        group: name("group")?,
        module: name("module")?,
    };
    (format!("{}-{}", owner.group, owner.module) == path).then_some(owner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn deployment() -> DeploymentId {
        let name = |text: &str| Name::parse("name", text).unwrap();
        DeploymentId {
            project: name("p"),
            deployment: name("d"),
        }
    }

    #[test]
    fn what_was_only_ever_refused_is_stored_but_not_deployed() {
        let status = |module: &str, state: &str| {
            json!({"state": state, "updated_at": "2026-11-29T12:00:00Z", "group": "g", "module": module, "execution": "e"})
                .to_string()
        };
        let state = DeploymentState::of(
            &deployment(),
            [
                ("/sf/p/d/g-typo/status".to_owned(), status("typo", "REFUSED")),
                ("/sf/p/d/g-failed/status".to_owned(), status("failed", "FAILED")),
                // Its status was lost before the refusal.
                ("/sf/p/d/g-lost/status".to_owned(), status("lost", "REFUSED")),
                ("/sf/p/d/g-lost/md5".to_owned(), "{}".to_owned()),
            ],
        );
        let names = |modules: Vec<ModuleRef>| modules.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(state.modules()), ["g/failed", "g/lost", "g/typo"]);
        assert_eq!(names(state.deployed()), ["g/failed", "g/lost"]);
    }

    #[test]
    fn parameters_are_sorted_by_module_and_owned_by_the_module_of_the_status() {
        let status = |group: &str, module: &str| json!({"group": group, "module": module}).to_string();
        let state = DeploymentState::of(
            &deployment(),
            [
                ("/sf/p/d/a-b-c/status".to_owned(), status("a-b", "c")),
                ("/sf/p/d/a-b-c/metadata".to_owned(), json!({"Key": 1}).to_string()),
                ("/sf/p/d/lost-one/md5".to_owned(), "{}".to_owned()),
                ("/sf/p/d/wrong-one/status".to_owned(), status("x", "y")),
                ("/sf/p/d/a-b-c/notours".to_owned(), "x".to_owned()),
                ("/sf/p/dd/x-y/status".to_owned(), status("x", "y")),
            ],
        );
        let modules: Vec<String> = state.modules().iter().map(ToString::to_string).collect();
        assert_eq!(modules, ["a-b/c"]);
        assert_eq!(state.without_owner(), ["lost-one", "wrong-one"]);
        let module = ModuleId::parse("p", "d", "x", "y").unwrap();
        let known = state.upstreams(state.modules(), &module);
        assert_eq!(known.metadata(&state.modules()[0]).unwrap()["Key"], 1);
    }
}
