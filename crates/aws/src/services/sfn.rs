//! Step Functions: answers waiting tasks, and reads, stops and starts executions.

use aws_sdk_sfn::Client;
use aws_sdk_sfn::primitives::DateTime;
use aws_sdk_sfn::types::{ExecutionStatus as SdkStatus, HistoryEvent, HistoryEventType};
use jiff::Timestamp;
use seedflow_core::error::{Error, Result};
use seedflow_core::ids::ExecutionArn;
use seedflow_core::workflow::callback::Token;
use seedflow_core::workflow::ending::{Described, ExecutionStatus};
use seedflow_core::workflow::execution_history::Event;
use serde::Serialize;
use serde_json::{Value, json};

use crate::runtime::failure::{SdkFailure, failure};

/// Step Functions in this account and region.
#[derive(Debug, Clone)]
pub struct StepFunctions {
    client: Client,
    /// The ARN of the end-execution state machine, for the functions that start it.
    end_execution: Option<String>,
}

/// Whether an answer reached a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The task was waiting.
    Task,
    /// No task: it was answered before, or doesn't wait any more.
    Nobody,
}

/// The errors for a task that was answered or timed out before. AWS returns each of them, the local emulator only the last.
const ANSWERED_BEFORE: [&str; 3] = ["TaskTimedOut", "InvalidToken", "TaskDoesNotExist"];

/// Number of events among which the last entered state is.
const LATEST: i32 = 20;
/// Maximum number of results of one call (API reference, GetExecutionHistory).
const RESULTS_A_PAGE: i32 = 1000;

impl StepFunctions {
    /// A client that answers tasks.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self {
            client: Client::new(config),
            end_execution: None,
        }
    }

    /// The same client with the end-execution state machine, for a function that may start it.
    #[must_use]
    pub fn with_end_execution(self, state_machine: String) -> Self {
        Self {
            end_execution: Some(state_machine),
            ..self
        }
    }

    /// Answers a task. A task that no longer waits is not an error.
    pub async fn answer(&self, token: &Token, answer: &impl Serialize) -> Result<Reached> {
        let output =
            serde_json::to_string(answer).map_err(|e| Error::unwritable("the answer to a task", &e))?;
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

    /// An execution. `None` if Step Functions doesn't know it: it removed it, 90 days after its end, or doesn't show it
    /// yet. The answer is eventually consistent: an execution that has ended may be described as running for a moment (API
    /// reference, DescribeExecution).
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
        Ok(Some(Described {
            input: json(answer.input.as_deref()),
            output: json(answer.output.as_deref()),
            started_at: time(&answer.start_date),
            stopped_at: answer.stop_date.as_ref().and_then(time),
            status: status(&answer.status),
            error: answer.error,
            cause: answer.cause,
        }))
    }

    /// The same as [`Self::describe`], from the execution's history, if that call is refused.
    pub async fn describe_by_history(&self, execution: &ExecutionArn) -> Result<Described> {
        Ok(of_events(&self.events(execution).await?))
    }

    /// The events of an execution, the newest first. Their data contains task tokens, so only the needed fields are read.
    pub async fn history(&self, execution: &ExecutionArn) -> Result<Vec<Event>> {
        let events = self.events(execution).await?.into_iter();
        Ok(events.map(event).collect())
    }

    /// The newest events, for the state that an execution is in.
    pub async fn latest(&self, execution: &ExecutionArn) -> Result<Vec<Event>> {
        let request = self.client.get_execution_history();
        let request = request.execution_arn(execution.as_str()).reverse_order(true);
        let sent = request
            .max_results(LATEST)
            .include_execution_data(false)
            .send()
            .await;
        let page = sent.map_err(|e| {
            let call = format!("Step Functions GetExecutionHistory {}", execution.as_str());
            failure(&call, &e)
        })?;
        Ok(page.events.into_iter().map(event).collect())
    }

    /// All events: the start of a build that was waited for a day is a thousand events back.
    async fn events(&self, execution: &ExecutionArn) -> Result<Vec<HistoryEvent>> {
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
            events.extend(page.events);
        }
        Ok(events)
    }

    /// The newest executions of a state machine, the newest first.
    pub async fn newest(&self, state_machine: &str, most: i32) -> Result<Vec<ExecutionArn>> {
        let request = self.client.list_executions().state_machine_arn(state_machine);
        let answer = request.max_results(most).send().await;
        let answer =
            answer.map_err(|e| failure(&format!("Step Functions ListExecutions {state_machine}"), &e))?;
        let executions = answer.executions.into_iter();
        Ok(executions
            .map(|execution| ExecutionArn::new(execution.execution_arn))
            .collect())
    }

    /// Stops an execution; one that has ended stays as it is. Returns whether Step Functions knows the execution.
    pub async fn stop(&self, execution: &ExecutionArn, error: &str, cause: &str) -> Result<bool> {
        let request = self.client.stop_execution().execution_arn(execution.as_str());
        match request.error(error).cause(cause).send().await {
            Ok(_) => Ok(true),
            // It has ended: the emulator refuses the call like this, AWS silently accepts it.
            Err(error) if error.error_code() == Some("ValidationException") => Ok(true),
            Err(error) if error.error_code() == Some("ExecutionDoesNotExist") => Ok(false),
            Err(error) => {
                let call = format!("Step Functions StopExecution {}", execution.as_str());
                Err(failure(&call, &error))
            }
        }
    }

    /// Starts an execution of this name.
    pub async fn start(&self, state_machine: &str, name: &str, input: &Value) -> Result<ExecutionArn> {
        let request = self
            .client
            .start_execution()
            .state_machine_arn(state_machine)
            .name(name);
        let sent = request.input(input.to_string()).send().await;
        let started =
            sent.map_err(|e| failure(&format!("Step Functions StartExecution {state_machine}"), &e))?;
        Ok(ExecutionArn::new(started.execution_arn))
    }

    /// Starts the state machine that cleans up after an ended execution. It is idempotent.
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

