//! Drift: how a module's stacks differ from what was deployed (decision 65).
//!
//! CloudFormation finds it out, and takes up to minutes for a stack; so does the build of a module's own commands ([`phases`]).
//! So a check goes on in steps between which the state machine waits: [`check`] has what is known in between. In the end it becomes a record ([`record`]), which
//! says since when a module has drifted, and whether that is news.

pub mod check;
pub mod difference;
pub mod phases;
pub mod record;
pub mod request;
pub mod state;
