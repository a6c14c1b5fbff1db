//! `seedflow-migrate`: takes over what seed-farmer has deployed, without deploying it again.
//!
//! seed-farmer's parameters have what is deployed, and its MD5s show whether a repository is still the one that was
//! deployed. For each such module it writes what a deployment by Seedflow would have left, with the fingerprint that
//! Seedflow's planner computes from the same repository. docs/migration.md describes the migration and the way back.

mod account;
mod checkout;
mod cli;
mod run;
mod seedfarmer;
mod show;
mod takeover;

use std::process::ExitCode;

use clap::Parser;
use seedflow_terminal::Ui;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match run::run(&cli).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            Ui::for_stdout().complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
