//! What a run on the local stack was seen to do, and what AWS would bill for it.
//!
//! Counted are executions (from their histories), invocations (from the lines that Lambda logs), calls (by the proxy)
//! and bytes of logs. What the emulator can't show is assumed, in the constants here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use seedflow_local::proxy::Caller;
use serde_json::Value;

use super::prices::{Item, Quantities};

/// How long an invocation is billed on AWS, in seconds, where nothing better is known: a cold start with its
/// initialisation, three TLS handshakes and the calls, at an eighth of a CPU. An assumption, and a high one.
pub const ASSUMED_SECONDS: f64 = 0.5;
/// What Lambda itself logs of an invocation in JSON (platform.initStart, platform.start, platform.report), in bytes and lines.
pub const PLATFORM_LOG: (u64, u64) = (900, 3);
/// What Step Functions logs of an event of a history without its data, in bytes: mostly the execution's ARN, and ids.
pub const HISTORY_LOG: u64 = 400;
/// What CloudWatch Logs adds to each line:
/// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
const LINE: u64 = 26;
/// How many months logs are kept: `LogRetentionDays` of the template.
pub const LOG_MONTHS: f64 = 3.0;
/// A module's bundle, in bytes.
pub const BUNDLE: f64 = 1e6;
/// For how many months at most a changed module's bundle lies in S3 before newer ones have replaced it and the
/// lifecycle rules have removed it: the upload and both copies of the last success for 90 days each after a month of use, the
/// build's copy for 31 days.
pub const BUNDLE_MONTHS: f64 = 4.0 + 4.0 + 4.0 + 1.0;
/// Requests to a queue for each event that a function is called for from it: send, receive, delete.
const REQUESTS_OF_A_MESSAGE: f64 = 3.0;

/// An execution.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Execution {
    /// The state machine's name, without the stack's.
    pub machine: String,
    /// States that were entered.
    pub states: u64,
    /// Tries after the first.
    pub retries: u64,
    /// Events of its history.
    pub events: u64,
}

impl Execution {
    /// From its history. The emulator tells nothing from inside a Map: see `with_children`.
    pub fn of(machine: &str, history: &[Value]) -> Self {
        let kinds = || history.iter().filter_map(|event| event["type"].as_str());
        let count = |kind: &str| kinds().filter(|found| *found == kind).count() as u64;
        Self {
            machine: machine.to_owned(),
            states: kinds().filter(|kind| kind.ends_with("StateEntered")).count() as u64,
            retries: count("TaskScheduled").saturating_sub(count("TaskStateEntered")),
            events: history.len() as u64,
        }
    }

    /// With a state (and its five events) for each execution that it started out of a Map.
    pub fn with_children(mut self, children: u64) -> Self {
        self.states += children;
        self.events += 5 * children;
        self
    }

    /// What is billed: each state, each retry, and the start, to be on the safe side.
    pub fn transitions(&self) -> u64 {
        1 + self.states + self.retries
    }

    /// Whether its events are logged: that of end-execution are only if it fails.
    fn is_logged(&self) -> bool {
        self.machine != "end-execution"
    }
}

/// An invocation, or several of the same length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Invocation {
    /// Its function's memory.
    pub memory_mb: u64,
    /// How long it is billed.
    pub seconds: f64,
}

impl Invocation {
    /// From the line that Lambda logs at its end: `REPORT RequestId: … Billed Duration: 12 ms Memory Size: 256 MB …`.
    pub fn of_report(line: &str) -> Option<Self> {
        let number = |name: &str| -> Option<u64> {
            let rest = line.split_once(name)?.1;
            rest.split_whitespace().next()?.parse().ok()
        };
        line.starts_with("REPORT ").then_some(())?;
        Some(Self {
            memory_mb: number("Memory Size:")?,
            seconds: number("Billed Duration:")? as f64 / 1e3,
        })
    }

    /// What is billed for it.
    pub fn quantities(&self) -> Quantities {
        let gigabytes = self.memory_mb as f64 / 1024.0;
        Quantities::of(Item::Invocation, 1.0).and(Item::GbSecond, gigabytes * self.seconds)
    }
}

/// How long invocations are taken to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durations {
    /// As long as on the local stack.
    Measured,
    /// `ASSUMED_SECONDS`.
    Assumed,
}

/// Everything that was seen of a deployment.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Calls by who made them and by `service:Operation`: the functions, the client that uploads, CodeBuild for a build.
    pub calls: Vec<(Caller, String, u64)>,
    /// The executions that it led to.
    pub executions: Vec<Execution>,
    /// The invocations by function.
    pub invocations: BTreeMap<String, Vec<Invocation>>,
    /// What the functions themselves logged: bytes and lines.
    pub logged: (u64, u64),
    /// Metrics of our own, each with its dimensions.
    pub metrics: BTreeSet<String>,
    /// Functions that are called from a queue.
    pub fed_by_queues: BTreeSet<String>,
    /// Modules that were built.
    pub changed: u64,
}

