//! A file for each AWS service, with a function for each call. `copy`, `identity` and `object_reader` each do one thing by several
//! calls, or by a request that the SDK doesn't make. Nothing here depends on what Seedflow stores in the services.

#[cfg(feature = "cloudformation")]
pub mod cloudformation;
#[cfg(feature = "codebuild")]
pub mod codebuild;
#[cfg(feature = "s3")]
pub mod copy;
#[cfg(feature = "events")]
pub mod eventbridge;
#[cfg(feature = "iam")]
pub mod iam;
#[cfg(feature = "sts")]
pub mod identity;
#[cfg(feature = "lambda")]
pub mod lambda;
#[cfg(feature = "cloudwatchlogs")]
pub mod logs;
#[cfg(feature = "s3")]
pub mod object_reader;
#[cfg(feature = "servicequotas")]
pub mod quotas;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "secretsmanager")]
pub mod secrets;
#[cfg(feature = "sfn")]
pub mod sfn;
#[cfg(feature = "sqs")]
pub mod sqs;
#[cfg(feature = "ssm")]
pub mod ssm;
#[cfg(feature = "sts")]
pub mod sts;
