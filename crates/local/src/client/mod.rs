//! What a client does on a stack: deploy and follow, show progress, find pages.

pub mod deployment;
pub mod pages;
pub mod progress;
