//! Metrics, in CloudWatch's embedded metric format (decision 31).
//!
//! A function writes one JSON line to its log, and CloudWatch extracts metrics from it (Amazon CloudWatch User Guide,
//! "Specification: Embedded metric format"): no API call, no permission, no agent. The dimension is the stack. A
//! measurement in another account or region is written a second time, with account and region as further dimensions.
//! Modules have no dimension, because each further value of a dimension is another metric to pay for. The context
//! ([`LogContext`]) is beside the numbers, where Logs Insights finds it.
//!
//! The function that wrote a status counts it, after the write. A repeated call finds its status stored and counts nothing.
//! A function that crashes between the write and the count loses one count.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::drift::record::DriftState;
use crate::module::status::State;
use crate::module::timeline::Timeline;
use crate::telemetry::log_context::LogContext;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Seedflow";
/// The dimension of every metric: the name of Seedflow's stack.
pub const DIMENSION: &str = "Stack";
/// The further dimensions of what is measured in another account or region.
pub const TARGET_DIMENSIONS: [&str; 2] = ["Account", "Region"];

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $unit:literal,)*) => {
        /// All metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Metric {
            $($(#[$doc])* $name,)*
        }

        impl Metric {
            /// Every metric, for the tests that compare dashboard, alarms and documentation with them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in CloudWatch.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Its unit, as CloudWatch names it (API reference, `MetricDatum.Unit`).
            #[must_use]
            pub const fn unit(self) -> &'static str {
                match self {
                    $(Self::$name => $unit,)*
                }
            }
        }
    };
}

metrics! {
    /// A module was deployed.
    ModulesSucceeded: "Count",
    /// A module was skipped, because nothing changed.
    ModulesUnchanged: "Count",
    /// The deployment of a module failed.
    ModulesFailed: "Count",
    /// The execution of a module was stopped or timed out.
    ModulesAborted: "Count",
    /// A module was destroyed.
    ModulesDestroyed: "Count",
    /// The request for a module was refused before anything ran.
    ModulesRefused: "Count",
    /// A newer execution deploys the module instead.
    ModulesSuperseded: "Count",
    /// A whole deployment succeeded.
    DeploymentsSucceeded: "Count",
    /// A whole deployment had nothing to do.
    DeploymentsUnchanged: "Count",
    /// A whole deployment failed.
    DeploymentsFailed: "Count",
    /// A whole deployment was stopped or timed out.
    DeploymentsAborted: "Count",
    /// A whole deployment was destroyed.
    DeploymentsDestroyed: "Count",
    /// The request for a whole deployment was refused before anything ran.
    DeploymentsRefused: "Count",
    /// A newer execution deploys the manifest instead.
    DeploymentsSuperseded: "Count",
    /// Time from the start of a whole deployment to its end.
    DeploymentSeconds: "Seconds",
    /// Duration of a build, by CodeBuild's start and end times.
    BuildSeconds: "Seconds",
    /// Duration of an execution with a build, without the build and without the wait for its lock.
    OverheadSeconds: "Seconds",
    /// Time that an execution waited for its module's lock.
    WaitingSeconds: "Seconds",
    /// Time that an execution with a running build has been in progress.
    InProgressSeconds: "Seconds",
    /// The timeout found the end of a build, because its event did not arrive.
    LostEvents: "Count",
    /// A value was too long for Parameter Store and was stored in S3.
    SpilledValues: "Count",
    /// An event of Seedflow could not be sent.
    EventsNotSent: "Count",
    /// Events that came from another account or region than their build, or from a target about a build for which no execution waits.
    EventsDropped: "Count",
    /// A module was checked for drift, and has drifted.
    ModulesDrifted: "Count",
    /// A module was checked for drift, and is in sync.
    ModulesInSync: "Count",
    /// A module could not be checked for drift, or not all of it.
    ModulesNotCompared: "Count",
}

impl Metric {
    /// The count of modules with this final state; `None` for a state that isn't final.
    #[must_use]
    pub const fn of_module(state: State) -> Option<Self> {
        match state {
            State::Succeeded => Some(Self::ModulesSucceeded),
            State::Unchanged => Some(Self::ModulesUnchanged),
            State::Failed => Some(Self::ModulesFailed),
            State::Aborted => Some(Self::ModulesAborted),
            State::Destroyed => Some(Self::ModulesDestroyed),
            State::Refused => Some(Self::ModulesRefused),
            State::InProgress | State::WaitingForApproval | State::Unknown => None,
        }
    }

