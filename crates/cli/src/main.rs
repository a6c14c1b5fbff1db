//! The program; the library has everything.

use std::process::ExitCode;

use clap::Parser;
use seedflow_cli::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
