//! Release builds, as they run on AWS but for this machine.
//!
//! Each package is built by a cargo of its own, as `sam build` does it: built together, packages would
//! share the features of their dependencies, and each function would be a little larger than it is.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use seedflow_local::keeper::{self, Kept};
use seedflow_local::ui::Ui;
use seedflow_local::{tail, workspace};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A function and its release binary.
#[derive(Debug, Clone)]
pub struct Binary {
    /// The function's name.
    pub name: &'static str,
    /// Where its binary lies.
    pub path: PathBuf,
}

/// Builds the five functions.
pub async fn build_functions(ui: &Ui) -> Result<Vec<Binary>> {
    let mut built = Vec::new();
    for name in workspace::FUNCTIONS {
        built.push(Binary {
            name,
            path: build(name, ui).await?,
        });
    }
    Ok(built)
}

/// Builds a package in the release profile and returns its executable.
pub async fn build(package: &str, ui: &Ui) -> Result<PathBuf> {
    let task = ui.task(format!("Release build of {package}"));
    let mut command = keeper::command(std::env::var_os("CARGO").unwrap_or("cargo".into()), None)?;
    command
        .args([
            "build",
            "--release",
            "--message-format=json-render-diagnostics",
            "-p",
            package,
        ])
        .current_dir(workspace::root()?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    workspace::without_cargo_variables(&mut command);
    let mut cargo = Kept::spawn(command)?;
    let (stdout, stderr) = (cargo.take_stdout()?, cargo.take_stderr()?);
    let (messages, log) = tokio::join!(whole(stdout), tail::follow(stderr, |line| task.detail(line)));
    let status = cargo.wait().await?;
    if !status.success() {
        bail!("cargo could not build {package} ({status}):\n{log}");
    }
    let path = executable(&messages?, package);
    let path = path.with_context(|| format!("cargo built {package} but named no executable"))?;
    task.done("built");
    Ok(path)
}

async fn whole(mut from: impl AsyncRead + Unpin) -> Result<String> {
    let mut text = String::new();
    from.read_to_string(&mut text)
        .await
        .context("cannot read cargo's messages")?;
    Ok(text)
}

fn executable(messages: &str, package: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let path = message["executable"].as_str()?;
        (message["target"]["name"] == package).then(|| path.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_of_the_package_is_found() {
        let messages = "{\"target\":{\"name\":\"a\"},\"executable\":\"/a\"}\nnoise\n{\"target\":{\"name\":\"b\"},\"executable\":\"/b\"}";
        assert_eq!(executable(messages, "b"), Some("/b".into()));
        assert_eq!(executable(messages, "c"), None);
    }
}