impl Counted {
    /// Takes in a line of a function's log.
    pub fn log_line(&mut self, function: &str, line: &str) {
        if let Some(invocation) = Invocation::of_report(line) {
            self.invocations
                .entry(function.to_owned())
                .or_default()
                .push(invocation);
        }
        let of_lambda = ["START RequestId", "END RequestId", "REPORT RequestId"];
        if of_lambda.iter().any(|start| line.starts_with(start)) {
            return; // on AWS they have another form, which `PLATFORM_LOG` stands for
        }
        self.logged.0 += line.len() as u64;
        self.logged.1 += 1;
        self.metrics.extend(metrics(line));
    }

    /// How often functions were invoked.
    pub fn invoked(&self) -> u64 {
        self.invocations.values().map(|all| all.len() as u64).sum()
    }

    /// The transitions of all its executions.
    pub fn transitions(&self) -> u64 {
        self.executions.iter().map(Execution::transitions).sum()
    }

    /// The executions of a state machine.
    pub fn executions_of(&self, machine: &str) -> u64 {
        let of_it = self
            .executions
            .iter()
            .filter(|execution| execution.machine == machine);
        of_it.count() as u64
    }

    /// The bytes that CloudWatch Logs takes in, the builds' own logs aside.
    pub fn log_bytes(&self) -> u64 {
        let platform = self.invoked() * (PLATFORM_LOG.0 + PLATFORM_LOG.1 * LINE);
        let own = self.logged.0 + self.logged.1 * LINE;
        let logged = self.executions.iter().filter(|execution| execution.is_logged());
        let histories: u64 = logged
            .map(|execution| execution.events * (HISTORY_LOG + LINE))
            .sum();
        platform + own + histories
    }

    /// What AWS bills for it, the builds' minutes aside.
    pub fn quantities(&self, durations: Durations) -> Result<Quantities> {
        let mut all = Quantities::of(Item::Transition, self.transitions() as f64);
        for invocation in self.invocations.values().flatten() {
            let seconds = match durations {
                Durations::Measured => invocation.seconds,
                Durations::Assumed => ASSUMED_SECONDS,
            };
            all = all.plus(
                &Invocation {
                    seconds,
                    ..*invocation
                }
                .quantities(),
            );
        }
        for (_, name, count) in &self.calls {
            if let Some(item) = billed_as(name)? {
                all = all.and(item, *count as f64);
            }
        }
        let from_queues: usize = self
            .fed_by_queues
            .iter()
            .filter_map(|name| self.invocations.get(name))
            .map(Vec::len)
            .sum();
        let gigabytes = self.log_bytes() as f64 / 1e9;
        Ok(all
            .and(Item::QueueRequest, REQUESTS_OF_A_MESSAGE * from_queues as f64)
            .and(Item::LogGb, gigabytes)
            .and(Item::LogMonth, gigabytes * LOG_MONTHS)
            .and(Item::S3Month, self.changed as f64 * BUNDLE / 1e9 * BUNDLE_MONTHS)
            .and(Item::Trace, self.traces() as f64))
    }

    /// A trace for each execution and for each invocation that none of them made, if every one is recorded. An invocation that
    /// belongs to an execution is part of its trace.
    fn traces(&self) -> u64 {
        let by_events = self
            .invocations
            .iter()
            .filter(|(name, _)| self.fed_by_queues.contains(*name) || name.as_str() == "build-event");
        let by_events: u64 = by_events.map(|(_, all)| all.len() as u64).sum();
        self.executions.len() as u64 + by_events
    }
}

/// What a call is billed as; nothing for those that cost nothing by themselves. A call that isn't known here is an error, so
/// that none is left out of the price unnoticed.
fn billed_as(name: &str) -> Result<Option<Item>> {
    let (service, operation) = name.split_once(':').unwrap_or((name, ""));
    Ok(match service {
        "s3" => of_s3(operation),
        // An event for each call: that is how many Seedflow puts into one.
        "events" if operation == "PutEvents" => Some(Item::Event),
        "sqs" => Some(Item::QueueRequest),
        // At Parameter Store's standard throughput; Step Functions bills transitions; a build bills its minutes; logs bill bytes.
        "ssm" | "states" | "codebuild" | "cloudformation" | "iam" | "sts" | "lambda" | "logs" | "xray"
        | "events" => None,
        _ => bail!("nobody knows what {name} costs: say so in benches/src/cost/counted.rs#billed_as"),
    })
}

fn of_s3(operation: &str) -> Option<Item> {
    if operation.starts_with("Delete") || operation.starts_with("Abort") {
        return None;
    }
    let reads = operation.starts_with("Get") || operation.starts_with("Head");
    Some(if reads { Item::S3Read } else { Item::S3Write })
}

