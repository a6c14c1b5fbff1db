//! The account and the stack in it that a command works with.
//!
//! A stack in an account is found by its CloudFormation outputs, with credentials and region as for the AWS CLI. A local
//! stack is found by the file that `seedflow-local up` writes.

mod local;

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
use seedflow_core::ids::ExecutionArn;
use seedflow_terminal::Ui;
use serde_json::{Map, Value};

use local::LocalStack;

/// Seedflow's stack, by default.
const STACK: &str = "seedflow";

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
        match self.local || self.file().is_some() {
            true => None,
            false => Some(config::load_for_people(self.profile.as_deref(), self.region.clone()).await),
        }
    }
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
    /// The arguments that reach the same stack, for commands in messages.
    pub arguments: String,
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
        if let Some(file) = arguments.file() {
            return Self::of_file(&file).await;
        }
        if arguments.local {
            return LocalStack::running(&local::default_file()?)
                .await
                .map(|stack| Self::of_local(stack, " --local".to_owned()));
        }
        let is_chosen = arguments.stack.is_some() || arguments.profile.is_some();
        if !is_chosen
            && !local::has_aws_credentials()
            && let Ok(file) = local::default_file()
        {
            ui.complain(&format!(
                "There are no AWS credentials; this is the local stack of {}.",
                file.display()
            ));
            let stack = LocalStack::running(&file).await?;
            return Ok(Self::of_local(stack, " --local".to_owned()));
        }
        Self::of_account(arguments).await
    }

    /// The local stack of this file.
    ///
    /// # Errors
    /// If it doesn't run.
    pub async fn of_file(file: &Path) -> Result<Self> {
        let stack = LocalStack::running(file).await?;
        Ok(Self::of_local(stack, format!(" --stack-file {}", file.display())))
    }

    async fn of_account(arguments: &StackArguments) -> Result<Self> {
        let stack = arguments.stack_name();
        let config = arguments.aws_config().await;
        let Some(region) = config.region().map(ToString::to_string) else {
            bail!(
                "expected a region, found none; name it by --region or AWS_REGION, or set it in the profile; for a local stack, run this in its checkout, or name its file by --stack-file or SEEDFLOW_STACK_FILE"
            );
        };
        let outputs = CloudFormation::new(&config).outputs(&stack).await.context(
            "cannot ask AWS for the stack; credentials come from the environment or a profile, as for the AWS CLI (for SSO, run `aws sso login` first); for a local stack, add --local",
        )?;
        if outputs.is_empty() {
            bail!(
                "found no stack \"{stack}\" with outputs in {region}; name the one that Seedflow was deployed as by --stack and its region by --region, or use the local stack by --local"
            );
        }
        Self::of_outputs(config, stack, &outputs)
    }

    fn of_outputs(config: SdkConfig, stack: String, outputs: &Map<String, Value>) -> Result<Self> {
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
            arguments: match stack.as_str() {
                STACK => String::new(),
                other => format!(" --stack {other}"),
            },
            config,
            stack,
        })
    }

    fn of_local(local: LocalStack, arguments: String) -> Self {
        Self {
            config: config::load_for_endpoint(
                local.endpoint,
                local.region,
                local.access_key_id,
                local.secret_access_key,
            ),
            stack: "local".to_owned(),
            work_bucket: local.work_bucket,
            state_machine_arn: local.state_machine_arn,
            deploy_state_machine_arn: local.deploy_state_machine_arn,
            arguments,
        }
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
        let deploy = &self.deploy_state_machine_arn;
        format!(
            "{}-end-execution",
            deploy.strip_suffix("-deploy").unwrap_or(deploy)
        )
    }

    /// The function that takes the decisions of approvers.
    #[must_use]
    pub fn approve_function(&self) -> String {
        let name = self
            .deploy_state_machine_arn
            .rsplit(':')
            .next()
            .unwrap_or_default();
        format!("{}-approve", name.strip_suffix("-deploy").unwrap_or(name))
    }

    /// The state machine that plans and can't deploy.
    #[must_use]
    pub fn plan_arn(&self) -> String {
        let deploy = &self.deploy_state_machine_arn;
        format!("{}-plan", deploy.strip_suffix("-deploy").unwrap_or(deploy))
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

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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
    fn a_stack_without_our_outputs_is_named() {
        let config = SdkConfig::builder().build();
        let error = Account::of_outputs(config, "other".to_owned(), &Map::new()).unwrap_err();
        assert!(error.to_string().contains("\"other\" has no output"), "{error}");
    }
}
