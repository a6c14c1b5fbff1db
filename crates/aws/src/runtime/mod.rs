//! What surrounds a handler. It uses no AWS service except those of every function: Lambda, and its logs.

pub mod config;
pub mod failure;
pub mod handler;
pub mod log;
pub mod metrics;
mod patience;
mod payload;
