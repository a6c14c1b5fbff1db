//! A module's parameters and their variables.
//!
//! A parameter is a value, a value that another module of the deployment published, or a reference that CodeBuild
//! itself resolves when the build starts. So secrets do not pass through the workflow. The variable's name and the text
//! of its value are seed-farmer's (seedfarmer-compat.md 2.3 to 2.5). Two parameters with the same variable are an
//! error; in seed-farmer the later one silently wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::{JsonFields, MAX_DEPTH, describe, is_too_deep};
use crate::formats::python_json::dumps;
use crate::formats::upper_snake_case::upper_snake_case;
use crate::ids::ModuleId;
use crate::module::metadata_reference::{MetadataReference, ModuleRef, UpstreamMetadata};

/// The longest text of a parameter. A longer one would have to travel outside the environment: Linux limits a variable
/// to 128 KiB, and input, plan and buildspec share Step Functions' 256 KB.
pub const MAX_VALUE: usize = 16 * 1024;

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterValue {
    /// The value itself.
    Value(Value),
    /// The name of a parameter in Parameter Store.
    ParameterStore(String),
    /// A secret of Secrets Manager in CodeBuild's form: `id[:json key[:version stage[:version id]]]`.
    SecretsManager(String),
    /// A value that another module of the deployment published; [`Parameters::resolve`] replaces the reference with it.
    ModuleMetadata(MetadataReference),
}

/// The keys that mark an object as a reference.
pub(crate) const REFERENCES: [&str; 3] = ["parameter_store", "secrets_manager", "module_metadata"];

/// The references as an input has them.
const WRITTEN_REFERENCES: &str = "{\"parameter_store\": name} / {\"secrets_manager\": name} / {\"module_metadata\": {\"group\", \"module\", \"key\"}}";

/// The key of a reference in a deployment's manifest. In an input it would silently become a text.
const MANIFEST_REFERENCES: [&str; 2] = ["valueFrom", "value_from"];

impl ParameterValue {
    pub(crate) fn parse(path: &str, value: &Value) -> Result<Self> {
        refuse_depth(path, value)?;
        let parsed = match value {
            Value::Null => {
                return Err(Error::field(
                    path,
                    "null",
                    format!("a text, a JSON value, or {WRITTEN_REFERENCES}"),
                ));
            }
            Value::Object(map)
                if map.len() == 1 && map.keys().all(|key| MANIFEST_REFERENCES.contains(&key.as_str())) =>
            {
                return Err(Error::field(
                    path,
                    "valueFrom, which only a deployment's manifest has",
                    format!("a value, or {WRITTEN_REFERENCES}"),
                ));
            }
            Value::Object(map) if REFERENCES.iter().any(|key| map.contains_key(*key)) => {
                Self::reference(path, value)?
            }
            other => Self::Value(other.clone()),
        };
        parsed.check_text(path)
    }

    /// Checks that the text fits into an environment variable.
    fn check_text(self, path: &str) -> Result<Self> {
        let text = self.text();
        let length = text.len();
        if length > MAX_VALUE {
            return Err(Error::field(
                path,
                format!("{length} bytes"),
                format!(
                    "at most {MAX_VALUE} bytes; put the value into the bundle, or into Parameter Store or Secrets Manager and refer to it"
                ),
            ));
        }
        if text.contains('\0') {
            return Err(Error::field(
                path,
                "a zero byte",
                "a text that fits into an environment variable",
            ));
        }
        Ok(self)
    }

    fn reference(path: &str, value: &Value) -> Result<Self> {
        let mut fields = JsonFields::of(path, value)?;
        let parameter = fields.text("parameter_store")?;
        let secret = fields.text("secrets_manager")?;
        let published = fields.any("module_metadata");
        fields.finish()?;
        match (parameter, secret, published) {
            (Some(name), None, None) if is_parameter_name(&name) => Ok(Self::ParameterStore(name)),
            (Some(name), None, None) => Err(Error::field(
                &format!("{path}.parameter_store"),
                format!("\"{}\"", excerpt(&name, 80)),
                "a parameter's name: letters, digits and _ . - /, up to 1011 characters",
            )),
            (None, Some(name), None) if is_secret_reference(&name) => Ok(Self::SecretsManager(name)),
            (None, Some(name), None) => Err(Error::field(
                &format!("{path}.secrets_manager"),
                format!("\"{}\"", excerpt(&name, 80)),
                "SECRET[:JSON-KEY[:VERSION-STAGE[:VERSION-ID]]], where SECRET is the name or the whole ARN of a secret",
            )),
            (None, None, Some(published)) => {
                MetadataReference::parse(&format!("{path}.module_metadata"), &published)
                    .map(Self::ModuleMetadata)
            }
            _ => Err(Error::field(
                path,
                "several references, or one without a value",
                format!("one of {}", REFERENCES.join(", ")),
            )),
        }
    }

