//! The workflow end to end: the real template, functions and builds on a local stack.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod bombs;
mod build_role;
mod builds;
mod decisions;
mod deliveries;
mod destroy;
mod functions;
mod hostile_build;
mod kept;
mod limits;
mod locks;
mod records;
mod secrets;

use seedflow_tests::{Finished, Shared, StackOptions};

/// One stack for all; a minute of a build's timeout takes a second.
static STACK: Shared = Shared::new(|| StackOptions {
    minute: std::time::Duration::from_secs(1),
    ..StackOptions::default()
});

fn assert_state(finished: &Finished, state: &str) {
    assert_eq!(finished.state(), state, "{}: {}", finished.error, finished.cause);
}
