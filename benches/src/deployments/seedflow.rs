//! A whole deployment by Seedflow, as a client without git does it: pack, upload, start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use seedflow_local::emulator_api::EmulatorApi;
use seedflow_local::pack;
use seedflow_local::proxy::Caller;
use seedflow_local::stack::Stack;
use serde_json::{Value, json};

use super::Run;
use super::repository::{self, Repository};
use crate::calls;

/// How often the end is looked for, by this program and not by Seedflow.
const LOOK: Duration = Duration::from_millis(100);
/// How long a deployment may take, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// A repository of Seedflow's own copy.
pub struct Seedflow {
    project: String,
    folder: PathBuf,
    repository: Repository,
    version: u32,
}

impl Seedflow {
    /// Writes the repository.
    pub fn new(stack: &Stack, project: &str, repository: Repository) -> Result<Self> {
        let folder = stack.folder().join("repository-of-seedflow");
        repository.write(&folder)?;
        Ok(Self {
            project: project.to_owned(),
            folder,
            repository,
            version: 0,
        })
    }

    /// Changes every module.
    pub fn change(&mut self) -> Result<()> {
        self.version += 1;
        self.repository.change(self.version);
        self.repository.write(&self.folder)
    }

    /// Changes one module.
    pub fn change_module(&self, number: usize) -> Result<()> {
        let file = self.folder.join(repository::folder(number)).join("README.md");
        std::fs::write(&file, "# Changed\n").with_context(|| format!("cannot change {}", file.display()))
    }

    /// Deploys what lies in the folder. The time is from the packing to the execution's end.
    pub async fn deploy(&self, stack: &Stack) -> Result<Run> {
        let api = stack.api();
        stack.proxy().reset_calls();
        let begun = Instant::now();
        let execution = self.start(stack, &api).await?;
        let ended = ended(&api, &execution, begun + PATIENCE).await?;
        let took = begun.elapsed();
        if ended["status"] != "SUCCEEDED" {
            bail!(
                "Seedflow's deployment ended as {}: {}",
                ended["status"],
                ended["cause"]
            );
        }
        let counted = calls::settled(stack).await;
        let mut calls: BTreeMap<String, u64> = BTreeMap::new();
        for (name, count) in counted.of(Caller::Functions) {
            *calls.entry(name.to_owned()).or_default() += count;
        }
        for name in calls::CLIENT {
            *calls.entry(name.to_owned()).or_default() += 1;
        }
        Ok(Run {
            took,
            calls,
            peak: None,
        })
    }

    async fn start(&self, stack: &Stack, api: &EmulatorApi) -> Result<String> {
        let bundle = pack::folder(&self.folder, &stack.folder().join("repository-of-seedflow.zip"))?;
        let zip = tokio::fs::read(&bundle.path)
            .await
            .context("cannot read the packed repository")?;
        let connection = stack.connection();
        let key = format!("uploads/{}/{}.zip", self.project, bundle.md5);
        api.put_object(&connection.work_bucket, &key, zip)
            .await
            .context("cannot upload the repository")?;
        let input = json!({"project": self.project, "source": {"key": key}});
        let call =
            json!({"stateMachineArn": connection.deploy_state_machine_arn, "input": input.to_string()});
        let started = api.json("states", "AWSStepFunctions.StartExecution", &call).await;
        let started = started.context("cannot start a deployment")?;
        let arn = started["executionArn"].as_str();
        Ok(arn.context("the started execution has no ARN")?.to_owned())
    }
}

async fn ended(api: &EmulatorApi, execution: &str, deadline: Instant) -> Result<Value> {
    let call = json!({"executionArn": execution});
    while Instant::now() < deadline {
        let described = api
            .json("states", "AWSStepFunctions.DescribeExecution", &call)
            .await
            .context("cannot read the execution")?;
        if described["status"] != "RUNNING" {
            return Ok(described);
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("Seedflow's deployment still runs after {} s", PATIENCE.as_secs())
}
