//! What all events of Seedflow have in common.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::excerpt;
use crate::ids::ExecutionArn;
use crate::module::state::State;

/// The source of all events of Seedflow.
pub const SOURCE: &str = "seedflow";

/// The version of both details.
pub const VERSION: &str = "1";

/// The detail of an event, with the type that rules match.
pub trait Event: Serialize {
    /// The event's `detail-type`.
    const DETAIL_TYPE: &'static str;

    /// The execution that wrote the state.
    fn execution(&self) -> &ExecutionArn;

    /// When the state was written.
    fn at(&self) -> Timestamp;
}

/// Where the report of an execution is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportAt {
    /// The work bucket.
    pub bucket: String,
    /// The key of the JSON file.
    pub key: String,
}

/// Whether people get a message about a state: a failure and its like, a plan that waits for an approval, or a recovery. The
/// rule of mails in template.yaml has the same states.
pub(super) fn is_sent_to_people(state: State, before: Option<State>) -> bool {
    let needs_people = matches!(
        state,
        State::Failed | State::Aborted | State::Refused | State::WaitingForApproval
    );
    needs_people || state.recovers(before)
}

/// Seconds with milliseconds, for programs that read events.
pub(super) fn seconds(duration: SignedDuration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

/// A duration for people.
pub(super) fn readable(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// A text as one line of bounded length, without characters that JSON escapes. EventBridge puts the text between quotation
/// marks when it builds a message from it (EventBridge user guide, "Input transformation").
pub(super) fn line(text: &str, limit: usize) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '"' => '\'',
            '\\' => '/',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    excerpt(&plain.split_whitespace().collect::<Vec<_>>().join(" "), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_needs_no_escapes() {
        let line = line("exit 1:\r\n\t\"C:\\x\" is \u{1b}[31mred", 100);
        assert_eq!(line, "exit 1: 'C:/x' is [31mred");
        assert_eq!(super::line(&"x".repeat(500), 10).chars().count(), 11);
    }

    #[test]
    fn durations_are_read_at_a_glance() {
        for (seconds, text) in [(0, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7320, "2 h 2 min")] {
            assert_eq!(readable(SignedDuration::from_secs(seconds)), text);
        }
    }
}
