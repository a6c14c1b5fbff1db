//! The names that a module had before it was renamed (decision 66).
//!
//! A build still sees the first of these names, and stacks and the module's own role keep it, because a build with
//! another name would create everything a second time. All of them belong to the module until it is destroyed.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ids::ModuleId;
use crate::module::metadata_reference::ModuleRef;

/// Parses the `renamed_from` of a module.
///
/// # Errors
/// `InvalidInput` if it is not the name of another module.
pub fn parse(text: &str, module: &ModuleId) -> Result<ModuleRef> {
    let from = ModuleRef::parse("renamed_from", text)?;
    if from.id(module).parameter_path() == module.parameter_path() {
        return Err(Error::field(
            "renamed_from",
            format!(
                "\"{from}\", whose state has the same path as that of {}",
                ModuleRef::from(module)
            ),
            "another group and name of the module, joined by a hyphen",
        ));
    }
    Ok(from)
}

/// The names that a module had, the oldest first; empty if it was never renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FormerNames(Vec<ModuleRef>);

impl FormerNames {
    /// The names of a module that had these, and is renamed from `name`.
    #[must_use]
    pub fn and(&self, name: ModuleRef) -> Self {
        let others = self.0.iter().filter(|other| **other != name).cloned();
        // A module that gets its first name back keeps it first.
        Self(match self.0.first() {
            Some(first) if *first == name => self.0.clone(),
            _ => others.chain([name.clone()]).collect(),
        })
    }

    /// The id by which a module's resources are named.
    #[must_use]
    pub fn of_resources(&self, module: &ModuleId) -> ModuleId {
        self.0
            .first()
            .map_or_else(|| module.clone(), |first| first.id(module))
    }

    /// Whether the module had this name.
    #[must_use]
    pub fn contains(&self, name: &ModuleRef) -> bool {
        self.0.contains(name)
    }

    /// Whether the module was never renamed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &ModuleRef> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> ModuleRef {
        ModuleRef::parse("renamed_from", text).unwrap()
    }

    fn module(text: &str) -> ModuleId {
        name(text).id(&ModuleId::parse("p", "d", "g", "m").unwrap())
    }

    #[test]
    fn resources_keep_the_first_name_through_all_renames_and_back() {
        let never = FormerNames::default();
        assert_eq!(never.of_resources(&module("g/a")), module("g/a"));
        let once = never.and(name("g/a"));
        let twice = once.and(name("h/b"));
        assert_eq!(twice.of_resources(&module("h/c")), module("g/a"));
        assert!(twice.contains(&name("h/b")) && twice.contains(&name("g/a")));
        // h/c gets the name g/a back, and then is called h/b again.
        let back = twice.and(name("h/c"));
        assert_eq!(back.of_resources(&module("g/a")), module("g/a"));
        let again = back.and(name("g/a"));
        assert_eq!(again.of_resources(&module("h/b")), module("g/a"));
        assert_eq!(again.iter().count(), 3);
    }

    #[test]
    fn only_the_name_of_another_module_can_be_a_former_one() {
        for (text, found) in [
            ("vpc", "\"vpc\""),
            ("a/b/c", "\"a/b/c\""),
            ("core/network", "whose state has the same path"),
            ("core-network/x/", "\"core-network/x/\""),
        ] {
            let error = parse(text, &module("core/network")).unwrap_err();
            assert!(
                error.message.starts_with("renamed_from: ") && error.message.contains(found),
                "{error}"
            );
        }
        let joined = ModuleId::parse("p", "d", "a", "b-c").unwrap();
        assert!(parse("a-b/c", &joined).is_err());
        assert_eq!(
            parse("networking/vpc", &module("core/network")),
            Ok(name("networking/vpc"))
        );
    }
}
