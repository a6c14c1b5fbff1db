//! The deployments that are counted, on a local stack of their own.
//!
//! Builds last three seconds and run no command: what they do costs the same whoever starts them. A count ends when
//! nobody has called anything for a while, so what follows a deployment (its lock, its events, its pages) is in it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use seedflow_local::checkout::bundle;
use seedflow_local::client::deployment::{self, Names};
use seedflow_local::codebuild::SimulatedBuild;
use seedflow_local::process::workspace;
use seedflow_local::proxy::Caller;
use seedflow_local::stack::{Stack, StackOptions};
use seedflow_terminal::Ui;
use serde_json::{Map, Value, json};

use super::counted::{BUNDLE, Counted, Execution};
use super::template::Fixed;
use crate::repository::{self, Repository};

const BUILD: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(300);
/// Longer than a queue gathers messages for a function.
const QUIET: Duration = Duration::from_secs(10);
const PROJECT: &str = "cost";
/// The modules of the repository, in one group: builds that are pretended publish no values for another one.
pub const MODULES: usize = 40;
/// How many of them change.
pub const CHANGED: usize = 2;
/// The prefix of the names of functions and state machines.
const STACK: &str = "seedflow-";

/// What was counted.
pub struct Counts {
    /// A module by itself that changed.
    pub changed: Counted,
    /// The same, unchanged.
    pub unchanged: Counted,
    /// A repository in which nothing changed.
    pub nothing: Counted,
    /// The same with a few changed modules.
    pub some: Counted,
}

/// Deploys and counts.
pub async fn count(ui: &Ui) -> Result<(Counts, Fixed)> {
    let template = workspace::root()?.join("template.yaml");
    let fixed = Fixed::of(&std::fs::read_to_string(template).context("cannot read template.yaml")?);
    let stack = Stack::start(&StackOptions::default(), ui).await?;
    stack.codebuild().simulate(Some(SimulatedBuild {
        lasts: BUILD,
        fails: false,
    }));
    let counts = Run::of(&stack, &fixed, ui).await;
    stack.stop().await;
    Ok((counts?, fixed))
}

struct Run<'a> {
    stack: &'a Stack,
    fixed: &'a Fixed,
    /// The executions that an earlier count was about.
    seen: HashSet<String>,
    begun: Timestamp,
}

impl<'a> Run<'a> {
    async fn of(stack: &'a Stack, fixed: &'a Fixed, ui: &Ui) -> Result<Counts> {
        let mut run = Self {
            stack,
            fixed,
            seen: HashSet::new(),
            begun: Timestamp::now(),
        };
        let task = ui.task("A module: first, unchanged, changed");
        let module = Module::write(stack.folder())?;
        module.deploy(stack, "SUCCEEDED").await?;
        run.begin().await?;
        module.deploy(stack, "UNCHANGED").await?;
        let unchanged = run.end(0).await?;
        module.change()?;
        run.begin().await?;
        module.deploy(stack, "SUCCEEDED").await?;
        let changed = run.end(1).await?;
        task.done("counted");

        let task = ui.task(format!(
            "A repository of {MODULES} modules: first, unchanged, {CHANGED} changed"
        ));
        let repository = Folder::write(stack.folder())?;
        repository.deploy(stack).await?;
        run.begin().await?;
        repository.deploy(stack).await?;
        let nothing = run.end(0).await?;
        for number in 0..CHANGED {
            repository.change(number)?;
        }
        run.begin().await?;
        repository.deploy(stack).await?;
        let some = run.end(CHANGED as u64).await?;
        task.done("counted");
        Ok(Counts {
            changed,
            unchanged,
            nothing,
            some,
        })
    }

    /// Leaves behind what was before.
    async fn begin(&mut self) -> Result<()> {
        self.quiet().await;
        let before = self.new_executions().await?;
        self.seen.extend(before.into_iter().map(|(_, arn)| arn));
        self.stack.proxy().reset_calls();
        self.begun = Timestamp::now();
        Ok(())
    }

    async fn quiet(&self) {
        let calls = || {
            let calls = self.stack.proxy().calls();
            [Caller::Functions, Caller::Builds, Caller::Codebuild].map(|caller| calls.total(caller))
        };
        loop {
            let before = calls();
            tokio::time::sleep(QUIET).await;
            if calls() == before {
                return;
            }
        }
    }

    /// What was done since the beginning, in which so many modules had to be built.
    async fn end(&self, changed: u64) -> Result<Counted> {
        self.quiet().await;
        let mut counted = Counted {
            calls: self.calls(),
            fed_by_queues: self.fixed.fed_by_queues.clone(),
            changed,
            ..Counted::default()
        };
        let executions = self.new_executions().await?;
        let children = executions
            .iter()
            .filter(|(machine, _)| machine == "deploy-module");
        let children = children.count() as u64;
        for (machine, arn) in &executions {
            let execution = Execution::of(machine, &deployment::history(&self.stack.api(), arn).await?);
            counted.executions.push(if machine == "deploy" {
                execution.with_children(children)
            } else {
                execution
            });
        }
        self.read_logs(&mut counted).await?;
        let builds = counted
            .calls
            .iter()
            .filter(|(_, name, _)| name == "codebuild:StartBuild");
        let builds: u64 = builds.map(|(.., count)| count).sum();
        ensure!(
            builds == changed,
            "{builds} builds were started, and not {changed}"
        );
        ensure!(
            counted.transitions() > 0 && counted.invoked() > 0,
            "nothing was counted"
        );
        Ok(counted)
    }

