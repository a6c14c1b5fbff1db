//! The AWS side of Seedflow: one function per AWS call, and the only place where clients are made.
//!
//! - [`runtime`]: what surrounds a handler: settings, clients, log lines, metrics, the names of failures.
//! - [`services`]: one file per AWS service, one function per call.
//! - [`stores`]: what Seedflow keeps in these services: locks, callbacks, plans, modules.
//!
//! Everything here takes and gives the core's types. An answer of AWS becomes a value, or an
//! [`Error`](seedflow_core::error::Error) with the name that the state machine decides by
//! ([`runtime::failure`]). Retries, timeouts and the HTTP client are set once, in [`runtime::config`]. Each SDK is behind a
//! feature, so that a function links only what its manifest names.

pub mod runtime;
pub mod services;
pub mod stores;
