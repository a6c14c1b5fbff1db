//! Release builds, as on AWS but for this machine's architecture.
//!
//! One cargo process builds all binaries of a package, so that all cores are busy.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use seedflow_local::process::cargo_build;
use seedflow_local::process::child_guard::{self, ChildGuard};
use seedflow_local::process::{output_tail, workspace};
use seedflow_terminal::Ui;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A function and its release binary.
#[derive(Debug, Clone)]
pub struct Binary {
    pub name: &'static str,
    /// The path of its binary.
    pub path: PathBuf,
}

pub async fn build_functions(ui: &Ui) -> Result<Vec<Binary>> {
    let paths = build(workspace::FUNCTIONS_PACKAGE, &workspace::FUNCTIONS, ui).await?;
    let built = workspace::FUNCTIONS.into_iter().zip(paths);
    Ok(built.map(|(name, path)| Binary { name, path }).collect())
}

pub async fn build_function(name: &'static str, ui: &Ui) -> Result<Binary> {
    let path = build(workspace::FUNCTIONS_PACKAGE, &[name], ui).await?.remove(0);
    Ok(Binary { name, path })
}

/// Builds binaries of a package in the release profile and returns their executables in the same order.
pub async fn build(package: &str, binaries: &[&str], ui: &Ui) -> Result<Vec<PathBuf>> {
    let task = ui.task(format!("Release build of {}", binaries.join(", ")));
    let mut command = child_guard::command(std::env::var_os("CARGO").unwrap_or("cargo".into()), None)?;
    command
        .args([
            "build",
            "--release",
            "--message-format=json-render-diagnostics",
            "-p",
            package,
        ])
        .args(binaries.iter().flat_map(|binary| ["--bin", binary]))
        .current_dir(workspace::root()?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    cargo_build::without_cargo_variables(&mut command);
    let mut cargo = ChildGuard::spawn(command)?;
    let (stdout, stderr) = (cargo.take_stdout()?, cargo.take_stderr()?);
    let (messages, log) = tokio::join!(
        whole(stdout),
        output_tail::follow(stderr, |line| task.detail(line))
    );
    let status = cargo.wait().await?;
    if !status.success() {
        bail!("cargo could not make a release build ({status}):\n{log}");
    }
    let messages = messages?;
    let paths = binaries.iter().map(|binary| {
        let path = executable(&messages, binary);
        path.with_context(|| format!("cargo built {binary} but named no executable"))
    });
    let paths = paths.collect::<Result<_>>()?;
    task.done("built");
    Ok(paths)
}

async fn whole(mut from: impl AsyncRead + Unpin) -> Result<String> {
    let mut text = String::new();
    from.read_to_string(&mut text)
        .await
        .context("cannot read cargo's messages")?;
    Ok(text)
}

fn executable(messages: &str, binary: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let path = message["executable"].as_str()?;
        (message["target"]["name"] == binary).then(|| path.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_of_the_binary_is_found() {
        let messages = "{\"target\":{\"name\":\"a\"},\"executable\":\"/a\"}\nnoise\n{\"target\":{\"name\":\"b\"},\"executable\":\"/b\"}";
        assert_eq!(executable(messages, "b"), Some("/b".into()));
        assert_eq!(executable(messages, "c"), None);
    }
}