    /// The number of modules with this result in a check for drift.
    #[must_use]
    pub const fn of_drift(state: DriftState) -> Self {
        match state {
            DriftState::Drifted => Self::ModulesDrifted,
            DriftState::InSync => Self::ModulesInSync,
            DriftState::Unknown => Self::ModulesNotCompared,
        }
    }

    /// The count of deployments with this final state; `None` for a state that isn't final.
    #[must_use]
    pub const fn of_deployment(state: State) -> Option<Self> {
        match state {
            State::Succeeded => Some(Self::DeploymentsSucceeded),
            State::Unchanged => Some(Self::DeploymentsUnchanged),
            State::Failed => Some(Self::DeploymentsFailed),
            State::Aborted => Some(Self::DeploymentsAborted),
            State::Destroyed => Some(Self::DeploymentsDestroyed),
            State::Refused => Some(Self::DeploymentsRefused),
            State::InProgress | State::WaitingForApproval | State::Unknown => None,
        }
    }
}

/// Metrics that are written in one line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measurement(Vec<(Metric, f64)>);

impl Measurement {
    /// A count of one.
    #[must_use]
    pub fn one(metric: Metric) -> Self {
        Self::default().and_count(Some(metric), 1)
    }

    /// The end of a module's execution with this state, and its durations; empty for a state that isn't final.
    #[must_use]
    pub fn end_of_module(state: State, times: &Timeline) -> Self {
        let Some(metric) = Metric::of_module(state) else {
            return Self::default();
        };
        // Overhead is the cost of a build beyond the build itself: an execution without a build has none.
        let build = times.build();
        Self::one(metric)
            .and_seconds(Metric::BuildSeconds, build)
            .and_seconds(Metric::OverheadSeconds, build.and_then(|_| times.overhead()))
            .and_seconds(Metric::WaitingSeconds, times.waiting())
    }

    /// The end of a deployment's execution with this state, and its duration; empty for a state that isn't final.
    #[must_use]
    pub fn end_of_deployment(state: State, took: Option<SignedDuration>) -> Self {
        let Some(metric) = Metric::of_deployment(state) else {
            return Self::default();
        };
        Self::one(metric).and_seconds(Metric::DeploymentSeconds, took)
    }

    /// Adds a count, unless it is 0 or there is no metric for it.
    #[must_use]
    pub fn and_count(mut self, metric: Option<Metric>, count: u32) -> Self {
        if let (Some(metric), 1..) = (metric, count) {
            self.0.push((metric, f64::from(count)));
        }
        self
    }

    /// Adds a duration, if it is known. The clocks of two services may differ slightly: a negative duration is left out.
    #[must_use]
    pub fn and_seconds(mut self, metric: Metric, took: Option<SignedDuration>) -> Self {
        if let Some(took) = took {
            self.0
                .push((metric, took.max(SignedDuration::ZERO).as_secs_f64()));
        }
        self
    }

    /// The log line; `None` if nothing was measured.
    ///
    /// Lambda defines `level` and `timestamp`: a line without them counts as INFO (AWS Lambda Developer Guide, "Log-level
    /// filtering").
    #[must_use]
    pub fn document(&self, stack: &str, about: &LogContext, now: Timestamp) -> Option<Value> {
        if self.0.is_empty() {
            return None;
        }
        let definitions: Vec<Value> = self
            .0
            .iter()
            .map(|(metric, _)| json!({"Name": metric.name(), "Unit": metric.unit()}))
            .collect();
        let mut document = Map::new();
        document.insert("timestamp".to_owned(), json!(now));
        document.insert("level".to_owned(), json!("INFO"));
        document.insert("message".to_owned(), json!("measured"));
        if let Ok(Value::Object(fields)) = serde_json::to_value(about) {
            document.extend(fields);
        }
        document.insert(DIMENSION.to_owned(), json!(stack));
        for (metric, value) in &self.0 {
            document.insert(metric.name().to_owned(), json!(value));
        }
        let mut dimensions = vec![vec![DIMENSION]];
        if let Some(target) = &about.target {
            let [account, region] = TARGET_DIMENSIONS;
            document.insert(account.to_owned(), json!(target.account()));
            document.insert(region.to_owned(), json!(target.region()));
            dimensions.push(vec![DIMENSION, account, region]);
        }
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": definitions});
        let metadata = json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive]});
        document.insert("_aws".to_owned(), metadata);
        Some(Value::Object(document))
    }
}

#[cfg(test)]
mod tests;
