//! `network` of a region mapping: the VPC in which the region's builds run.
//!
//! Values are seed-farmer's: ids, or `valueFrom` with one of three sources. A value of Parameter Store stays a reference
//! that each build's check resolves. seed-farmer silently builds outside of the VPC where one of the three is missing.

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostics, Location};
use super::environment::Env;
use super::spanned::{Spanned, one_source};
use crate::error::excerpt;
use crate::formats::yaml::Kind;
use crate::module::network::{AllowedNetworks, Field, Setting};

const FIELDS: [(&str, Field); 3] = [
    ("vpcId", Field::Vpc),
    ("privateSubnetIds", Field::Subnets),
    ("securityGroupIds", Field::SecurityGroups),
];
const SOURCES: [&str; 3] = ["parameterValue", "parameterStore", "envVariable"];

/// The network of a region.
#[derive(Debug)]
pub(super) struct MappedNetwork(Vec<MappedField>);

/// One of its fields.
#[derive(Debug)]
struct MappedField {
    at: Location,
    field: Field,
    written: Value,
    setting: Setting,
}

impl MappedNetwork {
    /// Reads a network; `regional` is the region's `parametersRegional`. Without any of the fields there is none.
    pub fn read(
        part: &Spanned<'_>,
        regional: &Map<String, Value>,
        env: &Env,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let mut fields = part.fields(problems)?;
        let given = FIELDS.map(|(name, field)| (name, field, fields.take(name, problems)));
        // A misspelt field must not lead to a build outside of the network.
        fields.refuse_unknown(problems);
        if given.iter().all(|(.., given)| given.is_none()) {
            return None;
        }
        let parts: Vec<Option<MappedField>> = given
            .into_iter()
            .map(|(name, field, given)| {
                if given.is_none() {
                    let message = format!(
                        "{name} is missing; a network has vpcId, privateSubnetIds and securityGroupIds"
                    );
                    problems.error(&part.at, message);
                }
                let given = given?;
                let written = value(&given, regional, env, problems)?;
                MappedField::new(given.at, field, written, problems)
            })
            .collect();
        parts.into_iter().collect::<Option<_>>().map(Self)
    }

    /// The network as the `build` of an input has it.
    pub fn written(&self) -> Value {
        let fields = self
            .0
            .iter()
            .map(|part| (part.field.name().to_owned(), part.written.clone()));
        Value::Object(fields.collect())
    }

    /// Refuses what builds may not use.
    pub fn check(&self, allowed: &AllowedNetworks, problems: &mut Diagnostics) {
        for MappedField {
            at, field, setting, ..
        } in &self.0
        {
            if let Err(error) = allowed.check_setting(&at.field, *field, setting) {
                problems.refused(at, &error);
            }
        }
    }
}

impl MappedField {
    fn new(at: Location, field: Field, written: Value, problems: &mut Diagnostics) -> Option<Self> {
        match Setting::parse(&at.field, field, &written) {
            Ok(setting) => Some(Self {
                at,
                field,
                written,
                setting,
            }),
            Err(error) => {
                problems.refused(&at, &error);
                None
            }
        }
    }
}

/// The value of a field as an input has it.
fn value(
    part: &Spanned<'_>,
    regional: &Map<String, Value>,
    env: &Env,
    problems: &mut Diagnostics,
) -> Option<Value> {
    if !matches!(part.node.kind, Kind::Mapping(_)) {
        return Some(part.node.to_json());
    }
    let mut fields = part.fields(problems)?;
    let source = fields.required("valueFrom", problems);
    fields.finish(problems);
    let (name, source) = one_source(&source?, &SOURCES, problems)?;
    let text = source.text(problems)?;
    match name {
        "envVariable" => env.get(&text, &source.at, problems).map(Value::String),
        "parameterStore" => Some(serde_json::json!({"parameter_store": text})),
        _ => {
            let found = regional.get(&text).filter(|value| !value.is_null());
            if found.is_none() {
                let message = format!(
                    "expected a key of the region's parametersRegional, found \"{}\"; a network takes values from there only",
                    excerpt(&text, 80)
                );
                problems.error(&source.at, message);
            }
            found.cloned()
        }
    }
}
