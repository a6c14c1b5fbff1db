//! Converts a manifest module's `parameters` into those of its execution.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::account_mappings::{Chosen, Mappings};
use super::diagnostic::{Diagnostics, Location};
use super::environment::Env;
use super::spanned::{Spanned, YamlFields, one_source};
use crate::error::excerpt;
use crate::formats::python_json::dumps;
use crate::formats::upper_snake_case::upper_snake_case;
use crate::formats::yaml::Kind;
use crate::ids::Name;
use crate::module::parameters::{Parameters, REFERENCES};

/// The longest name of a parameter; it becomes a variable's name.
const MAX_NAME: usize = 255;
const SOURCES: [&str; 5] = [
    "moduleMetadata",
    "envVariable",
    "parameterStore",
    "secretsManager",
    "parameterValue",
];

/// A reference to another module's metadata.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub at: Location,
    pub group: Name,
    pub module: Name,
}

/// The context in which parameters are read.
pub(super) struct ParameterContext<'a> {
    pub env: &'a Env,
    pub mappings: &'a Mappings,
    pub target: Chosen,
}

/// The parameters and references of a module.
#[derive(Debug, Default)]
pub(super) struct ParameterReader {
    /// The parameters as an execution's input has them.
    pub written: Map<String, Value>,
    /// The same, parsed.
    pub parameters: Parameters,
    pub references: Vec<Reference>,
    /// The names of all parameters, also of those whose value can't be used.
    pub names: Vec<String>,
    /// Parameter names by their variable names.
    variables: HashMap<String, String>,
}

impl ParameterReader {
    pub fn list(list: &Spanned<'_>, around: &ParameterContext<'_>, problems: &mut Diagnostics) -> Self {
        let mut read = Self::default();
        for item in list.items(problems) {
            read.one(item, &list.at.field, around, problems);
        }
        read
    }

    fn one(
        &mut self,
        mut part: Spanned<'_>,
        list: &str,
        around: &ParameterContext<'_>,
        problems: &mut Diagnostics,
    ) {
        // Messages name a parameter by its name, not by its index.
        if let Some(Kind::Scalar(Value::String(name))) = part.node.get("name").map(|name| &name.kind) {
            part.at.field = format!("{list}.{}", excerpt(name, 80));
        }
        let Some(mut fields) = part.fields(problems) else {
            return;
        };
        let name = parameter_name(&mut fields, problems);
        let value = self.value(&mut fields, around, problems);
        fields.ignored(&["version", "resolvedValue"], problems);
        fields.finish(problems);
        self.names.extend(name.clone());
        if let (Some(name), Some((at, value))) = (name, value) {
            self.add(name, value, &Spanned { at, ..part }, list, problems);
        }
    }

    fn value(
        &mut self,
        fields: &mut YamlFields<'_>,
        around: &ParameterContext<'_>,
        problems: &mut Diagnostics,
    ) -> Option<(Location, Value)> {
        let value = fields.take("value", problems);
        let source = fields.take("valueFrom", problems);
        // Variables are replaced before seed-farmer's models read the manifest, and only this spelling is known there.
        if let Some(off) = fields.take_exactly("disableEnvVarResolution")
            && !matches!(off.scalar(), Some(Value::Bool(_)))
        {
            off.refuse("true or false", problems);
        }
        match (value, source) {
            (Some(value), None) => {
                value.warn_of_traps(problems);
                let json = value.node.to_json();
                refuse_lookalike(&value, &json, problems)?;
                Some((value.at, json))
            }
            (None, Some(source)) => {
                let json = self.from(&source, around, problems)?;
                Some((source.at, json))
            }
            (None, None) => {
                problems.error(
                    &fields.at,
                    "expected value or valueFrom, with a value, found neither",
                );
                None
            }
            (Some(_), Some(source)) => {
                problems.error(&source.at, "expected value or valueFrom, found both");
                None
            }
        }
    }

