//! `seedflow-migrate` as a person would run it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::program::built;
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
    let ran = Command::new(
        PROGRAM
            .get_or_init(|| built("seedflow-migrate", "seedflow-migrate"))
            .await,
    )
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
