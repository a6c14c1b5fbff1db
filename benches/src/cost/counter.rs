//! Deploys on a local stack and counts. A count ends when there has been no call for a while, so it includes the work
//! after a deployment (its lock, its events, its pages).

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use seedflow_cli::checkout::bundle;
use seedflow_core::ids::ModuleId;
use seedflow_fixtures::{Module, Repository, start_deployment};
use seedflow_local::client::deployment::{self, Finished};
use seedflow_local::proxy::Caller;
use seedflow_local::stack::Stack;
use seedflow_terminal::Ui;
use serde_json::{Value, json};

use super::assumptions::BUNDLE;
use super::usage::{CHANGED, Counts, MODULES, Usage, list};
use crate::limits::bundle::incompressible;
use crate::limits::calls;

const PROJECT: &str = "cost";
/// The prefix of the names of functions and state machines.
const STACK: &str = "seedflow-";

/// Counts each deployment after a first one, which isn't counted.
pub async fn count(stack: &Stack, ui: &Ui) -> Result<Counts> {
    let mut counter = Counter {
        stack,
        known: HashSet::new(),
        begun: Timestamp::now(),
    };
    let task = ui.task("A module: first, unchanged, changed");
    let data = incompressible((BUNDLE * 1e6) as usize);
    let module = Module::running("build", &["echo deployed"]).file("data", data);
    deploy_module(stack, &module, "SUCCEEDED").await?;
    let unchanged = counter
        .during(deploy_module(stack, &module, "UNCHANGED"), 0)
        .await?;
    let module = module.file("changed", "changed\n");
    let changed = counter
        .during(deploy_module(stack, &module, "SUCCEEDED"), 1)
        .await?;
    task.done("counted");

    let task = ui.task(format!(
        "A repository of {MODULES} modules: first, unchanged, {CHANGED} changed"
    ));
    let repository = Repository::numbered(PROJECT, "many", MODULES, MODULES);
    deploy(stack, &repository).await?;
    let nothing = counter.during(deploy(stack, &repository), 0).await?;
    let repository = repository.changed(0..CHANGED, 1);
    let some = counter.during(deploy(stack, &repository), CHANGED).await?;
    task.done("counted");
    Ok([changed, unchanged, nothing, some])
}

async fn deploy_module(stack: &Stack, module: &Module, state: &str) -> Result<()> {
    let folder = stack.folder().join("module-of-costs");
    let files = Repository::default().module("module-of-costs", module);
    files.write(stack.folder());
    let bundle = bundle::folder(&folder, &folder.with_extension("zip"))?;
    let module = ModuleId::parse(PROJECT, "alone", "group", "module")?;
    calls::deploy_module(stack, &module, &bundle, state).await?;
    Ok(())
}

async fn deploy(stack: &Stack, repository: &Repository) -> Result<()> {
    let folder = stack.folder().join("repository-of-costs");
    repository.write(&folder);
    let execution = start_deployment(stack, PROJECT, &folder, false).await?;
    calls::follow(stack, &execution, Finished::succeeded).await?;
    Ok(())
}

/// Counts the use of a stack during a deployment.
struct Counter<'a> {
    stack: &'a Stack,
    /// The executions of earlier counts.
    known: HashSet<String>,
    begun: Timestamp,
}

impl Counter<'_> {
    /// The use by a deployment in which this many modules have to be built.
    async fn during(
        &mut self,
        deployment: impl Future<Output = Result<()>>,
        changed: usize,
    ) -> Result<Usage> {
        calls::settled(self.stack).await;
        let before = self.new_executions().await?;
        self.known.extend(before.into_iter().map(|(_, arn)| arn));
        self.stack.proxy().reset_calls();
        self.begun = Timestamp::now();
        deployment.await?;
        calls::settled(self.stack).await;
        let mut usage = Usage::new(changed as f64);
        self.add_calls(&mut usage)?;
        let executions = self.new_executions().await?;
        let machines = executions.iter().map(|(machine, _)| machine);
        let of_modules = machines.filter(|machine| *machine == "deploy-module").count();
        for (machine, arn) in &executions {
            let history = deployment::history(&self.stack.api(), arn).await?;
            let started = if machine == "deploy" { of_modules } else { 0 };
            usage.add_execution(machine, &history, started);
        }
        self.add_logs(&mut usage).await?;
        let builds = usage.get("functions: codebuild:StartBuild");
        ensure!(
            builds == changed as f64,
            "expected {changed} builds, found {builds}"
        );
        let ends = usage.get("invocations of end-execution");
        ensure!(ends > 0.0, "nothing was counted");
        Ok(usage)
    }

    /// The calls of the functions, the upload, and CodeBuild's reads and writes for a build. The CodeBuild emulator
    /// makes further calls that don't exist on AWS, and the other calls of clients are this program's.
    fn add_calls(&self, usage: &mut Usage) -> Result<()> {
        let calls = self.stack.proxy().calls();
        for caller in Caller::ALL {
            for (name, count) in calls.of(caller) {
                let counted = match caller {
                    Caller::Functions => true,
                    Caller::Clients => name == "s3:PutObject",
                    Caller::Builds => name.starts_with("s3:"),
                    Caller::Codebuild => false,
                };
                if counted {
                    usage.add_calls(caller, name, count)?;
                }
            }
        }
        Ok(())
    }

    /// The executions that no earlier count contains: the state machine's name, and the ARN.
    async fn new_executions(&self) -> Result<Vec<(String, String)>> {
        let machines = self
            .call("states", "AWSStepFunctions.ListStateMachines", json!({}))
            .await?;
        let mut found = Vec::new();
        for machine in list(&machines["stateMachines"]) {
            let name = text(&machine["name"]).replacen(STACK, "", 1);
            let call = json!({"stateMachineArn": machine["stateMachineArn"], "maxResults": 1000});
            let executions = self
                .call("states", "AWSStepFunctions.ListExecutions", call)
                .await?;
            let arns = list(&executions["executions"])
                .iter()
                .map(|one| text(&one["executionArn"]));
            let new = arns.filter(|arn| !self.known.contains(*arn));
            found.extend(new.map(|arn| (name.clone(), arn.to_owned())));
        }
        Ok(found)
    }

    /// Adds the lines that the functions wrote since the beginning.
    async fn add_logs(&self, usage: &mut Usage) -> Result<()> {
        let since = self.begun.as_millisecond();
        let groups = self
            .call("logs", "Logs_20140328.DescribeLogGroups", json!({}))
            .await?;
        for group in list(&groups["logGroups"]) {
            let Some(function) = text(&group["logGroupName"]).strip_prefix("/aws/lambda/") else {
                continue;
            };
            let function = function.strip_prefix(STACK).unwrap_or(function);
            let call = json!({"logGroupName": group["logGroupName"], "startTime": since, "limit": 10_000});
            let lines = self.call("logs", "Logs_20140328.FilterLogEvents", call).await?;
            for line in list(&lines["events"]) {
                usage.add_log_line(function, text(&line["message"]));
            }
        }
        Ok(())
    }

    async fn call(&self, service: &str, target: &str, input: Value) -> Result<Value> {
        let answer = self.stack.api().json(service, target, &input).await;
        answer.with_context(|| format!("cannot call {target}"))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
