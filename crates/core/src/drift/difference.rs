//! What differs between a stack's resource and the stack's template, as far as it is stored.
//!
//! CloudFormation shows the values on both sides. Here they are cut, and a value whose name says that it is secret is
//! hidden, because more people may read records and pages than the resource.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::excerpt;
use crate::module::hidden::{HIDDEN, is_secret, without_secrets};

/// How many resources of a module, properties of a resource and characters of a value are stored.
pub const MAX_RESOURCES: usize = 50;
const MAX_PROPERTIES: usize = 10;
const MAX_VALUE: usize = 200;
/// The longest name or id, of those that AWS doesn't bound.
const MAX_NAME: usize = 300;

/// Properties whose values are made by people to be given to programs, and often are secret whatever their names say.
const OPAQUE: [&str; 6] = [
    "Environment",
    "EnvironmentVariables",
    "UserData",
    "Variables",
    "SecretString",
    "StageVariables",
];

/// How a resource differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResourceState {
    /// Properties differ.
    Modified,
    /// It is gone.
    Deleted,
}

impl ResourceState {
    /// The state for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Modified => "changed",
            Self::Deleted => "deleted",
        }
    }
}

/// A resource that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDrift {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name in AWS.
    pub physical_id: String,
    /// Such as `AWS::SQS::Queue`.
    pub resource_type: String,
    /// How it differs.
    pub state: ResourceState,
    /// The properties that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<PropertyDifference>,
    /// How many further properties differ.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

/// A property that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyDifference {
    /// Where it is: `/RedrivePolicy/maxReceiveCount`.
    pub path: String,
    /// CloudFormation's word: `ADD`, `REMOVE` or `NOT_EQUAL`.
    pub difference: String,
    /// The value of the template, or that it is hidden.
    pub expected: String,
    /// The value of the resource, or that it is hidden.
    pub actual: String,
}

pub(super) fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl ResourceDrift {
    /// The resource as it is stored.
    #[must_use]
    pub fn bounded(self) -> Self {
        let left_out = self.properties.len().saturating_sub(MAX_PROPERTIES);
        let properties = self.properties.into_iter().take(MAX_PROPERTIES);
        Self {
            logical_id: excerpt(&self.logical_id, MAX_NAME),
            physical_id: excerpt(&self.physical_id, MAX_NAME),
            resource_type: excerpt(&self.resource_type, MAX_NAME),
            properties: properties.map(PropertyDifference::bounded).collect(),
            left_out: self.left_out + left_out,
            ..self
        }
    }
}

impl PropertyDifference {
    fn bounded(self) -> Self {
        let is_hidden = self
            .path
            .split('/')
            .any(|part| is_secret(part) || OPAQUE.contains(&part));
        let shown = |value: &str| match is_hidden {
            true => HIDDEN.to_owned(),
            false => excerpt(&without_secrets_in(value), MAX_VALUE),
        };
        Self {
            expected: shown(&self.expected),
            actual: shown(&self.actual),
            path: excerpt(&self.path, MAX_NAME),
            difference: excerpt(&self.difference, MAX_NAME),
        }
    }
}

/// A value without what is secret in it: an object or a list comes as JSON.
fn without_secrets_in(value: &str) -> String {
    match serde_json::from_str::<Value>(value) {
        Ok(parsed @ (Value::Object(_) | Value::Array(_))) => {
            without_opaque(without_secrets(&parsed)).to_string()
        }
        _ => value.to_owned(),
    }
}

fn without_opaque(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| match OPAQUE.contains(&name.as_str()) {
                    true => (name, Value::from(HIDDEN)),
                    false => (name, without_opaque(value)),
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_opaque).collect()),
        other => other,
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(in crate::drift) fn property(path: &str, expected: &str, actual: &str) -> PropertyDifference {
        PropertyDifference {
            path: path.to_owned(),
            difference: "NOT_EQUAL".to_owned(),
            expected: expected.to_owned(),
            actual: actual.to_owned(),
        }
    }

    pub(in crate::drift) fn resource(logical_id: &str, properties: Vec<PropertyDifference>) -> ResourceDrift {
        ResourceDrift {
            logical_id: logical_id.to_owned(),
            physical_id: format!("{logical_id}-1"),
            resource_type: "AWS::SQS::Queue".to_owned(),
            state: ResourceState::Modified,
            properties,
            left_out: 0,
        }
    }

    #[test]
    fn values_of_secrets_are_hidden_wherever_they_are() {
        let of = |path: &str, actual: &str| {
            let bounded = resource("Q", vec![property(path, actual, actual)]).bounded();
            bounded.properties[0].actual.clone()
        };
        assert_eq!(of("/VisibilityTimeout", "31"), "31");
        for path in [
            "/MasterUserPassword",
            "/Environment/Variables/LEVEL",
            "/LoginProfile/Password",
            "/UserData",
        ] {
            assert_eq!(of(path, "hunter2"), HIDDEN, "{path}");
        }
        assert_eq!(
            of("/Settings", r#"{"ApiToken": "t", "Size": 1}"#),
            r#"{"ApiToken":"(hidden)","Size":1}"#
        );
        assert_eq!(
            of(
                "/Containers",
                r#"[{"Name": "n", "Environment": {"DB": "hunter2"}}]"#
            ),
            r#"[{"Name":"n","Environment":"(hidden)"}]"#
        );
    }

    #[test]
    fn a_resource_is_stored_in_a_bounded_size_and_says_what_is_missing() {
        let many = (0..40).map(|n| property(&format!("/P{n}"), &"x".repeat(5000), "y"));
        let bounded = resource("Q", many.collect()).bounded();
        assert_eq!((bounded.properties.len(), bounded.left_out), (10, 30));
        assert!(serde_json::to_string(&bounded).unwrap().len() < 5000);
    }
}