    /// The variable's text: strings unchanged, other values as Python's JSON, references by name.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Value(Value::String(text)) | Self::ParameterStore(text) | Self::SecretsManager(text) => {
                text.clone()
            }
            Self::Value(value) => dumps(value),
            Self::ModuleMetadata(published) => match &published.key {
                Some(key) => format!("{}.{key}", published.by),
                None => published.by.to_string(),
            },
        }
    }

    /// Replaces a reference to an upstream module with its value.
    fn resolve(&self, path: &str, known: &UpstreamMetadata) -> Result<Self> {
        let Self::ModuleMetadata(published) = self else {
            return Ok(self.clone());
        };
        let value = published.value(path, known)?;
        refuse_depth(path, &value)?;
        Self::Value(value).check_text(path)
    }

    /// CodeBuild's type of the variable.
    #[must_use]
    pub fn variable_type(&self) -> VariableType {
        match self {
            Self::Value(_) | Self::ModuleMetadata(_) => VariableType::Plaintext,
            Self::ParameterStore(_) => VariableType::ParameterStore,
            Self::SecretsManager(_) => VariableType::SecretsManager,
        }
    }

    /// The content for the configuration's fingerprint: the value, or the reference with its version.
    #[must_use]
    pub fn fingerprint_json(&self, version: Option<i64>) -> Value {
        match self {
            Self::Value(value) => json!({"value": value}),
            Self::ParameterStore(name) => json!({"parameter_store": name, "version": version}),
            Self::SecretsManager(name) => json!({"secrets_manager": name}),
            Self::ModuleMetadata(published) => json!({"module_metadata": published}),
        }
    }
}

fn refuse_depth(path: &str, value: &Value) -> Result<()> {
    if !is_too_deep(value) {
        return Ok(());
    }
    Err(Error::field(
        path,
        format!("lists and objects nested more than {MAX_DEPTH} deep"),
        format!("at most {MAX_DEPTH}; put the value into a file of the bundle"),
    ))
}

/// The name rule of Parameter Store (AWS Systems Manager, PutParameter, `Name`).
fn is_parameter_name(name: &str) -> bool {
    name.len() <= 1011
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-/".contains(&b))
}

/// CodeBuild's reference to a secret: its id and up to three parts more (CodeBuild User Guide, "Build specification
/// reference", `env/secrets-manager`). An ARN has seven parts itself.
fn is_secret_reference(reference: &str) -> bool {
    let parts: Vec<&str> = reference.split(':').collect();
    let id = if parts[0] == "arn" { 7 } else { 1 };
    (id..=id + 3).contains(&parts.len()) && !parts[id - 1].is_empty()
}

/// CodeBuild's types of environment variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VariableType {
    /// The value is in the build's request.
    Plaintext,
    /// The value is a parameter's name.
    ParameterStore,
    /// The value is a secret's id.
    SecretsManager,
}

/// The parameters of a module by name, in the order of the input.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters(Vec<(String, ParameterValue)>);

impl Parameters {
    /// Parses the `parameters` of an input or a manifest: an object from name to value.
    pub fn parse(path: &str, value: &Value) -> Result<Self> {
        let Value::Object(map) = value else {
            return Err(Error::field(
                path,
                described(value),
                "an object from a parameter's name to its value",
            ));
        };
        let parameters = Self::read(path, map)?;
        parameters.refuse_collisions(path)?;
        Ok(parameters)
    }

    fn read(path: &str, map: &Map<String, Value>) -> Result<Self> {
        let one = |(name, value): (&String, &Value)| Ok((name.clone(), Self::one(path, name, value)?));
        Ok(Self(map.iter().map(one).collect::<Result<_>>()?))
    }

