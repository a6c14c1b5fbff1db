//! The templates, definitions, policies and documents, checked against the code and against each other. The tests start
//! only a Python interpreter, for the expressions of the definitions, and git.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod aws_facts;
mod doc_links;
mod events;
mod expressions;
mod full_account;
mod observability;
mod plan_json;
mod policies;
mod pull_requests;
mod state_machines;
mod storage_keys;
mod task_errors;
mod template;
mod template_git;
mod template_target;
