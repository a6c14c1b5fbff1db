//! References to metadata of other modules in the same deployment.
//!
//! This is seed-farmer's `moduleMetadata`: a parameter's value is one that another module published at its last
//! success. It is read when the consuming module is deployed, and the value itself is part of the configuration's
//! fingerprint. So a module follows the values that it consumes (decision 26). It is redeployed when one of them has
//! changed, no matter which deployment changed it or when. It stays unchanged when an upstream module was redeployed
//! and published the same.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::JsonFields;
use crate::ids::{ModuleId, Name};
use crate::module::workflow_metadata::{Key, is_added};

/// A module of the same project and deployment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModuleRef {
    /// Its group.
    pub group: Name,
    /// Its name.
    pub module: Name,
}

impl ModuleRef {
    /// Parses `{group}/{module}`; `field` is the name of the field in messages.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        let refused = || {
            let found = format!("\"{}\"", excerpt(text, 140));
            Error::field(
                field,
                found,
                "the group and the name of a module, such as network/vpc",
            )
        };
        let (group, module) = text.split_once('/').ok_or_else(refused)?;
        let name = |text| Name::parse(field, text).map_err(|_| refused());
        Ok(Self {
            group: name(group)?,
            module: name(module)?,
        })
    }

    /// The module's full id, in the project and deployment of `of`.
    #[must_use]
    pub fn id(&self, of: &ModuleId) -> ModuleId {
        ModuleId {
            group: self.group.clone(),
            module: self.module.clone(),
            ..of.clone()
        }
    }
}

impl From<&ModuleId> for ModuleRef {
    fn from(id: &ModuleId) -> Self {
        Self {
            group: id.group.clone(),
            module: id.module.clone(),
        }
    }
}

impl fmt::Display for ModuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.module)
    }
}

/// A reference to one value of an upstream module, or to all of its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataReference {
    /// The upstream module.
    #[serde(flatten)]
    pub by: ModuleRef,
    /// The key; `None` for all of the module's own metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl MetadataReference {
    /// Reads `{"group": …, "module": …, "key": …}`.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub fn parse(path: &str, value: &Value) -> Result<Self> {
        let mut fields = JsonFields::of(path, value)?;
        let mut name = |key| Name::parse(&format!("{path}.{key}"), &fields.required_text(key)?);
        let by = ModuleRef {
            group: name("group")?,
            module: name("module")?,
        };
        let key = fields.text("key")?;
        fields.finish()?;
        Ok(Self { by, key })
    }

    /// The value, from the upstream metadata.
    ///
    /// # Errors
    /// `InvalidInput` if the upstream module is not deployed or does not publish this key.
    pub fn value(&self, path: &str, known: &UpstreamMetadata) -> Result<Value> {
        let Some(metadata) = known.metadata(&self.by) else {
            return Err(Error::field(
                path,
                format!("no metadata of {}", self.by),
                "a module that was deployed before; deploy it first",
            ));
        };
        match &self.key {
            None => Ok(Value::Object(own(metadata))),
            Some(key) => match metadata.get(key) {
                Some(value) if !value.is_null() => Ok(value.clone()),
                _ => Err(Error::field(
                    path,
                    format!("no \"{}\" in the metadata of {}", excerpt(key, 80), self.by),
                    format!("one of {}", keys(metadata)),
                )),
            },
        }
    }
}

/// Metadata without the keys that the workflow added.
fn own(metadata: &Map<String, Value>) -> Map<String, Value> {
    let own = metadata.iter().filter(|(key, _)| !is_added(key));
    own.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn keys(metadata: &Map<String, Value>) -> String {
    let own = own(metadata);
    let keys: Vec<&str> = own.keys().map(String::as_str).collect();
    match keys.as_slice() {
        [] => "its keys, but it publishes none".to_owned(),
        keys => excerpt(&keys.join(", "), 300),
    }
}

/// The metadata of upstream modules, as far as it is known; a module without metadata is not deployed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpstreamMetadata(BTreeMap<ModuleRef, Map<String, Value>>);

impl UpstreamMetadata {
    /// The metadata of an upstream module.
    #[must_use]
    pub fn metadata(&self, upstream: &ModuleRef) -> Option<&Map<String, Value>> {
        self.0.get(upstream)
    }

    /// The build that published an upstream module's metadata.
    #[must_use]
    pub fn deployed_by(&self, upstream: &ModuleRef) -> Option<String> {
        Key::BuildId.of(self.0.get(upstream)?).map(str::to_owned)
    }
}

impl FromIterator<(ModuleRef, Map<String, Value>)> for UpstreamMetadata {
    fn from_iter<I: IntoIterator<Item = (ModuleRef, Map<String, Value>)>>(known: I) -> Self {
        Self(known.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;
    use serde_json::json;

    fn known() -> UpstreamMetadata {
        let metadata = json!({"VpcId": "vpc-1", "Zones": 2, "CodeBuildBuildId": "p:1", "CommitHash": "c"});
        let by = MetadataReference::parse("p", &json!({"group": "network", "module": "vpc"}))
            .unwrap()
            .by;
        [(by, metadata.as_object().unwrap().clone())]
            .into_iter()
            .collect()
    }

    fn value(reference: Value) -> Result<Value> {
        MetadataReference::parse("parameters.x.module_metadata", &reference)?.value("parameters.x", &known())
    }

    #[test]
    fn a_reference_resolves_to_one_value_or_to_all_that_the_module_published() {
        assert_eq!(
            value(json!({"group": "network", "module": "vpc", "key": "Zones"})),
            Ok(json!(2))
        );
        assert_eq!(
            value(json!({"group": "network", "module": "vpc"})),
            Ok(json!({"VpcId": "vpc-1", "Zones": 2}))
        );
    }

    #[test]
    fn what_is_not_there_is_named_with_what_there_is() {
        for (reference, part) in [
            (
                json!({"group": "network", "module": "vpc", "key": "Vpc"}),
                "parameters.x: expected one of VpcId, Zones, found no \"Vpc\" in the metadata of network/vpc",
            ),
            (
                json!({"group": "network", "module": "dns", "key": "Zone"}),
                "parameters.x: expected …found no metadata of network/dns",
            ),
            (
                json!({"group": "network"}),
                "parameters.x.module_metadata.module: expected …found nothing",
            ),
            (
                json!({"group": "a/b", "module": "m"}),
                "parameters.x.module_metadata.group: expected …found \"a/b\"",
            ),
            (
                json!({"group": "g", "module": "m", "name": "x"}),
                "parameters.x.module_metadata.name: expected …found an unknown field",
            ),
        ] {
            let error = value(reference).unwrap_err();
            assert!(says(&error.message, part), "{} / {part}", error.message);
        }
    }
}
