//! Our parsers of manifests and of `.env` files and our `seedfarmer` command, compared with the real seed-farmer (8.0.9) in a Python
//! environment of its own. No stack is started.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod command;
mod dotenv;
mod driver;
mod example_deployment;
mod manifests;

use std::path::PathBuf;

use seedflow_local::process::python_tools;
use seedflow_terminal::Ui;

/// The `bin` folder of the real seed-farmer's environment.
fn environment() -> PathBuf {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(python_tools::venv(
            "seed-farmer",
            &Ui::silent().task("seed-farmer"),
        ))
        .unwrap()
}

/// The Python with seed-farmer.
fn python() -> PathBuf {
    environment().join("python")
}
