//! Asks before something is destroyed, released or replaced.

use std::io::{IsTerminal, Write};

use anyhow::Result;

use crate::exit::Wrong;

/// Refuses a command that has to ask where nobody can answer.
///
/// # Errors
/// [`Wrong`] if there is no terminal: `--yes` has to answer.
pub fn can_ask(command: &str) -> Result<()> {
    match std::io::stdin().is_terminal() {
        true => Ok(()),
        false => Err(Wrong(format!(
            "{command} asks first, and there is no terminal to answer at; add --yes"
        ))
        .into()),
    }
}

/// Asks on the terminal, which [can be asked](can_ask).
pub fn confirmed(question: &str) -> Result<bool> {
    let mut out = std::io::stderr().lock();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
