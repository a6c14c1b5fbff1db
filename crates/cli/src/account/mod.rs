//! The account and the stack in it that a command works with.
//!
//! A stack in an account is found by its CloudFormation outputs, with credentials and region as for the AWS CLI. A local
//! stack is found by the file that `seedflow-local up` writes.

mod local;

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use aws_config::SdkConfig;
use clap::Args;
use seedflow_aws::runtime::config;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::codebuild::CodeBuild;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::services::ssm::ParameterStore;
use seedflow_core::error::{Error, ErrorName};
use seedflow_core::ids::{ExecutionArn, Name};
use seedflow_terminal::Ui;
use serde_json::{Map, Value};

use local::LocalStack;

use crate::exit::Wrong;
use crate::shell;

/// Seedflow's stack, by default.
const STACK: &str = "seedflow";
/// The name of a local stack, for messages.
const LOCAL: &str = "local";

/// Which stack, and with which credentials.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "The stack")]
pub struct StackArguments {
    /// Seedflow's CloudFormation stack [default: $SEEDFLOW_STACK, else seedflow].
    #[arg(long, global = true, value_name = "NAME")]
    stack: Option<String>,
    /// The region; as for the AWS CLI by default.
    #[arg(long, global = true, value_name = "REGION")]
    region: Option<String>,
    /// The profile of ~/.aws/config, SSO included; as for the AWS CLI by default.
    #[arg(long, global = true, value_name = "PROFILE")]
    profile: Option<String>,
    /// The local stack that `seedflow-local up` runs; the default if there are no AWS credentials.
    #[arg(long, global = true, conflicts_with_all = ["stack", "region", "profile"])]
    local: bool,
    /// The file of a local stack [default: $SEEDFLOW_STACK_FILE, else target/local/stack.json here or above].
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["stack", "region", "profile"])]
    stack_file: Option<PathBuf>,
}

impl StackArguments {
    /// The credentials and the region for an account; `None` for a local stack.
    pub async fn config(&self) -> Option<SdkConfig> {
        match self.chosen() {
            Ok(Chosen::OfAccount(_)) => Some(self.aws_config().await),
            _ => None,
        }
    }

    /// The options as they were given. What comes from the environment is there for the next command too.
    #[must_use]
    pub fn given(&self) -> Vec<String> {
        let file = self.stack_file.as_ref().map(|file| file.display().to_string());
        let values = [
            ("--stack", &self.stack),
            ("--region", &self.region),
            ("--profile", &self.profile),
            ("--stack-file", &file),
        ];
        let values = values
            .into_iter()
            .filter_map(|(name, value)| Some([name, value.as_deref()?]));
        let local = self.local.then_some("--local").into_iter();
        values.flatten().chain(local).map(str::to_owned).collect()
    }

    /// The command with these arguments for the same stack, as a shell takes it.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> String {
        command(arguments, &self.given())
    }

    /// Which stack is meant. Nothing is guessed where an option or the environment names one.
    fn chosen(&self) -> Result<Chosen> {
        if let Some(file) = self.file() {
            return Ok(Chosen::Local(file));
        }
        if self.local {
            return local::default_file().map(Chosen::Local);
        }
        match local::default_file() {
            Ok(file) if self.is_open() => Ok(Chosen::Local(file)),
            _ => Ok(Chosen::OfAccount(self.stack_name())),
        }
    }

    /// Whether nothing says which stack is meant.
    fn is_open(&self) -> bool {
        let is_named = self.stack.is_some() || self.profile.is_some() || self.stack_file.is_some();
        !is_named && !self.local && self.file().is_none() && !local::has_aws_credentials()
    }
}

fn command(arguments: &[&str], options: &[String]) -> String {
    let options = options.iter().map(String::as_str);
    shell::command(arguments.iter().copied().chain(options))
}

