//! `open`: the pages in a browser.

use std::process::{ExitCode, Stdio};

use anyhow::Result;
use clap::Args;
use seedflow_terminal::Ui;
use serde_json::json;

use super::reading::{OfProject, print_json_line};
use crate::account::Account;
use crate::exit::INTERRUPTED;
use crate::serve::Pages;

/// Opens the pages of a project in a browser.
///
/// They are served on loopback until Ctrl-C, with your credentials, so the links between them work.
#[derive(Debug, Args)]
pub struct Open {
    #[command(flatten)]
    project: OfProject,
    /// The port; a free one by default.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Only prints the address, and starts no browser.
    #[arg(long)]
    no_browser: bool,
    /// Prints the address as JSON.
    #[arg(long)]
    json: bool,
}

impl Open {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let project = self.project.find(account).await?;
        let pages = Pages::listen(account.bucket(), project, self.port).await?;
        let address = pages.address();
        match self.json {
            true => print_json_line(json!({"url": address}), ui),
            false => ui.say(format!("{address}\nCtrl-C ends it.")),
        }
        if !self.no_browser && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
            browse(&address);
        }
        tokio::select! {
            served = pages.serve() => served.map(|()| ExitCode::SUCCESS),
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                Ok(ExitCode::from(INTERRUPTED))
            }
        }
    }
}

/// Opens the address in a browser. A machine without one is not an error: the address is printed.
fn browse(address: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let mut command = tokio::process::Command::new(program);
    let _ = command
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}
