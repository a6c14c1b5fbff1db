//! Coordination of executions, builds and functions: one lock at a time, callbacks that report a build's end, the
//! check whether an execution or a build has ended, and the pace at a full quota. It knows names and ids, and nothing about the contents of a module.

pub mod build_origin;
pub mod build_outcome;
pub mod callback;
pub mod ending;
pub mod execution_history;
pub mod lock;
pub mod lock_decision;
pub mod pacing;