/// A stack, and how to reach it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Credentials, region and endpoint.
    pub config: SdkConfig,
    /// The stack's name, for messages.
    pub stack: String,
    /// The work bucket.
    pub work_bucket: String,
    /// The state machine of a module.
    pub state_machine_arn: String,
    /// The state machine of whole deployments.
    pub deploy_state_machine_arn: String,
    /// Whether it is a local stack.
    is_local: bool,
    /// The options that reach the same stack, for commands in messages.
    options: Vec<String>,
}

/// Which stack is meant.
enum Chosen {
    /// The local stack of this file.
    Local(PathBuf),
    /// The stack of this name in an account.
    OfAccount(String),
}

impl StackArguments {
    /// The file that names a local stack. An option that names an account wins over the environment.
    fn file(&self) -> Option<PathBuf> {
        let is_account = self.stack.is_some() || self.region.is_some() || self.profile.is_some();
        let named = || environment("SEEDFLOW_STACK_FILE").filter(|_| !is_account);
        self.stack_file.clone().or_else(|| named().map(PathBuf::from))
    }

    /// The name of Seedflow's stack.
    pub(crate) fn stack_name(&self) -> String {
        let stack = self.stack.clone().or_else(|| environment("SEEDFLOW_STACK"));
        stack.unwrap_or_else(|| STACK.to_owned())
    }

    /// Credentials and region, as for the AWS CLI.
    pub(crate) async fn aws_config(&self) -> SdkConfig {
        config::load_for_people(self.profile.as_deref(), self.region.clone()).await
    }
}

impl Account {
    /// Finds the stack.
    ///
    /// # Errors
    /// If there is none, or it can't be reached; the message says what to do.
    pub async fn find(arguments: &StackArguments, ui: &Ui) -> Result<Self> {
        match arguments.chosen()? {
            Chosen::Local(file) => {
                if arguments.is_open() {
                    ui.complain(&format!(
                        "There are no AWS credentials; this is the local stack of {}.",
                        file.display()
                    ));
                }
                let stack = LocalStack::running(&file).await?;
                Ok(Self::of_local(stack, arguments.given()))
            }
            Chosen::OfAccount(stack) => Self::of_account(stack, arguments).await,
        }
    }

    /// The local stack of this file.
    ///
    /// # Errors
    /// If it doesn't run.
    pub async fn of_file(file: &Path) -> Result<Self> {
        let stack = LocalStack::running(file).await?;
        let options = ["--stack-file".to_owned(), file.display().to_string()];
        Ok(Self::of_local(stack, options.into()))
    }

