//! The batch of messages from Lambda, and the answer that lists those to deliver again (Lambda Developer Guide, "Handling
//! errors for an SQS event source", partial batch responses).

use seedflow_core::error::Error;
use serde::{Deserialize, Serialize};

/// Messages of the queue.
#[derive(Deserialize)]
pub(crate) struct Batch {
    #[serde(rename = "Records")]
    pub(crate) messages: Vec<Message>,
}

/// A message.
#[derive(Deserialize)]
pub(crate) struct Message {
    #[serde(rename = "messageId")]
    pub(crate) id: String,
    pub(crate) body: String,
}

/// The messages to deliver again.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Answer {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    id: String,
}

impl Answer {
    /// Adds a message that failed.
    pub(crate) fn add(&mut self, id: String, error: &Error) {
        tracing::warn!(message = id, error = error.name.as_str(), cause = %error.message, "not published");
        self.failures.push(Failure { id });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use seedflow_core::error::ErrorName;

    #[test]
    fn only_what_failed_comes_again() {
        let batch = r#"{"Records": [{"messageId": "1", "body": "{}", "receiptHandle": "x"}, {"messageId": "2", "body": ""}]}"#;
        let batch: Batch = serde_json::from_str(batch).unwrap();
        let mut answer = Answer::default();
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"batchItemFailures":[]}"#
        );
        answer.add(
            batch.messages[1].id.clone(),
            &Error::new(ErrorName::Throttled, "slow down"),
        );
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"batchItemFailures":[{"itemIdentifier":"2"}]}"#
        );
    }
}
