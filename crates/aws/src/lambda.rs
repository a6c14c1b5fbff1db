//! What all functions share around their handler: logging, errors by name, one line per invocation.

use std::future::Future;
use std::pin::Pin;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::Place;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::level_filters::LevelFilter;

use crate::payload::Payload;

/// An error as Lambda reports it: `errorType` is the name that the state machine catches.
#[derive(Debug)]
struct Reported(Error);

impl From<Reported> for Diagnostic {
    fn from(Reported(error): Reported) -> Self {
        Self {
            error_type: error.name.as_str().to_owned(),
            error_message: error.message,
        }
    }
}

/// An invocation: its event, and where the function runs.
#[derive(Debug)]
pub struct Invocation<E> {
    /// The event.
    pub event: E,
    /// Partition, region and account.
    pub place: Place,
}

/// Runs a function until Lambda ends it.
///
/// # Errors
/// Only when the Runtime API itself can't be reached, which ends the process.
pub async fn run<E, A, H, F>(handler: H) -> std::result::Result<(), lambda_runtime::Error>
where
    E: DeserializeOwned,
    A: Serialize,
    H: Fn(Invocation<E>) -> F,
    F: Future<Output = Result<A>>,
{
    log_json();
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Payload>| async move {
        let answer = answer(handler, event).await;
        if let Err(error) = &answer {
            // The state machine retries or records it; here it is only told. Messages hold no secrets.
            tracing::warn!(error = error.name.as_str(), message = %error.message, "failed");
        }
        answer.map_err(Reported)
    }))
    .await
}

/// Logs JSON lines, from the level that Lambda's logging controls set.
fn log_json() {
    let level = log_level(std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().as_deref());
    tracing_subscriber::fmt()
        .json()
        .without_time()
        .with_target(false)
        .with_max_level(level)
        .init();
}

/// The level that is asked for, but never below INFO: the runtime and the SDKs write events and requests at
/// TRACE, and those carry task tokens.
fn log_level(asked: Option<&str>) -> LevelFilter {
    let level = asked.and_then(|level| level.parse().ok());
    level.unwrap_or(LevelFilter::INFO).min(LevelFilter::INFO)
}

async fn answer<E, A, H, F>(handler: &H, event: LambdaEvent<Payload>) -> Result<A>
where
    E: DeserializeOwned,
    H: Fn(Invocation<E>) -> F,
    F: Future<Output = Result<A>>,
{
    let place = Place::from_arn(&event.context.invoked_function_arn)?;
    // The error says where in the event it is, never what stood there: events carry task tokens.
    let event = serde_json::from_value(event.payload.0).map_err(|e| {
        Error::new(
            ErrorName::InvalidInput,
            format!(
                "the function's event is not what the state machine sends: {}",
                redacted(&e)
            ),
        )
    })?;
    // Boxed: the futures of SDK calls nest so deep that the compiler gives up on their layout.
    let running: Pin<Box<dyn Future<Output = Result<A>> + '_>> =
        Box::pin(handler(Invocation { event, place }));
    running.await
}

fn redacted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // serde quotes unexpected values behind "invalid …:"; field names stand in backticks and are harmless.
    if text.starts_with("invalid") {
        "a field has the wrong type or value".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_level_shows_payloads() {
        for (asked, level) in [
            (None, LevelFilter::INFO),
            (Some("WARN"), LevelFilter::WARN),
            (Some("DEBUG"), LevelFilter::INFO),
            (Some("TRACE"), LevelFilter::INFO),
            (Some("LOUD"), LevelFilter::INFO),
        ] {
            assert_eq!(log_level(asked), level, "{asked:?}");
        }
    }
}
