//! Publishes events on EventBridge's default bus.
//!
//! An event reports a stored state, so an error of EventBridge must not become a failure of the deployment. An event that
//! isn't accepted within some seconds is logged in full and can be sent again from there (docs/events). A successful call
//! may still have refused the event (API reference, PutEvents, `FailedEntryCount`); the SDK does not treat such an answer
//! as an error, so the retry is here.

use std::time::Duration;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_smithy_types::DateTime;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::events::{Event, SOURCE};
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::{Measurement, Metric};
use serde_json::{Value, json};

use crate::runtime::failure::failure;
use crate::runtime::metrics::Metrics;

/// Pauses before the two retries of a refused event.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// Maximum duration of all tries. A function that hung here would time out, and its deployment would fail.
const LIMIT: Duration = Duration::from_secs(10);

/// The default bus of this account and region.
#[derive(Debug, Clone)]
pub struct Events {
    client: Client,
    metrics: Metrics,
}

impl Events {
    /// Creates the client.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, metrics: Metrics) -> Self {
        Self {
            client: Client::new(config),
            metrics,
        }
    }

    /// Publishes an event; `true` if it was accepted. An event that was not is logged.
    pub async fn send<E: Event>(&self, event: &E) -> bool {
        // Keys are strings only, so this can't fail.
        let detail = serde_json::to_string(event).unwrap_or_default();
        let sent = tokio::time::timeout(LIMIT, self.offer(event, &detail)).await;
        let late = || {
            let message = format!("EventBridge PutEvents: not answered within {} s", LIMIT.as_secs());
            Err(Error::new(ErrorName::ServiceUnavailable, message))
        };
        match sent.unwrap_or_else(|_| late()) {
            Ok(()) => true,
            Err(error) => {
                tell_not_sent(event, &detail, &error);
                let about = LogContext::execution(event.execution());
                self.metrics
                    .write(&Measurement::one(Metric::EventsNotSent), &about);
                false
            }
        }
    }

    async fn offer<E: Event>(&self, event: &E, detail: &str) -> Result<()> {
        let mut pauses = PAUSES.iter();
        loop {
            let Some(refused) = self.put(event, detail).await? else {
                return Ok(());
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return Err(refused),
            }
        }
    }

    /// Puts an event on the bus; `Some` if the bus refused the entry.
    async fn put<E: Event>(&self, event: &E, detail: &str) -> Result<Option<Error>> {
        let entry = PutEventsRequestEntry::builder()
            .source(SOURCE)
            .detail_type(E::DETAIL_TYPE)
            .resources(event.execution().as_str())
            .time(DateTime::from_millis(event.at().as_millisecond()))
            .detail(detail)
            .build();
        let answer = self.client.put_events().entries(entry).send().await;
        let answer = answer.map_err(|e| failure("EventBridge PutEvents", &e))?;
        if answer.failed_entry_count == 0 {
            return Ok(None);
        }
        let entry = answer.entries.unwrap_or_default().into_iter().next();
        let (code, message) = entry.map_or((None, None), |entry| (entry.error_code, entry.error_message));
        Ok(Some(refusal(code.as_deref(), message.as_deref())))
    }
}

/// The error of an entry that was refused in a successful answer.
fn refusal(code: Option<&str>, message: Option<&str>) -> Error {
    Error::new(
        ErrorName::Refused,
        format!(
            "EventBridge PutEvents: the entry was refused: {}: {}",
            code.unwrap_or("no code"),
            message.unwrap_or("no message")
        ),
    )
}

/// Logs an event that was not sent, in the format of `aws events put-events --entries`.
fn tell_not_sent<E: Event>(event: &E, detail: &str, error: &Error) {
    let entries = entries(event, detail);
    tracing::error!(
        error = error.name.as_str(), cause = %error.message, %entries,
        "event not sent"
    );
}

fn entries<E: Event>(event: &E, detail: &str) -> Value {
    json!([{
        "Time": event.at(), "Source": SOURCE, "DetailType": E::DETAIL_TYPE,
        "Resources": [event.execution()], "Detail": detail,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use seedflow_core::ids::ExecutionArn;
    use serde::Serialize;

    #[derive(Serialize)]
    struct EventEntry {
        execution: ExecutionArn,
    }

    impl Event for EventEntry {
        const DETAIL_TYPE: &'static str = "Deployed";

        fn execution(&self) -> &ExecutionArn {
            &self.execution
        }

        fn at(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    #[test]
    fn what_was_not_sent_can_be_sent_by_hand() {
        let event = EventEntry {
            execution: ExecutionArn::new("arn:e"),
        };
        assert_eq!(
            entries(&event, "{\"execution\":\"arn:e\"}").to_string(),
            r#"[{"Time":"1970-01-01T00:00:00Z","Source":"seedflow","DetailType":"Deployed","Resources":["arn:e"],"Detail":"{\"execution\":\"arn:e\"}"}]"#
        );
    }
}
