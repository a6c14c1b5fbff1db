//! Parameter Store's limits, which the emulator doesn't apply.
//!
//! Sizes by tier, values with `{{…}}`, names, ten names a call, no change from the advanced tier to the standard one.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::aws_api::ApiError;

/// The limits, and which parameters are advanced.
#[derive(Default)]
pub struct SsmLimits {
    advanced: Mutex<HashSet<String>>,
}

/// What a successful request changes.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// A parameter is advanced now.
    Advanced(String),
    Deleted(Vec<String>),
}

/// AWS's limits are in characters (four and eight kilobytes); bytes are the stricter reading.
const STANDARD_SIZE: usize = 4096;
const ADVANCED_SIZE: usize = 8192;
const MOST_NAMES: usize = 10;
const MOST_LEVELS: usize = 15;
/// With the ARN before it.
const LONGEST_NAME: usize = 1011;
/// `arn:aws:ssm:us-east-1:123456789012:parameter/`, in the region of the longest common name.
const ARN_PREFIX: usize = "arn:aws:ssm:ap-northeast-1:123456789012:parameter/".len();

impl SsmLimits {
    /// Holds a request against the limits; the answer is what it changes if it succeeds.
    pub fn check(&self, operation: &str, body: &[u8]) -> Result<Effect, ApiError> {
        // The emulator refuses a body that is not JSON.
        let Ok(input) = serde_json::from_slice::<Value>(body) else {
            return Ok(Effect::None);
        };
        match operation {
            "PutParameter" => self.put(&input),
            "GetParameters" => ten_names(&input).map(|()| Effect::None),
            "DeleteParameters" => {
                ten_names(&input)?;
                let names = input["Names"].as_array().into_iter().flatten();
                let names = names.filter_map(Value::as_str).map(str::to_owned).collect();
                Ok(Effect::Deleted(names))
            }
            "DeleteParameter" => {
                let names = input["Name"].as_str().map(str::to_owned).into_iter().collect();
                Ok(Effect::Deleted(names))
            }
            "GetParametersByPath" => match input["MaxResults"].as_u64() {
                Some(most) if most > 10 => Err(validation(format!(
                    "1 validation error detected: Value '{most}' at 'maxResults' failed to satisfy \
                     constraint: Member must have value less than or equal to 10"
                ))),
                _ => Ok(Effect::None),
            },
            _ => Ok(Effect::None),
        }
    }

    /// Remembers what a request that succeeded has changed.
    pub fn apply(&self, effect: Effect) {
        let mut advanced = self.advanced.lock().unwrap_or_else(PoisonError::into_inner);
        match effect {
            Effect::None => {}
            Effect::Advanced(name) => {
                advanced.insert(name);
            }
            Effect::Deleted(names) => advanced.retain(|name| !names.contains(name)),
        }
    }

    fn put(&self, input: &Value) -> Result<Effect, ApiError> {
        let name = input["Name"].as_str().unwrap_or_default().to_owned();
        check_name(&name)?;
        let value = input["Value"].as_str().unwrap_or_default();
        let size = value.len();
        if is_nested(value) {
            return Err(validation(NESTED));
        }
        if size == 0 {
            return Err(validation(
                "1 validation error detected: Value '' at 'value' failed to satisfy constraint: \
                 Member must have length greater than or equal to 1.",
            ));
        }
        let is_advanced = self
            .advanced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&name);
        let tier = match input["Tier"].as_str() {
            Some("Standard") if is_advanced => return Err(validation(DOWNGRADE)),
            // Without a tier a parameter stays what it is.
            None if is_advanced => "Advanced",
            None | Some("Standard") => "Standard",
            Some("Intelligent-Tiering") if is_advanced || size > STANDARD_SIZE => "Advanced",
            Some("Intelligent-Tiering") => "Standard",
            Some("Advanced") => "Advanced",
            Some(other) => {
                return Err(validation(format!(
                    "1 validation error detected: Value '{other}' at 'tier' failed to satisfy constraint: \
                     Member must satisfy enum value set: [Standard, Advanced, Intelligent-Tiering]"
                )));
            }
        };
        match tier {
            "Standard" if size > STANDARD_SIZE => return Err(validation(TOO_LARGE_FOR_STANDARD)),
            "Advanced" if size > ADVANCED_SIZE => return Err(validation(TOO_LARGE)),
            _ => {}
        }
        Ok(if tier == "Advanced" {
            Effect::Advanced(name)
        } else {
            Effect::None
        })
    }
}

/// What AWS matches isn't documented beyond "values wrapped in double brackets {{}} or {{ssm:parameter-name}}" (API
/// reference, PutParameter, `Value`). This is the strictest reading: an opening pair and, anywhere after it, a closing one.
fn is_nested(value: &str) -> bool {
    value
        .split_once("{{")
        .is_some_and(|(_, rest)| rest.contains("}}"))
}

/// As AWS words it, which public reports of it agree on.
const NESTED: &str = "Parameter value can't nest another parameter. Do not use \"{{}}\" in the value.";
const TOO_LARGE_FOR_STANDARD: &str = "Standard tier parameters support a maximum parameter value of 4096 \
    characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. \
    For more information, see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html";
const TOO_LARGE: &str = "The advanced-parameter tier supports a maximum parameter value of 8192 characters.";
const DOWNGRADE: &str = "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from \
    the advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced \
    parameter and recreate it as a standard parameter.";
const NAME_RULE: &str = "If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path \
    can be formed as a mix of letters, numbers and the following 3 symbols .-_";

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::client("ValidationException", message)
}

