//! The harness of the end-to-end tests: a local stack per test program, and what tests do with it.
//!
//! A test program says once which stack it wants; the first test that asks starts it:
//!
//! ```no_run
//! use seedflow_tests::{Module, Shared, StackOptions, run};
//!
//! static STACK: Shared = Shared::new(StackOptions::default);
//!
//! #[test]
//! fn a_module_is_deployed() {
//!     run(async {
//!         let stack = STACK.get().await;
//!         let names = stack.names("a-module-is-deployed");
//!         let module = Module::running("build", &["echo hello"]);
//!         assert!(stack.deploy(&names, &module).await.succeeded());
//!     });
//! }
//! ```
//!
//! All tests of a program run on one runtime, since the stack's proxy and its builds live on it. At
//! the end of the program the stack goes by itself: its processes are kept by a pipe that the kernel
//! closes (see `seedflow_local::process::child_guard`), so a static that is never dropped leaves nothing behind.
//!
//! The harness panics with a message where something fails that no test is about.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod asl;
pub mod bombs;
mod heard;
mod migrate;
mod module;
mod peer;
mod python;
mod repository;
pub mod schema;
mod shared;
mod stack;
mod work_tree;

pub use heard::Heard;
pub use migrate::{Migrated, migrate};
pub use module::Module;
pub use peer::Peer;
pub use repository::{Group, Repository};
pub use seedflow_local::client::deployment::{Finished, Names, Parameter};
pub use seedflow_local::proxy::{Action, Caller, Calls, Rates, Rule, Traffic, When};
pub use seedflow_local::stack::StackOptions;
pub use shared::{Shared, run};
pub use stack::{RuleGuard, TestStack, eventually};
pub use work_tree::{Pushed, WorkTree};
