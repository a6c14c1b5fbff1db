//! The options of reading a repository: which manifest, and with which variables (decision 42).
//!
//! They are in an execution's input, or in the uploaded zip's own metadata, which a push sets. A variable comes from, in
//! this order: `env`, the files of `env_files` (the last file that sets it), Parameter Store below `env_path`. As in
//! seed-farmer, files come before the environment. Parameter Store takes the environment's place.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::{JsonFields, describe};
use crate::module::commit_info::{decoded, encoded};
use crate::module::source::normal_path;
use crate::storage_layout;

/// The file of variables that is read if no other is named, and if it exists.
pub const DEFAULT_ENV_FILE: &str = ".env";

/// The most files of variables.
const MAX_ENV_FILES: usize = 16;

/// Which manifest is deployed, and with which variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestOptions {
    /// The manifest's path in the repository; without one, the repository's manifest is searched.
    pub manifest: Option<String>,
    /// The values of variables.
    pub env: BTreeMap<String, String>,
    /// The paths of files of variables in the repository.
    pub env_files: Vec<String>,
    /// The path in Parameter Store below which each parameter is a variable, with its leading slash.
    pub env_path: Option<String>,
}

impl ManifestOptions {
    /// Parses an object with nothing but the options.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub fn parse(input: &Value) -> Result<Self> {
        let mut fields = JsonFields::of("", input)?;
        let options = Self::take(&mut fields)?;
        fields.finish()?;
        Ok(options)
    }

    /// Takes the options out of an execution's input.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub(super) fn take(fields: &mut JsonFields) -> Result<Self> {
        let manifest = fields.text("manifest")?;
        let files = fields.any("env_files");
        Ok(Self {
            manifest: manifest.map(|path| file("manifest", &path)).transpose()?,
            env: env(fields.any("env"))?,
            env_files: files.map(env_files).transpose()?.unwrap_or_default(),
            env_path: fields.text("env_path")?.map(|path| env_path(&path)).transpose()?,
        })
    }

    /// Reads the options from an object's own metadata, entry by entry: `manifest`, `env` (a JSON object), `env-files`
    /// (with commas between them) and `env-path`. An empty entry counts as absent.
    ///
    /// # Errors
    /// `InvalidInput` with the entry.
    pub fn from_metadata<'a>(entry: impl Fn(&str) -> Option<&'a str>) -> Result<Self> {
        let entry = |name| {
            let text = entry(name).map(|text| decoded(text).trim().to_owned());
            text.filter(|text| !text.is_empty())
        };
        let mut input = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            input.extend(value.map(|value| (name.to_owned(), value)));
        };
        set("manifest", entry("manifest").map(Value::from));
        set("env_path", entry("env-path").map(Value::from));
        let list = |files: String| files.split(',').map(str::trim).map(Value::from).collect();
        set("env_files", entry("env-files").map(list));
        set("env", entry("env").map(|text| env_entry(&text)).transpose()?);
        Self::parse(&Value::Object(input)).map_err(|error| Error {
            message: format!("metadata of the uploaded zip: {}", error.message),
            ..error
        })
    }

    /// The entries for the own metadata of an uploaded zip, in ASCII; [`Self::from_metadata`] reads them.
    #[must_use]
    pub fn metadata(&self) -> Vec<(&'static str, String)> {
        let env = (!self.env.is_empty()).then(|| json!(self.env).to_string());
        let files = (!self.env_files.is_empty()).then(|| self.env_files.join(","));
        let entries = [
            ("manifest", self.manifest.clone()),
            ("env", env),
            ("env-files", files),
            ("env-path", self.env_path.clone()),
        ];
        let known = entries
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        known.map(|(name, value)| (name, encoded(&value))).collect()
    }

    /// These options, and those of `other` where these have none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut env = other.env;
        env.extend(self.env);
        Self {
            manifest: self.manifest.or(other.manifest),
            env,
            env_files: if self.env_files.is_empty() {
                other.env_files
            } else {
                self.env_files
            },
            env_path: self.env_path.or(other.env_path),
        }
    }
}

/// The JSON of the entry `env`. An error doesn't show the text, which has the values of variables.
fn env_entry(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|_| {
        let found = if text.starts_with("{'") {
            "an object as Python prints it, with single quotes"
        } else {
            "a text that is not JSON"
        };
        let allowed = "a JSON object from a variable's name to its value, such as {\"STAGE\": \"dev\"} (json.dumps in Python)";
        let error = Error::field("env", found, allowed);
        Error {
            message: format!("metadata of the uploaded zip: {}", error.message),
            ..error
        }
    })
}

fn file(field: &str, given: &str) -> Result<String> {
    match normal_path(given) {
        Some(path) if !path.is_empty() && path.len() <= 512 => Ok(path),
        _ => Err(Error::field(
            field,
            format!("\"{}\"", excerpt(given, 120)),
            "the path of a file in the repository, such as manifests/prod/deployment.yaml: of letters, digits, . _ - + @ and /",
        )),
    }
}

fn env_files(value: Value) -> Result<Vec<String>> {
    let Value::Array(items) = value else {
        return Err(Error::field(
            "env_files",
            describe(&value),
            "a list of paths in the repository",
        ));
    };
    if items.len() > MAX_ENV_FILES {
        let found = format!("{} files", items.len());
        return Err(Error::field(
            "env_files",
            found,
            format!("at most {MAX_ENV_FILES}"),
        ));
    }
    let one = |(i, item): (usize, &Value)| {
        let field = format!("env_files[{i}]");
        match item {
            Value::String(path) => file(&field, path),
            other => Err(Error::field(&field, describe(other), "a text")),
        }
    };
    items.iter().enumerate().map(one).collect()
}

