//! What is installed once for all processes, into a folder below `target/tools/`.
//!
//! A marker file in the folder holds what it was made from; it is written last, so an interrupted installation is
//! repeated, and so is one whose list changed. A file lock keeps several processes (test binaries) from installing at once.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use seedflow_terminal::Task;

use super::child_guard::ChildGuard;
use super::{output_tail, workspace};

const MARKER: &str = ".seedflow-installed";

/// A folder, and what it has to be made from.
pub struct Installation {
    folder: PathBuf,
    marker: String,
    /// A file in it that has to be there.
    proof: &'static str,
}

impl Installation {
    /// The folder of this name below `target/tools/`.
    pub fn new(name: &str, marker: &str, proof: &'static str) -> Result<Self> {
        let folder = workspace::root()?.join("target/tools").join(name);
        // Programs in it have its path in their first lines: a copy of the checkout needs its own.
        let marker = format!("{}\n{marker}", folder.display());
        Ok(Self {
            folder,
            marker,
            proof,
        })
    }

    /// Makes the folder by `install`, which gets it empty, unless it is made already.
    pub async fn install(
        &self,
        task: &Task,
        install: impl AsyncFnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        if self.is_done() {
            return Ok(self.folder.clone());
        }
        let _lock = lock(&self.folder.with_extension("lock"), task).await?;
        if !self.is_done() {
            let shown = self.folder.display();
            if self.folder.exists() {
                std::fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {shown}"))?;
            }
            std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {shown}"))?;
            install(&self.folder).await?;
            std::fs::write(self.folder.join(MARKER), &self.marker)
                .with_context(|| format!("cannot mark {shown} as installed"))?;
        }
        Ok(self.folder.clone())
    }

    fn is_done(&self) -> bool {
        // What it holds is looked for too: a virtual environment is of no use without the Python that it was made from.
        self.folder.join(self.proof).exists()
            && std::fs::read_to_string(self.folder.join(MARKER)).is_ok_and(|marker| marker == self.marker)
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

/// Runs a command to its end; its last lines are in the error.
pub async fn run(mut command: tokio::process::Command, task: &Task) -> Result<()> {
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
    fn what_is_made_from_something_else_is_not_done() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        std::fs::write(folder.path().join("bin/python"), "").unwrap();
        std::fs::write(folder.path().join(MARKER), "one").unwrap();
        let made_from = |marker: &str, proof| Installation {
            folder: folder.path().to_owned(),
            marker: marker.to_owned(),
            proof,
        };
        assert!(made_from("one", "bin/python").is_done());
        assert!(!made_from("two", "bin/python").is_done());
        assert!(!made_from("one", "bin/other").is_done());
    }
}
