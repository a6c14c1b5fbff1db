//! CloudWatch Logs: the logs of builds.

use aws_sdk_cloudwatchlogs::Client;
use seedflow_core::error::Result;

use crate::runtime::failure::{SdkFailure, failure};

/// Maximum number of pages that are read.
const PAGES: usize = 4;

/// The logs of one log group.
#[derive(Debug, Clone)]
pub struct LogGroup {
    client: Client,
    name: String,
}

impl LogGroup {
    /// A log group by its name.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, name: String) -> Self {
        Self {
            client: Client::new(config),
            name,
        }
    }

    /// The log group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The last messages of a stream, the newest last. A page may be empty although there are more messages (API reference,
    /// GetLogEvents), so several pages are read.
    pub async fn last(&self, stream: &str, most: usize) -> Result<Vec<String>> {
        let mut messages = Vec::new();
        let mut before = None;
        for _ in 0..PAGES {
            let (page, earlier) = self.page(stream, most - messages.len(), before.clone()).await?;
            messages.splice(0..0, page);
            // The same token again: there are no earlier messages.
            if messages.len() >= most || earlier.is_none() || earlier == before {
                break;
            }
            before = earlier;
        }
        Ok(messages)
    }

    /// The messages of a stream after a token, or from its beginning, and the token of what follows. `None` if there is no
    /// such stream, yet or any more.
    pub async fn after(&self, stream: &str, token: Option<String>) -> Result<Option<(Vec<String>, String)>> {
        let request = self.client.get_log_events();
        let request = request.log_group_name(&self.name).log_stream_name(stream);
        let sent = request
            .start_from_head(true)
            .set_next_token(token.clone())
            .send()
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) if error.error_code() == Some("ResourceNotFoundException") => return Ok(None),
            Err(error) => {
                let call = format!("CloudWatch Logs GetLogEvents {} {stream}", self.name);
                return Err(failure(&call, &error));
            }
        };
        let events = answer.events.unwrap_or_default().into_iter();
        let messages = events.filter_map(|event| event.message).collect();
        let next = answer.next_forward_token.or(token).unwrap_or_default();
        Ok(Some((messages, next)))
    }

    /// The messages before a token, or the last ones of the stream, and the token of the previous page.
    async fn page(
        &self,
        stream: &str,
        most: usize,
        before: Option<String>,
    ) -> Result<(Vec<String>, Option<String>)> {
        let request = self
            .client
            .get_log_events()
            .log_group_name(&self.name)
            .log_stream_name(stream)
            .start_from_head(false)
            .set_next_token(before)
            .limit(i32::try_from(most).unwrap_or(i32::MAX));
        let answer = request.send().await.map_err(|e| {
            let call = format!("CloudWatch Logs GetLogEvents {} {stream}", self.name);
            failure(&call, &e)
        })?;
        let events = answer.events.unwrap_or_default();
        let messages = events.into_iter().filter_map(|event| event.message);
        Ok((messages.collect(), answer.next_backward_token))
    }
}
