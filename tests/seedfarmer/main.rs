//! Our reading of manifests and our `seedfarmer` command, held against the real seed-farmer (8.0.9) in an environment
//! of Python of its own. No stack is started.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod command;
mod example_deployment;
mod manifests;