    /// The command with these arguments for the same stack, as a shell takes it.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> String {
        command(arguments, &self.options)
    }

    /// The command about a deployment, a group or a module of a project.
    #[must_use]
    pub fn command_about(&self, verb: &str, target: impl Display, project: impl Display) -> String {
        let (target, project) = (target.to_string(), project.to_string());
        self.command(&[verb, &target, "--project", &project])
    }

    /// The command about a project; without its name, if no project is known.
    #[must_use]
    pub fn command_of(&self, verb: &str, project: Option<&Name>) -> String {
        let project = project.map(|project| ["--project", project.as_str()]);
        let arguments: Vec<&str> = [verb].into_iter().chain(project.into_iter().flatten()).collect();
        self.command(&arguments)
    }

    async fn of_account(stack: String, arguments: &StackArguments) -> Result<Self> {
        let config = arguments.aws_config().await;
        let Some(region) = config.region().map(ToString::to_string) else {
            bail!(Wrong(
                "expected a region, found none; name it by --region or AWS_REGION, or set it in the profile; for a local stack, run this in its checkout, or name its file by --stack-file or SEEDFLOW_STACK_FILE".to_owned()
            ));
        };
        let outputs = CloudFormation::new(&config).outputs(&stack).await;
        let outputs = outputs.map_err(|error| unreachable(error, &config, &region))?;
        if outputs.is_empty() {
            bail!(
                "found no stack \"{stack}\" with outputs in {region}; give the name of Seedflow's stack by --stack and its region by --region, or use the local stack by --local"
            );
        }
        Self::of_outputs(config, stack, &outputs, arguments.given())
    }

    fn of_outputs(
        config: SdkConfig,
        stack: String,
        outputs: &Map<String, Value>,
        options: Vec<String>,
    ) -> Result<Self> {
        let output = |name: &str| {
            let value = outputs.get(name).and_then(Value::as_str).map(str::to_owned);
            value.with_context(|| {
                format!("the stack \"{stack}\" has no output {name}; is it Seedflow's, and up to date?")
            })
        };
        Ok(Self {
            work_bucket: output("WorkBucketName")?,
            state_machine_arn: output("StateMachineArn")?,
            deploy_state_machine_arn: output("DeployStateMachineArn")?,
            is_local: false,
            options,
            config,
            stack,
        })
    }

    fn of_local(local: LocalStack, options: Vec<String>) -> Self {
        Self {
            config: config::load_for_endpoint(
                local.endpoint,
                local.region,
                local.access_key_id,
                local.secret_access_key,
            ),
            stack: LOCAL.to_owned(),
            work_bucket: local.work_bucket,
            state_machine_arn: local.state_machine_arn,
            deploy_state_machine_arn: local.deploy_state_machine_arn,
            is_local: true,
            options,
        }
    }

    /// Whether it is a local stack.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let mut parts = self.deploy_state_machine_arn.split(':').skip(3);
        match (parts.next(), parts.next()) {
            (Some(region), Some(account)) if !self.is_local() => {
                format!("account {account}, region {region}")
            }
            _ => "the local stack".to_owned(),
        }
    }

    /// The stack's name in CloudFormation, also that of a local stack.
    #[must_use]
    pub fn stack_name(&self) -> &str {
        let machines = self.state_machines();
        machines.rsplit(':').next().unwrap_or(machines)
    }

    /// The work bucket.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        Bucket::new(&self.config, self.work_bucket.clone())
    }

    /// Parameter Store.
    #[must_use]
    pub fn parameters(&self) -> ParameterStore {
        ParameterStore::new(&self.config)
    }

    /// Step Functions.
    #[must_use]
    pub fn step_functions(&self) -> StepFunctions {
        StepFunctions::new(&self.config)
    }

    /// CodeBuild.
    #[must_use]
    pub fn builds(&self) -> CodeBuild {
        CodeBuild::new(&self.config)
    }

    /// The state machine that cleans up after an ended execution.
    #[must_use]
    pub fn end_execution_arn(&self) -> String {
        format!("{}-end-execution", self.state_machines())
    }

    /// The function that takes the decisions of approvers.
    #[must_use]
    pub fn approve_function(&self) -> String {
        format!("{}-approve", self.stack_name())
    }

    /// The state machine that plans and can't deploy.
    #[must_use]
    pub fn plan_arn(&self) -> String {
        format!("{}-plan", self.state_machines())
    }

    /// What the ARNs of the stack's state machines begin with.
    fn state_machines(&self) -> &str {
        let deploy = &self.deploy_state_machine_arn;
        deploy.strip_suffix("-deploy").unwrap_or(deploy)
    }

    /// The state machine that checks for drift.
    #[must_use]
    pub fn drift_arn(&self) -> String {
        format!("{}-drift", self.state_machines())
    }

    /// The execution of a deployment's workflow that an execution of the state machine that plans has started.
    #[must_use]
    pub fn plan_execution(&self, asked: &ExecutionArn) -> ExecutionArn {
        self.deployment_execution(&format!("plan-{}", asked.name()))
    }

    /// The execution of a module's workflow with this name.
    #[must_use]
    pub fn module_execution(&self, name: &str) -> ExecutionArn {
        execution_of(&self.state_machine_arn, name)
    }

    /// The execution of a deployment's workflow with this name.
    #[must_use]
    pub fn deployment_execution(&self, name: &str) -> ExecutionArn {
        execution_of(&self.deploy_state_machine_arn, name)
    }
}

/// The ARN of an execution, from that of its state machine (Step Functions Developer Guide, "Amazon Resource Names").
fn execution_of(state_machine: &str, name: &str) -> ExecutionArn {
    ExecutionArn::new(format!(
        "{}:{name}",
        state_machine.replacen(":stateMachine:", ":execution:", 1)
    ))
}

