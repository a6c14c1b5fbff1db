//! Asks before something is destroyed, released or replaced.

use std::io::{IsTerminal, Write};

use anyhow::{Result, bail};

/// Asks on the terminal.
///
/// # Errors
/// If there is no terminal: `--yes` has to answer.
pub fn confirmed(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("{question} There is no terminal to answer at; --yes answers it");
    }
    let mut out = std::io::stderr().lock();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
