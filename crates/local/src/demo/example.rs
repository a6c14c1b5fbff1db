//! An example of `examples/`, copied so that the demo can change it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use seedflow_core::ids::ModuleId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::deployment;
use crate::process::child_guard::{self, ChildGuard};
use crate::process::{output_tail, workspace};
use crate::stack::Stack;
use seedflow_cli::checkout::bundle;

/// How long an upload may take to start an execution.
const STARTED: Duration = Duration::from_secs(30);

/// A module with the input that deploys it.
pub struct Example {
    pub id: ModuleId,
    folder: PathBuf,
    input: Value,
}

impl Example {
    /// Copies an example into the stack's folder.
    pub fn load(name: &str, stack: &Stack) -> Result<Self> {
        let from = workspace::root()?.join("examples").join(name);
        let folder = stack.folder().join("examples").join(name);
        copy(&from, &folder)?;
        let text =
            std::fs::read(folder.join("input.json")).with_context(|| format!("{name} has no input.json"))?;
        let input: Value =
            serde_json::from_slice(&text).with_context(|| format!("{name}/input.json is not JSON"))?;
        let id = ModuleId::deserialize(&input)
            .with_context(|| format!("{name}/input.json doesn't have the four names of a module"))?;
        Ok(Self { id, folder, input })
    }

    /// Changes a file: `old`, which it must hold once, becomes `new`.
    pub fn replace(&self, file: &str, old: &str, new: &str) -> Result<()> {
        let path = self.folder.join(file);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if text.matches(old).count() != 1 {
            bail!(
                "{} must hold {old:?} once for the demo to change it",
                path.display()
            );
        }
        std::fs::write(&path, text.replace(old, new))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Uploads the module as it is now; returns its input with `more` put over it.
    pub async fn input(&self, stack: &Stack, more: &Value) -> Result<Value> {
        let bundle = self.pack()?;
        let mut input = self.input.clone();
        input["source"] = deployment::upload(&stack.api(), stack.connection(), &self.id, &bundle).await?;
        for (name, value) in more.as_object().into_iter().flatten() {
            input[name] = value.clone();
        }
        Ok(input)
    }

    /// Uploads the module to where an upload starts an execution; returns that execution's ARN.
    pub async fn upload_as_source(&self, stack: &Stack) -> Result<String> {
        let bundle = std::fs::read(self.pack()?.path).context("cannot read the bundle")?;
        let key = self.id.source_key();
        let bucket = &stack.connection().work_bucket;
        stack
            .api()
            .put_object(bucket, &key, bundle)
            .await
            .with_context(|| format!("cannot upload {key}"))?;
        let deadline = Instant::now() + STARTED;
        while Instant::now() < deadline {
            if let Some(execution) = execution_of(stack, &key).await? {
                return Ok(execution);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!(
            "the upload of {key} started no execution within {} s",
            STARTED.as_secs()
        )
    }

    /// Runs the example's own script that makes what its parameters refer to.
    pub async fn prepare(&self, stack: &Stack) -> Result<()> {
        let mut command = child_guard::command("bash", None)?;
        command
            .arg("prepare.sh")
            .current_dir(&self.folder)
            .env_clear()
            .envs(stack.client_environment()?);
        command.stderr(Stdio::piped());
        let mut script = ChildGuard::spawn(command)?;
        let said = output_tail::follow(script.take_stderr()?, |_| {}).await;
        let status = script.wait().await?;
        if !status.success() {
            bail!("{}/prepare.sh failed ({status}): {said}", self.id.module);
        }
        Ok(())
    }

    fn pack(&self) -> Result<bundle::Bundle> {
        bundle::folder(&self.folder, &self.folder.with_extension("zip"))
    }
}

async fn execution_of(stack: &Stack, key: &str) -> Result<Option<String>> {
    let api = stack.api();
    let call = json!({"stateMachineArn": stack.connection().state_machine_arn});
    let listed = api
        .json("states", "AWSStepFunctions.ListExecutions", &call)
        .await
        .context("cannot list executions")?;
    for execution in listed["executions"].as_array().into_iter().flatten() {
        let call = json!({"executionArn": execution["executionArn"]});
        let found = api
            .json("states", "AWSStepFunctions.DescribeExecution", &call)
            .await;
        let found = found.context("cannot read an execution")?;
        let input: Value =
            serde_json::from_str(found["input"].as_str().unwrap_or_default()).unwrap_or_default();
        if input["source"]["key"] == key {
            return Ok(execution["executionArn"].as_str().map(str::to_owned));
        }
    }
    Ok(None)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy to {}", target.display()))?;
        }
    }
    Ok(())
}
