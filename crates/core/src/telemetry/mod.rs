//! Metrics, and the context fields of log lines.

pub mod log_context;
pub mod metric;
pub mod observed;
