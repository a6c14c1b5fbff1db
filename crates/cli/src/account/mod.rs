//! The account and the stack in it that a command works with.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use seedflow_aws::runtime::config::load_for_people;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::codebuild::CodeBuild;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::services::ssm::ParameterStore;

/// A stack, and how to reach it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Credentials, region and endpoint.
    pub config: SdkConfig,
    /// The name of the stack.
    pub stack: String,
    /// The stack's outputs.
    pub outputs: BTreeMap<String, String>,
    /// The work bucket.
    pub work_bucket: String,
    /// The state machine of whole deployments.
    pub deploy_state_machine_arn: String,
}

impl Account {
    /// The stack of this name, found by its outputs.
    ///
    /// # Errors
    /// If there is no such stack, or if it is not one of Seedflow's.
    pub async fn of_stack(stack: &str) -> Result<Self> {
        let config = load_for_people().await;
        let found = CloudFormation::new(&config).outputs(stack).await?;
        let outputs: BTreeMap<String, String> = found
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
            .collect();
        let output = |name: &str| {
            outputs.get(name).cloned().with_context(|| {
                format!("the stack \"{stack}\" has no output {name}; name the stack of Seedflow with --stack, or deploy it (README.md)")
            })
        };
        Ok(Self {
            work_bucket: output("WorkBucketName")?,
            deploy_state_machine_arn: output("DeployStateMachineArn")?,
            stack: stack.to_owned(),
            config,
            outputs,
        })
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
}
