//! The one bash that runs all commands of a build.
//!
//! CodeBuild's version 0.2 keeps exports, the working directory and functions from command to command, and
//! the exit status of each list entry decides. So bash reads our own short script from its standard input:
//! it sources one file per command, and answers with the exit status behind a mark that no command knows.
//! The mark comes through the same pipe as the command's output, so that the order of both is kept, and
//! through a descriptor of its own, so that a command may redirect its output for good.
//!
//! A command that ends bash (`exit 1`) has failed or succeeded with that status; the next command gets a
//! new bash with the variables and the directory that were current before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::log::Log;
use super::programs::quote;

/// How bash is started: its environment, and where it starts.
#[derive(Debug, Clone)]
pub struct ShellConfig {
    /// The whole environment.
    pub environment: BTreeMap<String, String>,
    /// The first working directory.
    pub directory: PathBuf,
    /// Where commands and state are written; not seen by the build.
    pub scratch: PathBuf,
}

/// A bash, or none where the last one has ended.
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

/// How long output is awaited that a dead bash's background processes still hold open.
const LAST_OUTPUT: Duration = Duration::from_millis(100);
/// A line longer than this is cut, so that output without line ends doesn't pile up in memory.
const LONGEST_LINE: usize = 64 * 1024;

impl Shell {
    /// A shell; bash starts with the first command.
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

    /// Runs one command, sends its output to the log, and answers its exit status.
    pub async fn run(&mut self, command: &str, log: &Log) -> std::io::Result<i32> {
        let file = self.write_command(command).await?;
        let script = self.step(&file);
        let mark = self.mark.clone();
        let bash = self.bash().await?;
        bash.input.write_all(script.as_bytes()).await?;
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

    async fn write_command(&mut self, command: &str) -> std::io::Result<PathBuf> {
        self.commands += 1;
        let file = self.config.scratch.join(format!("command-{}.sh", self.commands));
        tokio::fs::write(&file, format!("{command}\n")).await?;
        Ok(file)
    }

    /// What bash reads for one command. The status comes first, because everything else changes `$?`.
    fn step(&self, file: &Path) -> String {
        let mark = &self.mark[1..];
        let [file, variables, directory] =
            [file.to_owned(), self.state("variables"), self.state("directory")].map(|path| quote(&path));
        format!(
            ". {file} </dev/null 250>&-\n\
             builtin printf '\\000{mark}%s\\000' \"$?\" >&250\n\
             builtin export -p >|{variables}; builtin pwd >|{directory}\n"
        )
    }

    fn state(&self, name: &str) -> PathBuf {
        self.config.scratch.join(name)
    }

    async fn bash(&mut self) -> std::io::Result<&mut Bash> {
        if let Some(ref mut bash) = self.bash {
            return Ok(bash);
        }
        let mut bash = self.start()?;
        let mut script = String::from("exec 250>&1 2>&1\n");
        if tokio::fs::try_exists(self.state("variables")).await? {
            let [variables, directory] = ["variables", "directory"].map(|name| quote(&self.state(name)));
            script.push_str(&format!(". {variables}; builtin cd \"$(<{directory})\"\n"));
        }
        bash.input.write_all(script.as_bytes()).await?;
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

    /// The status of a bash that ended in the middle of a command.
    async fn ended(&mut self) -> std::io::Result<i32> {
        match self.bash.take() {
            Some(mut bash) => Ok(exit_status(bash.child.wait().await?)),
            None => Err(std::io::Error::other("bash is gone")),
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
