//! Our parser of manifests and our `seedfarmer` command, compared with the real seed-farmer (8.0.9) in a Python
//! environment of its own. No stack is started.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod command;
mod example_deployment;
mod manifests;
