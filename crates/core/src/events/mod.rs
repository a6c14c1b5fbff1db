//! Events of Seedflow: each state of a module or a deployment that is written is also published on EventBridge's default
//! bus (decision 29), and so is each change of what drift detection finds (decision 65).
//!
//! The functions below derive an event from the status that was written and its context. An event contains only what the
//! status, the report or the input contain: none of them holds a secret. The fields are a contract with consumers
//! (docs/events, with a JSON Schema for each type): fields may be added, but a field changes its meaning only with a new
//! `version`. Texts that people wrote are cut, so that an event stays far below EventBridge's 256 KB per entry
//! (EventBridge user guide, "Calculating PutEvents event entry size").

mod chat;
mod deployment;
mod drift;
mod envelope;
mod module;

pub use chat::{ChatNotification, Happened};
pub use deployment::DeploymentStateChange;
pub use drift::{DriftedResource, ModuleDrift};
pub use envelope::{Event, ReportAt, SOURCE, VERSION};
pub use module::ModuleStateChange;
