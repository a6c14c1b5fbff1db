//! Hostile and broken input: whatever comes in, the core neither panics nor runs away, and fails by name.
//!
//! Properties over random, mutated and chosen input (proptest). How many cases there are is small here and in CI
//! and set by `PROPTEST_CASES` for a longer run (CONTRIBUTING.md). A case that failed is written as a test of its
//! own; proptest's files of seeds are off, because a seed says nothing once a strategy changes.

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

/// So many cases, or as many as `PROPTEST_CASES` says.
fn cases(default: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok();
    Config {
        cases: asked.and_then(|cases| cases.parse().ok()).unwrap_or(default),
        failure_persistence: None,
        ..Config::default()
    }
}

/// What every refusal keeps to: one of the names that belong to this input, and a message that people can read
/// and Step Functions can carry.
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
