//! What Seedflow stores in AWS's services. Each store writes in an order that survives a crash.

#[cfg(feature = "s3")]
pub mod approvals;
pub mod build_folder;
#[cfg(all(feature = "s3", feature = "sfn"))]
pub mod callbacks;
#[cfg(all(feature = "s3", feature = "sfn"))]
pub mod locks;
#[cfg(all(feature = "s3", feature = "ssm"))]
pub mod module_store;
#[cfg(feature = "s3")]
pub mod plans;
#[cfg(feature = "s3")]
pub mod policies;
#[cfg(all(
    feature = "codebuild",
    feature = "cloudwatchlogs",
    feature = "s3",
    feature = "ssm",
    feature = "sts"
))]
pub mod read_only_builds;
#[cfg(feature = "s3")]
pub mod spilled_values;
#[cfg(feature = "s3")]
pub mod stored_lock;
#[cfg(feature = "ssm")]
pub mod target_settings;
