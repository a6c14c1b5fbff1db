//! The harness of the end-to-end tests: local stacks and operations on them.
//!
//! A suite names once the stack that it needs; the first test that asks starts it:
//!
//! ```no_run
//! use seedflow_e2e::{Module, Shared, StackOptions, run};
//!
//! static STACK: Shared = Shared::new(StackOptions::default);
//!
//! #[test]
//! fn a_module_is_deployed() {
//!     run(async {
//!         let stack = STACK.get().await;
//!         let id = stack.module_id("a-module-is-deployed");
//!         let module = Module::running("build", &["echo hello"]);
//!         assert!(stack.deploy(&id, &module).await.succeeded());
//!     });
//! }
//! ```
//!
//! All tests of a program run on one runtime, since the stack's proxy and its builds run on it. At the end of the
//! program the stack ends by itself: its processes are kept by a pipe that the kernel closes (see
//! `seedflow_local::process::child_guard`), so a static that is never dropped leaves nothing behind.
//!
//! The harness panics with a message if something fails that no test is about.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod code_host;
pub mod command_line;
mod event_queue;
mod large_bundle;
mod migrate;
mod program;
mod shared;
mod stack;
/// The zips of the core's own tests: small to store and large to read.
#[path = "../../../crates/core/tests/zip_bombs/raw_zip.rs"]
pub mod zip_bombs;

pub use event_queue::EventQueue;
pub use large_bundle::with_gap;
pub use migrate::{Migrated, migrate};
pub use seedflow_contract::{Pushed, WorkTree, schema};
pub use seedflow_core::ids::ModuleId;
pub use seedflow_fixtures::{Group, Module, Repository, SeedFarmer};
pub use seedflow_local::client::deployment::{Finished, Parameter};
pub use seedflow_local::proxy::quotas::parameter_store;
pub use seedflow_local::proxy::{Action, Caller, Calls, Count, Rule, When};
pub use seedflow_local::stack::StackOptions;
pub use shared::{Shared, run};
pub use stack::{RuleGuard, TestStack, destruction, eventually, module_id};

/// The status of a failure says why in one sentence for people, and not in the words of an SDK.
///
/// # Panics
/// If it doesn't.
pub fn assert_explained(status: &serde_json::Value) {
    let cause = status["cause"].as_str().unwrap_or_default();
    assert!(!cause.trim().is_empty(), "no cause: {status}");
    assert!(!cause.chars().any(char::is_control), "not one line: {status}");
    assert_ne!(
        status["cause"], status["error"],
        "only the error's name: {status}"
    );
    // What the SDKs' errors print for programmers.
    for debug in [
        "SdkError",
        "ServiceError",
        "DispatchFailure",
        "Some(",
        "source: ",
        "\"errorType\"",
    ] {
        assert!(!cause.contains(debug), "{debug} in the cause: {status}");
    }
}
