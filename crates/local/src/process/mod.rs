//! Programs that the local stack runs.

pub mod cargo_build;
pub mod python;
