//! The functions' executables, built by cargo.
//!
//! They are built in the dev profile, which tests use too, so that both share their artifacts; benchmarks use the release
//! profile, as on AWS. Cargo decides whether there is anything to build.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::process::child_guard::{self, ChildGuard};
use crate::process::output_tail;
use crate::process::workspace::{FUNCTIONS, FUNCTIONS_PACKAGE, root};
use seedflow_terminal::Task;

/// How the functions are compiled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// In seconds, as for tests.
    #[default]
    Dev,
    /// In minutes, as what runs on AWS.
    Release,
}

/// Builds the functions and returns each one's executable by its name.
pub async fn build_functions(profile: Profile, task: &Task) -> Result<BTreeMap<String, PathBuf>> {
    let root = root()?;
    let mut command = child_guard::command(std::env::var_os("CARGO").unwrap_or("cargo".into()), None)?;
    command
        .arg("build")
        .arg("--message-format=json-render-diagnostics")
        .current_dir(&root);
    match profile {
        // The tests' package brings no binary, but its features: cargo compiles a dependency once per set
        // of features, and this set is the one of `cargo test --workspace`.
        Profile::Dev => command.args(["--bins", "-p", "seedflow-e2e"]),
        // No other package: what a dependency can do for tests would be in the functions.
        Profile::Release => command.arg("--release"),
    };
    command.args(["-p", FUNCTIONS_PACKAGE]);
    without_cargo_variables(&mut command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut cargo = ChildGuard::spawn(command)?;
    let (stdout, stderr) = (cargo.take_stdout()?, cargo.take_stderr()?);
    let (messages, log) = tokio::join!(
        read_all(stdout),
        output_tail::follow(stderr, |line| task.detail(line))
    );
    let status = cargo.wait().await?;
    if !status.success() {
        bail!("cargo could not build the functions ({status}):\n{log}");
    }
    executables(&messages?)
}

/// The variables that `cargo run` and `cargo test` set for the program they run. Passed on to
/// another cargo, some of them make build scripts run again although nothing changed.
pub fn without_cargo_variables(command: &mut tokio::process::Command) {
    const EXACT: [&str; 4] = [
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
        "OUT_DIR",
    ];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let own = text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_");
        if own || EXACT.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
}

async fn read_all(mut from: impl tokio::io::AsyncRead + Unpin) -> Result<String> {
    let mut text = String::new();
    from.read_to_string(&mut text)
        .await
        .context("cannot read cargo's messages")?;
    Ok(text)
}

fn executables(messages: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for message in messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        if let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str())
        {
            found.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    for function in FUNCTIONS {
        if !found.contains_key(function) {
            bail!("cargo built the functions but named no executable of {function}");
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn every_function_needs_an_executable() {
        let one = r#"{"target":{"name":"acquire-lock"},"executable":"/t/acquire-lock"}"#;
        let error = executables(one).unwrap_err().to_string();
        assert!(error.contains("check-md5"), "{error}");
    }
}
