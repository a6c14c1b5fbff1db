//! The runtime that all functions share: logging, named errors, one log line per failed invocation.

use std::future::Future;
use std::pin::Pin;

use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::AwsEnvironment;
use seedflow_core::telemetry::log_context::LogContext;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument;

use crate::runtime::log;
use crate::runtime::payload::Payload;

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

/// An invocation: its event, and the environment in which the function runs.
#[derive(Debug)]
pub struct Invocation<E> {
    /// The event.
    pub event: E,
    /// Partition, region and account.
    pub environment: AwsEnvironment,
}

/// Serves invocations until Lambda ends the process.
///
/// # Errors
/// Only if the Runtime API can't be reached, which ends the process.
pub async fn run<E, A, H, F>(handler: H) -> std::result::Result<(), lambda_runtime::Error>
where
    E: DeserializeOwned,
    A: Serialize,
    H: Fn(Invocation<E>) -> F,
    F: Future<Output = Result<A>>,
{
    log::init();
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Payload>| {
        let context = LogContext::of_event(&event.payload.0);
        let Context {
            request_id,
            xray_trace_id,
            ..
        } = &event.context;
        let span = log::invocation(&context, request_id, xray_trace_id.as_deref());
        async move {
            let answer = answer(handler, event).await;
            if let Err(error) = &answer {
                // The state machine retries or records the error; here it is only logged. Messages contain no secrets.
                tracing::warn!(error = error.name.as_str(), cause = %error.message, "failed");
            }
            answer.map_err(Reported)
        }
        .instrument(span)
    }))
    .await
}

async fn answer<E, A, H, F>(handler: &H, event: LambdaEvent<Payload>) -> Result<A>
where
    E: DeserializeOwned,
    H: Fn(Invocation<E>) -> F,
    F: Future<Output = Result<A>>,
{
    let environment = AwsEnvironment::from_arn(&event.context.invoked_function_arn)?;
    // The error has the position in the event but never the value: events contain task tokens.
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
        Box::pin(handler(Invocation { event, environment }));
    running.await
}

fn redacted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // serde quotes unexpected values after "invalid …:"; field names are in backticks and harmless.
    if text.starts_with("invalid") {
        "a field has the wrong type or value".to_owned()
    } else {
        text
    }
}
