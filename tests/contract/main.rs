//! The templates, definitions, policies and documents against the code and against each other. Nothing is started but
//! an interpreter of Python for the expressions of the definitions, and git.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod aws_facts;
mod doc_links;
mod events;
mod expressions;
mod observability;
mod policies;
mod state_machines;
mod task_errors;
mod template;
mod template_git;
