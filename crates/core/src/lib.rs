//! The core of Seedflow: modules and deployments, without any I/O.
//!
//! In reading order; each uses only those before it:
//!
//! - [`error`], [`console`], [`target`]: the basis: errors, AWS's console, accounts and regions.
//! - [`formats`]: text formats that others define (YAML 1.1, dotenv, Python's JSON), parsed and written.
//! - [`ids`], [`storage_layout`]: names are parsed once, and every S3 key and parameter path is built in one file.
//! - [`roles`]: ready-made IAM policies for people.
//! - [`started_by`]: who started an execution, and what proves it.
//! - [`workflow`]: the coordination of executions, builds and functions: lock, callback, and outcome of a build.
//! - [`module`]: one module, from an execution's input to the writes of its success, in the order in which they happen.
//! - [`policy`]: which modules may not be deployed or destroyed, by any kind of request.
//! - [`approval`]: what is asked of an approver, and who decided what.
//! - [`drift`]: how a module's stacks differ from what was deployed.
//! - [`telemetry`]: metrics, and the fields that every log line carries.
//! - [`deployment`]: a whole deployment, from a repository's manifests to its plan and its outcome.
//! - [`events`]: the events that Seedflow puts on EventBridge.
//! - [`pages`]: the HTML pages of reports.
//!
//! Nothing here reads a clock, a network or a disk: time and values are arguments. The AWS calls are in the crate
//! `seedflow-aws`; the functions combine the two.

#![warn(missing_docs)]

pub mod approval;
pub mod console;
pub mod deployment;
pub mod drift;
pub mod error;
pub mod events;
pub mod formats;
pub mod ids;
pub mod module;
pub mod pages;
pub mod policy;
pub mod roles;
pub mod started_by;
pub mod storage_layout;
pub mod target;
pub mod telemetry;
pub mod workflow;
