//! The same deployments by seed-farmer: its own command line, unchanged, on the same stack.
//!
//! Its builds are pretended as ours are. What its commands inside a build would have written to Parameter Store is
//! written for them once a deployment has ended, or the next one would find nothing deployed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use seedflow_core::yaml;
use seedflow_local::process::output_tail;
use seedflow_local::proxy::{Caller, ParameterWrite};
use seedflow_local::stack::Stack;
use seedflow_local::stack::environment::ACCOUNT;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::case::{Case, Work};
use super::run::{Build, Run, between, builds_since, median, written};
use super::usage::{Meter, Served, Tree, Usage};
use crate::bench_dir;
use crate::repository::Repository;

const PROGRAM: &str = include_str!("peer.py");
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// And the emulator with it: every so many of these looks.
const METERED: u32 = 25;
const PATIENCE: Duration = Duration::from_secs(600);

/// seed-farmer with a copy of the repository.
pub struct Peer {
    python: PathBuf,
    project: String,
    folder: PathBuf,
    repository: Repository,
    version: u32,
}

/// A run of its command line.
struct Ended {
    status: ExitStatus,
    wall: Duration,
    used: Usage,
    served: Served,
}

impl Peer {
    /// Writes the repository; `python` is the interpreter that has seed-farmer.
    pub fn new(
        stack: &Stack,
        python: &Path,
        project: &str,
        deployment: &str,
        modules: usize,
    ) -> Result<Self> {
        let repository = Repository::new(project, deployment, modules, modules);
        let folder = stack.folder().join(format!("seed-farmer-{deployment}"));
        repository.write(&folder)?;
        Ok(Self {
            python: python.to_owned(),
            project: project.to_owned(),
            folder,
            repository,
            version: 0,
        })
    }

    /// Makes the roles that seed-farmer works with, once for a project.
    pub async fn bootstrap(&self, stack: &Stack) -> Result<()> {
        let principal = format!("arn:aws:iam::{ACCOUNT}:root");
        let bootstrap = ["bootstrap", "toolchain", "-p", &self.project, "-t", &principal];
        let ended = self
            .run(stack, &[&bootstrap[..], &["--as-target"]].concat())
            .await?;
        ensure!(
            ended.status.success(),
            "seed-farmer's bootstrap failed:\n{}",
            output_tail::of_file(&log()?)
        );
        Ok(())
    }

    /// Changes every module.
    pub fn change(&mut self) -> Result<()> {
        self.version += 1;
        self.repository.change(self.version);
        self.repository.write(&self.folder)
    }

    /// Deploys what lies in the folder, with or without the wait that needs not be.
    pub async fn deploy(&self, stack: &Stack, case: &Case, hurried: bool) -> Result<Run> {
        let known = stack.codebuild().builds().len();
        stack.proxy().reset_calls();
        let mut writes = stack.proxy().watch_parameter_writes();
        let apply: &[&str] = if hurried {
            &["--hurried", "apply", "deployment.yaml"]
        } else {
            &["apply", "deployment.yaml"]
        };
        let ended = self.run(stack, apply).await?;
        let counted = stack.proxy().calls();
        let calls: BTreeMap<String, u64> = counted
            .of(Caller::Clients)
            .map(|(name, count)| (name.to_owned(), count))
            .collect();
        let fails = case.work == Work::Failed;
        ensure!(
            ended.status.success() != fails,
            "seed-farmer ended with {}:\n{}",
            ended.status,
            output_tail::of_file(&log()?)
        );
        let builds = builds_since(stack, known)?;
        if !fails {
            for build in &builds {
                self.finish(stack, &build.id).await?;
            }
        }
        Ok(Run {
            wall: ended.wall,
            stored: stored(&builds, &written(&mut writes)?),
            builds,
            calls,
            client: ended.used,
            served: ended.served,
            steps: Vec::new(),
        })
    }

    async fn run(&self, stack: &Stack, arguments: &[&str]) -> Result<Ended> {
        let log = log()?;
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&self.python);
        // Its HOME lies in the stack's folder: whatever ends this program, the stack's keeper ends it.
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
        let mut meter = Meter::start(stack)?;
        let begun = Instant::now();
        let mut process = command.spawn().context("cannot start seed-farmer")?;
        let (status, used) = watched(&mut process, &mut meter, &log).await?;
        Ok(Ended {
            status,
            wall: begun.elapsed(),
            used,
            served: meter.served(),
        })
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

fn log() -> Result<PathBuf> {
    Ok(bench_dir()?.join("seed-farmer.log"))
}

/// Waits for a process's end and answers what it took.
async fn watched(process: &mut Child, meter: &mut Meter, log: &Path) -> Result<(ExitStatus, Usage)> {
    let mut tree = Tree::of(process.id().context("seed-farmer has ended")?);
    let deadline = Instant::now() + PATIENCE;
    for look in 0.. {
        if Instant::now() > deadline {
            break;
        }
        match tokio::time::timeout(LOOK, process.wait()).await {
            Ok(status) => return Ok((status?, tree.used())),
            Err(_) => tree.look(),
        }
        if look % METERED == 0 {
            meter.look();
        }
    }
    bail!(
        "seed-farmer still runs after {} s:\n{}",
        PATIENCE.as_secs(),
        output_tail::of_file(log)
    )
}

/// From each build's end to the last parameter that the client writes, after all builds: the manifest of what is deployed.
/// Of the modules it writes nothing after their builds, so this is the first that its store says of their end.
fn stored(builds: &[Build], written: &[ParameterWrite]) -> Option<Duration> {
    let last = written
        .iter()
        .rev()
        .find(|write| write.caller == Caller::Clients)?;
    let is_after = builds.iter().all(|build| build.end < last.at);
    let all = builds.iter().map(|build| between(build.end, last.at));
    is_after.then(|| median(all.collect())).flatten()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;

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

    #[test]
    fn what_is_written_before_a_builds_end_says_nothing_of_it() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let builds = [3, 9].map(|end| Build {
            id: String::new(),
            start: at(1),
            end: at(end),
        });
        let write = |second| ParameterWrite {
            caller: Caller::Clients,
            name: "/p/dev/manifest/deployed".to_owned(),
            value: "{}".to_owned(),
            at: at(second),
        };
        assert_eq!(stored(&builds, &[write(2), write(8)]), None);
        assert_eq!(
            stored(&builds, &[write(2), write(11)]),
            Some(Duration::from_secs(8))
        );
    }
}
