//! The cost of deployments on AWS: counted on a local stack, priced from one table, compared with other designs.
//!
//! This file deploys and counts. `counters` computes AWS's bill, `prices` has the prices, `alternatives` has the
//! arithmetic of the comparisons, and `fixed_costs` has the cost without any deployment. `page` fills in the tables of
//! `page.md`, which becomes `docs/cost.md`.
//!
//! Builds last three seconds and run no command: the work inside them costs the same with every tool. A count ends when
//! there has been no call for a while, so it includes the work after a deployment (its lock, its events, its pages).

mod alternatives;
mod counters;
mod counts;
mod fixed_costs;
mod page;
mod prices;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use seedflow_core::ids::ModuleId;
use seedflow_fixtures::{Module, Repository, start_deployment};
use seedflow_local::checkout::bundle;
use seedflow_local::client::deployment::{self, Finished};
use seedflow_local::codebuild::SimulatedBuild;
use seedflow_local::process::workspace;
use seedflow_local::proxy::Caller;
use seedflow_local::stack::{Stack, StackOptions};
use seedflow_terminal::Ui;
use serde_json::{Map, Value, json};

use crate::limits::bundle::incompressible;
use crate::machine::Machine;
use counters::{BUNDLE, Execution, Usage};
use counts::{CHANGED, Counts, MODULES};
use fixed_costs::FixedCosts;

const BUILD: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(300);
/// Longer than a queue gathers messages for a function.
const QUIET: Duration = Duration::from_secs(10);
const PROJECT: &str = "cost";
/// The prefix of the names of functions and state machines.
const STACK: &str = "seedflow-";

/// Deploys, counts, and returns the whole page.
pub async fn measure(machine: &Machine, ui: &Ui) -> Result<String> {
    let template = workspace::root()?.join("template.yaml");
    let fixed = FixedCosts::of(&std::fs::read_to_string(template).context("cannot read template.yaml")?);
    let stack = Stack::start(&StackOptions::default(), ui).await?;
    stack.codebuild().simulate(Some(SimulatedBuild {
        lasts: BUILD,
        fails: false,
    }));
    let counts = count(&stack, &fixed, ui).await;
    stack.stop().await;
    page::document(&counts?, &fixed, machine)
}

async fn count(stack: &Stack, fixed: &FixedCosts, ui: &Ui) -> Result<Counts> {
    let mut counter = Counter {
        stack,
        fixed,
        known: HashSet::new(),
        begun: Timestamp::now(),
    };
    let task = ui.task("A module: first, unchanged, changed");
    let module = Module::running("build", &["echo deployed"]).file("data", incompressible(BUNDLE as usize));
    let folder = stack.folder().join("module-of-costs");
    let deploy_module = async |module: &Module, state| {
        let files = Repository::default().module("module-of-costs", module);
        files.write(stack.folder());
        let finished = deploy_module(stack, &folder).await?;
        expect(&finished, finished.state() == state)
    };
    deploy_module(&module, "SUCCEEDED").await?;
    counter.begin().await?;
    deploy_module(&module, "UNCHANGED").await?;
    let unchanged = counter.end(0).await?;
    counter.begin().await?;
    deploy_module(&module.file("changed", "changed\n"), "SUCCEEDED").await?;
    let changed = counter.end(1).await?;
    task.done("counted");

    let task = ui.task(format!(
        "A repository of {MODULES} modules: first, unchanged, {CHANGED} changed"
    ));
    let repository = Repository::numbered(PROJECT, "many", MODULES, MODULES);
    let folder = stack.folder().join("repository-of-costs");
    let deploy = async |repository: &Repository| {
        repository.write(&folder);
        let execution = start_deployment(stack, PROJECT, &folder).await?;
        let finished = deployment::follow(&stack.api(), &execution, Some(PATIENCE), |_| {}).await?;
        expect(&finished, finished.succeeded())
    };
    deploy(&repository).await?;
    counter.begin().await?;
    deploy(&repository).await?;
    let nothing = counter.end(0).await?;
    counter.begin().await?;
    deploy(&repository.changed(0..CHANGED, 1)).await?;
    let some = counter.end(CHANGED as u64).await?;
    task.done("counted");
    Ok(Counts {
        changed,
        unchanged,
        nothing,
        some,
    })
}

