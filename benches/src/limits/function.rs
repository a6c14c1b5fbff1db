//! A function's release binary as a process, as Lambda runs it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hyper::body::Bytes;
use seedflow_local::process::child_guard::{self, ChildGuard};
use seedflow_local::process::output_tail;
use seedflow_local::proxy::Caller;
use seedflow_local::stack::{Connection, Stack, environment};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::memory;
use super::release_build::Binary;
use super::runtime_api::{Call, RuntimeApi};
use crate::bench_dir::bench_dir;

/// The longest time for an answer, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A function's binary with the environment of the deployed function.
pub struct Program {
    pub name: &'static str,
    /// Its release binary.
    pub path: PathBuf,
    variables: Vec<(String, String)>,
}

impl Program {
    /// Reads from the stack the settings that the template gives the function.
    pub async fn of(binary: &Binary, stack: &Stack) -> Result<Self> {
        let mut command = child_guard::command("aws", None)?;
        command
            .args(["lambda", "get-function-configuration", "--output", "json"])
            .args(["--query", "Environment.Variables", "--function-name"])
            .arg(format!("seedflow-{}", binary.name))
            .env_clear()
            .envs(stack.client_environment()?)
            .stdout(Stdio::piped());
        let mut asked = ChildGuard::spawn(command)?;
        let mut answer = Vec::new();
        asked.take_stdout()?.read_to_end(&mut answer).await?;
        asked.wait().await?;
        let settings: BTreeMap<String, String> = serde_json::from_slice(&answer)
            .with_context(|| format!("the environment of {} is not JSON", binary.name))?;
        // The stack's variables are last: the functions' own settings name no endpoint, and no other endpoint may be
        // used.
        let mut variables: Vec<_> = settings.into_iter().collect();
        variables.extend(environment::client(&stack.proxy().endpoint(Caller::Functions)));
        Ok(Self {
            name: binary.name,
            path: binary.path.clone(),
            variables,
        })
    }
}

/// A running function. It is killed when this is dropped. If this program dies before, the function ends by itself,
/// because its Runtime API is gone.
pub struct Function {
    name: &'static str,
    started: Instant,
    api: RuntimeApi,
    process: Child,
}

/// An answer and its time.
pub struct Answered {
    pub answer: Value,
    /// From the call's start to the answer.
    pub took: Duration,
}

impl Function {
    /// Starts a function whose AWS is the stack.
    pub async fn start(program: &Program, stack: &Stack) -> Result<Self> {
        let Connection { region, account, .. } = stack.connection();
        let arn = format!(
            "arn:aws:lambda:{region}:{account}:function:seedflow-{}",
            program.name
        );
        let api = RuntimeApi::start(arn).await?;
        let log = log(program.name)?;
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&program.path);
        command
            .env_clear()
            .envs(program.variables.iter().map(|(name, value)| (name, value)))
            .envs(lambda(program.name, &api.address()))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        let started = Instant::now();
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.path.display()))?;
        Ok(Self {
            name: program.name,
            started,
            api,
            process,
        })
    }

    /// Waits until it asks for its first event, and returns the time since its start.
    pub async fn ready(&mut self) -> Result<Duration> {
        match self.next_call().await? {
            Call::Next(at) => Ok(at - self.started),
            other => bail!("{}: expected a request for an event, found {other:?}", self.name),
        }
    }

    /// Its answer to its first event, timed from its start. The event is delivered as soon as it asks.
    pub async fn first(&mut self, event: &Value) -> Result<(Duration, Answered)> {
        self.api.send(event.to_string())?;
        let ready = self.ready().await?;
        Ok((ready, self.answered(self.started).await?))
    }

    /// Its answer to a further event.
    pub async fn again(&mut self, event: &Value) -> Result<Answered> {
        // Only a function that has asked for its next event is warm.
        match self.next_call().await? {
            Call::Next(_) => {}
            other => bail!("{}: expected a request for an event, found {other:?}", self.name),
        }
        let begun = Instant::now();
        self.api.send(event.to_string())?;
        self.answered(begun).await
    }

    /// Its peak memory.
    pub fn peak(&self) -> Result<u64> {
        memory::peak(self.process.id().context("the function has ended")?)
    }

    async fn answered(&mut self, begun: Instant) -> Result<Answered> {
        match self.next_call().await? {
            Call::Answer(at, body) => Ok(Answered {
                answer: json(self.name, &body)?,
                took: at - begun,
            }),
            Call::Error(body) => bail!("{} reported {}", self.name, String::from_utf8_lossy(&body)),
            Call::Next(_) => bail!("{}: expected an answer, found a request for an event", self.name),
        }
    }

    async fn next_call(&mut self) -> Result<Call> {
        tokio::select! {
            call = self.api.next_call() => call,
            status = self.process.wait() => {
                bail!("{} ended ({}):\n{}", self.name, status?, output_tail::of_file(&log(self.name)?))
            }
            () = tokio::time::sleep(PATIENCE) => bail!("{} did nothing for {} s", self.name, PATIENCE.as_secs()),
        }
    }
}

fn json(name: &str, body: &Bytes) -> Result<Value> {
    serde_json::from_slice(body).with_context(|| format!("the answer of {name} is not JSON"))
}

fn log(name: &str) -> Result<PathBuf> {
    Ok(bench_dir()?.join(format!("{name}.log")))
}

/// The variables that Lambda itself sets.
fn lambda(name: &str, runtime_api: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", format!("seedflow-{name}")),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        (
            "AWS_LAMBDA_LOG_GROUP_NAME",
            format!("/aws/lambda/seedflow-{name}"),
        ),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
    ]
}
