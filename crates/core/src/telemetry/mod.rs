//! What logs and metrics say of all that happens.

pub mod log_context;
pub mod metric;
pub mod observed;
