//! What coordinates executions, builds and functions: one lock at a time, callbacks that meet their build's end, and whether
//! an execution or a build has ended. It knows names and ids, and nothing of what a module consists of.

pub mod build_outcome;
pub mod callback;
pub mod ending;
pub mod execution_history;
pub mod lock;
