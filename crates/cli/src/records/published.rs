//! What a module published: its metadata and the outputs of its stack.

use anyhow::{Context, Result, bail};
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::ssm::ParameterStore;
use seedflow_aws::stores::spilled_values;
use seedflow_core::formats::shell_word::in_quotes;
use seedflow_core::formats::upper_snake_case::upper_snake_case;
use seedflow_core::ids::{ModuleId, ParameterKind};
use serde_json::{Map, Value};

use crate::exit::Refused;

/// The text of a parameter, from S3 if it is too long for Parameter Store; `None` if it does not exist.
pub async fn parameter(store: &ParameterStore, bucket: &Bucket, name: &str) -> Result<Option<String>> {
    let mut found = store.get(&[name.to_owned()]).await?;
    match found.remove(name) {
        Some(parameter) => Ok(Some(spilled_values::resolve(bucket, parameter.0).await?)),
        None => Ok(None),
    }
}

/// What a module published.
///
/// # Errors
/// [`Refused`] if nothing of the module is deployed. If the value can't be read.
pub async fn read(
    store: &ParameterStore,
    bucket: &Bucket,
    module: &ModuleId,
    kind: ParameterKind,
) -> Result<Map<String, Value>> {
    let name = module.parameter(kind);
    let Some(text) = parameter(store, bucket, &name).await? else {
        return Err(Refused(format!(
            "{module}: expected {kind}, found none ({name}): the module is not deployed, or its deployment has not succeeded"
        ))
        .into());
    };
    serde_json::from_str(&text).with_context(|| {
        format!("{name}: expected a JSON object, found another text; deploy the module again")
    })
}

/// A value as text: a string as it is, everything else as JSON.
#[must_use]
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The lines that set the values as variables of a shell, in upper snake case as modules get their parameters.
///
/// # Errors
/// If two keys become the same variable.
pub fn exports(values: &Map<String, Value>) -> Result<Vec<String>> {
    let mut seen = std::collections::BTreeMap::new();
    let mut lines = Vec::new();
    for (key, value) in values {
        let name = variable(key);
        if let Some(other) = seen.insert(name.clone(), key) {
            bail!("\"{other}\" and \"{key}\" would both be the variable {name}; use --json");
        }
        lines.push(format!("export {name}={}", in_quotes(&text(value))));
    }
    Ok(lines)
}

/// The name of a variable: letters, digits and underscores, not beginning with a digit. So no key can be a command.
fn variable(key: &str) -> String {
    let name = upper_snake_case(key);
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(allowed).collect();
    match name.chars().next() {
        Some(first) if !first.is_ascii_digit() => name,
        _ => format!("_{name}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn of(values: Value) -> Result<Vec<String>> {
        exports(values.as_object().unwrap())
    }

    #[test]
    fn values_become_variables_and_none_is_a_command() {
        let lines =
            of(json!({"VpcId": "vpc-1", "subnet-ids": ["a", "b"], "$(id)": "it's $(id)", "1st": 1})).unwrap();
        assert_eq!(
            lines,
            [
                "export VPC_ID='vpc-1'",
                "export SUBNET_IDS='[\"a\",\"b\"]'",
                r"export __ID_='it'\''s $(id)'",
                "export _1ST='1'",
            ]
        );
    }

    #[test]
    fn two_keys_of_one_variable_are_refused() {
        let error = of(json!({"vpc-id": 1, "vpc_id": 2})).unwrap_err().to_string();
        assert!(error.contains("VPC_ID"), "{error}");
    }
}
