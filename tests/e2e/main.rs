//! The real template, functions and builds on local stacks.
//!
//! All suites are one program, because most tests spend most of their time waiting: the tests of one suite run while
//! those of another wait. Suites that need the same stack share it. Each of the others has a stack of its own, with
//! settings that no other suite can use. The first test that asks for a stack starts it. Tests start in the order of their
//! names, so `delays`, which mostly waits, is not among the last.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod call_budget;
mod cdk;
mod command_line;
mod delays;
mod deployment;
mod git_push;
mod iam_privileges;
mod module;
mod pull_requests;
mod remote_sources;
mod seedfarmer_failures;
mod targets;
