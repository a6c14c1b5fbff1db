//! Templates of CloudFormation.

use serde_json::Value;

use crate::project::file;

/// A template as JSON. Tags like `!Sub` are dropped: `!GetAtt A.Arn` reads as "A.Arn", `!If` as a list.
pub struct Template(Value);

impl Template {
    /// The template with this name in the checkout's root.
    pub fn read(path: &str) -> Self {
        let parsed = seedflow_core::formats::yaml::parse_template(&file(path));
        Self(parsed.unwrap_or_else(|error| panic!("{path}: {error}")).to_json())
    }

    /// The same with the settings of `Globals` in every function, as SAM puts them there.
    pub fn with_globals(mut self) -> Self {
        let globals = self.0["Globals"]["Function"].clone();
        let resources = self.0["Resources"].as_object_mut().expect("resources");
        for resource in resources.values_mut() {
            if resource["Type"] == "AWS::Serverless::Function" {
                add_missing(&mut resource["Properties"], &globals);
            }
        }
        self
    }

    pub fn json(self) -> Value {
        self.0
    }

    pub fn resources(mut self) -> Value {
        self.0["Resources"].take()
    }

    /// The names and properties of the resources of a type; panics if there are none.
    pub fn of_type(&self, kind: &str) -> Vec<(String, Value)> {
        let resources = self.0["Resources"].as_object().expect("resources");
        let found: Vec<_> = resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == kind)
            .map(|(name, resource)| (name.clone(), resource["Properties"].clone()))
            .collect();
        assert!(!found.is_empty(), "no resource of the type {kind}");
        found
    }
}

/// Adds what an object doesn't have of another one, at any depth.
fn add_missing(own: &mut Value, others: &Value) {
    match (own, others) {
        (Value::Object(own), Value::Object(others)) => {
            for (name, other) in others {
                add_missing(own.entry(name).or_insert(Value::Null), other);
            }
        }
        (own @ Value::Null, other) => *own = other.clone(),
        _ => {}
    }
}
