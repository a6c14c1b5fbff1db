//! What people see: tables, words and times.

pub mod build_log;
pub mod drift;
pub mod json;
pub mod moment;
pub mod plan;
pub mod report;
pub mod state;
pub mod status;
pub mod table;
