//! The Python interpreter that the local stack and its tools run on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Result, bail};

/// The oldest Python that the pinned tools run on.
const OLDEST: (u32, u32) = (3, 11);

/// The interpreter that carries the tools: `SEEDFLOW_PYTHON`, or the first one on the PATH that is
/// new enough.
pub fn python() -> Result<&'static Path> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FOUND.get_or_init(find_python) {
        Ok(path) => Ok(path),
        Err(message) => bail!("{message}"),
    }
}

fn find_python() -> Result<PathBuf, String> {
    let chosen = std::env::var("SEEDFLOW_PYTHON").ok();
    let names = match &chosen {
        Some(path) => vec![path.as_str()],
        None => vec!["python3", "python3.14", "python3.13", "python3.12", "python3.11"],
    };
    let mut seen = Vec::new();
    for name in names {
        match interpreter(name) {
            Some((version, path)) if version >= OLDEST => return Ok(path),
            Some(((major, minor), _)) => seen.push(format!("{name} is {major}.{minor}")),
            None => seen.push(format!("{name} not found")),
        }
    }
    let (major, minor) = OLDEST;
    Err(format!(
        "the local stack needs Python {major}.{minor} or newer with pip and venv ({}); \
         install it (Debian, Ubuntu: `apt install python3 python3-venv`) or name one in SEEDFLOW_PYTHON",
        seen.join(", ")
    ))
}

/// The version and the real path of an interpreter; `None` where it doesn't run.
fn interpreter(name: &str) -> Option<((u32, u32), PathBuf)> {
    let ask = "import sys; print(sys.version_info[0], sys.version_info[1], sys.executable)";
    let output = Command::new(name)
        .args(["-I", "-c", ask])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.trim().splitn(3, ' ');
    let version = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((version, PathBuf::from(words.next()?)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn python_is_found_by_its_real_path() {
        assert!(python().unwrap().is_absolute());
    }

    #[test]
    fn a_missing_interpreter_is_not_found() {
        assert!(interpreter("no-such-python").is_none());
    }
}
