//! The stack that a soak runs on, and one step on it: an execution with its faults.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::faults::{Fault, Kind};
use super::module;
use super::observation::{self, Execution, Module, Stored};
use super::plan::{Content, Step};
use crate::aws_api::{ApiError, AwsApi};
use crate::proxy::RuleId;
use crate::stack::{Stack, StackOptions};
use seedflow_terminal::Ui;

/// How often an execution is looked at.
const POLL: Duration = Duration::from_millis(500);

/// Long enough for a function on a busy machine, and short enough to wait for: the cleanup after an execution
/// waits until no function can be running in its name any more.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(20);
/// Longer than most builds, and short enough for a lost event.
const AWAIT_TIMEOUT: Duration = Duration::from_secs(8);
/// What is left of the waits between retries.
const WAIT_SCALE: &str = "0.05";

/// A running stack with what is armed on it.
pub struct SoakStack {
    stack: Stack,
    api: AwsApi,
    armed: Mutex<Vec<(Kind, RuleId)>>,
}

/// What a step did.
#[derive(Debug, Clone)]
pub struct Done {
    /// What was done.
    pub step: Step,
    pub execution: String,
    /// Whether that was stopped while it ran.
    pub stopped: bool,
    /// Whether its module's build was stopped while it ran.
    pub build_stopped: bool,
}

impl SoakStack {
    /// Starts a stack whose waits are short.
    pub async fn start(ui: &Ui) -> Result<Self> {
        let options = StackOptions {
            await_timeout: Some(AWAIT_TIMEOUT),
            function_timeout: Some(FUNCTION_TIMEOUT),
            emulator_env: vec![("SFN_WAIT_SCALE".to_owned(), WAIT_SCALE.to_owned())],
            ..StackOptions::default()
        };
        let stack = Stack::start(&options, ui).await?;
        Ok(Self {
            api: stack.api(),
            stack,
            armed: Mutex::default(),
        })
    }

    /// Ends the stack in good order.
    pub async fn stop(self) {
        self.stack.stop().await;
    }

    /// A client of the stack; faults don't apply to it.
    pub fn api(&self) -> &AwsApi {
        &self.api
    }

    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    // --- Faults ---

    fn arm(&self, module: &str, faults: &[Fault]) {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        for fault in faults {
            let id = self.stack.proxy().add_rule(fault.rule(module));
            armed.push((fault.kind, id));
        }
    }

    /// Switches all faults off and returns how often each was applied.
    pub fn disarm(&self) -> BTreeMap<Kind, u32> {
        let mut struck = BTreeMap::new();
        for (kind, id) in self
            .armed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            *struck.entry(kind).or_default() += self.stack.proxy().rule_applied(id);
        }
        self.stack.proxy().clear_rules();
        struck
    }

    // --- Steps ---

    /// Does a step to the end of its execution.
    pub async fn run(&self, step: Step) -> Result<Done> {
        self.arm(&module::name(step.module), &step.faults);
        let execution = self
            .deploy(step.module, &step.content, &step.number.to_string())
            .await?;
        let stop = async {
            let Some(time) = step.stopped else {
                return Ok(false);
            };
            tokio::time::sleep(time).await;
            self.stop_execution(&execution).await
        };
        let stop_build = async {
            let Some(time) = step.build_stopped else {
                return Ok(false);
            };
            tokio::time::sleep(time).await;
            self.stop_build(step.module).await
        };
        let (_, stopped, build_stopped) = tokio::try_join!(self.ended(&execution), stop, stop_build)?;
        Ok(Done {
            step,
            execution,
            stopped,
            build_stopped,
        })
    }

    /// Starts an execution. Its name contains the module's, so calls about it are recognised.
    pub async fn deploy(&self, number: usize, content: &Content, name: &str) -> Result<String> {
        let connection = self.stack.connection();
        let module = module::name(number);
        let key = module::id(number)?.upload_key(name);
        let put = self
            .api
            .put_object(&connection.work_bucket, &key, module::bundle(content)?)
            .await;
        put.with_context(|| format!("cannot upload {key}"))?;
        let source = json!({"bucket": connection.work_bucket, "key": key});
        let input = module::input(number, content, &source, &connection.project_name)?;
        let call = json!({
            "stateMachineArn": connection.state_machine_arn,
            "name": format!("{module}-{name}"),
            "input": input.to_string(),
        });
        let answer = self
            .api
            .json("states", "AWSStepFunctions.StartExecution", &call)
            .await;
        let answer = answer.context("cannot start an execution")?;
        let arn = answer["executionArn"].as_str().map(str::to_owned);
        arn.context("the started execution has no ARN")
    }

    /// Waits for an execution's end and returns its status.
    pub async fn ended(&self, execution: &str) -> Result<String> {
        let call = json!({"executionArn": execution});
        loop {
            let answer = self
                .api
                .json("states", "AWSStepFunctions.DescribeExecution", &call)
                .await;
            let answer = answer.with_context(|| format!("cannot read the execution {execution}"))?;
            match answer["status"].as_str().unwrap_or_default() {
                "RUNNING" => tokio::time::sleep(POLL).await,
                status => return Ok(status.to_owned()),
            }
        }
    }

    async fn stop_execution(&self, execution: &str) -> Result<bool> {
        let call = json!({"executionArn": execution, "error": "Soak.Stopped", "cause": "as the soak had it"});
        match self
            .api
            .json("states", "AWSStepFunctions.StopExecution", &call)
            .await
        {
            Ok(_) => Ok(true),
            // It has just ended.
            Err(ApiError { code, .. }) if code == "ValidationException" => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot stop {execution}")),
        }
    }

    async fn stop_build(&self, module: usize) -> Result<bool> {
        let builds = self.builds(module).await?;
        let Some(running) = builds.iter().find(|build| build.end.is_none()) else {
            return Ok(false);
        };
        let call = json!({"id": running.id});
        let stopped = self
            .api
            .json("codebuild", "CodeBuild_20161006.StopBuild", &call)
            .await;
        let stopped = stopped.with_context(|| format!("cannot stop the build {}", running.id))?;
        Ok(stopped["build"]["buildStatus"] == "STOPPED")
    }

    // --- Observation ---

    /// All builds of a module.
    pub async fn builds(&self, module: usize) -> Result<Vec<observation::Build>> {
        let project = module::build_project(&self.stack.connection().project_name, module);
        observation::builds(&self.api, &project).await
    }

    /// Everything of a module, whose executions these were.
    pub async fn see(&self, module: usize, done: &[Done]) -> Result<Module> {
        let mut executions = Vec::new();
        for one in done.iter().filter(|one| one.step.module == module) {
            let tag = &one.step.content.tag;
            executions.push(Execution::read(&self.api, &one.execution, module, tag).await?);
        }
        executions.sort_by(|one, other| one.started.total_cmp(&other.started));
        Ok(Module {
            executions,
            builds: self.builds(module).await?,
            stored: self.stored(module).await?,
        })
    }

    /// What is stored of a module.
    pub async fn stored(&self, module: usize) -> Result<Stored> {
        Stored::read(&self.api, &module::id(module)?).await
    }

    /// The executions of a state machine that run.
    pub async fn running(&self, state_machine: &str) -> Result<usize> {
        let call = json!({"stateMachineArn": state_machine, "statusFilter": "RUNNING", "maxResults": 1000});
        let listed = self
            .api
            .json("states", "AWSStepFunctions.ListExecutions", &call)
            .await;
        let listed: Value = listed.context("cannot list executions")?;
        Ok(listed["executions"].as_array().map_or(0, Vec::len))
    }
}
