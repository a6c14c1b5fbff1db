//! The parameters of a `modulestack.yaml` and their values, by seed-farmer's names.
//!
//! A template's parameter gets the value of the module's parameter with the same name in upper snake case, or one of
//! the four values that identify the module. Lists are joined by commas, as in CloudFormation. Unlike in seed-farmer,
//! booleans, numbers and objects are not left out but passed as JSON.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, ErrorName, Result, excerpt};
use crate::formats::python_json::dumps;
use crate::formats::upper_snake_case::upper_snake_case;
use crate::formats::yaml;
use crate::formats::yaml::{Kind, Node};
use crate::ids::ModuleId;
use crate::module::parameters::{ParameterValue, Parameters};

/// Values by their names in upper snake case.
pub(super) type Values = BTreeMap<String, String>;

/// The values that are available to the parameters of a module's stack.
pub(super) fn values(module: &ModuleId, parameters: &Parameters, role: &str) -> Values {
    let given = parameters
        .iter()
        .map(|(name, value)| (upper_snake_case(name), text(value)));
    let own = [
        ("PROJECT_NAME", module.project.to_string()),
        ("DEPLOYMENT_NAME", module.deployment.to_string()),
        ("MODULE_NAME", module.module_name()),
        ("ROLE_NAME", role.to_owned()),
    ];
    given
        .chain(own.map(|(name, value)| (name.to_owned(), value)))
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
pub(super) fn parameters(text: &str, values: &Values) -> Result<Vec<(String, String)>> {
    let root = yaml::parse_template(text).map_err(|e| error(&e.to_string()))?;
    let Kind::Mapping(_) = &root.kind else {
        return Err(error(&format!(
            "line {}: expected a CloudFormation template, found {}",
            root.line,
            root.describe()
        )));
    };
    let Some(declared) = root.get("Parameters") else {
        return Ok(Vec::new());
    };
    let Kind::Mapping(declared) = &declared.kind else {
        return Err(error(&format!(
            "line {}: Parameters: expected a mapping of parameters, found {}",
            declared.line,
            declared.describe()
        )));
    };
    let mut given = Vec::new();
    for (name, line, declaration) in declared {
        match values.get(&upper_snake_case(name)) {
            Some(value) => given.push((name.clone(), value.clone())),
            None if has_default(declaration) => {}
            None => return Err(without_value(name, *line)),
        }
    }
    Ok(given)
}

fn has_default(declaration: &Node) -> bool {
    declaration.get("Default").is_some()
}

fn without_value(name: &str, line: usize) -> Error {
    let name = excerpt(name, 80);
    error(&format!(
        "line {line}: Parameters.{name}: found no value and no default; give the module a parameter of that name ({} in upper snake case), or the template a default",
        upper_snake_case(&name)
    ))
}

/// An error about the file.
pub(super) fn error(what: &str) -> Error {
    Error::new(ErrorName::InvalidModuleStack, format!("modulestack.yaml {what}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;
    use serde_json::json;

    fn given(parameters_of_module: Value, template: &str) -> Result<Vec<(String, String)>> {
        let module = ModuleId::parse("my-project", "prod", "networking", "vpc").unwrap();
        let given = Parameters::parse("parameters", &parameters_of_module).unwrap();
        parameters(template, &values(&module, &given, "the-role"))
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
        let template = declared(&["RoleName", "BucketName"]);
        let error = given(json!({}), &template).unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidModuleStack);
        assert!(
            says(
                &error.message,
                "modulestack.yaml line 6: Parameters.BucketName: found no value and no default"
            ) && error.message.contains("BUCKET_NAME"),
            "{error}"
        );
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
            assert!(says(&error.message, part), "{error}");
        }
    }
}
