//! Asks before something is destroyed, released or replaced.

use std::io::{IsTerminal, Write};

use anyhow::Result;

use crate::exit::{Interrupted, Wrong};

/// Refuses a command that has to ask where nobody can answer.
///
/// # Errors
/// [`Wrong`] if there is no terminal: `--yes` has to answer.
pub fn can_ask(command: &str) -> Result<()> {
    match std::io::stdin().is_terminal() {
        true => Ok(()),
        false => Err(Wrong(format!(
            "{command} asks for a confirmation, and this is not a terminal; add --yes"
        ))
        .into()),
    }
}

/// Asks on the terminal, which [can be asked](can_ask).
///
/// # Errors
/// [`Interrupted`] after Ctrl-C.
pub async fn confirmed(question: &str) -> Result<bool> {
    let mut out = std::io::stderr().lock();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    drop(out);
    tokio::select! {
        answer = answer() => Ok(matches!(answer?.trim(), "y" | "Y" | "yes")),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(Interrupted("Nothing was changed.").into())
        }
    }
}

/// Reads a line, on a thread that nobody waits for: it may never end after Ctrl-C.
async fn answer() -> Result<String> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        // Nobody listens any more after Ctrl-C.
        drop(sender.send(read.map(|_| line)));
    });
    Ok(receiver.await??)
}
