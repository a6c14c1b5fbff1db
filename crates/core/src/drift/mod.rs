//! Drift: how a module's stacks differ from what was deployed (decision 65).
//!
//! CloudFormation needs minutes for a stack, and so does a build of a module's own commands ([`phases`]). So a check runs in
//! steps, and the state machine waits between them. [`check`] holds the interim state. The result becomes a record
//! ([`record`]), which says since when a module has drifted, and whether that is news.

pub mod check;
pub mod difference;
pub mod phases;
pub mod record;
pub mod request;
pub mod state;