/// The error of an account that can't be asked: AWS can't be reached, or a right is missing.
fn unreachable(error: Error, config: &SdkConfig, region: &str) -> anyhow::Error {
    let advice = match error.name {
        ErrorName::ServiceUnavailable if !error.message.contains("credentials") => {
            let endpoint = config.endpoint_url().map_or_else(
                || format!("check the network, and whether {region} is a region"),
                |url| format!("check whether anything answers at {url} (from AWS_ENDPOINT_URL or the profile)"),
            );
            format!("cannot reach AWS; {endpoint}")
        }
        _ => "cannot ask AWS for the stack; credentials come from the environment or a profile, as for the AWS CLI (for SSO, run `aws sso login` first); for a local stack, add --local".to_owned(),
    };
    anyhow::Error::from(error).context(advice)
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn an_execution_is_named_by_its_state_machine() {
        let arn = execution_of(
            "arn:aws:states:eu-west-1:111122223333:stateMachine:seedflow-deploy",
            "e",
        );
        assert_eq!(
            arn.as_str(),
            "arn:aws:states:eu-west-1:111122223333:execution:seedflow-deploy:e"
        );
    }

    #[test]
    fn the_stack_is_the_one_of_the_state_machine() {
        let outputs = json!({"WorkBucketName": "work", "StateMachineArn": "arn:aws:states:r:1:stateMachine:my-flow-deploy-module",
            "DeployStateMachineArn": "arn:aws:states:r:1:stateMachine:my-flow-deploy"});
        let outputs = outputs.as_object().unwrap();
        let config = SdkConfig::builder().build();
        let account = Account::of_outputs(config, "my-flow".to_owned(), outputs, Vec::new()).unwrap();
        assert_eq!(account.stack_name(), "my-flow");
        assert_eq!(
            (account.plan_arn(), account.end_execution_arn()),
            (
                "arn:aws:states:r:1:stateMachine:my-flow-plan".to_owned(),
                "arn:aws:states:r:1:stateMachine:my-flow-end-execution".to_owned()
            )
        );
    }

    #[test]
    fn a_stack_without_our_outputs_is_named() {
        let config = SdkConfig::builder().build();
        let error = Account::of_outputs(config, "other".to_owned(), &Map::new(), Vec::new()).unwrap_err();
        assert!(error.to_string().contains("\"other\" has no output"), "{error}");
    }

    #[test]
    fn a_command_carries_the_options_that_chose_the_stack() {
        let arguments = StackArguments {
            stack: Some("other".to_owned()),
            region: Some("eu-west-1".to_owned()),
            profile: Some("my profile".to_owned()),
            ..StackArguments::default()
        };
        assert_eq!(
            arguments.command(&["status", "dev"]),
            "seedflow status dev --stack other --region eu-west-1 --profile 'my profile'"
        );
        let file = StackArguments {
            stack_file: Some("a b/stack.json".into()),
            ..StackArguments::default()
        };
        assert_eq!(
            file.command(&["open"]),
            "seedflow open --stack-file 'a b/stack.json'"
        );
        let local = StackArguments {
            local: true,
            ..StackArguments::default()
        };
        assert_eq!(local.command(&["open"]), "seedflow open --local");
    }

    #[test]
    fn an_endpoint_that_nothing_answers_at_is_named_and_credentials_are_not_blamed() {
        let config = SdkConfig::builder().endpoint_url("http://127.0.0.1:1").build();
        let refused = Error::new(
            ErrorName::ServiceUnavailable,
            "no answer from AWS: connection refused",
        );
        let message = format!("{:#}", unreachable(refused, &config, "eu-west-1"));
        assert!(
            message.contains("at http://127.0.0.1:1") && !message.contains("sso login"),
            "{message}"
        );
        let denied = Error::new(ErrorName::AccessDenied, "HTTP 403");
        assert!(format!("{:#}", unreachable(denied, &config, "eu-west-1")).contains("sso login"));
    }
}
