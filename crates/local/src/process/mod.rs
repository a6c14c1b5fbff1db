//! Programs that the local stack runs: how they start and end, and where they come from.

pub mod cargo_build;
pub mod child_guard;
mod installation;
pub mod output_tail;
pub mod programs;
pub mod python;
pub mod python_tools;
pub mod workspace;
