//! Collects what AWS refused permanently during the cleanup after an execution.
//!
//! None of it may keep the lock held (decision 33): the error is noted, the rest is done, and the state machine puts the
//! notes into the queue of failed events. Temporary errors (throttling, 5xx) stay errors, and the state machine retries
//! them.

use seedflow_core::error::{Error, Result, excerpt};
use seedflow_core::ids::ExecutionArn;
use serde::Serialize;
use serde_json::Value;

/// Maximum length of all errors together. A message of SQS has room for more, but more would not be read.
const MAX_CAUSE: usize = 4000;

/// The notes of one call.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    errors: Vec<Error>,
    unwritten: Option<Value>,
    /// The errors that an earlier call for the same execution has reported; empty if there were none.
    reported: String,
    /// Whether an earlier call has sent the event of the end, but could not write the status.
    announced: bool,
}

/// The message for the queue of failed events.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Report {
    /// The execution that has ended.
    execution: ExecutionArn,
    /// The name of the first error.
    error: String,
    /// The messages of all errors.
    cause: String,
    /// The status that could not be written, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    unwritten: Option<Value>,
}

impl Refused {
    /// Starts with the errors that an earlier call has reported, and whether it has sent the event of the end.
    pub fn after(reported: String, announced: bool) -> Self {
        Self {
            reported,
            announced,
            ..Self::default()
        }
    }

    /// Whether an earlier call has sent the event of the end, but could not write the status.
    pub fn is_announced(&self) -> bool {
        self.announced
    }

    /// The value of a call; `None` if AWS refused it permanently, which is noted.
    ///
    /// # Errors
    /// Temporary errors.
    pub fn note<T>(&mut self, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.name.passes() => Err(error),
            Err(error) => {
                tracing::error!(error = error.name.as_str(), cause = %error.message, "refused");
                self.errors.push(error);
                Ok(None)
            }
        }
    }

    /// Keeps a status that could not be written.
    pub fn unwritten(&mut self, status: Value) {
        self.unwritten = Some(status);
    }

    /// The report, and whether it differs from the previous one; `None` if nothing was refused.
    pub fn report(self, execution: ExecutionArn) -> Option<(Report, bool)> {
        let error = self.errors.first()?.name.to_string();
        let messages: Vec<String> = self.errors.into_iter().map(|error| error.message).collect();
        let cause = excerpt(&messages.join("; "), MAX_CAUSE);
        let is_new = self.reported != cause;
        let unwritten = self.unwritten;
        Some((
            Report {
                execution,
                error,
                cause,
                unwritten,
            },
            is_new,
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use seedflow_core::error::ErrorName;
    use serde_json::json;

    fn refuse(refused: &mut Refused) {
        for (name, message) in [(ErrorName::AccessDenied, "a"), (ErrorName::Refused, "b")] {
            let answer: Result<()> = Err(Error::new(name, message));
            assert_eq!(refused.note(answer), Ok(None));
        }
    }

    #[test]
    fn what_is_refused_is_noted_and_what_passes_is_an_error() {
        let mut refused = Refused::default();
        assert_eq!(refused.note(Ok(1)), Ok(Some(1)));
        let throttled: Result<()> = Err(Error::new(ErrorName::Throttled, "t"));
        assert_eq!(refused.note(throttled).unwrap_err().message, "t");
        let me = ExecutionArn::new("e");
        assert_eq!(Refused::default().report(me.clone()), None);
        refuse(&mut refused);
        refused.unwritten(json!({"state": "FAILED"}));
        let (report, is_new) = refused.report(me).unwrap();
        let expected = json!({"execution": "e", "error": "AccessDenied", "cause": "a; b", "unwritten": {"state": "FAILED"}});
        assert_eq!((serde_json::to_value(report).unwrap(), is_new), (expected, true));
    }

    #[test]
    fn the_same_is_reported_once() {
        let is_new = |reported: &str| {
            let mut refused = Refused::after(reported.to_owned(), false);
            refuse(&mut refused);
            refused.report(ExecutionArn::new("e")).unwrap().1
        };
        assert!(is_new("") && !is_new("a; b"));
        assert!(is_new("a"), "more is refused now");
    }
}
