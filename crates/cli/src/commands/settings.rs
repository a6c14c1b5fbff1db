//! A module's parameters, and the options of a manifest, on the command line.

use anyhow::{Result, anyhow, bail};
use clap::Args;
use seedflow_core::deployment::manifest_options::ManifestOptions;
use seedflow_core::ids::ModuleId;
use serde_json::{Map, Value, json};

use crate::exit::Wrong;

// Which deployment manifest of a repository, and with which variables. A doc comment would replace the help of the commands.
#[derive(Debug, Clone, Default, Args)]
pub struct ManifestArguments {
    /// The deployment manifest, by its path in the repository [default: deployment.yaml at its root, or the only one].
    #[arg(long, value_name = "FILE")]
    manifest: Option<String>,
    /// A variable of the manifests, as often as needed. It overrides variables of files.
    #[arg(long = "env", value_name = "K=V", value_parser = parse_text)]
    env: Vec<(String, String)>,
    /// A file of variables, by its path in the repository, as often as needed. Later files override earlier ones [default: .env].
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<String>,
}

impl ManifestArguments {
    /// The options, by the rules of an execution's input. `env_path` is one of those.
    pub fn parse(self, env_path: Option<String>) -> Result<ManifestOptions> {
        let input = Value::Object(self.fields(env_path)?);
        ManifestOptions::parse(&input).map_err(|error| anyhow!(error.message))
    }

    /// The options that were given, as fields of an execution's input.
    pub fn fields(&self, env_path: Option<String>) -> Result<Map<String, Value>> {
        let env = self
            .env
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        let env = by_name("--env", env)?;
        let mut fields = Map::new();
        if let Some(manifest) = &self.manifest {
            fields.insert("manifest".to_owned(), json!(manifest));
        }
        if !env.is_empty() {
            fields.insert("env".to_owned(), Value::Object(env));
        }
        if !self.env_files.is_empty() {
            fields.insert("env_files".to_owned(), json!(self.env_files));
        }
        if let Some(path) = env_path {
            fields.insert("env_path".to_owned(), json!(path));
        }
        Ok(fields)
    }
}

/// How a module is deployed, beside its names and files.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The parameters, by name.
    pub parameters: Map<String, Value>,
    /// Whether to build even if nothing changed.
    pub force: bool,
}

/// Reads `name=value`; the value is JSON where it reads as a JSON object, list, number, boolean or
/// quoted string, and the text itself everywhere else.
pub fn parse_parameter(text: &str) -> std::result::Result<(String, Value), String> {
    let (name, value) = named(text)?;
    let plain = || Value::String(value.to_owned());
    let value = match serde_json::from_str(value) {
        // A parameter has a value; the word is more likely meant as one.
        Ok(Value::Null) | Err(_) => plain(),
        Ok(parsed) => parsed,
    };
    Ok((name.to_owned(), value))
}

/// Reads `name=value` where every value is a string: a parameter of the template, a variable of manifests.
pub fn parse_text(text: &str) -> std::result::Result<(String, String), String> {
    named(text).map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// Reads a project's name.
pub fn parse_project(text: &str) -> std::result::Result<String, String> {
    ModuleId::project(text)
        .map(|name| name.to_string())
        .map_err(|error| error.message)
}

/// Collects the values of an option that is given once for each name.
pub fn by_name(option: &str, pairs: impl IntoIterator<Item = (String, Value)>) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for (name, value) in pairs {
        if map.contains_key(&name) {
            bail!(Wrong(format!(
                "{option} {name}: expected one value, found two; keep one of them"
            )));
        }
        map.insert(name, value);
    }
    Ok(map)
}

fn named(text: &str) -> std::result::Result<(&str, &str), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("expected name=value, found no `=`".to_owned());
    };
    if name.is_empty() {
        return Err("expected name=value, found no name before the `=`".to_owned());
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_has_one_value() {
        let pair = |name: &str| (name.to_owned(), json!(1));
        assert_eq!(by_name("--env", [pair("a"), pair("b")]).unwrap().len(), 2);
        let error = by_name("--env", [pair("a"), pair("a")]).unwrap_err().to_string();
        assert_eq!(error, "--env a: expected one value, found two; keep one of them");
    }

    #[test]
    fn values_are_json_where_they_read_as_json() {
        let cases = [
            ("a=b", json!("b")),
            ("a=", json!("")),
            ("a=b=c", json!("b=c")),
            ("a=1", json!(1)),
            ("a=1.10", json!(1.1)),
            ("a=true", json!(true)),
            ("a=null", json!("null")),
            ("a=\"1\"", json!("1")),
            ("a=[\"x\", 2]", json!(["x", 2])),
            ("a={\"parameter_store\": \"n\"}", json!({"parameter_store": "n"})),
            ("a=10.0.0.0/16", json!("10.0.0.0/16")),
            ("a={not json", json!("{not json")),
        ];
        for (text, value) in cases {
            assert_eq!(parse_parameter(text).unwrap(), ("a".to_owned(), value), "{text}");
        }
    }

    #[test]
    fn a_name_is_needed() {
        assert!(parse_parameter("abc").unwrap_err().contains("name=value"));
        assert!(parse_parameter("=1").unwrap_err().contains("no name"));
        assert!(parse_text("abc").is_err());
        assert_eq!(parse_text("A=1=2").unwrap(), ("A".to_owned(), "1=2".to_owned()));
    }
}
