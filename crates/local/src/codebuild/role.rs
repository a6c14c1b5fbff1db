//! The role of a build.
//!
//! CodeBuild assumes the project's service role and does everything of a build with it: the commands' calls, and its own
//! reads and writes for the build. So a missing right fails a build here as on AWS.

use serde_json::Value;

use super::model::Failure;
use crate::aws_api::{AwsApi, Credentials};

/// Who has to be trusted by the role.
const SERVICE: &str = "codebuild.amazonaws.com";

/// Assumes a build's role; `service` calls as the account itself.
pub async fn assume(service: &AwsApi, role_arn: &str, uuid: &str) -> Result<Credentials, Failure> {
    // The emulator accepts the account itself in place of every service, so the trusted service is checked here.
    let trust = service.trust_policy(name(role_arn)).await;
    if !trusts_codebuild(&trust.map_err(|error| refused(role_arn, &error.to_string()))?) {
        return Err(refused(
            role_arn,
            &format!("its trust policy doesn't name {SERVICE}"),
        ));
    }
    let session = format!("AWSCodeBuild-{uuid}");
    let assumed = service.assume_role(role_arn, &session).await;
    assumed.map_err(|error| refused(role_arn, &error.to_string()))
}

/// AWS checks it when the project is made, with the same message:
/// https://docs.aws.amazon.com/codebuild/latest/userguide/troubleshooting.html
fn refused(role_arn: &str, why: &str) -> Failure {
    let message = format!("CodeBuild is not authorized to perform: sts:AssumeRole on {role_arn}: {why}");
    Failure::new("CLIENT_ERROR", message)
}

fn name(role_arn: &str) -> &str {
    role_arn.rsplit('/').next().unwrap_or_default()
}

fn trusts_codebuild(policy: &Value) -> bool {
    let allows = |statement: &&Value| {
        statement["Effect"] == "Allow"
            && one_or_many(&statement["Action"]).any(|action| action == "sts:AssumeRole")
            && one_or_many(&statement["Principal"]["Service"]).any(|service| service == SERVICE)
    };
    match &policy["Statement"] {
        Value::Array(statements) => statements.iter().any(|statement| allows(&statement)),
        statement => allows(&statement),
    }
}

fn one_or_many(value: &Value) -> impl Iterator<Item = &str> {
    let many = value.as_array().map(Vec::as_slice);
    many.unwrap_or(std::slice::from_ref(value))
        .iter()
        .filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_role_has_to_trust_codebuild() {
        let statement = |effect: &str, service: Value| json!({"Effect": effect, "Action": ["sts:AssumeRole"], "Principal": {"Service": service}});
        let lambda = json!("lambda.amazonaws.com");
        let both = json!([lambda, SERVICE]);
        for (trusted, policy) in [
            (true, json!({"Statement": statement("Allow", both)})),
            (
                true,
                json!({"Statement": [statement("Allow", lambda.clone()), statement("Allow", json!(SERVICE))]}),
            ),
            (false, json!({"Statement": [statement("Allow", lambda)]})),
            (false, json!({"Statement": [statement("Deny", json!(SERVICE))]})),
            (false, json!({})),
        ] {
            assert_eq!(trusts_codebuild(&policy), trusted, "{policy}");
        }
    }
}
