//! The AWS side of Seedflow: one function per AWS call, and the only place where clients are made.
//!
//! Everything here takes and gives the core's types. An answer of AWS becomes a value, or an
//! [`Error`](seedflow_core::error::Error) with the name that the state machine decides by
//! ([`failure`]). Retries, timeouts and the HTTP client are set once, in [`config`]. Each SDK stands behind a
//! feature, so that a function links only what its manifest names.

#[cfg(feature = "cloudwatchlogs")]
pub mod build_log;
#[cfg(all(feature = "s3", feature = "sfn"))]
pub mod callback;
#[cfg(feature = "cloudformation")]
pub mod cloudformation;
#[cfg(feature = "codebuild")]
pub mod codebuild;
pub mod config;
#[cfg(feature = "s3")]
pub mod copy;
#[cfg(feature = "events")]
pub mod events;
pub mod failure;
#[cfg(feature = "s3")]
pub mod fence;
#[cfg(feature = "iam")]
pub mod iam;
pub mod lambda;
#[cfg(all(feature = "s3", feature = "sfn"))]
pub mod locks;
pub mod log;
pub mod metrics;
#[cfg(feature = "s3")]
pub mod object_reader;
mod payload;
#[cfg(feature = "s3")]
pub mod plans;
#[cfg(all(feature = "s3", feature = "ssm"))]
pub mod records;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "sfn")]
pub mod sfn;
#[cfg(feature = "ssm")]
pub mod ssm;
#[cfg(feature = "s3")]
pub mod values;
