//! CodeBuild's constraints on the fields of StartBuild, and its errors.
//!
//! The values and lengths are those of the service's model, `codebuild/2016-10-06/service-2.json` of botocore, from
//! which its API reference is made. Only the fields that Seedflow sends are checked.

use serde_json::Value;

use crate::aws_api::ApiError;

const SOURCE_TYPES: &[&str] = &[
    "CODECOMMIT",
    "CODEPIPELINE",
    "GITHUB",
    "GITLAB",
    "GITLAB_SELF_MANAGED",
    "S3",
    "BITBUCKET",
    "GITHUB_ENTERPRISE",
    "NO_SOURCE",
];
const ENVIRONMENT_TYPES: &[&str] = &[
    "WINDOWS_CONTAINER",
    "LINUX_CONTAINER",
    "LINUX_GPU_CONTAINER",
    "ARM_CONTAINER",
    "WINDOWS_SERVER_2019_CONTAINER",
    "WINDOWS_SERVER_2022_CONTAINER",
    "LINUX_LAMBDA_CONTAINER",
    "ARM_LAMBDA_CONTAINER",
    "LINUX_EC2",
    "ARM_EC2",
    "WINDOWS_EC2",
    "MAC_ARM",
];
const COMPUTE_TYPES: &[&str] = &[
    "BUILD_GENERAL1_SMALL",
    "BUILD_GENERAL1_MEDIUM",
    "BUILD_GENERAL1_LARGE",
    "BUILD_GENERAL1_XLARGE",
    "BUILD_GENERAL1_2XLARGE",
    "BUILD_LAMBDA_1GB",
    "BUILD_LAMBDA_2GB",
    "BUILD_LAMBDA_4GB",
    "BUILD_LAMBDA_8GB",
    "BUILD_LAMBDA_10GB",
    "ATTRIBUTE_BASED_COMPUTE",
    "CUSTOM_INSTANCE_TYPE",
];

/// The fields with a set of values, by their paths.
const ENUMS: &[(&str, &[&str])] = &[
    ("/sourceTypeOverride", SOURCE_TYPES),
    ("/environmentTypeOverride", ENVIRONMENT_TYPES),
    ("/computeTypeOverride", COMPUTE_TYPES),
    (
        "/imagePullCredentialsTypeOverride",
        &["CODEBUILD", "SERVICE_ROLE"],
    ),
    ("/artifactsOverride/type", &["CODEPIPELINE", "S3", "NO_ARTIFACTS"]),
    ("/artifactsOverride/namespaceType", &["NONE", "BUILD_ID"]),
    ("/artifactsOverride/packaging", &["NONE", "ZIP"]),
    (
        "/logsConfigOverride/cloudWatchLogs/status",
        &["ENABLED", "DISABLED"],
    ),
];
/// The texts that may not be empty.
const NOT_EMPTY: &[&str] = &["/projectName", "/imageOverride", "/serviceRoleOverride"];
/// The fields that their structure needs.
const REQUIRED: &[(&str, &str)] = &[
    ("/artifactsOverride", "type"),
    ("/logsConfigOverride/cloudWatchLogs", "status"),
];
/// The fields with whole numbers: how little and how much.
const RANGES: &[(&str, u64, u64)] = &[
    ("/timeoutInMinutesOverride", 5, 2160),
    ("/queuedTimeoutInMinutesOverride", 5, 480),
];
const TEXTS: &[&str] = &[
    "/buildspecOverride",
    "/sourceLocationOverride",
    "/sourceVersion",
    "/idempotencyToken",
    "/artifactsOverride/location",
    "/artifactsOverride/path",
    "/artifactsOverride/name",
    "/logsConfigOverride/cloudWatchLogs/groupName",
    "/logsConfigOverride/cloudWatchLogs/streamName",
];

