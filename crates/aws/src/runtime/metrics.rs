//! Writes metrics: log lines from which CloudWatch extracts metrics ([`seedflow_core::telemetry::metric`]).

use std::io::Write;

use jiff::Timestamp;
use seedflow_core::error::Result;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::Measurement;

use crate::runtime::config;

/// Writes metrics to the function's log.
#[derive(Debug, Clone)]
pub struct Metrics {
    stack: String,
}

impl Metrics {
    /// Metrics of the stack to which the function belongs.
    pub fn of_stack() -> Result<Self> {
        Ok(Self {
            stack: config::setting("STACK_NAME")?,
        })
    }

    /// Writes a measurement; an empty one writes nothing. An error is only logged: nothing fails because of a metric.
    pub fn write(&self, measured: &Measurement, about: &LogContext) {
        let Some(document) = measured.document(&self.stack, about, Timestamp::now()) else {
            return;
        };
        if let Err(error) = writeln!(std::io::stdout().lock(), "{document}") {
            tracing::warn!(%error, ?measured, "a measurement could not be written");
        }
    }
}
