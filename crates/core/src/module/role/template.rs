//! The parameters of a `modulestack.yaml` and their values, by seed-farmer's names.
//!
//! A template's parameter gets the value of the module's parameter with the same name in upper snake case, or one of
//! the four values that identify the module. Lists are joined by commas, as in CloudFormation. Unlike in seed-farmer,
//! booleans, numbers and objects are not left out but passed as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::error::excerpt;
use crate::formats::python_json::dumps;
use crate::formats::upper_snake_case::upper_snake_case;
use crate::formats::yaml;
use crate::formats::yaml::{Kind, Node};
use crate::ids::ModuleId;
use crate::module::parameters::{ParameterValue, Parameters};

/// Values by their names in upper snake case.
pub(super) type Values = BTreeMap<String, String>;

/// The names of the values that identify a module.
const OWN: [&str; 4] = ["PROJECT_NAME", "DEPLOYMENT_NAME", "MODULE_NAME", "ROLE_NAME"];

/// An error of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its line, counted from 1, if it has one.
    pub line: Option<usize>,
    /// The field, what is allowed, and what was found.
    pub message: String,
}

impl Problem {
    /// An error of the whole file.
    pub(super) fn of_file(message: impl Into<String>) -> Self {
        Self {
            line: None,
            message: message.into(),
        }
    }

    fn at(line: usize, message: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "modulestack.yaml line {line}: {}", self.message),
            None => write!(f, "modulestack.yaml: {}", self.message),
        }
    }
}

/// The values that are available to the parameters of a module's stack.
pub(super) fn values(module: &ModuleId, parameters: &Parameters, role: &str) -> Values {
    let given = parameters
        .iter()
        .map(|(name, value)| (upper_snake_case(name), text(value)));
    let own = [
        module.project.to_string(),
        module.deployment.to_string(),
        module.module_name(),
        role.to_owned(),
    ];
    given.chain(OWN.map(str::to_owned).into_iter().zip(own)).collect()
}

/// The same before there are values: only the names count.
pub(super) fn names<'n>(parameters: impl Iterator<Item = &'n str>) -> Values {
    parameters
        .map(upper_snake_case)
        .chain(OWN.map(str::to_owned))
        .map(|name| (name, String::new()))
        .collect()
}

fn text(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Value(Value::String(text)) => text.clone(),
        ParameterValue::Value(Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(item).collect();
            items.join(",")
        }
        ParameterValue::Value(other) => dumps(other),
        // The name of a parameter or secret, without the key and the version within it.
        reference => {
            let text = reference.text();
            text.split_once(':')
                .map_or(text.clone(), |(name, _)| name.to_owned())
        }
    }
}

fn item(value: &Value) -> String {
    value.as_str().map_or_else(|| dumps(value), str::to_owned)
}

/// The template's parameters with their values; parameters without a value have a default.
///
/// # Errors
/// All that is wrong with the template.
pub(super) fn parameters(text: &str, values: &Values) -> Result<Vec<(String, String)>, Vec<Problem>> {
    let (mut given, mut missing) = (Vec::new(), Vec::new());
    for (name, line, declaration) in declared(text).map_err(|problem| vec![problem])? {
        match values.get(&upper_snake_case(&name)) {
            Some(value) => given.push((name, value.clone())),
            None if declaration.get("Default").is_some() => {}
            None => missing.push(without_value(&name, line)),
        }
    }
    match missing.is_empty() {
        true => Ok(given),
        false => Err(missing),
    }
}

/// The parameters that a template declares, with their lines.
pub(super) fn declared(text: &str) -> Result<Vec<(String, usize, Node)>, Problem> {
    let root = yaml::parse_template(text).map_err(|error| Problem::at(error.line, error.message))?;
    if !matches!(root.kind, Kind::Mapping(_)) {
        let found = format!("expected a CloudFormation template, found {}", root.describe());
        return Err(Problem::at(root.line, found));
    }
    match root.get("Parameters") {
        None => Ok(Vec::new()),
        Some(Node {
            kind: Kind::Mapping(declared),
            ..
        }) => Ok(declared.clone()),
        Some(other) => Err(Problem::at(
            other.line,
            format!(
                "Parameters: expected a mapping of parameters, found {}",
                other.describe()
            ),
        )),
    }
}

