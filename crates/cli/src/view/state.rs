//! The words for states (docs/glossary.md), the same in all tables and sentences. JSON has the states as they are stored.

use seedflow_core::deployment::current::RECOVERED;
pub use seedflow_core::module::state::word;
use seedflow_terminal::Tone;

use super::table::Cell;

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
