//! Child processes that never outlive this one.
//!
//! Every process that the local stack starts runs under a child guard, a small Python program
//! (`child_guard.py`; the stack needs Python anyway). The guard kills the command and all that
//! descends from it as soon as its standard input ends, and the kernel ends that however this
//! process ends: by return, panic, Ctrl-C, SIGTERM or SIGKILL. So no cleanup can
//! be forgotten, and statics that are never dropped do no harm.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::process::python::python;

const GUARD: &str = include_str!("child_guard.py");

/// How long the guard may take to kill everything and to remove its folder.
const END: Duration = Duration::from_secs(15);

/// What the guard cleans up beside its command's own descendants.
#[derive(Debug, Clone)]
pub struct CleanupScope {
    /// Processes whose `HOME` is below this folder are killed too.
    pub homes: PathBuf,
    /// A folder that is removed at the end; `None` leaves everything where it is.
    pub folder: Option<PathBuf>,
}

/// A command line that runs `program` under a child guard. Arguments, environment, working directory and
/// output are added to it as to any other; its input is the guard's.
pub fn command(program: impl AsRef<OsStr>, scope: Option<&CleanupScope>) -> Result<Command> {
    let mut command = Command::new(python()?);
    // A group of its own, so that Ctrl-C in a terminal reaches this process only.
    command
        .args(["-I", "-S", "-c", GUARD])
        .stdin(Stdio::piped())
        .process_group(0);
    command.arg(scope.map_or(Path::new(""), |scope| &scope.homes));
    command.arg(
        scope
            .and_then(|scope| scope.folder.as_deref())
            .unwrap_or(Path::new("")),
    );
    command.arg(program);
    Ok(command)
}

/// A running command; it ends with this value at the latest.
#[derive(Debug)]
pub struct ChildGuard {
    child: Child,
}

impl ChildGuard {
    /// Starts a command line made by [`command`].
    pub fn spawn(mut command: Command) -> Result<Self> {
        let child = command
            .spawn()
            .context("cannot start a process under the child guard")?;
        Ok(Self { child })
    }

    /// The command's standard output, where it was piped.
    pub fn take_stdout(&mut self) -> Result<ChildStdout> {
        self.child
            .stdout
            .take()
            .context("the process has no output to read")
    }

    /// The command's standard error, where it was piped.
    pub fn take_stderr(&mut self) -> Result<ChildStderr> {
        self.child
            .stderr
            .take()
            .context("the process has no error output to read")
    }

    /// Whether the command has ended by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .context("cannot find out whether a process still runs")
    }

    /// Waits until the command has ended by itself and everything it started is gone.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        // Tokio's `wait` closes the input first, which is the guard's sign to kill.
        let stdin = self.child.stdin.take();
        let status = self.child.wait().await.context("cannot wait for a process");
        drop(stdin);
        status
    }

    /// Ends the command and everything it started; returns when they are gone.
    pub fn end(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + END;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    fn runs(pid: i32) -> bool {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok()
    }

    /// A shell that starts a process in a session of its own, whose parent then ends.
    fn stray(scope: Option<&CleanupScope>) -> ChildGuard {
        let script = "(setsid sleep 300 & echo $!); sleep 300";
        let mut command = command("bash", scope).unwrap();
        command.args(["-c", script]).stdout(Stdio::piped());
        ChildGuard::spawn(command).unwrap()
    }

    async fn first_pid(child: &mut ChildGuard) -> i32 {
        let mut lines = BufReader::new(child.take_stdout().unwrap()).lines();
        lines.next_line().await.unwrap().unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn ending_kills_what_left_the_group_and_lost_its_parent() {
        let mut child = stray(None);
        let pid = first_pid(&mut child).await;
        assert!(runs(pid));
        child.end();
        assert!(!runs(pid));
    }

    #[tokio::test]
    async fn ending_kills_by_home_and_removes_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let scope = CleanupScope {
            homes: folder.path().to_owned(),
            folder: Some(folder.path().join("gone")),
        };
        std::fs::create_dir_all(folder.path().join("gone/deep")).unwrap();
        let home = folder.path().join("home");
        let mut other = std::process::Command::new("sleep")
            .arg("300")
            .env("HOME", home)
            .spawn()
            .unwrap();
        let mut child = stray(Some(&scope));
        first_pid(&mut child).await;
        child.end();
        assert!(!other.wait().unwrap().success());
        assert!(!folder.path().join("gone").exists());
    }

    #[tokio::test]
    async fn the_exit_code_is_the_command_s() {
        let mut command = command("bash", None).unwrap();
        command.args(["-c", "exit 7"]);
        assert_eq!(
            ChildGuard::spawn(command).unwrap().wait().await.unwrap().code(),
            Some(7)
        );
    }
}
