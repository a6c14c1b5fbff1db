//! Metrics: lines in the log that CloudWatch makes metrics of ([`seedflow_core::telemetry::metric`]).

use std::io::Write;

use jiff::Timestamp;
use seedflow_core::error::Result;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::Measurement;

use crate::runtime::config;

/// Writes what was measured to the function's log.
#[derive(Debug, Clone)]
pub struct Metrics {
    stack: String,
}

impl Metrics {
    /// Metrics of the stack that the function belongs to.
    pub fn of_stack() -> Result<Self> {
        Ok(Self {
            stack: config::setting("STACK_NAME")?,
        })
    }

    /// Writes a measurement; one of nothing writes nothing. What can't be written is told in the log, and nothing fails
    /// for it.
    pub fn write(&self, measured: &Measurement, about: &LogContext) {
        let Some(document) = measured.document(&self.stack, about, Timestamp::now()) else {
            return;
        };
        if let Err(error) = writeln!(std::io::stdout().lock(), "{document}") {
            tracing::warn!(%error, ?measured, "a measurement could not be written");
        }
    }
}
