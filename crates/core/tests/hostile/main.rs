//! Hostile and broken input: for any input the core neither panics nor runs without bound, and every failure has a name.
//!
//! Property tests with random, mutated and chosen input (proptest). The number of cases is small by default and in CI;
//! `PROPTEST_CASES` sets it for a longer run (CONTRIBUTING.md). A failing case becomes a test of its own. proptest's seed
//! files are off, because a seed is meaningless once a strategy changes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod breakout;
mod dictionary;
mod documents;
mod events;
mod manifests;
mod names;
mod zips;

use proptest::prelude::*;
use proptest::test_runner::Config;
use seedflow_core::error::{Error, ErrorName};
use seedflow_core::ids::ModuleId;
use seedflow_core::module::input::Limits;

/// The number of cases: `PROPTEST_CASES`, or else `default`.
fn cases(default: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok();
    Config {
        cases: asked.and_then(|cases| cases.parse().ok()).unwrap_or(default),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Checks a refusal: its name is one of those allowed for this input, and its message is not empty and short enough for
/// Step Functions.
fn assert_refusal(error: &Error, names: &[ErrorName]) -> Result<(), TestCaseError> {
    prop_assert!(names.contains(&error.name), "{}: {}", error.name, error.message);
    prop_assert!(!error.message.is_empty());
    prop_assert!(error.message.len() < 8192, "{} bytes", error.message.len());
    Ok(())
}

fn module() -> ModuleId {
    ModuleId::parse("p", "d", "g", "m").unwrap()
}

fn limits() -> Limits {
    Limits::of_aws("work", "seedflow")
}