fn without_value(name: &str, line: usize) -> Problem {
    let name = excerpt(name, 80);
    Problem::at(
        line,
        format!(
            "Parameters.{name}: found no value and no default; give the module a parameter of that name ({} in upper snake case), or the template a default",
            upper_snake_case(&name)
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;
    use serde_json::json;

    fn given(parameters_of_module: Value, template: &str) -> Result<Vec<(String, String)>, String> {
        let module = ModuleId::parse("my-project", "prod", "networking", "vpc").unwrap();
        let given = Parameters::parse("parameters", &parameters_of_module).unwrap();
        let read = parameters(template, &values(&module, &given, "the-role"));
        read.map_err(|problems| {
            problems
                .iter()
                .map(Problem::to_string)
                .collect::<Vec<_>>()
                .join("; ")
        })
    }

    fn declared(names: &[&str]) -> String {
        let mut template = "Resources:\n  P: {Type: 'AWS::IAM::Policy', Properties: {Roles: [!Ref RoleName]}}\nParameters:\n".to_owned();
        for name in names {
            template += &format!("  {name}:\n    Type: String\n");
        }
        template
    }

    #[test]
    fn each_parameter_of_the_template_gets_the_value_of_its_name() {
        let parameters = json!({
            "dag-bucket-name": "bucket", "subnetIds": ["a", "b"], "enabled": true, "size": 3, "tags": {"a": 1},
            "url": {"parameter_store": "/db/url"}, "key": {"secrets_manager": "api:key:AWSCURRENT"},
            "mixed": ["a", 1], "other": "unused", "role_name": "mine",
        });
        let names = [
            "ProjectName",
            "DeploymentName",
            "ModuleName",
            "RoleName",
            "DagBucketName",
            "SubnetIds",
            "Enabled",
            "Size",
            "Tags",
            "Url",
            "Key",
            "Mixed",
        ];
        let values: Vec<String> = given(parameters, &declared(&names))
            .unwrap()
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(
            values,
            [
                "my-project",
                "prod",
                "networking-vpc",
                "the-role",
                "bucket",
                "a,b",
                "true",
                "3",
                "{\"a\": 1}",
                "/db/url",
                "api",
                "a,1"
            ]
        );
    }

    #[test]
    fn a_parameter_without_a_value_has_to_have_a_default() {
        let template = declared(&["Other", "RoleName", "BucketName"]);
        let error = given(json!({}), &template).unwrap_err();
        assert!(
            says(
                &error,
                "modulestack.yaml line 4: Parameters.Other: …; modulestack.yaml line 8: Parameters.BucketName: found no value and no default"
            ) && error.contains("BUCKET_NAME"),
            "{error}"
        );
        let template = declared(&["RoleName", "BucketName"]);
        let with_default = format!("{template}    Default: ''\n");
        let role = ("RoleName".to_owned(), "the-role".to_owned());
        assert_eq!(given(json!({}), &with_default).unwrap(), [role]);
        assert_eq!(given(json!({}), "Resources: {}").unwrap(), []);
    }

    #[test]
    fn an_invalid_template_is_refused_with_its_line() {
        for (template, part) in [
            ("", "line 1: expected …found nothing"),
            ("a: b: c", "modulestack.yaml line 1:"),
            (
                "\nParameters: [a]",
                "line 2: Parameters: expected a mapping…found a list",
            ),
        ] {
            let error = given(json!({}), template).unwrap_err();
            assert!(says(&error, part), "{error}");
        }
    }
}
