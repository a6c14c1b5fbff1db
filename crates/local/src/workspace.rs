//! Where the workspace lies, and the functions built from it.
//!
//! The local stack always runs from a checkout: it needs the template, the state machine and the
//! functions' sources. The functions are built in the dev profile, which is the one that tests use,
//! so that both share their artifacts, or for benchmarks in the release profile, as on AWS; whether there is
//! anything to build is cargo's to decide.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::keeper::{self, Kept};
use crate::tail;
use crate::ui::Task;

/// The functions of the workflow: each is a package, and a binary of the same name.
pub const FUNCTIONS: [&str; 11] = [
    "acquire-lock",
    "check-md5",
    "module-stack",
    "start-build",
    "check-status",
    "update-metadata",
    "build-event",
    "end-execution",
    "plan-deployment",
    "record-deployment",
    "publish-report",
];

/// How the functions are compiled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// In seconds, as for tests.
    #[default]
    Dev,
    /// In minutes, as what runs on AWS.
    Release,
}

/// The root of the checkout that this program was built from.
pub fn root() -> Result<PathBuf> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let here = std::env::current_dir().context("cannot tell the current directory")?;
    let candidates = std::iter::once(built_from.as_path()).chain(here.ancestors());
    for candidate in candidates {
        if candidate.join("statemachine").is_dir() && candidate.join("functions").is_dir() {
            return candidate
                .canonicalize()
                .with_context(|| format!("cannot resolve {}", candidate.display()));
        }
    }
    bail!(
        "no Seedflow checkout found: the folder that this program was built from ({}) is gone; run it inside a checkout",
        built_from.display()
    )
}

/// The folder for everything that the local stack writes: never anything outside `target/`.
pub fn local_dir() -> Result<PathBuf> {
    Ok(root()?.join("target/local"))
}

/// Builds the functions and returns each one's executable by its name.
pub async fn build_functions(profile: Profile, task: &Task) -> Result<BTreeMap<String, PathBuf>> {
    let root = root()?;
    let mut command = keeper::command(std::env::var_os("CARGO").unwrap_or("cargo".into()), None)?;
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
    for function in FUNCTIONS {
        command.args(["-p", function]);
    }
    without_cargo_variables(&mut command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut cargo = Kept::spawn(command)?;
    let (stdout, stderr) = (cargo.take_stdout()?, cargo.take_stderr()?);
    let (messages, log) = tokio::join!(read_all(stdout), tail::follow(stderr, |line| task.detail(line)));
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
    fn the_root_holds_the_template_parts() {
        let root = root().unwrap();
        assert!(root.join("Cargo.lock").is_file());
    }

    #[test]
    fn every_function_needs_an_executable() {
        let one = r#"{"target":{"name":"acquire-lock"},"executable":"/t/acquire-lock"}"#;
        let error = executables(one).unwrap_err().to_string();
        assert!(error.contains("check-md5"), "{error}");
    }
}
