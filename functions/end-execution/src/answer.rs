//! What the state machine gets of a call: to call again, or the end, and what AWS refused.

use jiff::SignedDuration;
use seedflow_core::ids::ExecutionArn;
use serde::Serialize;

use crate::refused::{Refused, Report};

/// The answer to the state machine.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Answer {
    #[serde(flatten)]
    next: Next,
    /// The calls that AWS refused permanently.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Report>,
    /// Set if `refused` is to be reported.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    report: bool,
}

impl Answer {
    pub fn new(next: Next, refused: Refused, execution: ExecutionArn) -> Self {
        let (refused, report) = refused.report(execution).unzip();
        Self {
            next,
            refused,
            report: report.unwrap_or_default(),
        }
    }
}

/// The next step of the state machine.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Next {
    /// Call again after this time.
    Wait { wait_seconds: i64 },
    /// End.
    Done { done: &'static str },
}

/// The answer by which the state machine calls again.
pub(crate) fn wait_for(wait: SignedDuration) -> Next {
    tracing::info!(seconds = wait.as_secs(), "waiting");
    Next::Wait {
        wait_seconds: wait.as_secs().max(1),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use seedflow_core::error::{Error, ErrorName, Result};
    use serde_json::json;

    #[test]
    fn an_answer_has_what_the_state_machine_reads() {
        let answer = |next, refused| {
            let answer = Answer::new(next, refused, ExecutionArn::new("e"));
            serde_json::to_value(answer).unwrap()
        };
        let done = Next::Done { done: "released" };
        assert_eq!(answer(done, Refused::default()), json!({"done": "released"}));
        let denied = |reported: &str| {
            let mut refused = Refused::after(reported.to_owned(), false);
            let denied: Result<()> = Err(Error::new(ErrorName::AccessDenied, "no"));
            refused.note(denied).unwrap();
            answer(Next::Wait { wait_seconds: 3 }, refused)
        };
        let refused = json!({"execution": "e", "error": "AccessDenied", "cause": "no"});
        assert_eq!(
            denied(""),
            json!({"wait_seconds": 3, "refused": refused, "report": true})
        );
        assert_eq!(denied("no"), json!({"wait_seconds": 3, "refused": refused}));
    }
}
