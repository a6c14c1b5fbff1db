//! The account and the stack in it that a command works with.

use aws_config::SdkConfig;
use seedflow_aws::services::codebuild::CodeBuild;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::services::ssm::ParameterStore;

/// A stack, and how to reach it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Credentials, region and endpoint.
    pub config: SdkConfig,
    /// The work bucket.
    pub work_bucket: String,
    /// The state machine of whole deployments.
    pub deploy_state_machine_arn: String,
}

impl Account {
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
