//! A module's parameters and the variables that they become.
//!
//! A parameter is a value, or a reference that CodeBuild itself resolves when the build starts, so that no
//! secret passes through the workflow. Its variable's name and the text of its value are seed-farmer's
//! (seedfarmer-compat.md 2.3 to 2.5). Two parameters that meet in one variable are an error: seed-farmer
//! lets the later one win without a word.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result, excerpt};
use crate::fields::{Fields, MAX_DEPTH, describe, is_too_deep};
use crate::python_json::dumps;
use crate::variable_name::upper_snake_case;

/// How long a parameter's text may be. Longer ones would have to travel outside the environment: a variable
/// is limited by Linux to 128 KiB, and input, plan and buildspec share Step Functions' 256 KB.
pub const MAX_VALUE: usize = 16 * 1024;

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterValue {
    /// The value itself.
    Value(Value),
    /// The name of a parameter in Parameter Store.
    ParameterStore(String),
    /// A secret of Secrets Manager as CodeBuild takes it: `id[:json key[:version stage[:version id]]]`.
    SecretsManager(String),
}

impl ParameterValue {
    fn parse(path: &str, value: &Value) -> Result<Self> {
        if is_too_deep(value) {
            return Err(Error::field(
                path,
                format!("lists and objects nested more than {MAX_DEPTH} deep"),
                format!("at most {MAX_DEPTH}; put the value into a file of the bundle"),
            ));
        }
        let parsed = match value {
            Value::Null => {
                return Err(Error::field(
                    path,
                    "null",
                    "a text, a JSON value, or {\"parameter_store\": name} / {\"secrets_manager\": name}",
                ));
            }
            Value::Object(map)
                if map.contains_key("parameter_store") || map.contains_key("secrets_manager") =>
            {
                Self::reference(path, value)?
            }
            other => Self::Value(other.clone()),
        };
        let length = parsed.text().len();
        if length > MAX_VALUE {
            return Err(Error::field(
                path,
                format!("{length} bytes"),
                format!(
                    "at most {MAX_VALUE} bytes; put the value into the bundle, or into Parameter Store or Secrets Manager and refer to it"
                ),
            ));
        }
        if parsed.text().contains('\0') {
            return Err(Error::field(
                path,
                "a zero byte",
                "a text that fits into an environment variable",
            ));
        }
        Ok(parsed)
    }

    fn reference(path: &str, value: &Value) -> Result<Self> {
        let mut fields = Fields::of(path, value)?;
        let parameter = fields.text("parameter_store")?;
        let secret = fields.text("secrets_manager")?;
        fields.finish()?;
        match (parameter, secret) {
            (Some(name), None) if is_parameter_name(&name) => Ok(Self::ParameterStore(name)),
            (Some(name), None) => Err(Error::field(
                &format!("{path}.parameter_store"),
                format!("\"{}\"", excerpt(&name, 80)),
                "a parameter's name: letters, digits and _ . - /, up to 1011 characters",
            )),
            (None, Some(name)) => Ok(Self::SecretsManager(name)),
            _ => Err(Error::field(
                path,
                "both parameter_store and secrets_manager",
                "one of them",
            )),
        }
    }

    /// The text of the variable: strings as they are, the rest as Python writes JSON, references by name.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Value(Value::String(text)) | Self::ParameterStore(text) | Self::SecretsManager(text) => {
                text.clone()
            }
            Self::Value(value) => dumps(value),
        }
    }

    /// The type that CodeBuild gives the variable.
    #[must_use]
    pub fn variable_type(&self) -> VariableType {
        match self {
            Self::Value(_) => VariableType::Plaintext,
            Self::ParameterStore(_) => VariableType::ParameterStore,
            Self::SecretsManager(_) => VariableType::SecretsManager,
        }
    }

    /// What the configuration's fingerprint sees: the value, or the reference with the version that it had.
    #[must_use]
    pub fn fingerprint_json(&self, version: Option<i64>) -> Value {
        match self {
            Self::Value(value) => json!({"value": value}),
            Self::ParameterStore(name) => json!({"parameter_store": name, "version": version}),
            Self::SecretsManager(name) => json!({"secrets_manager": name}),
        }
    }
}

/// The name rule of Parameter Store (AWS Systems Manager, PutParameter, `Name`).
fn is_parameter_name(name: &str) -> bool {
    name.len() <= 1011
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-/".contains(&b))
}

/// CodeBuild's types of environment variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VariableType {
    /// The value stands in the build's request.
    Plaintext,
    /// The value is a parameter's name.
    ParameterStore,
    /// The value is a secret's id.
    SecretsManager,
}

/// The parameters of a module by name, in the order in which they were given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters(Vec<(String, ParameterValue)>);

impl Parameters {
    /// Reads the `parameters` of an input or a manifest: an object from name to value.
    pub fn parse(path: &str, value: &Value) -> Result<Self> {
        let Value::Object(map) = value else {
            return Err(Error::field(
                path,
                describe(value),
                "an object from a parameter's name to its value",
            ));
        };
        let parameters = Self::read(path, map)?;
        parameters.refuse_collisions(path)?;
        Ok(parameters)
    }

    fn read(path: &str, map: &Map<String, Value>) -> Result<Self> {
        let one = |(name, value): (&String, &Value)| {
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
            Ok((
                name.clone(),
                ParameterValue::parse(&format!("{path}.{name}"), value)?,
            ))
        };
        Ok(Self(map.iter().map(one).collect::<Result<_>>()?))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
            (json!({"a": null}), "parameters.a: found null"),
            (
                json!({"vpc-id": "a", "vpcId": "b"}),
                "meets \"vpc-id\" in the variable VPC_ID",
            ),
            (json!({"VPC-ID": "a"}), "VPC-ID"),
            (json!({"vpc.id": "a"}), "VPC.ID"),
            (
                json!({"a": {"parameter_store": "x", "secrets_manager": "y"}}),
                "one of them",
            ),
            (
                json!({"a": {"parameter_store": "x", "other": 1}}),
                "parameters.a.other: found an unknown field",
            ),
            (
                json!({"a": {"parameter_store": "has space"}}),
                "a parameter's name",
            ),
            (json!({"a": "x".repeat(MAX_VALUE + 1)}), "16385 bytes"),
            (json!(["a"]), "parameters: found a list"),
            (
                json!({"a": (0..65).fold(json!(1), |inner, _| json!([inner]))}),
                "parameters.a: found lists and objects nested more than 64 deep",
            ),
        ] {
            let error = parse(value).unwrap_err();
            assert!(error.message.contains(part), "{} / {part}", error.message);
        }
        assert!(parse(json!({"a": "x".repeat(MAX_VALUE)})).is_ok());
    }
}
