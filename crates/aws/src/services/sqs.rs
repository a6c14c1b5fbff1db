//! SQS: how many messages a queue has.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use seedflow_core::error::Result;

use crate::runtime::failure::failure;

/// The number of messages in a queue, about; `None` if SQS doesn't say.
pub async fn messages(config: &aws_config::SdkConfig, queue_url: &str) -> Result<Option<u64>> {
    let count = QueueAttributeName::ApproximateNumberOfMessages;
    let request = Client::new(config).get_queue_attributes().queue_url(queue_url);
    let answer = request.attribute_names(count.clone()).send().await;
    let answer = answer.map_err(|e| failure(&format!("SQS GetQueueAttributes {queue_url}"), &e))?;
    let attributes = answer.attributes.unwrap_or_default();
    Ok(attributes.get(&count).and_then(|text| text.parse().ok()))
}
