//! STS: whose credentials these are.

use aws_sdk_sts::Client;
use seedflow_core::error::Result;

use crate::runtime::failure::failure;

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The ARN of the user or the session.
    pub arn: String,
}

/// Who calls AWS with these credentials. It needs no right (STS API reference, GetCallerIdentity).
pub async fn caller(config: &aws_config::SdkConfig) -> Result<Caller> {
    let answer = Client::new(config).get_caller_identity().send().await;
    let answer = answer.map_err(|e| failure("STS GetCallerIdentity", &e))?;
    Ok(Caller {
        account: answer.account.unwrap_or_default(),
        arn: answer.arn.unwrap_or_default(),
    })
}
