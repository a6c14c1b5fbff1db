//! What builds have logged.

use aws_sdk_cloudwatchlogs::Client;
use seedflow_core::error::Result;

use crate::failure::failure;

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

    /// The last messages of a stream, the newest last.
    pub async fn last(&self, stream: &str, most: i32) -> Result<Vec<String>> {
        let request = self
            .client
            .get_log_events()
            .log_group_name(&self.name)
            .log_stream_name(stream)
            .start_from_head(false)
            .limit(most);
        let answer = request.send().await.map_err(|e| {
            let call = format!("CloudWatch Logs GetLogEvents {} {stream}", self.name);
            failure(&call, &e)
        })?;
        let events = answer.events.unwrap_or_default();
        Ok(events.into_iter().filter_map(|event| event.message).collect())
    }
}
