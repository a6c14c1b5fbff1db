//! `up`: a stack in the foreground.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::git::{Remote, Wanted};
use crate::stack::{Connection, Stack, StackOptions, TargetStack};
use seedflow_terminal::Ui;

/// Runs a stack until a signal ends it.
pub async fn run(options: &StackOptions, git: Option<Wanted>, file: &Path, ui: &Ui) -> Result<ExitCode> {
    refuse_second(file).await?;
    if let Some(port) = options.port {
        refuse_used(port)?;
    }
    if let Some(wanted) = &git {
        wanted.check().await?;
    }
    let mut stack = Stack::start(options, ui).await?;
    let written = Written::write(stack.connection(), file)?;
    show(stack.connection(), file, ui);
    show_targets(stack.targets(), ui);
    if let Some(wanted) = &git {
        let remote = Remote::followed_by(&stack, wanted, &follow(file)?).await?;
        show_remote(&remote, wanted, ui);
    }
    stack.ended().await?;
    drop(written);
    Ok(ExitCode::FAILURE)
}

/// The command that follows what a push has started: this program's own.
fn follow(file: &Path) -> Result<Vec<String>> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let file = std::path::absolute(file).with_context(|| format!("cannot resolve {}", file.display()))?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok(vec![
        text(&program),
        "follow".to_owned(),
        "--stack-file".to_owned(),
        text(&file),
    ])
}

/// Looks at the port before the preparation, which takes minutes the first time.
fn refuse_used(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => bail!("--port {port}: {error}; choose another one, or leave --port out for a free one"),
    }
}

/// Two stacks can't share one file: the second would take the first one's clients away.
async fn refuse_second(file: &Path) -> Result<()> {
    if let Some(other) = Connection::read(file)?
        && other.answers().await
    {
        bail!(
            "a stack is running already, at {} (by {}); for a second one name another file with --stack-file",
            other.endpoint,
            file.display()
        );
    }
    Ok(())
}

fn show(stack: &Connection, file: &Path, ui: &Ui) {
    ui.heading("The stack is running; Ctrl-C ends it");
    ui.say(format!("  endpoint       {}", stack.endpoint));
    ui.say(format!("  state machine  {}", stack.state_machine_arn));
    ui.say(format!("  work bucket    {}", stack.work_bucket));
    ui.say(format!("  bundle bucket  {}", stack.bundle_bucket));
    ui.say(format!("  all of it      {}", file.display()));
    ui.say("\nIn another terminal:");
    let file = file.display();
    ui.say(format!(
        "  cargo run -p seedflow-cli -- apply DIR --stack-file {file}     # deploys a repository"
    ));
    ui.say(format!(
        "  cargo run -p seedflow-cli -- status --stack-file {file}"
    ));
    ui.say("\nAny AWS client works with:");
    ui.say(format!(
        "  export AWS_ENDPOINT_URL={} AWS_REGION={region} AWS_DEFAULT_REGION={region} AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}",
        stack.endpoint,
        stack.access_key_id,
        stack.secret_access_key,
        region = stack.region,
    ));
}

fn show_targets(targets: &[TargetStack], ui: &Ui) {
    if targets.is_empty() {
        return;
    }
    ui.say("\nTargets of manifests; a client has the account's number as its AWS_ACCESS_KEY_ID there:");
    for target in targets {
        ui.say(format!("  {}", target.at));
    }
}

fn show_remote(remote: &Remote, wanted: &Wanted, ui: &Ui) {
    let Wanted { project, branch, .. } = wanted;
    ui.say(format!(
        "\nA push to {branch} is handed over as the project {project}. In your repository:"
    ));
    ui.say(format!("  git remote add seedflow {}", remote.url().display()));
    ui.say(format!(
        "  git push seedflow {branch}     # -o no-follow doesn't wait for the end of the deployment"
    ));
}

/// The stack file, which goes when the stack goes.
struct Written<'a> {
    file: &'a Path,
    endpoint: String,
}

impl<'a> Written<'a> {
    fn write(stack: &Connection, file: &'a Path) -> Result<Self> {
        stack.write(file)?;
        Ok(Self {
            file,
            endpoint: stack.endpoint.clone(),
        })
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        let ours = Connection::read(self.file)
            .ok()
            .flatten()
            .is_some_and(|found| found.endpoint == self.endpoint);
        if ours {
            let _ = std::fs::remove_file(self.file);
        }
    }
}
