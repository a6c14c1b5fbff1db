//! What Seedflow keeps in AWS's services, each in the order of writing that survives a crash.

#[cfg(all(feature = "s3", feature = "sfn"))]
pub mod callbacks;
#[cfg(feature = "s3")]
pub mod fence;
#[cfg(all(feature = "s3", feature = "sfn"))]
pub mod locks;
#[cfg(all(feature = "s3", feature = "ssm"))]
pub mod module_store;
#[cfg(feature = "s3")]
pub mod plans;
#[cfg(feature = "s3")]
pub mod spilled_values;
