//! What people see: tables and times.

pub mod build_log;
pub mod json;
pub mod moment;
pub mod report;
pub mod status;
pub mod table;
