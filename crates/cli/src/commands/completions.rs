//! `completions`: what a shell completes.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use seedflow_terminal::Ui;

/// Prints the completions of a shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Runs the command.
    pub fn run<C: CommandFactory>(&self, ui: &Ui) -> Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut C::command(), "seedflow", &mut script);
        let script = String::from_utf8(script).context("the completions are not valid UTF-8")?;
        ui.say(script.trim_end());
        Ok(ExitCode::SUCCESS)
    }
}