/// Parses JSON; null if it is missing or not JSON.
fn json(text: Option<&str>) -> Value {
    serde_json::from_str(text.unwrap_or_default()).unwrap_or_default()
}

/// Converts a time of the SDK.
fn time(date: &DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(date.to_millis().ok()?).ok()
}

/// An execution from its events, the newest first: the last event of an ended execution has its end.
fn of_events(newest_first: &[HistoryEvent]) -> Described {
    let started = newest_first
        .iter()
        .find_map(|event| event.execution_started_event_details.as_ref());
    let mut described = Described {
        status: ExecutionStatus::Running,
        input: json(started.and_then(|details| details.input.as_deref())),
        output: Value::Null,
        started_at: None,
        stopped_at: None,
        error: None,
        cause: None,
    };
    let Some(last) = newest_first.first() else {
        return described;
    };
    described.status = match last.r#type {
        HistoryEventType::ExecutionSucceeded => ExecutionStatus::Succeeded,
        HistoryEventType::ExecutionFailed => ExecutionStatus::Failed,
        HistoryEventType::ExecutionAborted => ExecutionStatus::Aborted,
        HistoryEventType::ExecutionTimedOut => ExecutionStatus::TimedOut,
        _ => return described,
    };
    // An event has only the details of its type.
    let failed = last.execution_failed_event_details.iter();
    let aborted = last.execution_aborted_event_details.iter();
    let timed_out = last.execution_timed_out_event_details.iter();
    let ends = failed.map(|details| (&details.error, &details.cause));
    let ends = ends.chain(aborted.map(|details| (&details.error, &details.cause)));
    let mut ends = ends.chain(timed_out.map(|details| (&details.error, &details.cause)));
    if let Some((error, cause)) = ends.next() {
        (described.error, described.cause) = (error.clone(), cause.clone());
    }
    let succeeded = last.execution_succeeded_event_details.as_ref();
    described.output = json(succeeded.and_then(|details| details.output.as_deref()));
    described.stopped_at = time(&last.timestamp);
    described
}

/// Converts a status of the SDK. One that a newer version of the service may add counts as running.
fn status(status: &SdkStatus) -> ExecutionStatus {
    match status {
        SdkStatus::Succeeded => ExecutionStatus::Succeeded,
        SdkStatus::Failed => ExecutionStatus::Failed,
        SdkStatus::TimedOut => ExecutionStatus::TimedOut,
        SdkStatus::Aborted => ExecutionStatus::Aborted,
        _ => ExecutionStatus::Running,
    }
}

fn event(event: HistoryEvent) -> Event {
    let scheduled = event.task_scheduled_event_details.map(|details| details.resource);
    let started = event.task_started_event_details.map(|details| details.resource);
    let (state, input) = event
        .state_entered_event_details
        .map(|details| (details.name, details.input))
        .unzip();
    Event {
        at: time(&event.timestamp),
        kind: event.r#type.as_str().to_owned(),
        state,
        input: input.flatten(),
        resource: scheduled.or(started),
        output: event
            .task_succeeded_event_details
            .and_then(|details| details.output),
    }
}

/// Step Functions quotes an invalid token in its message; this removes it, so that no log or report contains it.
fn without_token(error: Error, token: &Token) -> Error {
    Error {
        message: error.message.replace(token.reveal(), "…"),
        ..error
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws_sdk_sfn::types::{
        ExecutionAbortedEventDetails, ExecutionStartedEventDetails, ExecutionSucceededEventDetails,
    };
    use seedflow_core::workflow::lock::Seen;
    use serde_json::json;

    fn event(kind: HistoryEventType) -> aws_sdk_sfn::types::builders::HistoryEventBuilder {
        HistoryEvent::builder()
            .timestamp(DateTime::from_secs(7))
            .r#type(kind)
            .id(1)
    }

    #[test]
    fn a_history_says_how_its_execution_ended() {
        let input = ExecutionStartedEventDetails::builder()
            .input("{\"project\": \"p\"}")
            .build();
        let started = event(HistoryEventType::ExecutionStarted)
            .execution_started_event_details(input)
            .build()
            .unwrap();
        let running = of_events(std::slice::from_ref(&started));
        assert_eq!(Described::seen(Some(&running)), Seen::Running);
        assert_eq!(running.input, json!({"project": "p"}));

        let output = ExecutionSucceededEventDetails::builder()
            .output("{\"a\": 1}")
            .build();
        let succeeded = event(HistoryEventType::ExecutionSucceeded)
            .execution_succeeded_event_details(output)
            .build()
            .unwrap();
        let described = of_events(&[succeeded, started.clone()]);
        let at = Timestamp::from_second(7).ok();
        assert_eq!(Described::seen(Some(&described)), Seen::Ended(at));
        assert_eq!(
            (described.status, described.output),
            (ExecutionStatus::Succeeded, json!({"a": 1}))
        );

        let why = ExecutionAbortedEventDetails::builder()
            .error("E")
            .cause("c")
            .build();
        let aborted = event(HistoryEventType::ExecutionAborted)
            .execution_aborted_event_details(why)
            .build()
            .unwrap();
        let described = of_events(&[aborted, started]);
        assert_eq!(described.status, ExecutionStatus::Aborted);
        assert_eq!(
            (described.error.as_deref(), described.cause.as_deref()),
            (Some("E"), Some("c"))
        );
    }
}
