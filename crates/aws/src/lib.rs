//! The AWS calls of Seedflow, and the only place that creates clients.
//!
//! - [`runtime`]: what surrounds a handler: settings, clients, log lines, metrics, names of errors.
//! - [`services`]: a file for each AWS service, with a function for each call; [`services::copy`], [`services::identity`] and
//!   [`services::object_reader`] make several calls of a service.
//! - [`stores`]: what Seedflow keeps in these services: locks, callbacks, plans, modules.
//!
//! Everything here takes and returns the core's types. An answer of AWS becomes a value, or an
//! [`Error`](seedflow_core::error::Error) with a name by which the state machine decides ([`runtime::failure`]). Retries,
//! timeouts and the HTTP client are configured once, in [`runtime::config`]. Each SDK is behind a feature, so that a
//! function links only those that its manifest names.

#![warn(missing_docs)]

pub mod runtime;
pub mod services;
pub mod stores;
