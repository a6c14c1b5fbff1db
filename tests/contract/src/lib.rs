//! The files that deploy Seedflow, as tests read them: templates, definitions of state machines, documents. It also has
//! the helpers of such tests that need no stack: Python scripts and git work trees.
//!
//! It panics with a message if something fails that no test is about.

#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod asl;
mod project;
mod python;
pub mod schema;
mod state_machine;
mod task_errors;
mod template;
mod work_tree;

pub use project::{file, root};
pub use state_machine::{StateMachine, errors, list};
pub use task_errors::{TaskEnd, TaskRun, run_task};
pub use template::Template;
pub use work_tree::{Pushed, WorkTree};
