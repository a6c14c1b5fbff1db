//! What Seedflow has recorded: the statuses in Parameter Store, the reports and locks in the work bucket.
//!
//! Everything is parsed by the types of core, which also write it. A record that can't be parsed is named, never skipped in
//! silence.

pub mod bundles;
pub mod drift;
pub mod executions;
pub mod finding;
pub mod locks;
pub mod names;
pub mod project;
pub mod published;
pub mod report;
pub mod setup;
pub mod target;

use serde_json::Value;

/// Why an execution failed or was refused, from its report or status: one sentence for people.
#[must_use]
pub fn cause_of(status: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    text(&status["refused"]["cause"])
        .or_else(|| text(&status["cause"]))
        .or_else(|| text(&status["reason"]))
}
