//! Seedflow on one machine: an AWS emulator, a CodeBuild emulator that really builds, a proxy that
//! counts calls, applies AWS's limits and injects faults, and the command that runs it all.
//!
//! The command `seedflow-local` and the end-to-end tests share this library. It
//! talks to loopback only; [`process`] alone downloads, once, what the stack is made of.

pub mod aws_api;
pub mod cli;
pub mod client;
pub mod codebuild;
pub mod demo;
pub mod git;
pub mod process;
pub mod proxy;
pub mod soak;
pub mod stack;
