//! A locked resource for logs and metrics: the metric that counts its superseded executions, and its log context.

use crate::ids::{DeploymentId, ExecutionArn, ModuleId};
use crate::telemetry::log_context::LogContext;
use crate::telemetry::metric::Metric;

/// A resource that executions work on, as logs and metrics see it.
pub trait Observed {
    /// Counts executions that a newer one replaced.
    const SUPERSEDED: Metric;

    /// The context of its log lines, with the execution if it is known.
    fn log_context(&self, execution: Option<&ExecutionArn>) -> LogContext;
}

impl Observed for ModuleId {
    const SUPERSEDED: Metric = Metric::ModulesSuperseded;

    fn log_context(&self, execution: Option<&ExecutionArn>) -> LogContext {
        LogContext {
            execution: execution.map(|execution| execution.as_str().to_owned()),
            module: Some(self.to_string()),
            ..LogContext::default()
        }
    }
}

impl Observed for DeploymentId {
    const SUPERSEDED: Metric = Metric::DeploymentsSuperseded;

    fn log_context(&self, execution: Option<&ExecutionArn>) -> LogContext {
        LogContext {
            execution: execution.map(|execution| execution.as_str().to_owned()),
            deployment: Some(self.to_string()),
            ..LogContext::default()
        }
    }
}
