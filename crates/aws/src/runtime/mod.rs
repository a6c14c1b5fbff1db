//! What surrounds a handler. It knows no AWS service but what every function uses: Lambda, and its logs.

pub mod config;
pub mod failure;
pub mod handler;
pub mod log;
pub mod metrics;
mod payload;
