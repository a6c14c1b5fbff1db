//! Step Functions: answering a waiting task, and what became of an execution.

use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use jiff::Timestamp;
use seedflow_core::callback::Token;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::history::Event;
use seedflow_core::ids::ExecutionArn;
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{SdkFailure, failure};

/// Step Functions of the account and region.
#[derive(Debug, Clone)]
pub struct StepFunctions {
    client: Client,
    /// The ARN of the state machine that cleans up after an execution, for the functions that start it.
    end_execution: Option<String>,
}

/// Whom an answer reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The task that waited.
    Task,
    /// Nobody: the task was answered or given up before.
    Nobody,
}

/// An execution as Step Functions describes it.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its status.
    pub status: ExecutionStatus,
    /// Its input; null where it is no JSON.
    pub input: Value,
    /// Its output; null where it didn't succeed.
    pub output: Value,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
    /// The error it ended with, or that was given to StopExecution.
    pub error: Option<String>,
    /// The cause of that.
    pub cause: Option<String>,
}

impl Described {
    /// An execution that succeeded, with its input and output as JSON.
    #[must_use]
    pub fn of_success(input: &str, output: &str) -> Self {
        Self {
            status: ExecutionStatus::Succeeded,
            input: serde_json::from_str(input).unwrap_or_default(),
            output: serde_json::from_str(output).unwrap_or_default(),
            stopped_at: None,
            error: None,
            cause: None,
        }
    }

    /// Whether it won't go on. A status that a newer version of the service brings is taken for running: nothing is
    /// cleaned up on a guess.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        use ExecutionStatus::{Aborted, Failed, Succeeded, TimedOut};
        matches!(self.status, Succeeded | Failed | Aborted | TimedOut)
    }
}

/// The answers for a task that was answered or given up before. AWS gives each of them, the local emulator
/// only the last.
const ANSWERED_BEFORE: [&str; 3] = ["TaskTimedOut", "InvalidToken", "TaskDoesNotExist"];

/// The most that one call answers (API reference, GetExecutionHistory and ListExecutions).
const RESULTS_A_PAGE: i32 = 1000;

impl StepFunctions {
    /// Step Functions, to answer tasks with.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: Client::new(config),
            end_execution: None,
        }
    }

    /// The same, for a function that may have an execution cleaned up after.
    #[must_use]
    pub fn with_end_execution(self, state_machine: String) -> Self {
        Self {
            end_execution: Some(state_machine),
            ..self
        }
    }

    /// Answers a task. That it doesn't wait any more is no error.
    pub async fn answer(&self, token: &Token, answer: &impl Serialize) -> Result<Reached> {
        let output = serde_json::to_string(answer).map_err(|e| {
            Error::new(
                ErrorName::Refused,
                format!("the answer to a task can't be written as JSON: {e}"),
            )
        })?;
        let request = self
            .client
            .send_task_success()
            .task_token(token.reveal())
            .output(output);
        match request.send().await {
            Ok(_) => Ok(Reached::Task),
            Err(error)
                if error
                    .error_code()
                    .is_some_and(|code| ANSWERED_BEFORE.contains(&code)) =>
            {
                Ok(Reached::Nobody)
            }
            Err(error) => Err(without_token(
                failure("Step Functions SendTaskSuccess", &error),
                token,
            )),
        }
    }

    /// An execution; `None` if Step Functions has forgotten it, 90 days after its end.
    pub async fn describe(&self, execution: &ExecutionArn) -> Result<Option<Described>> {
        let request = self.client.describe_execution().execution_arn(execution.as_str());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.error_code() == Some("ExecutionDoesNotExist") => return Ok(None),
            Err(error) => {
                let call = format!("Step Functions DescribeExecution {}", execution.as_str());
                return Err(failure(&call, &error));
            }
        };
        let json = |text: Option<String>| serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
        Ok(Some(Described {
            input: json(answer.input),
            output: json(answer.output),
            stopped_at: answer.stop_date.and_then(|date| {
                let millis = date.to_millis().ok()?;
                Timestamp::from_millisecond(millis).ok()
            }),
            status: answer.status,
            error: answer.error,
            cause: answer.cause,
        }))
    }

    /// The events of an execution, the newest first; all of them, since the start of a build that was waited for a day
    /// lies a thousand events back. Their data holds task tokens: only what is needed of it is taken.
    pub async fn history(&self, execution: &ExecutionArn) -> Result<Vec<Event>> {
        let mut pages = self
            .client
            .get_execution_history()
            .execution_arn(execution.as_str())
            .reverse_order(true)
            .max_results(RESULTS_A_PAGE)
            .into_paginator()
            .send();
        let mut events = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| {
                let call = format!("Step Functions GetExecutionHistory {}", execution.as_str());
                failure(&call, &e)
            })?;
            events.extend(page.events.into_iter().map(event));
        }
        Ok(events)
    }

    /// The executions of a state machine that run.
    pub async fn running(&self, state_machine: &str) -> Result<Vec<ExecutionArn>> {
        let mut pages = self
            .client
            .list_executions()
            .state_machine_arn(state_machine)
            .status_filter(ExecutionStatus::Running)
            .max_results(RESULTS_A_PAGE)
            .into_paginator()
            .send();
        let mut running = Vec::new();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|e| failure(&format!("Step Functions ListExecutions {state_machine}"), &e))?;
            let executions = page.executions.into_iter();
            running.extend(executions.map(|execution| ExecutionArn::new(execution.execution_arn)));
        }
        Ok(running)
    }

    /// Stops an execution; one that has ended stays as it is.
    pub async fn stop(&self, execution: &ExecutionArn, error: &str, cause: &str) -> Result<()> {
        let request = self.client.stop_execution().execution_arn(execution.as_str());
        match request.error(error).cause(cause).send().await {
            Ok(_) => Ok(()),
            // One that ended a moment ago: the emulator refuses it so, AWS stops what has ended without a word.
            Err(error)
                if ["ExecutionDoesNotExist", "ValidationException"]
                    .map(Some)
                    .contains(&error.error_code()) =>
            {
                Ok(())
            }
            Err(error) => {
                let call = format!("Step Functions StopExecution {}", execution.as_str());
                Err(failure(&call, &error))
            }
        }
    }

    /// Starts the state machine that cleans up after an ended execution. It may run any number of times.
    pub async fn start_end(&self, execution: &ExecutionArn, of: &impl Serialize) -> Result<()> {
        let request = self
            .client
            .start_execution()
            .set_state_machine_arn(self.end_execution.clone())
            .input(json!({"execution": execution, "of": of}).to_string());
        let started = request.send().await;
        started
            .map(drop)
            .map_err(|e| failure("Step Functions StartExecution", &e))
    }
}

fn event(event: HistoryEvent) -> Event {
    let scheduled = event.task_scheduled_event_details.map(|details| details.resource);
    let started = event.task_started_event_details.map(|details| details.resource);
    Event {
        kind: event.r#type.as_str().to_owned(),
        state: event.state_entered_event_details.map(|details| details.name),
        resource: scheduled.or(started),
        output: event
            .task_succeeded_event_details
            .and_then(|details| details.output),
    }
}

/// Step Functions quotes a token that it doesn't like; it stays out of logs and reports.
fn without_token(error: Error, token: &Token) -> Error {
    Error {
        message: error.message.replace(token.reveal(), "…"),
        ..error
    }
}
