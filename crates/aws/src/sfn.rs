//! Step Functions: answering a waiting task.

use aws_sdk_sfn::Client;
use seedflow_core::build::outcome::Outcome;
use seedflow_core::callback::Token;
use seedflow_core::error::{Error, ErrorName, Result};

use crate::failure::{SdkFailure, failure};

/// Step Functions of the account and region.
#[derive(Debug, Clone)]
pub struct StepFunctions {
    client: Client,
}

/// The answers for a task that was answered or given up before. AWS gives each of them, the local emulator
/// only the last.
const ANSWERED_BEFORE: [&str; 3] = ["TaskTimedOut", "InvalidToken", "TaskDoesNotExist"];

impl StepFunctions {
    /// Step Functions.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// Answers a task with a build's end. A task that doesn't wait any more counts as answered.
    pub async fn answer(&self, token: &Token, outcome: &Outcome) -> Result<()> {
        let output = serde_json::to_string(outcome).map_err(|e| {
            Error::new(
                ErrorName::Refused,
                format!("the build's end can't be written as JSON: {e}"),
            )
        })?;
        match self
            .client
            .send_task_success()
            .task_token(token.reveal())
            .output(output)
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .error_code()
                    .is_some_and(|code| ANSWERED_BEFORE.contains(&code)) =>
            {
                Ok(())
            }
            Err(error) => Err(without_token(
                failure("Step Functions SendTaskSuccess", &error),
                token,
            )),
        }
    }
}

/// Step Functions quotes a token that it doesn't like; it stays out of logs and reports.
fn without_token(error: Error, token: &Token) -> Error {
    Error {
        message: error.message.replace(token.reveal(), "…"),
        ..error
    }
}
