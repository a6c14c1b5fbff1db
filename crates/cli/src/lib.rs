//! `seedflow`: the command line for an account and for the local stack.
//!
//! A command finds the stack ([`account`]), then reads what Seedflow has recorded ([`records`]), or starts an execution and
//! follows it ([`follow`], whose model is [`work`]), and shows it ([`view`]). It knows Seedflow from outside only: it calls
//! AWS with the caller's credentials, and no function (decision 48).

pub mod account;
pub mod checkout;
pub mod cli;
pub mod commands;
pub mod exit;
pub mod follow;
pub mod records;
pub mod serve;
pub mod shell;
pub mod view;
pub mod work;
