//! The same deployment by seed-farmer: its own command line, unchanged, on the same stack.
//!
//! Its builds are pretended as ours are. What its commands inside a build would have written to Parameter Store is
//! written for them once a deployment has ended, or the next one would find nothing deployed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use seedflow_core::yaml;
use seedflow_local::proxy::Caller;
use seedflow_local::stack::Stack;
use seedflow_local::stack::environment::ACCOUNT;
use seedflow_local::ui::Task;
use seedflow_local::{tail, tools};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::Run;
use super::repository::Repository;
use crate::{bench_dir, memory};

const PROGRAM: &str = include_str!("peer.py");
/// How often its memory is looked at: the peak only grows, so the last look before its end has all but the end's.
const LOOK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(600);

/// seed-farmer with a copy of the repository.
pub struct Peer {
    python: PathBuf,
    project: String,
    folder: PathBuf,
    repository: Repository,
    version: u32,
}

impl Peer {
    /// Writes the repository and makes the roles that seed-farmer works with.
    pub async fn new(stack: &Stack, project: &str, repository: Repository, task: &Task) -> Result<Self> {
        let folder = stack.folder().join("repository-of-seed-farmer");
        repository.write(&folder)?;
        let peer = Self {
            python: tools::venv("peer", task).await?.join("python"),
            project: project.to_owned(),
            folder,
            repository,
            version: 0,
        };
        let principal = format!("arn:aws:iam::{ACCOUNT}:root");
        let bootstrap = [
            "bootstrap",
            "toolchain",
            "-p",
            project,
            "-t",
            &principal,
            "--as-target",
        ];
        peer.run(stack, &bootstrap).await?;
        Ok(peer)
    }

    /// Changes every module.
    pub fn change(&mut self) -> Result<()> {
        self.version += 1;
        self.repository.change(self.version);
        self.repository.write(&self.folder)
    }

    /// Deploys what lies in the folder, with or without the wait that needs not be.
    pub async fn deploy(&self, stack: &Stack, hurried: bool) -> Result<Run> {
        let known = builds(stack).await?;
        stack.proxy().reset_calls();
        let apply: &[&str] = if hurried {
            &["--hurried", "apply", "deployment.yaml"]
        } else {
            &["apply", "deployment.yaml"]
        };
        let (took, peak) = self.run(stack, apply).await?;
        let counted = stack.proxy().calls();
        let named = counted.of(Caller::Clients);
        let calls: BTreeMap<String, u64> = named.map(|(name, count)| (name.to_owned(), count)).collect();
        for build in builds(stack).await? {
            if !known.contains(&build) {
                self.finish(stack, &build).await?;
            }
        }
        Ok(Run {
            took,
            calls,
            peak: Some(peak),
        })
    }

    async fn run(&self, stack: &Stack, arguments: &[&str]) -> Result<(Duration, u64)> {
        let log = bench_dir()?.join("seed-farmer.log");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&self.python);
        command
            .args(["-c", PROGRAM])
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            .envs(stack.client_environment()?)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        let begun = Instant::now();
        let mut process = command.spawn().context("cannot start seed-farmer")?;
        let peak = watched(&mut process, &log).await?;
        Ok((begun.elapsed(), peak))
    }

    /// Writes what the commands of a build would have: the MD5 of what it deployed, and its metadata.
    async fn finish(&self, stack: &Stack, build: &str) -> Result<()> {
        let found = stack.codebuild().build(build).context("a build is gone")?;
        let spec = found["source"]["buildspec"]
            .as_str()
            .context("it has no buildspec")?;
        let spec = yaml::parse(spec)
            .map_err(|error| anyhow::anyhow!("seed-farmer's buildspec: {error}"))?
            .to_json();
        let commands = spec["phases"]["post_build"]["commands"].as_array();
        let stored = commands
            .into_iter()
            .flatten()
            .find_map(|command| Stored::of(command.as_str()?));
        let stored = stored.context("seed-farmer's build stores no MD5")?;
        let path = stored.path(&self.project);
        let metadata = json!({"Value": "one", "CodeBuildBuildUrl": build, "SeedFarmerDeployed": "8.0.9"});
        put(stack, &format!("{path}/md5/bundle"), &json!({"hash": stored.md5})).await?;
        put(stack, &format!("{path}/metadata"), &metadata).await
    }
}

/// Waits for a process's end and answers the most memory that it held.
async fn watched(process: &mut Child, log: &Path) -> Result<u64> {
    let (id, deadline) = (
        process.id().context("seed-farmer has ended")?,
        Instant::now() + PATIENCE,
    );
    let mut peak = 0;
    while Instant::now() < deadline {
        match tokio::time::timeout(LOOK, process.wait()).await {
            Err(_) => peak = memory::peak(id).unwrap_or(peak),
            Ok(status) => {
                let status = status?;
                ensure!(
                    status.success(),
                    "seed-farmer failed ({status}):\n{}",
                    tail::of_file(log)
                );
                return Ok(peak);
            }
        }
    }
    bail!(
        "seed-farmer still runs after {} s:\n{}",
        PATIENCE.as_secs(),
        tail::of_file(log)
    )
}

/// What a build stores about the module that it deploys.
#[derive(Debug, PartialEq, Eq)]
struct Stored {
    md5: String,
    deployment: String,
    group: String,
    module: String,
}

impl Stored {
    /// Of `echo {md5} | seedfarmer store md5 -d {deployment} -g {group} -m {module} …`.
    fn of(command: &str) -> Option<Self> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let ["echo", md5, "|", "seedfarmer", "store", "md5", options @ ..] = words.as_slice() else {
            return None;
        };
        let option = |name: &str| {
            let at = options.iter().position(|word| *word == name)?;
            options.get(at + 1).map(|value| (*value).to_owned())
        };
        Some(Self {
            md5: (*md5).to_owned(),
            deployment: option("-d")?,
            group: option("-g")?,
            module: option("-m")?,
        })
    }

    fn path(&self, project: &str) -> String {
        format!("/{project}/{}/{}/{}", self.deployment, self.group, self.module)
    }
}

async fn put(stack: &Stack, name: &str, value: &Value) -> Result<()> {
    let input = json!({"Name": name, "Value": value.to_string(), "Type": "String", "Overwrite": true});
    let put = stack.api().json("ssm", "AmazonSSM.PutParameter", &input).await;
    put.map(drop).with_context(|| format!("cannot write {name}"))
}

/// All builds that are not of Seedflow's project.
async fn builds(stack: &Stack) -> Result<Vec<String>> {
    let own = format!("{}:", stack.connection().project_name);
    let (mut found, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut call = json!({});
        if !token.is_null() {
            call["nextToken"] = token;
        }
        let answer = stack
            .api()
            .json("codebuild", "CodeBuild_20161006.ListBuilds", &call)
            .await;
        let mut page = answer.context("cannot list the builds")?;
        let ids = page["ids"].as_array().into_iter().flatten();
        found.extend(
            ids.filter_map(|id| Some(id.as_str()?.to_owned()))
                .filter(|id| !id.starts_with(&own)),
        );
        token = page["nextToken"].take();
        if token.is_null() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_stores_is_read_from_its_command() {
        let command =
            "echo abc | seedfarmer store md5 -d dev -g core -m one -t bundle --region us-east-1 --local";
        let found = Stored::of(command);
        assert_eq!(
            found.as_ref().map(|stored| stored.path("bench")),
            Some("/bench/dev/core/one".to_owned())
        );
        assert_eq!(found.map(|stored| stored.md5), Some("abc".to_owned()));
        assert_eq!(Stored::of("echo abc | tee x"), None);
    }
}
