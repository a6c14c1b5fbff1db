//! `seedflow-local`: Seedflow on one machine. Everything is in the library; this is the entry point.

use std::process::ExitCode;

use clap::Parser;
use seedflow_local::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
