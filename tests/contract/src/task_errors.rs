//! How Step Functions handles a failed task: the rules of `Retry` and `Catch`.
//!
//! From the Step Functions Developer Guide, "Handling errors in Step Functions workflows":
//! - Retriers are examined in their order. The first whose `ErrorEquals` contains the error decides.
//! - A retrier counts its own retries over all tries of the task. After `MaxAttempts` retries (3 by default, 0 for
//!   none), the catchers are examined in their order. Without a matching catcher, the execution fails with the error.
//! - `States.ALL` is every error except `States.DataLimitExceeded` and `States.Runtime`. `States.TaskFailed` is every
//!   error except these and `States.Timeout`.
//! - The n-th wait of a retrier is `IntervalSeconds` (1) times `BackoffRate` (2) to the power of n - 1,
//!   `MaxDelaySeconds` at most. With full jitter it is a random time between zero and that.

use std::ops::ControlFlow;

use serde_json::Value;

use crate::state_machine::list;

/// Errors that no wildcard matches.
const TERMINAL: [&str; 2] = ["States.DataLimitExceeded", "States.Runtime"];

/// How a task ended.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskEnd<'a> {
    /// One of its tries succeeded.
    Succeeded,
    /// A catcher took the error.
    Caught {
        by: &'a Value,
        /// The error of the last try.
        error: String,
    },
    /// The execution fails with the error.
    Failed(String),
}

/// A run of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRun<'a> {
    pub end: TaskEnd<'a>,
    /// How often it was tried.
    pub tries: u64,
    /// The longest total wait between the tries, in seconds.
    pub longest_wait: f64,
}

/// Runs a task whose tries fail with these errors, one after the other; a try without an error succeeds.
pub fn run_task<'a>(state: &'a Value, errors: impl IntoIterator<Item = &'a str>) -> TaskRun<'a> {
    let mut retriers: Vec<Retrier<'_>> = list(state, "Retry").iter().map(Retrier::new).collect();
    let mut longest_wait = 0.0;
    let mut tries = 0;
    for error in errors {
        tries += 1;
        let retrier = retriers.iter_mut().find(|retrier| matches(retrier.rule, error));
        match retrier.map_or(ControlFlow::Break(()), Retrier::next_wait) {
            ControlFlow::Continue(wait) => longest_wait += wait,
            ControlFlow::Break(()) => {
                let end = caught(state, error);
                return TaskRun {
                    end,
                    tries,
                    longest_wait,
                };
            }
        }
    }
    TaskRun {
        end: TaskEnd::Succeeded,
        tries: tries + 1,
        longest_wait,
    }
}

fn caught<'a>(state: &'a Value, error: &str) -> TaskEnd<'a> {
    let catcher = list(state, "Catch").iter().find(|rule| matches(rule, error));
    let error = error.to_owned();
    match catcher {
        Some(by) => TaskEnd::Caught { by, error },
        None => TaskEnd::Failed(error),
    }
}

/// Whether a retrier or a catcher handles an error.
fn matches(rule: &Value, error: &str) -> bool {
    list(rule, "ErrorEquals").iter().any(|name| match name.as_str() {
        Some("States.ALL") => !TERMINAL.contains(&error),
        Some("States.TaskFailed") => !TERMINAL.contains(&error) && error != "States.Timeout",
        name => name == Some(error),
    })
}

/// A retrier in a run of its task.
struct Retrier<'a> {
    rule: &'a Value,
    left: u64,
    delay: f64,
}

impl<'a> Retrier<'a> {
    fn new(rule: &'a Value) -> Self {
        Self {
            rule,
            left: rule["MaxAttempts"].as_u64().unwrap_or(3),
            delay: rule["IntervalSeconds"].as_f64().unwrap_or(1.0),
        }
    }

    /// The longest wait before the next try; `Break` if there is none.
    fn next_wait(&mut self) -> ControlFlow<(), f64> {
        let Some(left) = self.left.checked_sub(1) else {
            return ControlFlow::Break(());
        };
        self.left = left;
        let wait = self
            .delay
            .min(self.rule["MaxDelaySeconds"].as_f64().unwrap_or(f64::INFINITY));
        self.delay *= self.rule["BackoffRate"].as_f64().unwrap_or(2.0);
        ControlFlow::Continue(wait)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state() -> Value {
        json!({
            "Retry": [
                {"ErrorEquals": ["Busy", "Slow"], "IntervalSeconds": 2, "MaxAttempts": 4, "MaxDelaySeconds": 5},
                {"ErrorEquals": ["Wrong"], "MaxAttempts": 0},
                {"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 1, "BackoffRate": 1.0},
            ],
            "Catch": [
                {"ErrorEquals": ["Wrong"], "Next": "Named"},
                {"ErrorEquals": ["States.ALL"], "Next": "Else"},
            ],
        })
    }

    fn run<'a>(state: &'a Value, errors: &[&'a str]) -> (u64, f64, &'a str) {
        let run = run_task(state, errors.iter().copied());
        let end = match &run.end {
            TaskEnd::Succeeded => "succeeded",
            TaskEnd::Caught { by, .. } => by["Next"].as_str().unwrap(),
            TaskEnd::Failed(_) => "failed",
        };
        (run.tries, run.longest_wait, end)
    }

    #[test]
    fn a_retrier_waits_longer_each_time_and_counts_its_own_retries() {
        let state = state();
        assert_eq!(run(&state, &[]), (1, 0.0, "succeeded"));
        assert_eq!(run(&state, &["Busy"]), (2, 2.0, "succeeded"));
        assert_eq!(
            run(&state, &["Busy", "Slow", "Busy", "Slow"]),
            (5, 16.0, "succeeded")
        );
        assert_eq!(run(&state, &["Busy"; 5]), (5, 16.0, "Else"));
        // An error of another kind between them belongs to another retrier.
        assert_eq!(
            run(&state, &["Busy", "Crash", "Busy", "Busy", "Busy"]),
            (6, 17.0, "succeeded")
        );
        assert_eq!(run(&state, &["Crash", "Busy", "Crash"]), (3, 3.0, "Else"));
    }

    #[test]
    fn the_first_rule_that_has_the_error_decides() {
        let state = state();
        assert_eq!(run(&state, &["Wrong"]), (1, 0.0, "Named"));
        assert_eq!(run(&state, &["Busy", "Wrong"]), (2, 2.0, "Named"));
    }

    #[test]
    fn wildcards_leave_out_what_the_guide_says() {
        let state = state();
        assert_eq!(run(&state, &["States.Timeout"]), (1, 0.0, "Else"));
        for error in TERMINAL {
            assert_eq!(run(&state, &[error]), (1, 0.0, "failed"));
        }
        assert_eq!(run(&json!({}), &["Crash"]), (1, 0.0, "failed"));
        // Three retries if a rule doesn't set a number.
        let bare = json!({"Retry": [{"ErrorEquals": ["States.ALL"]}]});
        assert_eq!(run(&bare, &["Crash"; 3]), (4, 7.0, "succeeded"));
        assert_eq!(run(&bare, &["Crash"; 4]), (4, 7.0, "failed"));
    }
}
