//! Values that may be secret: how much of a parameter's value is shown to people, and to rules that people write.
//!
//! A value whose name says that it is secret is hidden, because a manifest may have taken it from a variable.

use serde_json::{Value, json};

use crate::formats::upper_snake_case::upper_snake_case;

/// What is shown in place of a value that may be secret.
pub(crate) const HIDDEN: &str = "(hidden)";

/// What a name contains if its value is secret, in upper snake case.
const SECRETS: [&str; 10] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "CREDENTIAL",
    "API_KEY",
    "APIKEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
];

/// Whether the value of this name is secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = upper_snake_case(name).replace('-', "_");
    SECRETS.iter().any(|secret| name.contains(secret))
}

/// A value without the fields whose names say that they are secret.
pub(crate) fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let value = match is_secret(name) {
                    true => json!(HIDDEN),
                    false => without_secrets(value),
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_secrets).collect()),
        other => other.clone(),
    }
}