/// The metrics that a line in CloudWatch's embedded metric format makes:
/// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
fn metrics(line: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(line).unwrap_or_default();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for directive in list(&document["_aws"]["CloudWatchMetrics"]) {
        for dimensions in list(&directive["Dimensions"]) {
            let dimensions: Vec<String> = list(&dimensions)
                .iter()
                .filter_map(Value::as_str)
                .map(|name| format!("{name}={}", document[name]))
                .collect();
            for metric in list(&directive["Metrics"]) {
                found.push(format!(
                    "{}/{} {}",
                    directive["Namespace"].as_str().unwrap_or_default(),
                    metric["Name"].as_str().unwrap_or_default(),
                    dimensions.join(" ")
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const REPORT: &str = "REPORT RequestId: 1\tDuration: 120 ms\tBilled Duration: 120 ms\tMemory Size: 512 MB\tMax Memory Used: 9 MB";

    #[test]
    fn an_execution_is_billed_by_states_retries_and_its_start() {
        let history = [
            "ExecutionStarted",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskFailed",
            "TaskScheduled",
            "TaskSucceeded",
            "TaskStateExited",
            "SucceedStateEntered",
            "SucceedStateExited",
            "ExecutionSucceeded",
        ]
        .map(|kind| json!({"type": kind}));
        let execution = Execution::of("deploy", &history);
        assert_eq!(
            (execution.states, execution.retries, execution.events),
            (2, 1, 10)
        );
        assert_eq!(execution.transitions(), 4);
        assert_eq!(execution.with_children(3).transitions(), 7);
    }

    #[test]
    fn lambdas_own_line_tells_what_is_billed() {
        let invocation = Invocation::of_report(REPORT).unwrap();
        assert_eq!((invocation.memory_mb, invocation.seconds), (512, 0.12));
        assert_eq!(invocation.quantities().get(Item::GbSecond), 0.06);
        assert_eq!(
            Invocation::of_report("something REPORT Billed Duration: 1 ms"),
            None
        );
    }

    #[test]
    fn calls_are_billed_by_what_they_do() {
        let item = |name| billed_as(name).unwrap();
        assert_eq!(item("s3:PutObject"), Some(Item::S3Write));
        assert_eq!(item("s3:ListObjectsV2"), Some(Item::S3Write));
        assert_eq!(item("s3:HeadObject"), Some(Item::S3Read));
        assert_eq!(item("s3:DeleteObject"), None);
        assert_eq!(item("ssm:PutParameter"), None);
        assert_eq!(item("events:PutEvents"), Some(Item::Event));
        let unknown = billed_as("athena:StartQueryExecution").unwrap_err();
        assert!(unknown.to_string().contains("athena:StartQueryExecution"));
    }

    #[test]
    fn a_deployment_is_the_sum_of_what_was_seen() {
        let mut counted = Counted {
            calls: vec![
                (Caller::Functions, "s3:PutObject".to_owned(), 3),
                (Caller::Clients, "s3:PutObject".to_owned(), 1),
            ],
            executions: vec![Execution {
                machine: "deploy-module".to_owned(),
                states: 5,
                retries: 0,
                events: 10,
            }],
            fed_by_queues: ["pages".to_owned()].into(),
            changed: 1,
            ..Counted::default()
        };
        counted.log_line("check-md5", REPORT);
        counted.log_line("pages", REPORT);
        counted.log_line("check-md5", "START RequestId: 1");
        counted.log_line("check-md5", &"x".repeat(74));
        // Two invocations of Lambda's own lines, one line of 74 + 26 bytes, ten events of a history.
        assert_eq!(counted.log_bytes(), 2 * 978 + 100 + 4260);
        let measured = counted.quantities(Durations::Measured).unwrap();
        let amounts =
            [Item::Transition, Item::S3Write, Item::QueueRequest, Item::Trace].map(|item| measured.get(item));
        assert_eq!(amounts, [6.0, 4.0, 3.0, 2.0]);
        assert!((measured.get(Item::S3Month) - 0.013).abs() < 1e-9);
        let assumed = counted.quantities(Durations::Assumed).unwrap();
        assert_eq!([measured, assumed].map(|of| of.get(Item::GbSecond)), [0.12, 0.5]);
    }

    #[test]
    fn metrics_differ_by_their_dimensions() {
        let line = json!({
            "_aws": {"CloudWatchMetrics": [{"Namespace": "Seedflow", "Dimensions": [["Project"], []],
                "Metrics": [{"Name": "Deployments"}, {"Name": "Skips"}]}]},
            "Project": "shop", "Deployments": 1,
        });
        let mut counted = Counted::default();
        counted.log_line("f", &line.to_string());
        counted.log_line("f", &line.to_string());
        assert_eq!(counted.metrics.len(), 4);
        assert!(counted.metrics.contains("Seedflow/Skips Project=\"shop\""));
        assert!(metrics("no json").is_empty());
    }
}
