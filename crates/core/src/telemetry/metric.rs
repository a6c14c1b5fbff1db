//! What is measured, and how a measurement is written: CloudWatch's embedded metric format.
//!
//! A function writes one JSON line to its log, and CloudWatch makes metrics of it (Amazon CloudWatch User Guide,
//! "Specification: Embedded metric format"): no call, no right, no agent. The only dimension is the stack, because every
//! other value of a dimension is a metric that costs money. What the measurement is about stands beside the numbers
//! ([`LogContext`]), where Logs Insights finds it.
//!
//! A count is written by whoever wrote the status that it counts, once it is written: a repeated call that finds its
//! status stored counts nothing. One that dies between the two leaves a count out.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::module::status::State;
use crate::module::timeline::Timeline;
use crate::telemetry::log_context::LogContext;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Seedflow";
/// The only dimension: the name of Seedflow's stack.
pub const DIMENSION: &str = "Stack";

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $unit:literal,)*) => {
        /// Everything that is measured.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Metric {
            $($(#[$doc])* $name,)*
        }

        impl Metric {
            /// Every metric, for the tests that hold dashboard, alarms and documentation against them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in CloudWatch.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Its unit, a word of CloudWatch's (API reference, `MetricDatum.Unit`).
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
    /// A module was skipped, because nothing had changed.
    ModulesUnchanged: "Count",
    /// The deployment of a module failed.
    ModulesFailed: "Count",
    /// The execution of a module was stopped or timed out.
    ModulesAborted: "Count",
    /// A module was destroyed.
    ModulesDestroyed: "Count",
    /// A newer execution deploys the module instead.
    ModulesSuperseded: "Count",
    /// A whole deployment ended well.
    DeploymentsSucceeded: "Count",
    /// A whole deployment found nothing to do.
    DeploymentsUnchanged: "Count",
    /// A whole deployment failed.
    DeploymentsFailed: "Count",
    /// A whole deployment was stopped or timed out.
    DeploymentsAborted: "Count",
    /// A whole deployment was destroyed.
    DeploymentsDestroyed: "Count",
    /// A newer execution deploys the manifest instead.
    DeploymentsSuperseded: "Count",
    /// From a whole deployment's start to its end.
    DeploymentSeconds: "Seconds",
    /// A build, from its start to its end as CodeBuild tells them.
    BuildSeconds: "Seconds",
    /// What an execution with a build took besides the build and the waiting for its lock.
    OverheadSeconds: "Seconds",
    /// How long an execution waited for its module's lock.
    WaitingSeconds: "Seconds",
    /// How long an execution that waits for its build has been running.
    InProgressSeconds: "Seconds",
    /// The end of a build was found by the timeout, because its event had not come.
    LostEvents: "Count",
    /// A value was too long for Parameter Store and went to S3.
    SpilledValues: "Count",
    /// An event of Seedflow's own could not be sent.
    EventsNotSent: "Count",
}

impl Metric {
    /// The count of modules that ended so; none for a state that is no end.
    #[must_use]
    pub const fn of_module(state: State) -> Option<Self> {
        match state {
            State::Succeeded => Some(Self::ModulesSucceeded),
            State::Unchanged => Some(Self::ModulesUnchanged),
            State::Failed => Some(Self::ModulesFailed),
            State::Aborted => Some(Self::ModulesAborted),
            State::Destroyed => Some(Self::ModulesDestroyed),
            State::InProgress | State::Unknown => None,
        }
    }

    /// The count of deployments that ended so; none for a state that is no end.
    #[must_use]
    pub const fn of_deployment(state: State) -> Option<Self> {
        match state {
            State::Succeeded => Some(Self::DeploymentsSucceeded),
            State::Unchanged => Some(Self::DeploymentsUnchanged),
            State::Failed => Some(Self::DeploymentsFailed),
            State::Aborted => Some(Self::DeploymentsAborted),
            State::Destroyed => Some(Self::DeploymentsDestroyed),
            State::InProgress | State::Unknown => None,
        }
    }
}

/// What was measured at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measurement(Vec<(Metric, f64)>);

impl Measurement {
    /// One of something.
    #[must_use]
    pub fn one(metric: Metric) -> Self {
        Self::default().and_count(Some(metric), 1)
    }

    /// The end of a module's execution in that state, and how long it took; nothing for a state that is no end.
    #[must_use]
    pub fn end_of_module(state: State, times: &Timeline) -> Self {
        let Some(metric) = Metric::of_module(state) else {
            return Self::default();
        };
        // Overhead is what a build costs besides itself: an execution without one has none.
        let build = times.build();
        Self::one(metric)
            .and_seconds(Metric::BuildSeconds, build)
            .and_seconds(Metric::OverheadSeconds, build.and_then(|_| times.overhead()))
            .and_seconds(Metric::WaitingSeconds, times.waiting())
    }

    /// The end of a deployment's execution in that state, and how long it took; nothing for a state that is no end.
    #[must_use]
    pub fn end_of_deployment(state: State, took: Option<SignedDuration>) -> Self {
        let Some(metric) = Metric::of_deployment(state) else {
            return Self::default();
        };
        Self::one(metric).and_seconds(Metric::DeploymentSeconds, took)
    }

    /// And so many of something, if it is anything and there are any.
    #[must_use]
    pub fn and_count(mut self, metric: Option<Metric>, count: u32) -> Self {
        if let (Some(metric), 1..) = (metric, count) {
            self.0.push((metric, f64::from(count)));
        }
        self
    }

    /// And how long something took, where that is known. Clocks of several services may disagree by a moment: a
    /// negative duration is none.
    #[must_use]
    pub fn and_seconds(mut self, metric: Metric, took: Option<SignedDuration>) -> Self {
        if let Some(took) = took {
            self.0
                .push((metric, took.max(SignedDuration::ZERO).as_secs_f64()));
        }
        self
    }

    /// The log line; `None` where nothing was measured.
    ///
    /// `level` and `timestamp` are Lambda's: a line without them counts as INFO (AWS Lambda Developer Guide, "Log-level
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
        if let Ok(Value::Object(about)) = serde_json::to_value(about) {
            document.extend(about);
        }
        document.insert(DIMENSION.to_owned(), json!(stack));
        for (metric, value) in &self.0 {
            document.insert(metric.name().to_owned(), json!(value));
        }
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": definitions});
        let metadata = json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive]});
        document.insert("_aws".to_owned(), metadata);
        Some(Value::Object(document))
    }
}

#[cfg(test)]
mod tests;
