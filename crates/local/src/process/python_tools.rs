//! The Python tools that the local stack and the tests use, installed by the project itself.
//!
//! Each set is a virtual environment under `target/tools/`, made from the pinned list
//! `tools/{name}.txt`, which has the hashes of all files that pip may take (`tools/pin` writes it). A marker file inside holds that list and the interpreter's version; it is
//! written last, so an installation that was cut short is made anew, and a changed list is
//! installed again. A file lock keeps several processes (test binaries) from installing at once.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::child_guard::{self, ChildGuard};
use crate::process::python::python;
use crate::process::{output_tail, workspace};
use seedflow_terminal::Task;

const MARKER: &str = ".seedflow-installed";

/// The `bin` folder of the tools that `tools/{name}.txt` lists; installs them on the first call.
pub async fn venv(name: &str, task: &Task) -> Result<PathBuf> {
    let root = workspace::root()?;
    let list = root.join("tools").join(format!("{name}.txt"));
    let wanted = Wanted::read(&list)?;
    let folder = root.join("target/tools").join(name);
    if wanted.is_installed(&folder) {
        return Ok(folder.join("bin"));
    }
    let _lock = lock(&root.join("target/tools").join(format!("{name}.lock")), task).await?;
    if !wanted.is_installed(&folder) {
        install(&list, &folder, task).await?;
        std::fs::write(folder.join(MARKER), &wanted.marker).context("cannot mark the tools as installed")?;
    }
    Ok(folder.join("bin"))
}

/// What the marker has to say for an installation to be used as it is.
struct Wanted {
    marker: String,
}

impl Wanted {
    fn read(list: &Path) -> Result<Self> {
        let pins =
            std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
        Ok(Self {
            marker: format!("{}\n{pins}", python()?.display()),
        })
    }

    fn is_installed(&self, folder: &Path) -> bool {
        // The interpreter is asked for too: a venv dies with the Python that it was made from.
        folder.join("bin/python").exists()
            && std::fs::read_to_string(folder.join(MARKER)).is_ok_and(|marker| marker == self.marker)
    }
}

/// Takes a lock between processes; it is released when the file is dropped, or by the kernel.
async fn lock(path: &Path, task: &Task) -> Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let file = File::create(path).with_context(|| format!("cannot open the lock {}", path.display()))?;
    loop {
        // Asked for again and again, since a thread that blocks on it could not be stopped by Ctrl-C.
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => task.detail("another process is at it; waiting"),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn install(list: &Path, folder: &Path, task: &Task) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    task.detail("making a virtual environment");
    let mut venv = child_guard::command(python()?, None)?;
    venv.args(["-m", "venv"]).arg(folder);
    run(venv, task).await.context(
        "cannot make a Python virtual environment; \
         if venv or pip is missing, install it (Debian, Ubuntu: `apt install python3-venv`)",
    )?;
    let mut pip = child_guard::command(folder.join("bin/python"), None)?;
    pip.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        // The list is complete, and pip's resolver doesn't take a pin without its extras for one with them.
        "--require-hashes",
        "--no-deps",
        "--progress-bar",
        "off",
    ]);
    pip.arg("-r").arg(list).env_remove("PYTHONDONTWRITEBYTECODE");
    run(pip, task).await.with_context(|| {
        format!(
            "cannot install {}; this needs a package index that pip can reach",
            list.display()
        )
    })
}

async fn run(mut command: tokio::process::Command, task: &Task) -> Result<()> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = ChildGuard::spawn(command)?;
    let (stdout, stderr) = (child.take_stdout()?, child.take_stderr()?);
    let (said, complained) = tokio::join!(
        output_tail::follow(stdout, |line| task.detail(line)),
        output_tail::follow(stderr, |_| {})
    );
    let status = child.wait().await?;
    if !status.success() {
        bail!("{status}\n{said}\n{complained}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_changed_list_is_installed_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        std::fs::write(folder.path().join("bin/python"), "").unwrap();
        std::fs::write(folder.path().join(MARKER), "one").unwrap();
        assert!(Wanted { marker: "one".into() }.is_installed(folder.path()));
        assert!(!Wanted { marker: "two".into() }.is_installed(folder.path()));
    }
}
