//! `seedflow-migrate` as a person would run it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use seedflow_local::process::cargo_build;
use seedflow_local::process::workspace::{self, FUNCTIONS};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::stack::TestStack;

/// The result of a run.
#[derive(Debug)]
pub struct Migrated {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its whole output.
    pub said: String,
}

/// Runs it on a folder.
pub async fn migrate(stack: &TestStack, folder: &Path, more: &[&str]) -> Migrated {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    let ran = Command::new(PROGRAM.get_or_init(built).await)
        .arg(folder)
        .args(more)
        .env_clear()
        .envs(stack.client_environment().expect("an environment"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("starting seedflow-migrate");
    Migrated {
        code: ran.status.code(),
        said: String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr),
    }
}

/// Builds it with the features of the functions and the tests, for which its dependencies are compiled already.
async fn built() -> PathBuf {
    let root = workspace::root().expect("a checkout");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo
        .current_dir(&root)
        .args(["build", "--bin", "seedflow-migrate"]);
    cargo.args([
        "-p",
        "seedflow-migrate",
        "-p",
        "seedflow-e2e",
        "--message-format=json-render-diagnostics",
    ]);
    for function in FUNCTIONS {
        cargo.args(["-p", function]);
    }
    cargo_build::without_cargo_variables(&mut cargo);
    let built = cargo.stdin(Stdio::null()).output().await.expect("starting cargo");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(
        built.status.success(),
        "cargo could not build seedflow-migrate:\n{said}"
    );
    let messages = String::from_utf8_lossy(&built.stdout).into_owned();
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == "seedflow-migrate";
        Some(message["executable"].as_str().filter(|_| ours)?.to_owned())
    });
    executable.expect("the path of seedflow-migrate").into()
}
