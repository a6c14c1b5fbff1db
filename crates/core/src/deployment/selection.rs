//! Which modules of a deployment a request covers or forces: groups, and modules as `group/module`.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::error::{Error, Result, did_you_mean, excerpt};
use crate::formats::json_fields::describe;
use crate::ids::{ModuleId, Name};
use crate::module::metadata_reference::ModuleRef;

/// The modules that are forced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forced {
    /// All of them.
    All,
    /// These modules; none if the list is empty.
    Some(Vec<Selector>),
}

impl Forced {
    /// Whether a module is forced.
    #[must_use]
    pub fn covers(&self, module: &ModuleId) -> bool {
        match self {
            Self::All => true,
            Self::Some(selectors) => selectors.iter().any(|selector| selector.covers(module)),
        }
    }
}

/// The modules that an execution covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection(pub(super) Vec<Selector>);

impl Selection {
    /// Whether the selection includes a module.
    #[must_use]
    pub fn covers(&self, module: &ModuleId) -> bool {
        self.is_everything() || self.0.iter().any(|selector| selector.covers(module))
    }

    /// Whether the selection includes every module.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }
}

/// A group, or one module of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    group: Name,
    module: Option<Name>,
}

impl Selector {
    fn means(&self, module: &ModuleRef) -> bool {
        self.group == module.group && self.module.as_ref().is_none_or(|name| *name == module.module)
    }

    fn parse(path: &str, value: &Value) -> Result<Self> {
        let Value::String(text) = value else {
            return Err(Error::field(
                path,
                describe(value),
                "a group, or a module as group/module",
            ));
        };
        let (group, module) = match text.split_once('/') {
            Some((group, module)) => (group, Some(Name::parse(path, module)?)),
            None => (text.as_str(), None),
        };
        Ok(Self {
            group: Name::parse(path, group)?,
            module,
        })
    }

    /// Whether the selector matches a module.
    #[must_use]
    pub fn covers(&self, module: &ModuleId) -> bool {
        self.means(&ModuleRef::from(module))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.module {
            Some(module) => write!(f, "{}/{module}", self.group),
            None => write!(f, "{}", self.group),
        }
    }
}

/// Refuses names of groups and modules that do not exist, before there is a whole input.
///
/// # Errors
/// `InvalidInput` with the field, the name and the existing names.
pub fn refuse_unknown_names(field: &str, names: &[String], known: &[ModuleRef]) -> Result<()> {
    let names = Value::from(names.to_vec());
    refuse_unknown(field, &selectors(field, Some(names))?, known)
}

/// Refuses a selector that matches nothing: it is a typing mistake, and would silently leave out the intended module.
pub(super) fn refuse_unknown(field: &str, selectors: &[Selector], known: &[ModuleRef]) -> Result<()> {
    let unknown = |selector: &&Selector| !known.iter().any(|module| selector.means(module));
    match selectors.iter().find(unknown) {
        None => Ok(()),
        Some(selector) => {
            // A deployed module of the manifest is known twice.
            let modules: BTreeSet<&ModuleRef> = known.iter().collect();
            let modules: Vec<String> = modules.into_iter().map(ToString::to_string).collect();
            let groups = known.iter().map(|module| module.group.as_str());
            let alike: Vec<&str> = match selector.module {
                Some(_) => modules.iter().map(String::as_str).collect(),
                None => groups.collect(),
            };
            let meant = did_you_mean(&selector.to_string(), &alike);
            Err(Error::field(
                field,
                format!("\"{selector}\", which is neither in the manifest nor deployed"),
                format!(
                    "a group or a module of {}{meant}",
                    excerpt(&modules.join(", "), 600)
                ),
            ))
        }
    }
}

/// Reads a list of selectors; an absent one is empty.
pub(super) fn selectors(path: &str, value: Option<Value>) -> Result<Vec<Selector>> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(i, item)| Selector::parse(&format!("{path}[{i}]"), item))
            .collect(),
        Some(other) => Err(Error::field(
            path,
            describe(&other),
            "a list of groups and of modules as group/module",
        )),
    }
}
