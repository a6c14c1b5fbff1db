//! Templates of CloudFormation.

use serde_json::Value;

use crate::project::file;

/// A template as JSON. Tags like `!Sub` are dropped: `!GetAtt A.Arn` reads as "A.Arn", `!If` as a list.
pub struct Template(Value);

impl Template {
    /// The template with this name in the checkout's root.
    pub fn read(path: &str) -> Self {
        let parsed = seedflow_core::formats::yaml::parse(&file(path));
        Self(parsed.unwrap_or_else(|error| panic!("{path}: {error}")).to_json())
    }

    /// All of it.
    pub fn json(self) -> Value {
        self.0
    }

    /// Its resources.
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