    /// What the functions call, the upload, and what CodeBuild fetches and stores for a build. What its stand-in calls
    /// for itself costs nothing on AWS, and the other calls of clients are this program's, which looks on.
    fn calls(&self) -> Vec<(Caller, String, u64)> {
        let calls = self.stack.proxy().calls();
        let all = Caller::ALL.iter().flat_map(|&caller| {
            let calls = calls.of(caller).map(|(name, count)| (name.to_owned(), count));
            calls
                .map(move |(name, count)| (caller, name, count))
                .collect::<Vec<_>>()
        });
        all.filter(|(caller, name, _)| match caller {
            Caller::Functions => true,
            Caller::Clients => name == "s3:PutObject",
            Caller::Builds => name.starts_with("s3:"),
            Caller::Codebuild => false,
        })
        .collect()
    }

    /// The executions that no earlier count was about: the state machine's name, and the ARN.
    async fn new_executions(&self) -> Result<Vec<(String, String)>> {
        let machines = self
            .call("states", "AWSStepFunctions.ListStateMachines", json!({}))
            .await?;
        let mut found = Vec::new();
        for machine in list(&machines["stateMachines"]) {
            let name = own_name(&machine["name"]);
            let call = json!({"stateMachineArn": machine["stateMachineArn"], "maxResults": 1000});
            let executions = self
                .call("states", "AWSStepFunctions.ListExecutions", call)
                .await?;
            let arns = list(&executions["executions"]).iter();
            let arns = arns.filter_map(|execution| execution["executionArn"].as_str());
            let new = arns.filter(|arn| !self.seen.contains(*arn));
            found.extend(new.map(|arn| (name.clone(), arn.to_owned())));
        }
        Ok(found)
    }

    /// The lines that the functions wrote since the beginning.
    async fn read_logs(&self, counted: &mut Counted) -> Result<()> {
        let since = self.begun.as_millisecond();
        let groups = self
            .call("logs", "Logs_20140328.DescribeLogGroups", json!({}))
            .await?;
        for group in list(&groups["logGroups"]) {
            let Some(name) = group["logGroupName"]
                .as_str()
                .and_then(|name| name.strip_prefix("/aws/lambda/"))
            else {
                continue;
            };
            let function = name.strip_prefix(STACK).unwrap_or(name);
            let call = json!({"logGroupName": group["logGroupName"], "startTime": since, "limit": 10_000});
            let lines = self.call("logs", "Logs_20140328.FilterLogEvents", call).await?;
            for line in list(&lines["events"]) {
                counted.log_line(function, line["message"].as_str().unwrap_or_default());
            }
        }
        Ok(())
    }

    async fn call(&self, service: &str, target: &str, input: Value) -> Result<Value> {
        let answer = self.stack.api().json(service, target, &input).await;
        answer.with_context(|| format!("cannot call {target}"))
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn own_name(name: &Value) -> String {
    let name = name.as_str().unwrap_or_default();
    name.strip_prefix(STACK).unwrap_or(name).to_owned()
}

/// A module by itself, as large as the page says.
struct Module {
    names: Names,
    folder: PathBuf,
}

impl Module {
    fn write(below: &Path) -> Result<Self> {
        let folder = below.join("module-of-costs");
        std::fs::create_dir_all(&folder).context("cannot make the module's folder")?;
        let deployspec = "deploy:\n  phases:\n    build:\n      commands:\n      - echo deployed\n";
        let files = [
            ("deployspec.yaml", deployspec.as_bytes().to_vec()),
            ("data", incompressible(BUNDLE as usize)),
        ];
        for (name, content) in files {
            std::fs::write(folder.join(name), content)
                .with_context(|| format!("cannot write the module's {name}"))?;
        }
        Ok(Self {
            names: Names::new(PROJECT, "alone", "group", "module"),
            folder,
        })
    }

    fn change(&self) -> Result<()> {
        std::fs::write(self.folder.join("changed"), "changed\n").context("cannot change the module")
    }

    async fn deploy(&self, stack: &Stack, expected: &str) -> Result<()> {
        let bundle = bundle::folder(&self.folder, &stack.folder().join("module-of-costs.zip"))?;
        let (api, connection) = (stack.api(), stack.connection());
        let source = deployment::upload(&api, connection, &self.names, &bundle).await?;
        let input = self.names.input(&source, &Map::new(), false);
        let execution = deployment::start(&api, connection, &input).await?;
        let finished = deployment::follow(&api, &execution, Some(PATIENCE), |_| {}).await?;
        let found = finished.state();
        ensure!(
            found == expected,
            "the module ended as {found} and not {expected}: {}",
            finished.cause
        );
        Ok(())
    }
}

/// A repository of many modules.
struct Folder(PathBuf);

impl Folder {
    fn write(below: &Path) -> Result<Self> {
        let folder = below.join("repository-of-costs");
        Repository::new(PROJECT, "many", MODULES, MODULES).write(&folder)?;
        Ok(Self(folder))
    }

    /// Changes one module.
    fn change(&self, number: usize) -> Result<()> {
        let file = self.0.join(repository::folder(number)).join("README.md");
        std::fs::write(&file, "# Changed\n").with_context(|| format!("cannot change {}", file.display()))
    }

    async fn deploy(&self, stack: &Stack) -> Result<()> {
        let api = stack.api();
        let execution = repository::start(stack, PROJECT, &self.0).await?;
        let finished = deployment::follow(&api, &execution, Some(PATIENCE), |_| {}).await?;
        ensure!(
            finished.succeeded(),
            "the deployment ended as {}: {}",
            finished.status,
            finished.cause
        );
        Ok(())
    }
}

/// Bytes that no packing makes shorter, always the same: a linear congruential generator's upper bits.
fn incompressible(length: usize) -> Vec<u8> {
    let mut state: u64 = 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}