fn ten_names(input: &Value) -> Result<(), ApiError> {
    let names: Vec<&str> = input["Names"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if names.len() <= MOST_NAMES {
        return Ok(());
    }
    Err(validation(format!(
        "1 validation error detected: Value '[{}]' at 'names' failed to satisfy constraint: \
         Member must have length less than or equal to 10",
        names.join(", ")
    )))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let lower = bare.to_ascii_lowercase();
    let is_path = bare.contains('/');
    if lower.starts_with("aws") && name.starts_with('/') && is_path {
        let message = format!("No access to reserved parameter name: {bare}.");
        return Err(ApiError::client("AccessDeniedException", message));
    }
    if lower.starts_with("aws") || lower.starts_with("ssm") {
        let rule = if is_path {
            format!(" {NAME_RULE}")
        } else {
            String::new()
        };
        let words = if is_path { "\"ssm\"" } else { "\"aws\" or \"ssm\"" };
        return Err(validation(format!(
            "Parameter name: can't be prefixed with {words} (case-insensitive).{rule}"
        )));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte);
    let parts_are_named = bare.split('/').all(|part| !part.is_empty());
    if !name.bytes().all(allowed) || !parts_are_named {
        return Err(validation(format!(
            "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). {NAME_RULE}"
        )));
    }
    if is_path && !name.starts_with('/') {
        return Err(validation("Parameter name must be a fully qualified name."));
    }
    if bare.split('/').count() > MOST_LEVELS {
        return Err(ApiError::client(
            "HierarchyLevelLimitExceededException",
            "A hierarchy can have a maximum of 15 levels. For more information, see Requirements and constraints \
             for parameter names in the AWS Systems Manager User Guide.",
        ));
    }
    if ARN_PREFIX + bare.len() > LONGEST_NAME {
        return Err(validation(format!(
            "Parameter name: at most {LONGEST_NAME} characters with its ARN, {} without",
            LONGEST_NAME - ARN_PREFIX
        )));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Whether the parameter is advanced then.
    fn put(limits: &SsmLimits, input: Value) -> Result<bool, String> {
        let effect = limits.check("PutParameter", input.to_string().as_bytes());
        let effect = effect.map_err(|e| e.to_string())?;
        let advanced = effect == Effect::Advanced("/p".to_owned());
        limits.apply(effect);
        Ok(advanced)
    }

    #[test]
    fn values_are_limited_by_tier_and_intelligent_tiering_chooses_one() {
        let limits = SsmLimits::default();
        let value = |size: usize| "x".repeat(size);
        assert!(put(&limits, json!({"Name": "/p", "Value": value(4096)})).is_ok());
        let error = put(&limits, json!({"Name": "/p", "Value": value(4097)})).unwrap_err();
        assert!(
            error.starts_with("ValidationException: Standard tier parameters support a maximum"),
            "{error}"
        );
        let smart = |size: usize| json!({"Name": "/p", "Value": value(size), "Tier": "Intelligent-Tiering"});
        assert_eq!(put(&limits, smart(10)), Ok(false));
        assert_eq!(put(&limits, smart(8192)), Ok(true));
        assert!(put(&limits, smart(8193)).is_err());
        assert_eq!(
            put(&limits, smart(10)),
            Ok(true),
            "an advanced parameter stays it"
        );
        let downgrade = json!({"Name": "/p", "Value": "x", "Tier": "Standard", "Overwrite": true});
        assert!(
            put(&limits, downgrade.clone())
                .unwrap_err()
                .contains("can't downgrade")
        );
        limits.apply(limits.check("DeleteParameter", br#"{"Name":"/p"}"#).unwrap());
        assert!(put(&limits, downgrade).is_ok());
    }

    #[test]
    fn values_in_double_braces_are_refused() {
        let limits = SsmLimits::default();
        for value in [
            "{{}}",
            "{{ssm:name}}",
            "docker inspect -f '{{.State.Status}}' x",
            "{\"a\": \"{{\\n\", \"b\": {\"c\": {}}}",
        ] {
            let error = put(&limits, json!({"Name": "/p", "Value": value})).unwrap_err();
            assert_eq!(
                error,
                "ValidationException: Parameter value can't nest another parameter. Do not use \"{{}}\" in the value."
            );
        }
        for value in ["{\"a\":{\"b\":{}}}", "}} and {{", "{\\u007bx}}"] {
            assert!(
                put(&limits, json!({"Name": "/p", "Value": value})).is_ok(),
                "{value}"
            );
        }
    }

    #[test]
    fn names_follow_the_rules_of_parameter_store() {
        let check = |name: &str| check_name(name).map_err(|error| error.code);
        for name in [
            "a",
            "/sf/p/d/g-m/md5",
            "/a.b-c_D/1",
            &format!("/{}", vec!["x"; 15].join("/")),
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        let invalid = Err("ValidationException".to_owned());
        for name in [
            "",
            "a b",
            "/a//b",
            "/a/",
            "a/b",
            "aws",
            "SSM-x",
            "/ssm/x",
            "/ü",
            &"x".repeat(1000),
        ] {
            assert_eq!(check(name), invalid, "{name}");
        }
        assert_eq!(check("/AWS/x"), Err("AccessDeniedException".to_owned()));
        let deep = format!("/{}", vec!["x"; 16].join("/"));
        assert_eq!(
            check(&deep),
            Err("HierarchyLevelLimitExceededException".to_owned())
        );
    }

    #[test]
    fn ten_names_are_the_limit() {
        let limits = SsmLimits::default();
        let input = |count: usize| json!({"Names": vec!["/a"; count]}).to_string();
        for operation in ["GetParameters", "DeleteParameters"] {
            assert!(limits.check(operation, input(10).as_bytes()).is_ok());
            let error = limits
                .check(operation, input(11).as_bytes())
                .map(drop)
                .unwrap_err();
            assert!(
                error
                    .message
                    .ends_with("Member must have length less than or equal to 10"),
                "{error}"
            );
        }
    }
}
