//! Lambda: calls a function.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use seedflow_core::error::{Error, ErrorName, Result};
use serde::Serialize;
use serde_json::Value;

use crate::runtime::failure::failure;

/// An answer of a function: a value, or the error that it names.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// What it returned.
    Value(Value),
    /// The name of its error, and the message.
    Failed(String, String),
}

/// Calls a function and waits for its answer.
pub async fn invoke(
    config: &aws_config::SdkConfig,
    function: &str,
    event: &impl Serialize,
) -> Result<Answer> {
    let payload = serde_json::to_vec(event).map_err(|e| Error::unwritable("the call of a function", &e))?;
    let request = Client::new(config).invoke().function_name(function);
    let sent = request.payload(Blob::new(payload)).send().await;
    let answer = sent.map_err(|e| failure(&format!("Lambda Invoke {function}"), &e))?;
    let bytes = answer.payload.map(Blob::into_inner).unwrap_or_default();
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| {
        Error::new(
            ErrorName::Refused,
            format!("Lambda Invoke {function}: expected a JSON answer, found {e}"),
        )
    })?;
    let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
    Ok(match answer.function_error {
        Some(_) => Answer::Failed(text("errorType"), text("errorMessage")),
        None => Answer::Value(value),
    })
}
