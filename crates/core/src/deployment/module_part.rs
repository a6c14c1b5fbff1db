//! What an approval compares of a module: one hash over everything except values of upstream modules, and these values by
//! name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::changed_values::plain;
use crate::formats::python_json::dumps;
use crate::module::fingerprint::{Fingerprint, Versions};
use crate::module::input::Options;
use crate::module::parameters::{ParameterValue, Parameters};
use crate::policy::version_of;

/// What a module is deployed from; empty for one that is destroyed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModulePart {
    /// The hash of files, commands, parameters and settings, with references to upstream modules and without their values.
    #[serde(default)]
    pub content: Option<String>,
    /// The values of upstream modules, by parameter, as far as they are published.
    #[serde(default)]
    pub values: BTreeMap<String, UpstreamValue>,
}

/// A value of an upstream module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamValue {
    /// The SHA-256 of the value; `None` if it isn't published yet.
    pub digest: Option<String>,
    /// The value for people.
    pub shown: String,
}

impl ModulePart {
    /// The part of a module that is deployed from these files. `resolved` has the values of upstream modules that are known.
    #[must_use]
    pub fn deploying(
        digest: &str,
        deployspec_digest: &str,
        options: &Options,
        resolved: &Parameters,
        versions: &Versions,
    ) -> Self {
        let upstreams = options.parameters.upstreams();
        let own = Options {
            parameters: options.parameters.without(&upstreams.iter().collect::<Vec<_>>()),
            consumed: BTreeMap::default(),
            ..options.clone()
        };
        let references = options.parameters.iter();
        let references = references.filter(|(_, value)| matches!(value, ParameterValue::ModuleMetadata(_)));
        let references: BTreeMap<&str, &ParameterValue> = references.collect();
        let own = Fingerprint::of_digests(digest, deployspec_digest, &own, versions).hash;
        let mut content = json!([own, references]);
        if let (Some(from), Some(parts)) = (&options.renamed_from, content.as_array_mut()) {
            parts.push(json!(from));
        }
        let content = version_of(content.to_string().as_bytes());
        let value = |name: &str| resolved.iter().find(|(other, _)| *other == name);
        let values = references.keys().map(|&name| {
            let value = match value(name) {
                Some((_, ParameterValue::Value(value))) => UpstreamValue {
                    digest: Some(version_of(dumps(value).as_bytes())),
                    shown: plain(name, value),
                },
                _ => UpstreamValue {
                    digest: None,
                    shown: "not published yet".to_owned(),
                },
            };
            (name.to_owned(), value)
        });
        Self {
            content: Some(content),
            values: values.collect(),
        }
    }

    /// The values that differ, each with the old and the new one.
    #[must_use]
    pub fn changed_values(&self, now: &Self) -> Vec<String> {
        let changed = self.values.iter().filter_map(|(name, then)| {
            let now = now.values.get(name)?;
            (then.digest != now.digest).then(|| {
                format!(
                    "parameter {name}: approved with {}, now {}",
                    then.shown, now.shown
                )
            })
        });
        changed.collect()
    }
}
