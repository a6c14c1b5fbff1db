//! The definition of a module in a plan: its source, target, container and parameters, for rules and for people
//! (docs/plan.md).
//!
//! Rules decide by it whether a module may be deployed. A parameter whose name says that it is secret is hidden, and no
//! reference is followed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::hidden::{HIDDEN, is_secret, without_secrets};
use super::input::Options;
use super::parameters::ParameterValue;
use super::source::Source;
use crate::error::{excerpt, without_credentials};
use crate::ids::AwsEnvironment;

/// The longest value of a parameter, in bytes of its JSON. A longer one is cut, and is a text then.
const MAX_VALUE: usize = 1000;

/// What a module is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Where its files are from.
    pub source: DefinedSource,
    /// The digest of its files.
    pub digest: String,
    /// Where it is deployed.
    pub target: DefinedTarget,
    /// The container of its build.
    pub build: DefinedBuild,
    /// Its parameters.
    #[serde(default)]
    pub parameters: Map<String, Value>,
}

/// Where the files of a module are from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum DefinedSource {
    /// The repository that is deployed.
    Repository {
        /// The folder.
        path: String,
    },
    /// Another git repository.
    Git {
        /// Its address.
        url: String,
        /// The branch, tag or commit that the manifest names.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// The commit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
        /// The folder.
        path: String,
    },
    /// An archive of another host.
    Archive {
        /// Its address, without the query.
        url: String,
        /// The folder.
        path: String,
    },
    /// A bundle that was uploaded for this module alone.
    Bundle {
        /// Its key in the work bucket.
        key: String,
        /// The folder.
        path: String,
    },
}

impl DefinedSource {
    /// A bundle.
    #[must_use]
    pub fn of_bundle(source: &Source) -> Self {
        Self::Bundle {
            key: source.key.clone(),
            path: source.path.clone(),
        }
    }
}

/// An account and a region, those of Seedflow itself included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinedTarget {
    /// The 12 digits of the account.
    pub account: String,
    /// The region.
    pub region: String,
}

/// The container of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinedBuild {
    /// The image.
    pub image: String,
    /// Whether it may run Docker.
    pub privileged: bool,
}

/// What a module's options leave open, and the stack decides.
#[derive(Debug, Clone)]
pub struct StackDefaults<'a> {
    /// Where Seedflow runs.
    pub home: &'a AwsEnvironment,
    /// The container of builds that ask for nothing else.
    pub build: &'a DefinedBuild,
}

impl Definition {
    /// The definition of a module with these options.
    #[must_use]
    pub fn of(source: DefinedSource, digest: &str, options: &Options, defaults: &StackDefaults<'_>) -> Self {
        let target = options.target.as_ref();
        let image = options.build.image.as_ref().unwrap_or(&defaults.build.image);
        Self {
            source,
            digest: digest.to_owned(),
            target: DefinedTarget {
                account: target
                    .map_or(defaults.home.account.as_str(), |at| at.account())
                    .to_owned(),
                region: target
                    .map_or(defaults.home.region.as_str(), |at| at.region())
                    .to_owned(),
            },
            build: DefinedBuild {
                image: image.clone(),
                privileged: options.build.privileged.unwrap_or(defaults.build.privileged),
            },
            parameters: parameters(options),
        }
    }
}

fn parameters(options: &Options) -> Map<String, Value> {
    let shown = |(name, value): (&str, &ParameterValue)| {
        let shown = match value {
            ParameterValue::Value(_) if is_secret(name) => json!(HIDDEN),
            ParameterValue::Value(value) => short(&without_secrets(value)),
            // Only the reference.
            reference => json!(reference),
        };
        (name.to_owned(), shown)
    };
    options.parameters.iter().map(shown).collect()
}

fn short(value: &Value) -> Value {
    let plain = plain(value);
    let text = match &plain {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.len() > MAX_VALUE {
        true => json!(excerpt(&text, MAX_VALUE)),
        false => plain,
    }
}

/// A value whose texts have no password of an address.
fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(without_credentials(text)),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), plain(value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::ModuleId;
    use crate::module::input::Limits;

    fn definition(manifest: &Value) -> Value {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let options = Options::from_manifest(manifest, &module, &Limits::of_aws("w", "")).unwrap();
        let home = AwsEnvironment {
            partition: "aws".to_owned(),
            region: "eu-west-1".to_owned(),
            account: "111111111111".to_owned(),
        };
        let build = DefinedBuild {
            image: "default:1".to_owned(),
            privileged: true,
        };
        let defaults = StackDefaults {
            home: &home,
            build: &build,
        };
        let source = DefinedSource::Repository {
            path: "modules/a".to_owned(),
        };
        json!(Definition::of(source, "d1", &options, &defaults))
    }

    #[test]
    fn what_a_module_does_not_say_is_that_of_the_stack() {
        assert_eq!(
            definition(&json!({})),
            json!({
                "source": {"kind": "repository", "path": "modules/a"}, "digest": "d1",
                "target": {"account": "111111111111", "region": "eu-west-1"},
                "build": {"image": "default:1", "privileged": true}, "parameters": {},
            })
        );
        let own = definition(&json!({"build": {"image": "own:2", "privileged": false}}));
        assert_eq!(own["build"], json!({"image": "own:2", "privileged": false}));
    }

    #[test]
    fn secrets_are_hidden_references_not_followed_and_long_values_cut() {
        let shown = definition(&json!({"parameters": {
            "size": 3, "db_password": "s3cret", "nested": {"token": "s3cret", "name": "n"}, "long": "x".repeat(2000),
            "url": "https://user:s3cret@host/x", "ref": {"parameter_store": "/ami"}, "key": {"secrets_manager": "db:password"},
        }}));
        assert!(!shown.to_string().contains("s3cret"), "{shown}");
        let parameters = &shown["parameters"];
        assert_eq!(
            (
                &parameters["size"],
                &parameters["nested"]["name"],
                &parameters["db_password"]
            ),
            (&json!(3), &json!("n"), &json!("(hidden)"))
        );
        assert_eq!(parameters["ref"], json!({"parameter_store": "/ami"}));
        assert_eq!(parameters["key"], json!({"secrets_manager": "db:password"}));
        assert_eq!(
            parameters["long"].as_str().unwrap().chars().count(),
            MAX_VALUE + 1
        );
    }
}
