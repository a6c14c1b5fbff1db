//! The changes on which a policy decides.

use std::collections::BTreeMap;

use crate::module::metadata_reference::ModuleRef;

/// How many modules a message names.
const MAX_NAMED: usize = 10;

/// A change of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is built and deployed.
    Deploy,
    /// It is destroyed.
    Destroy,
}

/// The changes that are about to start, by module.
pub type Changes = BTreeMap<ModuleRef, Change>;

/// `3 modules: a/b, a/c, d/e`
pub(super) fn named<'a>(modules: impl Iterator<Item = &'a ModuleRef>) -> String {
    let modules: Vec<String> = modules.map(ToString::to_string).collect();
    let first = modules
        .iter()
        .take(MAX_NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match modules.len() {
        1 => first,
        count if count > MAX_NAMED => format!("{count} modules: {first}, …"),
        count => format!("{count} modules: {first}"),
    }
}
