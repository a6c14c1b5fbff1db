//! One file for each command: its arguments, and what it does.

pub mod apply;
pub mod cancel;
pub mod check;
pub mod completions;
pub mod confirm;
pub mod deploy;
pub mod destroy;
pub mod diff;
pub mod doctor;
pub mod follow;
pub mod history;
pub mod init;
pub mod locks;
pub mod logs;
pub mod open;
pub mod plan;
pub mod policy;
pub mod published;
pub mod reading;
pub mod report;
pub mod repository;
pub mod retry;
pub mod rollback;
pub mod settings;
pub mod start;
pub mod status;
