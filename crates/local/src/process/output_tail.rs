//! The last lines of a process's output: shown while it runs, quoted when it fails.

use std::collections::VecDeque;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// How many lines an error message quotes.
const KEPT: usize = 40;

/// Passes every line to `seen` when it is read, and returns the last ones.
pub async fn follow(from: impl AsyncRead + Unpin, mut seen: impl FnMut(&str)) -> String {
    let mut lines = BufReader::new(from).split(b'\n');
    let mut last = VecDeque::new();
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).into_owned();
        if !line.trim().is_empty() {
            seen(line.trim());
        }
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back(line);
    }
    Vec::from(last).join("\n")
}

/// The last lines of a log file; empty where there is none.
pub fn of_file(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(KEPT)..].join("\n")
}
