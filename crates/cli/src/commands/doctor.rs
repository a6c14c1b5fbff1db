//! `doctor`: what is missing in the account, and what to do about it.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use seedflow_terminal::{Tone, Ui};
use serde_json::json;

use super::reading::print_json;
use crate::account::{Account, StackArguments};
use crate::exit::FAILED;
use crate::records::finding::{Finding, Level};
use crate::records::setup;

/// Checks whether the account is set up for Seedflow, and says what to do.
///
/// It looks at region, credentials, stack, the CDK's bootstrap, quotas, and events that could not be handled. It changes
/// nothing.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Runs the command.
    pub async fn run(self, stack: &StackArguments, ui: &Ui) -> Result<ExitCode> {
        let mut findings = Vec::new();
        let mut report = |finding: Finding| {
            if !self.json {
                show(&finding, ui);
            }
            findings.push(finding);
        };
        // Credentials first: without them there is no stack either.
        if let Some(config) = stack.config().await {
            setup::of_caller(&config, &mut report).await;
        }
        match Account::find(stack, ui).await {
            Ok(account) => {
                if account.is_local() {
                    setup::of_caller(&account.config, &mut report).await;
                }
                setup::of_stack(&account, &mut report).await;
            }
            Err(error) => report(Finding::without_stack(&format!("{error:#}"))),
        }
        if self.json {
            print_json(json!({"findings": findings}), ui)?;
        }
        let is_bad = findings.iter().any(|finding| finding.level == Level::Bad);
        Ok(if is_bad {
            ExitCode::from(FAILED)
        } else {
            ExitCode::SUCCESS
        })
    }
}

fn show(finding: &Finding, ui: &Ui) {
    let (mark, tone) = match finding.level {
        Level::Ok => ("ok  ", Tone::Good),
        Level::Note => ("note", Tone::Quiet),
        Level::Warn => ("warn", Tone::Bold),
        Level::Bad => ("bad ", Tone::Bad),
    };
    ui.say(format!(
        "{} {}: {}",
        ui.paint(tone, mark),
        finding.check,
        finding.found
    ));
    if let Some(advice) = &finding.advice {
        ui.say(format!("       {advice}"));
    }
}