    fn from(
        &mut self,
        part: &Spanned<'_>,
        around: &ParameterContext<'_>,
        problems: &mut Diagnostics,
    ) -> Option<Value> {
        let (name, source) = one_source(part, &SOURCES, problems)?;
        if name == "moduleMetadata" {
            return self.module_metadata(&source, problems);
        }
        let text = source.text(problems)?;
        match name {
            "envVariable" => around.env.get(&text, &source.at, problems).map(Value::String),
            "parameterStore" => Some(json!({"parameter_store": text})),
            "secretsManager" => Some(json!({"secrets_manager": text})),
            _ => parameter_value(&text, &source, around, problems),
        }
    }

    fn module_metadata(&mut self, part: &Spanned<'_>, problems: &mut Diagnostics) -> Option<Value> {
        let mut fields = part.fields(problems)?;
        let group = fields.required("group", problems);
        let module = fields.required("name", problems);
        let key = fields.text("key", problems);
        fields.finish(problems);
        let (group, module) = (group?.name(problems), module?.name(problems));
        let reference = Reference {
            at: part.at.clone(),
            group: group?,
            module: module?,
        };
        let mut metadata = json!({"group": reference.group, "module": reference.module});
        if let Some(key) = key {
            metadata["key"] = key.into();
        }
        self.references.push(reference);
        Some(json!({"module_metadata": metadata}))
    }

    fn add(
        &mut self,
        name: String,
        value: Value,
        part: &Spanned<'_>,
        list: &str,
        problems: &mut Diagnostics,
    ) {
        let at = Location {
            field: format!("{list}.{name}"),
            ..part.at.clone()
        };
        if let Some(other) = self.variables.insert(upper_snake_case(&name), name.clone()) {
            let message = if other == name {
                "duplicate parameter, with another value; remove one of them".to_owned()
            } else {
                format!(
                    "the name becomes the same variable as \"{}\"; rename one of them",
                    excerpt(&other, 80)
                )
            };
            problems.error(&at, message);
            return;
        }
        // The rules of an execution's input apply, because the parameters become part of one.
        match Parameters::one(list, &name, &value) {
            Ok(parsed) => {
                self.parameters.push(name.clone(), parsed);
                self.written.insert(name, value);
            }
            Err(error) => problems.refused(&at, &error),
        }
    }
}

fn parameter_name(fields: &mut YamlFields<'_>, problems: &mut Diagnostics) -> Option<String> {
    let part = fields.required("name", problems)?;
    let name = part.text(problems)?;
    if name.len() > MAX_NAME {
        problems.found(
            &part.at,
            format!("{} bytes", name.len()),
            format!("a name of at most {MAX_NAME} bytes"),
        );
        return None;
    }
    Some(name)
}

/// A value of the mappings: a text unchanged, anything else as its JSON text, as in seed-farmer.
fn parameter_value(
    name: &str,
    part: &Spanned<'_>,
    around: &ParameterContext<'_>,
    problems: &mut Diagnostics,
) -> Option<Value> {
    match around.mappings.parameter(around.target, name) {
        Some(Value::String(text)) => Some(text.clone().into()),
        Some(value) => Some(dumps(value).into()),
        None => {
            problems.error(
                &part.at,
                format!(
                    "\"{}\" is neither in parametersRegional nor in parametersGlobal of the module's account and region",
                    excerpt(name, 80)
                ),
            );
            None
        }
    }
}

/// Refuses an object that looks like a reference: an execution's input could not distinguish them.
fn refuse_lookalike(part: &Spanned<'_>, value: &Value, problems: &mut Diagnostics) -> Option<()> {
    match REFERENCES.iter().find(|key| value.get(key).is_some()) {
        Some(key) => {
            problems.found(
                &part.at,
                format!("a mapping with the key {key}, which would be taken for a reference"),
                "another key; give a reference as valueFrom",
            );
            None
        }
        None => Some(()),
    }
}