/// Checks the input of StartBuild.
pub fn check(input: &Value) -> Result<(), ApiError> {
    let found = |path: &str| input.pointer(path).filter(|value| !value.is_null());
    for (path, values) in ENUMS {
        if let Some(value) = found(path) {
            let text = text(path, value)?;
            if !values.contains(&text) {
                let set = format!("Member must satisfy enum value set: [{}]", values.join(", "));
                return Err(violated(path, text, &set));
            }
        }
    }
    for path in NOT_EMPTY {
        if let Some("") = found(path).map(|value| text(path, value)).transpose()? {
            return Err(violated(
                path,
                "",
                "Member must have length greater than or equal to 1",
            ));
        }
    }
    for path in TEXTS {
        found(path).map(|value| text(path, value)).transpose()?;
    }
    for (path, field) in REQUIRED {
        if found(path).is_some_and(|structure| structure[field].is_null()) {
            return Err(violated(
                &format!("{path}/{field}"),
                "null",
                "Member must not be null",
            ));
        }
    }
    for (path, least, most) in RANGES {
        if let Some(value) = found(path) {
            let number = value.as_u64().ok_or_else(|| wrong_type(path))?;
            if number < *least {
                let least = format!("Member must have value greater than or equal to {least}");
                return Err(violated(path, &number.to_string(), &least));
            }
            if number > *most {
                let most = format!("Member must have value less than or equal to {most}");
                return Err(violated(path, &number.to_string(), &most));
            }
        }
    }
    if found("/privilegedModeOverride").is_some_and(|value| !value.is_boolean()) {
        return Err(wrong_type("/privilegedModeOverride"));
    }
    if found("/environmentVariablesOverride").is_some_and(|value| !value.is_array()) {
        return Err(wrong_type("/environmentVariablesOverride"));
    }
    credentials(input)
}

/// "When using an CodeBuild curated image, you must use CODEBUILD credentials" (`imagePullCredentialsTypeOverride`).
fn credentials(input: &Value) -> Result<(), ApiError> {
    let curated = input["imageOverride"]
        .as_str()
        .is_some_and(|image| image.starts_with("aws/codebuild/"));
    if curated && input["imagePullCredentialsTypeOverride"] == "SERVICE_ROLE" {
        return Err(invalid(
            "CodeBuild managed images must be pulled with the credentials type CODEBUILD",
        ));
    }
    Ok(())
}

fn text<'a>(path: &str, value: &'a Value) -> Result<&'a str, ApiError> {
    value.as_str().ok_or_else(|| wrong_type(path))
}

fn wrong_type(path: &str) -> ApiError {
    ApiError::client(
        "SerializationException",
        format!("{} has the wrong type", dotted(path)),
    )
}

fn violated(path: &str, value: &str, constraint: &str) -> ApiError {
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{}' failed to satisfy constraint: {constraint}",
        dotted(path)
    ))
}

fn dotted(path: &str) -> String {
    path.trim_start_matches('/').replace('/', ".")
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidInputException", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_model_forbids_is_refused_by_its_path() {
        for (input, code, part) in [
            (
                json!({"computeTypeOverride": "BUILD_GENERAL1_HUGE"}),
                "InvalidInputException",
                "Value 'BUILD_GENERAL1_HUGE' at 'computeTypeOverride' failed to satisfy constraint: Member must satisfy enum value set: [BUILD_GENERAL1_SMALL,",
            ),
            (
                json!({"artifactsOverride": {"type": "S3", "packaging": "TAR"}}),
                "InvalidInputException",
                "'artifactsOverride.packaging'",
            ),
            (
                json!({"artifactsOverride": {"location": "b"}}),
                "InvalidInputException",
                "'artifactsOverride.type' failed to satisfy constraint: Member must not be null",
            ),
            (json!({"imageOverride": ""}), "InvalidInputException", "length"),
            (
                json!({"timeoutInMinutesOverride": 2161}),
                "InvalidInputException",
                "less than or equal to 2160",
            ),
            (
                json!({"timeoutInMinutesOverride": "60"}),
                "SerializationException",
                "timeoutInMinutesOverride",
            ),
            (
                json!({"privilegedModeOverride": "true"}),
                "SerializationException",
                "privilegedModeOverride",
            ),
            (
                json!({"imageOverride": "aws/codebuild/standard:7.0", "imagePullCredentialsTypeOverride": "SERVICE_ROLE"}),
                "InvalidInputException",
                "CODEBUILD",
            ),
        ] {
            let error = check(&input).unwrap_err();
            assert_eq!(error.code, code, "{input}");
            assert!(error.message.contains(part), "{}", error.message);
        }
        assert!(check(&json!({"projectName": "p", "imageOverride": null})).is_ok());
    }
}
