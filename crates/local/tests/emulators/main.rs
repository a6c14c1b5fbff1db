//! The CodeBuild emulator and the proxy together, before a small emulator that keeps everything in memory.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod builds;
mod commands;
mod emulator;
mod faults;
mod interrupted;
mod limits;
mod proxied;
mod stack;
mod traffic;