    /// Parses one parameter of the object at `path`.
    ///
    /// # Errors
    /// `InvalidInput` with the parameter, if its name can't become a variable or its value is invalid.
    pub(crate) fn one(path: &str, name: &str, value: &Value) -> Result<ParameterValue> {
        let variable = upper_snake_case(name);
        if variable.is_empty() || !variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Error::field(
                &format!("{path}.{}", excerpt(name, 80)),
                format!(
                    "a name that would become the variable \"{}\"",
                    excerpt(&variable, 80)
                ),
                "a name of letters, digits, hyphens and underscores that isn't all capitals with a hyphen",
            ));
        }
        ParameterValue::parse(&format!("{path}.{name}"), value)
    }

    /// Adds a parameter. The caller has refused names that become the same variable.
    pub(crate) fn push(&mut self, name: String, value: ParameterValue) {
        self.0.push((name, value));
    }

    fn refuse_collisions(&self, path: &str) -> Result<()> {
        let mut seen: std::collections::HashMap<String, &str> = std::collections::HashMap::new();
        for (name, _) in &self.0 {
            let variable = upper_snake_case(name);
            if let Some(other) = seen.insert(variable.clone(), name) {
                return Err(Error::field(
                    &format!("{path}.{name}"),
                    format!("a name that meets \"{other}\" in the variable {variable}"),
                    "names that become different variables",
                ));
            }
        }
        Ok(())
    }

    /// Name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParameterValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The upstream modules of the parameters, each once.
    #[must_use]
    pub fn upstreams(&self) -> Vec<ModuleRef> {
        let mut upstreams: Vec<ModuleRef> = self
            .0
            .iter()
            .filter_map(|(_, value)| match value {
                ParameterValue::ModuleMetadata(published) => Some(published.by.clone()),
                _ => None,
            })
            .collect();
        upstreams.sort_unstable();
        upstreams.dedup();
        upstreams
    }

    /// The references to upstream modules, by the parameter's name.
    #[must_use]
    pub fn references(&self) -> BTreeMap<String, MetadataReference> {
        let references = self.0.iter().filter_map(|(name, value)| match value {
            ParameterValue::ModuleMetadata(published) => Some((name.clone(), published.clone())),
            _ => None,
        });
        references.collect()
    }

    /// The same parameters, with these references in place of the values.
    pub(crate) fn referring_to(self, references: &BTreeMap<String, MetadataReference>) -> Self {
        let one = |(name, value)| match references.get(&name) {
            Some(reference) => (name, ParameterValue::ModuleMetadata(reference.clone())),
            None => (name, value),
        };
        Self(self.0.into_iter().map(one).collect())
    }

    /// The parameters that do not refer to these upstream modules.
    #[must_use]
    pub fn without(&self, upstreams: &[&ModuleRef]) -> Self {
        let of_others = |(_, value): &&(String, ParameterValue)| !matches!(value, ParameterValue::ModuleMetadata(published) if upstreams.contains(&&published.by));
        Self(self.0.iter().filter(of_others).cloned().collect())
    }

    /// Replaces references to upstream modules in the parameters of `module` with their values.
    ///
    /// # Errors
    /// `InvalidInput` if an upstream module is not deployed, does not publish the value, or publishes one that is too
    /// long; or if a module refers to itself.
    pub fn resolve(&self, module: &ModuleId, known: &UpstreamMetadata) -> Result<Self> {
        let one = |(name, value): &(String, ParameterValue)| {
            let path = format!("parameters.{name}");
            if matches!(value, ParameterValue::ModuleMetadata(published) if published.by == ModuleRef::from(module))
            {
                return Err(Error::field(
                    &path,
                    "a reference of the module to itself",
                    "another module's metadata",
                ));
            }
            Ok((name.clone(), value.resolve(&path, known)?))
        };
        Ok(Self(self.0.iter().map(one).collect::<Result<_>>()?))
    }

    /// The same with the references that can be resolved; the others stay as they are.
    #[must_use]
    pub fn resolve_known(&self, known: &UpstreamMetadata) -> Self {
        let one = |(name, value): &(String, ParameterValue)| {
            let resolved = value.resolve(&format!("parameters.{name}"), known);
            (name.clone(), resolved.unwrap_or_else(|_| value.clone()))
        };
        Self(self.0.iter().map(one).collect())
    }

    /// The names in Parameter Store that the parameters refer to, each once.
    #[must_use]
    pub fn parameter_store_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .0
            .iter()
            .filter_map(|(_, value)| match value {
                ParameterValue::ParameterStore(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Parameters that are not an object. A list of names and values is what seed-farmer's manifests have.
fn described(value: &Value) -> String {
    let is_manifest = |items: &[Value]| items.iter().any(|item| item.get("name").is_some());
    match value {
        Value::Array(items) if is_manifest(items) => {
            "a list of names and values, which only a deployment's manifest has".to_owned()
        }
        other => describe(other),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;

    fn parse(value: Value) -> Result<Parameters> {
        Parameters::parse("parameters", &value)
    }

    #[test]
    fn values_become_the_texts_that_modules_know() {
        let parameters = parse(json!({
            "vpc-cidr": "10.0.0.0/16", "subnets": ["a", "b"], "count": 3, "on": true, "empty": "", "zero": 0,
            "db": {"parameter_store": "/db/url"}, "key": {"secrets_manager": "api:key:AWSCURRENT"},
            "plain-object": {"a": 1}
        }))
        .unwrap();
        let texts: Vec<_> = parameters
            .iter()
            .map(|(_, v)| (v.text(), v.variable_type()))
            .collect();
        use VariableType::{ParameterStore, Plaintext, SecretsManager};
        assert_eq!(
            texts,
            [
                ("10.0.0.0/16".to_owned(), Plaintext),
                ("[\"a\", \"b\"]".to_owned(), Plaintext),
                ("3".to_owned(), Plaintext),
                ("true".to_owned(), Plaintext),
                (String::new(), Plaintext),
                ("0".to_owned(), Plaintext),
                ("/db/url".to_owned(), ParameterStore),
                ("api:key:AWSCURRENT".to_owned(), SecretsManager),
                ("{\"a\": 1}".to_owned(), Plaintext),
            ]
        );
        assert_eq!(parameters.parameter_store_names(), ["/db/url"]);
    }

    #[test]
    fn bad_parameters_are_refused_by_name() {
        for (value, part) in [
            (json!({"a": null}), "parameters.a: expected …found null"),
            (
                json!({"a": {"valueFrom": {"parameterStore": "/x"}}}),
                "parameters.a: expected …{\"parameter_store\": name}…found valueFrom, which only a deployment's manifest has",
            ),
            (
                json!([{"name": "a", "value": 1}]),
                "parameters: expected an object from a parameter's name to its value, found a list of names and values",
            ),
            (
                json!({"vpc-id": "a", "vpcId": "b"}),
                "meets \"vpc-id\" in the variable VPC_ID",
            ),
            (json!({"VPC-ID": "a"}), "VPC-ID"),
            (json!({"vpc.id": "a"}), "VPC.ID"),
            (
                json!({"a": {"parameter_store": "x", "secrets_manager": "y"}}),
                "several references",
            ),
            (
                json!({"a": {"parameter_store": "x", "other": 1}}),
                "parameters.a.other: expected …found an unknown field",
            ),
            (
                json!({"a": {"parameter_store": "has space"}}),
                "a parameter's name",
            ),
            (json!({"a": "x".repeat(MAX_VALUE + 1)}), "16385 bytes"),
            (json!(["a"]), "parameters: expected …found a list"),
            (
                json!({"a": (0..65).fold(json!(1), |inner, _| json!([inner]))}),
                "parameters.a: expected …found lists and objects nested more than 64 deep",
            ),
        ] {
            let error = parse(value).unwrap_err();
            assert!(says(&error.message, part), "{} / {part}", error.message);
        }
        assert!(parse(json!({"a": "x".repeat(MAX_VALUE)})).is_ok());
    }

    #[test]
    fn a_secret_is_named_as_codebuild_names_it() {
        let secret =
            |reference: &str| Parameters::parse("parameters", &json!({"a": {"secrets_manager": reference}}));
        let arn = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:db-a1b2c3";
        for valid in [
            "db",
            "db:key",
            "db:key:AWSCURRENT",
            "db:key:AWSCURRENT:1-2",
            "db::AWSPREVIOUS",
            arn,
        ] {
            assert!(secret(valid).is_ok(), "{valid}");
        }
        assert!(secret(&format!("{arn}:key:AWSCURRENT:1-2")).is_ok());
        for invalid in [
            "a:b:c:d:e",
            ":key",
            "arn:aws:secretsmanager:eu-west-1",
            &format!("{arn}:a:b:c:d"),
        ] {
            let error = secret(invalid).unwrap_err();
            assert!(
                says(
                    &error.message,
                    "parameters.a.secrets_manager: expected SECRET[:JSON-KEY[:VERSION-STAGE[:VERSION-ID]]], …found \""
                ) && error.message.contains(invalid),
                "{error}"
            );
        }
    }
}
