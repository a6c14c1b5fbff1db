//! CloudFormation: the outputs of a module's stack.

use aws_sdk_cloudformation::Client;
use seedflow_core::error::Result;
use serde_json::{Map, Value};

use crate::failure::{SdkFailure, failure};

/// CloudFormation of the account and region.
#[derive(Debug, Clone)]
pub struct CloudFormation {
    client: Client,
}

impl CloudFormation {
    /// CloudFormation.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// The outputs of a stack by name; none where there is no such stack, since a module need not have one.
    pub async fn outputs(&self, stack: &str) -> Result<Map<String, Value>> {
        let stacks = match self.client.describe_stacks().stack_name(stack).send().await {
            Ok(answer) => answer.stacks.unwrap_or_default(),
            Err(error) if is_missing(&error) => return Ok(Map::new()),
            Err(error) => return Err(failure(&format!("CloudFormation DescribeStacks {stack}"), &error)),
        };
        let outputs = stacks
            .into_iter()
            .next()
            .and_then(|stack| stack.outputs)
            .unwrap_or_default();
        Ok(outputs
            .into_iter()
            .filter_map(|o| Some((o.output_key?, Value::String(o.output_value?))))
            .collect())
    }
}

/// DescribeStacks answers a missing stack with the code ValidationError and a message of its own.
fn is_missing(error: &impl SdkFailure) -> bool {
    error.error_code() == Some("ValidationError")
        && error
            .error_message()
            .is_some_and(|m| m.contains("does not exist"))
}