async fn deploy_module(stack: &Stack, folder: &Path) -> Result<Finished> {
    let module = ModuleId::parse(PROJECT, "alone", "group", "module")?;
    let bundle = bundle::folder(folder, &stack.folder().join("module-of-costs.zip"))?;
    let (api, connection) = (stack.api(), stack.connection());
    let source = deployment::upload(&api, connection, &module, &bundle).await?;
    let input = deployment::input(&module, &source, &Map::new(), false);
    let execution = deployment::start(&api, connection, &input).await?;
    deployment::follow(&api, &execution, Some(PATIENCE), |_| {}).await
}

fn expect(finished: &Finished, as_expected: bool) -> Result<()> {
    let (state, cause) = (finished.state(), &finished.cause);
    ensure!(as_expected, "a deployment ended as {state}: {cause}");
    Ok(())
}

/// Counts the use of a stack between `begin` and `end`.
struct Counter<'a> {
    stack: &'a Stack,
    fixed: &'a FixedCosts,
    /// The executions of earlier counts.
    known: HashSet<String>,
    begun: Timestamp,
}

impl Counter<'_> {
    async fn begin(&mut self) -> Result<()> {
        self.quiet().await;
        let before = self.new_executions().await?;
        self.known.extend(before.into_iter().map(|(_, arn)| arn));
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

    /// The use since the beginning, in which this many modules had to be built.
    async fn end(&self, changed: u64) -> Result<Usage> {
        self.quiet().await;
        let mut usage = Usage {
            calls: self.calls(),
            queue_consumers: self.fixed.queue_consumers.clone(),
            changed,
            ..Usage::default()
        };
        let executions = self.new_executions().await?;
        let of_modules = executions
            .iter()
            .filter(|(machine, _)| machine == "deploy-module");
        let children = of_modules.count() as u64;
        for (machine, arn) in &executions {
            let history = deployment::history(&self.stack.api(), arn).await?;
            let started = if machine == "deploy" { children } else { 0 };
            usage.executions.push(Execution::of(machine, &history, started));
        }
        self.read_logs(&mut usage).await?;
        let builds = usage
            .calls
            .iter()
            .filter(|(_, name, _)| name == "codebuild:StartBuild");
        let builds: u64 = builds.map(|(.., count)| count).sum();
        ensure!(builds == changed, "expected {changed} builds, found {builds}");
        ensure!(
            usage.transitions() > 0 && usage.invoked() > 0,
            "nothing was counted"
        );
        Ok(usage)
    }

    /// The calls of the functions, the upload, and CodeBuild's reads and writes for a build. The CodeBuild emulator
    /// makes further calls that don't exist on AWS, and the other calls of clients are this program's.
    fn calls(&self) -> Vec<(Caller, String, u64)> {
        let calls = self.stack.proxy().calls();
        let counted = |caller, name: &str| match caller {
            Caller::Functions => true,
            Caller::Clients => name == "s3:PutObject",
            Caller::Builds => name.starts_with("s3:"),
            Caller::Codebuild => false,
        };
        let mut found = Vec::new();
        for &caller in Caller::ALL.iter() {
            let of_caller = calls.of(caller).filter(|(name, _)| counted(caller, name));
            found.extend(of_caller.map(|(name, count)| (caller, name.to_owned(), count)));
        }
        found
    }

    /// The executions that no earlier count contains: the state machine's name, and the ARN.
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
            let executions = list(&executions["executions"]).iter();
            let arns = executions.filter_map(|execution| execution["executionArn"].as_str());
            let new = arns.filter(|arn| !self.known.contains(*arn));
            found.extend(new.map(|arn| (name.to_owned(), arn.to_owned())));
        }
        Ok(found)
    }

    /// The lines that the functions wrote since the beginning.
    async fn read_logs(&self, usage: &mut Usage) -> Result<()> {
        let since = self.begun.as_millisecond();
        let groups = self
            .call("logs", "Logs_20140328.DescribeLogGroups", json!({}))
            .await?;
        for group in list(&groups["logGroups"]) {
            let Some(function) = own_name(&group["logGroupName"]).strip_prefix("/aws/lambda/") else {
                continue;
            };
            let call = json!({"logGroupName": group["logGroupName"], "startTime": since, "limit": 10_000});
            let lines = self.call("logs", "Logs_20140328.FilterLogEvents", call).await?;
            for line in list(&lines["events"]) {
                let line = line["message"].as_str().unwrap_or_default();
                usage.add_log_line(function.strip_prefix(STACK).unwrap_or(function), line);
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

fn own_name(name: &Value) -> &str {
    let name = name.as_str().unwrap_or_default();
    name.strip_prefix(STACK).unwrap_or(name)
}
