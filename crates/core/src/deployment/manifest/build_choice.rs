//! The build settings of an account, a region or a module, under the names of an input's `build`.

use serde_json::{Map, Value, json};

use super::diagnostic::{Diagnostics, Location};
use super::spanned::{YamlFields, texts};
use crate::module::build_settings::BuildSettings;
use crate::module::maximum::Maxima;

/// Fields with a text, and their names in an input.
const TEXTS: [(&str, &str); 5] = [
    ("codebuildImage", "image"),
    ("npmMirror", "npm_mirror"),
    ("npmMirrorSecret", "npm_mirror_secret"),
    ("pypiMirror", "pypi_mirror"),
    ("pypiMirrorSecret", "pypi_mirror_secret"),
];

/// The build settings that an account, a region or a module chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BuildChoice(Map<String, Value>);

impl BuildChoice {
    /// Reads the settings, and reports those that an execution's input may not have where they are written.
    pub fn read(fields: &mut YamlFields<'_>, problems: &mut Diagnostics) -> Self {
        let mut choice = Self::default();
        for (field, name) in TEXTS {
            if let Some(part) = fields.take(field, problems)
                && let Some(text) = part.text(problems)
            {
                choice.add(name, text.into(), &part.at, problems);
            }
        }
        if let Some(part) = fields.take("runtimeOverrides", problems) {
            let runtimes = texts(&part, problems);
            if !runtimes.is_empty() {
                choice.add("runtimes", runtimes.into(), &part.at, problems);
            }
        }
        // Seedflow's own: seed-farmer ignores it, unless the project refuses unknown fields.
        let privileged = fields.take("privilegedMode", problems);
        if let Some(flag) = privileged.and_then(|part| part.flag(problems)) {
            choice.0.insert("privileged".to_owned(), flag.into());
        }
        choice
    }

    fn add(&mut self, name: &str, value: Value, at: &Location, problems: &mut Diagnostics) {
        if let Err(problem) = checked(name, &value, at, &Maxima::OF_AWS) {
            return problem.report(problems);
        }
        self.0.insert(name.to_owned(), value);
    }

    /// These settings as the `build` of an input.
    #[must_use]
    pub fn said(&self) -> Map<String, Value> {
        self.0.clone()
    }

    /// The build image.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.0.get("image")?.as_str()
    }

    /// One setting more, if it has a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&Value>) -> Self {
        self.0.extend(value.map(|value| (name.to_owned(), value.clone())));
        self
    }

    /// Merges these settings over others: each of these, and of the runtimes each version.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let mut merged = other.0.clone();
        for (name, value) in self.0 {
            let value = match (value, merged.shift_remove(&name)) {
                (Value::Object(ours), Some(Value::Object(mut theirs))) => {
                    theirs.extend(ours);
                    theirs.into()
                }
                (value, _) => value,
            };
            merged.insert(name, value);
        }
        Self(merged)
    }
}

/// A setting that an input may not have, where the manifest has it.
pub(super) struct RefusedSetting {
    at: Location,
    message: String,
}

impl RefusedSetting {
    pub fn report(self, problems: &mut Diagnostics) {
        problems.error(&self.at, self.message);
    }
}

/// Checks one setting by the rules of an execution's input.
pub(super) fn checked(
    name: &str,
    value: &Value,
    at: &Location,
    maxima: &Maxima,
) -> Result<(), RefusedSetting> {
    let Err(error) = BuildSettings::parse(&json!({name: value}), "", maxima) else {
        return Ok(());
    };
    // `build.runtimes.python: expected…`, with the name that the setting has in a manifest.
    let rest = error.message.strip_prefix(&format!("build.{name}"));
    Err(match rest.and_then(|rest| rest.split_once(": ")) {
        Some((below, message)) => RefusedSetting {
            at: Location {
                field: format!("{}{below}", at.field),
                ..at.clone()
            },
            message: message.to_owned(),
        },
        None => RefusedSetting {
            at: at.clone(),
            message: error.message,
        },
    })
}
