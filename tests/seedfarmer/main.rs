//! Our parsers of manifests and of `.env` files and our `seedfarmer` command, compared with the real seed-farmer (8.0.9) in a Python
//! environment of its own. No stack is started.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod command;
mod dotenv;
mod example_deployment;
mod manifests;
