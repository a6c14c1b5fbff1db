//! `seedflow`: the command line for an account and for the local stack.

pub mod account;
pub mod cli;
pub mod commands;
pub mod records;
pub mod serve;
pub mod view;
