//! The shells that run the commands of a build, one for each entry (`entry`).
//!
//! A bash of our own starts them, so that all are in one process group, and answers each exit status behind a mark that no
//! command knows. The mark comes through the pipe of the commands' output, after everything that an entry has written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::buildspec::ShellKind;
use super::entry;
use super::log::Log;
use super::path_wrappers::quote;

/// How the shells are started: which, with what environment, and where.
#[derive(Debug, Clone)]
pub struct ShellConfig {
    /// Which shell runs the entries.
    pub kind: ShellKind,
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// The first working directory.
    pub directory: PathBuf,
    /// Where scripts and state are written.
    pub scratch: PathBuf,
}

/// The bash that starts the entries' shells, or none where it has not started or was killed.
pub struct Shell {
    config: ShellConfig,
    mark: String,
    bash: Option<Bash>,
    commands: usize,
}

struct Bash {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

/// How long to wait for output that a dead bash's background processes still hold open.
const LAST_OUTPUT: Duration = Duration::from_millis(100);
/// A line longer than this is cut, so that output without line ends doesn't pile up in memory.
const LONGEST_LINE: usize = 64 * 1024;

impl Shell {
    /// Nothing runs before the first command.
    pub fn new(config: ShellConfig) -> Self {
        let mark = format!("\0{}:", uuid::Uuid::new_v4().simple());
        Self {
            config,
            mark,
            bash: None,
            commands: 0,
        }
    }

    /// The process groups that the shell has now.
    pub fn process_group(&self) -> Option<u32> {
        self.bash.as_ref().and_then(|bash| bash.child.id())
    }

    /// Runs one entry, sends its output to the log, and answers its exit status.
    pub async fn run(&mut self, command: &str, log: &Log) -> std::io::Result<i32> {
        let script = self.write_script(command).await?;
        // The entry's shell has no input, and both its outputs are the log.
        let step = format!(
            "{} {} </dev/null 2>&1\nprintf '\\000{}%s\\000' \"$?\"\n",
            self.config.kind.program(),
            quote(&script),
            &self.mark[1..]
        );
        let mark = self.mark.clone();
        let bash = self.bash()?;
        bash.input.write_all(step.as_bytes()).await?;
        let status = bash.read_until_mark(mark.as_bytes(), log).await?;
        if let Some(status) = status {
            return Ok(status);
        }
        self.ended().await
    }

    /// The value of an exported or plain variable, if it is set.
    pub async fn variable(&mut self, name: &str, log: &Log) -> std::io::Result<Option<String>> {
        let file = self.config.scratch.join("value");
        let quoted = quote(&file);
        let status = self
            .run(
                &format!("[ -n \"${{{name}+set}}\" ] && printf %s \"${name}\" >|{quoted}"),
                log,
            )
            .await?;
        Ok(if status == 0 {
            Some(tokio::fs::read_to_string(file).await?)
        } else {
            None
        })
    }

    async fn write_script(&mut self, command: &str) -> std::io::Result<PathBuf> {
        let state = |name: &str| self.config.scratch.join(name);
        let (variables, directory) = (state("variables"), state("directory"));
        if self.commands == 0 {
            tokio::fs::write(&variables, "").await?;
            let first = self.config.directory.to_string_lossy();
            tokio::fs::write(&directory, format!("{first}\n")).await?;
        }
        self.commands += 1;
        let script = state(&format!("script-{}.sh", self.commands));
        let text = entry::script(command, &quote(&variables), &quote(&directory));
        tokio::fs::write(&script, text).await?;
        Ok(script)
    }

    fn bash(&mut self) -> std::io::Result<&mut Bash> {
        if let Some(ref mut bash) = self.bash {
            return Ok(bash);
        }
        let bash = self.start()?;
        Ok(self.bash.insert(bash))
    }

    fn start(&self) -> std::io::Result<Bash> {
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc", "-s"])
            .env_clear()
            .envs(&self.config.environment)
            .current_dir(&self.config.directory)
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| std::io::Error::other("bash has no pipes"))?;
        Ok(Bash { child, input, output })
    }

    /// The status of a bash that ended in the middle of a command, which killed its process group.
    async fn ended(&mut self) -> std::io::Result<i32> {
        match self.bash.take() {
            Some(mut bash) => Ok(exit_status(bash.child.wait().await?)),
            None => Err(std::io::Error::other("bash has ended")),
        }
    }
}

impl Bash {
    /// Sends output to the log until the mark comes, and answers the status behind it; none if bash ended.
    async fn read_until_mark(&mut self, mark: &[u8], log: &Log) -> std::io::Result<Option<i32>> {
        let mut pending = Vec::new();
        let mut buffer = vec![0; 16 * 1024];
        let mut alive = true;
        loop {
            let read = if alive {
                tokio::select! {
                    biased;
                    read = self.output.read(&mut buffer) => read?,
                    _ = self.child.wait() => { alive = false; continue }
                }
            } else {
                // A background process may hold the pipe open for ever.
                tokio::time::timeout(LAST_OUTPUT, self.output.read(&mut buffer))
                    .await
                    .unwrap_or(Ok(0))?
            };
            pending.extend_from_slice(&buffer[..read]);
            if let Some((output, status)) = split_at_mark(&pending, mark) {
                send_lines(output, log).await;
                return Ok(Some(status));
            }
            if read == 0 {
                send_lines(&pending, log).await;
                return Ok(None);
            }
            let complete = complete_lines(&pending);
            send_lines(&pending[..complete], log).await;
            pending.drain(..complete);
        }
    }
}

/// The output before a mark, and the status behind it.
fn split_at_mark<'a>(output: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], i32)> {
    let start = output.windows(mark.len()).position(|window| window == mark)?;
    let rest = &output[start + mark.len()..];
    let end = rest.iter().position(|byte| *byte == 0)?;
    let status = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((&output[..start], status))
}

/// How much of the output can be sent: up to the last line end, or all of an overlong line. A NUL may begin
/// the mark and holds back what follows.
fn complete_lines(output: &[u8]) -> usize {
    let safe = output.iter().position(|byte| *byte == 0).unwrap_or(output.len());
    let last_end = output[..safe]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map(|end| end + 1);
    match last_end {
        Some(end) => end,
        None if output.len() > LONGEST_LINE => output.len() - LONGEST_LINE / 2,
        None => 0,
    }
}

async fn send_lines(output: &[u8], log: &Log) {
    if output.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(output);
    for line in text.strip_suffix('\n').unwrap_or(&text).split('\n') {
        log.line(line).await;
    }
}

fn exit_status(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
