//! One file for each command: its arguments, and what it does.

pub mod completions;
pub mod diff;
pub mod doctor;
pub mod history;
pub mod init;
pub mod locks;
pub mod logs;
pub mod open;
pub mod published;
pub mod reading;
pub mod report;
pub mod status;
