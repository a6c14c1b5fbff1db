//! Variables whose values are elsewhere: in Parameter Store and in Secrets Manager.
//!
//! CodeBuild resolves them in DOWNLOAD_SOURCE with the build's own role; a missing one fails that phase.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::Failure;
use super::plan::{Variable, VariableKind};
use crate::aws_api::AwsApi;

/// GetParameters takes ten names.
const MOST_NAMES: usize = 10;

/// The values of all variables. A later variable of the same name wins.
pub async fn resolve(variables: &[Variable], api: &AwsApi) -> Result<BTreeMap<String, String>, Failure> {
    let parameters = parameters(variables, api).await?;
    let mut values = BTreeMap::new();
    for variable in variables {
        let value = match variable.kind {
            VariableKind::Plaintext => variable.value.clone(),
            VariableKind::ParameterStore => parameter(&parameters, &variable.value)?,
            VariableKind::SecretsManager => secret(&variable.value, api).await?,
        };
        values.insert(variable.name.clone(), value);
    }
    Ok(values)
}

async fn parameters(variables: &[Variable], api: &AwsApi) -> Result<Vec<Value>, Failure> {
    let error = |message: String| Failure::new("Decrypted Variables Error", message);
    let mut names: Vec<&str> = variables
        .iter()
        .filter(|variable| variable.kind == VariableKind::ParameterStore)
        .map(|variable| variable.value.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut found = Vec::new();
    for names in names.chunks(MOST_NAMES) {
        let input = json!({"Names": names, "WithDecryption": true});
        let answer = api.json("ssm", "AmazonSSM.GetParameters", &input).await;
        let answer = answer.map_err(|e| error(e.to_string()))?;
        found.extend(answer["Parameters"].as_array().cloned().unwrap_or_default());
    }
    Ok(found)
}

/// The value of a parameter that was asked for by name, by ARN, or by one of them with a version or label.
fn parameter(parameters: &[Value], wanted: &str) -> Result<String, Failure> {
    let is_it = |parameter: &&Value| {
        let selector = parameter["Selector"].as_str().unwrap_or_default();
        ["Name", "ARN"]
            .iter()
            .filter_map(|field| parameter[*field].as_str())
            .any(|name| name == wanted || format!("{name}{selector}") == wanted)
    };
    parameters
        .iter()
        .find(is_it)
        .and_then(|parameter| parameter["Value"].as_str())
        .map(str::to_owned)
        .ok_or_else(|| {
            Failure::new(
                "Decrypted Variables Error",
                format!("parameter does not exist: {wanted}"),
            )
        })
}

async fn secret(reference: &str, api: &AwsApi) -> Result<String, Failure> {
    let error = |message: String| Failure::new("Secrets Manager Error", message);
    let SecretReference {
        id,
        key,
        stage,
        version,
    } = SecretReference::parse(reference);
    let mut input = json!({"SecretId": id});
    if let Some(stage) = stage {
        input["VersionStage"] = stage.into();
    }
    if let Some(version) = version {
        input["VersionId"] = version.into();
    }
    let answer = api
        .json("secretsmanager", "secretsmanager.GetSecretValue", &input)
        .await;
    let answer = answer.map_err(|e| error(e.to_string()))?;
    let value = answer["SecretString"]
        .as_str()
        .ok_or_else(|| error(format!("the secret {id} is binary, a variable needs text")))?;
    let Some(key) = key else {
        return Ok(value.to_owned());
    };
    let json: Value = serde_json::from_str(value)
        .map_err(|_| error(format!("the secret {id} holds no JSON, so it has no key {key}")))?;
    match &json[key] {
        Value::Null => Err(error(format!("the secret {id} has no key {key}"))),
        Value::String(text) => Ok(text.clone()),
        other => Ok(other.to_string()),
    }
}

/// `secret-id:json-key:version-stage:version-id`, all but the first optional or empty.
#[derive(Debug, PartialEq, Eq)]
struct SecretReference<'a> {
    id: String,
    key: Option<&'a str>,
    stage: Option<&'a str>,
    version: Option<&'a str>,
}

impl<'a> SecretReference<'a> {
    fn parse(reference: &'a str) -> Self {
        let mut parts = reference.split(':');
        // An ARN's own colons part its first seven fields.
        let id_parts = if reference.starts_with("arn:") { 7 } else { 1 };
        let id = parts.by_ref().take(id_parts).collect::<Vec<_>>().join(":");
        let mut next = || parts.next().filter(|part| !part.is_empty());
        Self {
            id,
            key: next(),
            stage: next(),
            version: next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_secrets_are_parsed_with_and_without_an_arn() {
        let parse = SecretReference::parse;
        assert_eq!(
            parse("a/b"),
            SecretReference {
                id: "a/b".into(),
                key: None,
                stage: None,
                version: None
            }
        );
        let full = parse("name:key:AWSPREVIOUS:v1");
        assert_eq!(full.id, "name");
        assert_eq!(
            (full.key, full.stage, full.version),
            (Some("key"), Some("AWSPREVIOUS"), Some("v1"))
        );
        assert_eq!(parse("name::AWSCURRENT").key, None);
        let arn = parse("arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf:password");
        assert_eq!(
            arn.id,
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"
        );
        assert_eq!(arn.key, Some("password"));
    }

    #[test]
    fn a_parameter_is_found_by_name_and_version() {
        let parameters = [
            json!({"Name": "/a", "Selector": ":3", "Value": "x"}),
            json!({"Name": "b", "Value": "y"}),
        ];
        assert_eq!(parameter(&parameters, "/a:3"), Ok("x".to_owned()));
        assert_eq!(parameter(&parameters, "b"), Ok("y".to_owned()));
        assert_eq!(
            parameter(&parameters, "c").map_err(|failure| failure.to_string()),
            Err("Decrypted Variables Error: parameter does not exist: c".to_owned())
        );
    }
}
