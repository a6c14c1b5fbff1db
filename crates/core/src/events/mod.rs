//! Own events: every state that is written of a module or of a deployment is told on EventBridge's default bus.
//!
//! An event follows from the status that was written and from what surrounds it, by the functions below, and says
//! nothing that the status, the report or the input don't say: no secret is in any of them. Its fields are a contract
//! with whoever listens (docs/events, with a JSON Schema for each type): they are added to and never change their
//! meaning, or `version` grows. What people wrote is cut, so that an event stays far below EventBridge's 256 KB an entry
//! (EventBridge user guide, "Calculating PutEvents event entry size").

mod deployment;
mod envelope;
mod module;

pub use deployment::DeploymentStateChange;
pub use envelope::{Event, ReportAt, SOURCE, VERSION};
pub use module::ModuleStateChange;