/// The names of parameters are of these characters (Systems Manager user guide, "Requirements and constraints for
/// parameter names"). Below `/sf` is the state of all modules, which the planner may read and a pusher may not.
fn env_path(given: &str) -> Result<String> {
    let path = given.trim_end_matches('/');
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let is_path = path.starts_with('/') && path.len() > 1 && path.len() <= 900 && !path.contains("//");
    if is_path && !storage_layout::is_state(path) && path.chars().all(allowed) {
        return Ok(path.to_owned());
    }
    Err(Error::field(
        "env_path",
        format!("\"{}\"", excerpt(given, 120)),
        "a path in Parameter Store such as /shared/my-project/prod: with a leading slash, of letters, digits, . _ - and /, and not below /sf",
    ))
}

fn env(value: Option<Value>) -> Result<BTreeMap<String, String>> {
    let Some(value) = value else {
        return Ok(BTreeMap::new());
    };
    let Value::Object(map) = &value else {
        return Err(Error::field(
            "env",
            describe(&value),
            "an object from name to text",
        ));
    };
    let one = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        // The values are environment variables, so text; an account id or a port is easily written without quotes.
        Value::Number(number) => Ok((name.clone(), number.to_string())),
        other => Err(Error::field(
            &format!("env.{}", excerpt(name, 80)),
            describe(other),
            "a text",
        )),
    };
    map.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::error::says;

    fn of_metadata(entries: &[(&str, &str)]) -> Result<ManifestOptions> {
        ManifestOptions::from_metadata(|name| {
            entries
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| *value)
        })
    }

    #[test]
    fn an_input_and_metadata_mean_the_same() {
        let input = ManifestOptions::parse(&json!({
            "manifest": "manifests/./prod/deployment.yaml", "env": {"A": "1", "B": 2},
            "env_files": [".env", "prod.env"], "env_path": "/shared/prod/",
        }))
        .unwrap();
        assert_eq!(input.manifest.as_deref(), Some("manifests/prod/deployment.yaml"));
        assert_eq!(input.env_files, [".env", "prod.env"]);
        assert_eq!(input.env_path.as_deref(), Some("/shared/prod"));
        let metadata = of_metadata(&[
            ("manifest", "manifests/prod/deployment.yaml"),
            ("env", r#"{"A": "1", "B": 2}"#),
            ("env-files", ".env, prod.env"),
            ("env-path", "/shared/prod"),
            ("commit", "c0ffee"),
        ]);
        assert_eq!(metadata.unwrap(), input);
        let written = input.metadata();
        let read = ManifestOptions::from_metadata(|name| {
            written
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.as_str())
        });
        assert_eq!(read.unwrap(), input);
        let none = of_metadata(&[("manifest", ""), ("env-files", " "), ("env-path", "")]).unwrap();
        assert_eq!(none, ManifestOptions::default());
        let error = of_metadata(&[("env", "{'TOKEN': 'hidden'}")]).unwrap_err();
        assert!(
            error
                .message
                .ends_with("found an object as Python prints it, with single quotes"),
            "{error}"
        );
        assert!(!error.message.contains("hidden"), "{error}");
    }

    #[test]
    fn an_input_comes_before_metadata_field_by_field_and_variable_by_variable() {
        let input = ManifestOptions::parse(&json!({"env": {"A": "input"}, "env_path": "/input"})).unwrap();
        let metadata = of_metadata(&[
            ("manifest", "m.yaml"),
            ("env", r#"{"A": "metadata", "B": "metadata"}"#),
            ("env-path", "/metadata"),
        ]);
        let both = input.or(metadata.unwrap());
        assert_eq!(
            (both.manifest.as_deref(), both.env_path.as_deref()),
            (Some("m.yaml"), Some("/input"))
        );
        assert_eq!(
            (both.env["A"].as_str(), both.env["B"].as_str()),
            ("input", "metadata")
        );
    }

    #[test]
    fn each_bad_option_is_named_with_what_is_allowed() {
        for (input, part) in [
            (json!({"manifest": "../x"}), "manifest: expected …found \"../x\""),
            (json!({"env": ["A"]}), "env: expected an object…found a list"),
            (json!({"env": {"A": [1]}}), "env.A: expected …found a list"),
            (
                json!({"env_files": ".env"}),
                "env_files: expected a list…found \".env\"",
            ),
            (
                json!({"env_files": ["a", "/etc/passwd"]}),
                "env_files[1]: expected …found \"/etc/passwd\"",
            ),
            (
                json!({"env_files": [1]}),
                "env_files[0]: expected a text, found 1",
            ),
            (
                json!({"env_files": vec!["a"; 17]}),
                "env_files: expected at most 16, found 17 files",
            ),
            (
                json!({"env_path": "shared"}),
                "env_path: expected …found \"shared\"",
            ),
            (
                json!({"env_path": "/sf/other/dev"}),
                "env_path: expected …not below /sf…found \"/sf/other/dev\"",
            ),
            (
                json!({"env_path": "/sf/"}),
                "env_path: expected …not below /sf…found \"/sf/\"",
            ),
            (json!({"env_path": "/"}), "env_path: expected …found \"/\""),
            (json!({"env_path": "/a b"}), "env_path: expected …found \"/a b\""),
        ] {
            let error = ManifestOptions::parse(&input).unwrap_err();
            assert!(says(&error.message, part), "{} / {part}", error.message);
        }
        let error = of_metadata(&[("env", "A=1")]).unwrap_err();
        let part = "metadata of the uploaded zip: env: expected a JSON object…found a text that is not JSON";
        assert!(says(&error.message, part), "{}", error.message);
    }
}
