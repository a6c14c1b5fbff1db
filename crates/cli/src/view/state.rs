//! The words for states (docs/glossary.md), the same in all tables and sentences. JSON has the states as they are stored.

use seedflow_core::deployment::current::RECOVERED;
use seedflow_terminal::Tone;

use super::table::Cell;

/// The word for a state of a module, a deployment or a phase of a build.
#[must_use]
pub fn word(state: &str) -> String {
    match state {
        "SUCCEEDED" => "deployed".to_owned(),
        "IN_PROGRESS" => "in progress".to_owned(),
        "ABORTED" => "stopped".to_owned(),
        other => other.to_lowercase().replace('_', " "),
    }
}

/// The tone of a state.
#[must_use]
pub fn tone(state: &str) -> Option<Tone> {
    match state {
        "SUCCEEDED" | "UNCHANGED" | RECOVERED => Some(Tone::Good),
        "FAILED" | "ABORTED" | "REFUSED" | "TIMED_OUT" => Some(Tone::Bad),
        "IN_PROGRESS" | "WAITING_FOR_APPROVAL" => Some(Tone::Bold),
        _ => Some(Tone::Quiet),
    }
}

/// A state in a table.
#[must_use]
pub fn cell(state: &str) -> Cell {
    Cell::toned(word(state), tone(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_a_word_for_people() {
        let states = ["SUCCEEDED", "ABORTED", "NOT_STARTED", "SUPERSEDED", "TIMED_OUT"];
        assert_eq!(
            states.map(word),
            ["deployed", "stopped", "not started", "superseded", "timed out"]
        );
    }
}
