//! The core of Seedflow: what a deployment of a module is, without any I/O.
//!
//! In reading order:
//!
//! - [`error`], [`ids`], [`storage_layout`], [`console`]: the ground. Names are parsed once; every S3 key and parameter path is
//!   built in one file.
//! - [`formats`]: text formats that others define (YAML 1.1, dotenv, Python's JSON), read and written.
//! - [`module`]: one module, from an execution's input to the writes of its success, in the order in which it happens.
//! - [`workflow`]: what coordinates executions, builds and functions: the lock, the callback, the outcome of a build.
//! - [`deployment`]: a whole deployment, from a repository's manifests to its plan and its outcome.
//! - [`telemetry`]: metrics, and the fields that every log line carries.
//! - [`events`]: the events that Seedflow puts on EventBridge.
//! - [`pages`]: the HTML pages of reports.
//!
//! Nothing here reads a clock, a network or a disk: time and values come in as arguments. The AWS calls are in the crate
//! `seedflow-aws`, and the functions put both together.

pub mod console;
pub mod deployment;
pub mod error;
pub mod events;
pub mod formats;
pub mod ids;
pub mod module;
pub mod pages;
pub mod storage_layout;
pub mod telemetry;
pub mod workflow;
