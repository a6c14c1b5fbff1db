//! The use of a run on the local stack, and AWS's bill for it.
//!
//! It counts executions (from their histories), invocations (from the lines that Lambda logs), calls (by the proxy) and
//! bytes of logs. Facts that the emulator can't show are assumed, in the constants here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use seedflow_local::proxy::Caller;
use serde_json::Value;

use super::prices::{Item, Quantities};

/// The billed time of an invocation on AWS, in seconds: a cold start with its initialisation, three TLS handshakes and
/// the calls, at an eighth of a CPU. An assumption, and a high one.
pub const ASSUMED_SECONDS: f64 = 0.5;
/// Lambda's own log of an invocation in JSON (platform.initStart, platform.start, platform.report): bytes and lines.
pub const PLATFORM_LOG: (u64, u64) = (900, 3);
/// Step Functions' log of an event of a history without its data, in bytes: mostly the execution's ARN, and ids.
pub const HISTORY_LOG: u64 = 400;
/// The bytes that CloudWatch Logs adds to each line:
/// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
const LINE: u64 = 26;
/// The number of months for which logs are kept: `LogRetentionDays` of the template.
pub const LOG_MONTHS: f64 = 3.0;
/// A module's bundle, in bytes.
pub const BUNDLE: f64 = 1e6;
/// The longest time for which a changed module's bundle is stored in S3, in months, until newer ones have replaced it
/// and the lifecycle rules have removed it. The upload and both copies of the last success are stored for 90 days each
/// after a month of use, the build's copy for 31 days.
pub const BUNDLE_MONTHS: f64 = 4.0 + 4.0 + 4.0 + 1.0;
/// Requests to a queue for each event that calls a function: send, receive, delete.
const REQUESTS_OF_A_MESSAGE: f64 = 3.0;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Execution {
    /// The state machine's name, without the stack's.
    pub machine: String,
    /// The billed transitions: each state, each retry, and the start, to be on the safe side.
    pub transitions: u64,
    /// Events of its history.
    pub events: u64,
}

impl Execution {
    /// Counted from its history and the number of executions that it started out of a Map. The emulator reports nothing
    /// from inside a Map, so each of them counts as one state with five events.
    pub fn of(machine: &str, history: &[Value], children: u64) -> Self {
        let kinds = || history.iter().filter_map(|event| event["type"].as_str());
        let count = |kind: &str| kinds().filter(|found| *found == kind).count() as u64;
        let states = kinds().filter(|kind| kind.ends_with("StateEntered")).count() as u64;
        let retries = count("TaskScheduled").saturating_sub(count("TaskStateEntered"));
        Self {
            machine: machine.to_owned(),
            transitions: 1 + states + retries + children,
            events: history.len() as u64 + 5 * children,
        }
    }
}

/// The billed items of invocations of this length.
pub fn invocations(number: f64, memory_mb: u64, seconds: f64) -> Quantities {
    let gigabytes = memory_mb as f64 / 1024.0;
    Quantities::of(Item::Invocation, number).and(Item::GbSecond, number * gigabytes * seconds)
}

/// A function's memory, from the line that Lambda logs at the end of an invocation: `REPORT RequestId: … Memory Size: 256 MB …`.
fn reported_memory(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("REPORT ")?.split_once("Memory Size:")?.1;
    rest.split_whitespace().next()?.parse().ok()
}

/// The complete use of a deployment.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Calls by caller and `service:Operation`: the functions, the client that uploads, CodeBuild for a build.
    pub calls: Vec<(Caller, String, u64)>,
    /// The executions that it caused.
    pub executions: Vec<Execution>,
    /// The memory of each invocation, in MB, by function.
    pub invocations: BTreeMap<String, Vec<u64>>,
    /// The functions' own log: bytes and lines.
    pub logged: (u64, u64),
    /// Metrics of our own, each with its dimensions.
    pub metrics: BTreeSet<String>,
    /// Functions that are called from a queue.
    pub queue_consumers: BTreeSet<String>,
    /// Modules that were built.
    pub changed: u64,
}

impl Usage {
    /// Adds a line of a function's log.
    pub fn add_log_line(&mut self, function: &str, line: &str) {
        if let Some(memory_mb) = reported_memory(line) {
            let invocations = self.invocations.entry(function.to_owned()).or_default();
            invocations.push(memory_mb);
        }
        let of_lambda = ["START RequestId", "END RequestId", "REPORT RequestId"];
        if of_lambda.iter().any(|start| line.starts_with(start)) {
            return; // on AWS they have another form, which `PLATFORM_LOG` estimates
        }
        self.logged.0 += line.len() as u64;
        self.logged.1 += 1;
        self.metrics.extend(metrics(line));
    }

    pub fn invoked(&self) -> u64 {
        self.invocations.values().map(|all| all.len() as u64).sum()
    }

    pub fn transitions(&self) -> u64 {
        self.executions.iter().map(|one| one.transitions).sum()
    }

    /// The bytes that CloudWatch Logs ingests, except for the builds' own logs. Step Functions logs end-execution only
    /// if it fails.
    pub fn log_bytes(&self) -> u64 {
        let platform = self.invoked() * (PLATFORM_LOG.0 + PLATFORM_LOG.1 * LINE);
        let own = self.logged.0 + self.logged.1 * LINE;
        let executions = self.executions.iter();
        let logged = executions.filter(|execution| execution.machine != "end-execution");
        platform + own + logged.map(|one| one.events * (HISTORY_LOG + LINE)).sum::<u64>()
    }

    /// AWS's bill for it, except for the builds' minutes.
    pub fn quantities(&self) -> Result<Quantities> {
        let mut all = Quantities::of(Item::Transition, self.transitions() as f64);
        for &memory_mb in self.invocations.values().flatten() {
            all = all.plus(&invocations(1.0, memory_mb, ASSUMED_SECONDS));
        }
        for (_, name, count) in &self.calls {
            if let Some(item) = billed_as(name)? {
                all = all.and(item, *count as f64);
            }
        }
        let messages = self.invoked_if(|function| self.queue_consumers.contains(function));
        let gigabytes = self.log_bytes() as f64 / 1e9;
        Ok(all
            .and(Item::QueueRequest, REQUESTS_OF_A_MESSAGE * messages as f64)
            .and(Item::LogGb, gigabytes)
            .and(Item::LogMonth, gigabytes * LOG_MONTHS)
            .and(Item::S3Month, self.changed as f64 * BUNDLE / 1e9 * BUNDLE_MONTHS)
            .and(Item::Trace, self.traces() as f64))
    }

    /// A trace for each execution and for each invocation by an event, if all are recorded. An invocation by an
    /// execution is part of the execution's trace.
    fn traces(&self) -> u64 {
        let by_event =
            self.invoked_if(|function| function == "build-event" || self.queue_consumers.contains(function));
        self.executions.len() as u64 + by_event
    }

    fn invoked_if(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let invocations = self.invocations.iter().filter(|(name, _)| wanted(name));
        invocations.map(|(_, all)| all.len() as u64).sum()
    }
}

/// The billed item of a call; none if it is free. An unknown call is an error, so that no call is left out of the price
/// unnoticed.
fn billed_as(name: &str) -> Result<Option<Item>> {
    let (service, operation) = name.split_once(':').unwrap_or((name, ""));
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| operation.starts_with(prefix));
    Ok(match service {
        "s3" if starts(&["Delete", "Abort"]) => None,
        "s3" if starts(&["Get", "Head"]) => Some(Item::S3Read),
        "s3" => Some(Item::S3Write),
        // Seedflow puts one event into each call.
        "events" if operation == "PutEvents" => Some(Item::Event),
        "sqs" => Some(Item::QueueRequest),
        // At Parameter Store's standard throughput; Step Functions bills transitions; a build bills its minutes; logs bill bytes.
        "ssm" | "states" | "codebuild" | "cloudformation" | "iam" | "sts" | "lambda" | "logs" | "xray"
        | "events" => None,
        _ => bail!("the price of {name} is unknown: add it in benches/src/cost/counters.rs#billed_as"),
    })
}

/// The metrics that a line in CloudWatch's embedded metric format makes:
/// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
fn metrics(line: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(line).unwrap_or_default();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for directive in list(&document["_aws"]["CloudWatchMetrics"]) {
        for dimensions in list(&directive["Dimensions"]) {
            let dimensions = list(&dimensions);
            let names = dimensions.iter().filter_map(Value::as_str);
            let dimensions: Vec<String> = names.map(|name| format!("{name}={}", document[name])).collect();
            for metric in list(&directive["Metrics"]) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (namespace, name) = (text(&directive["Namespace"]), text(&metric["Name"]));
                found.push(format!("{namespace}/{name} {}", dimensions.join(" ")));
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
        let history = "ExecutionStarted TaskStateEntered TaskScheduled TaskFailed TaskScheduled TaskSucceeded \
                       TaskStateExited SucceedStateEntered SucceedStateExited ExecutionSucceeded";
        let history: Vec<Value> = history.split(' ').map(|kind| json!({"type": kind})).collect();
        let execution = Execution::of("deploy", &history, 0);
        assert_eq!((execution.transitions, execution.events), (4, 10));
        let execution = Execution::of("deploy", &history, 3);
        assert_eq!((execution.transitions, execution.events), (7, 25));
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
    fn a_deployment_is_the_sum_of_what_it_used() {
        let mut usage = Usage {
            calls: vec![
                (Caller::Functions, "s3:PutObject".to_owned(), 3),
                (Caller::Clients, "s3:PutObject".to_owned(), 1),
            ],
            executions: vec![Execution {
                machine: "deploy-module".to_owned(),
                transitions: 6,
                events: 10,
            }],
            queue_consumers: ["pages".to_owned()].into(),
            changed: 1,
            ..Usage::default()
        };
        usage.add_log_line("check-md5", REPORT);
        usage.add_log_line("pages", REPORT);
        usage.add_log_line("check-md5", "START RequestId: 1");
        usage.add_log_line("check-md5", &"x".repeat(74));
        // Two invocations of Lambda's own lines, one line of 74 + 26 bytes, ten events of a history.
        assert_eq!(usage.log_bytes(), 2 * 978 + 100 + 4260);
        let billed = usage.quantities().unwrap();
        let items = [Item::Transition, Item::S3Write, Item::QueueRequest, Item::Trace];
        assert_eq!(items.map(|item| billed.get(item)), [6.0, 4.0, 3.0, 2.0]);
        assert!((billed.get(Item::S3Month) - 0.013).abs() < 1e-9);
        // Twice half a second of 512 MB.
        assert_eq!(billed.get(Item::GbSecond), 0.5);
        assert_eq!(reported_memory("something REPORT Memory Size: 1 MB"), None);
    }

    #[test]
    fn metrics_differ_by_their_dimensions() {
        let line = json!({
            "_aws": {"CloudWatchMetrics": [{"Namespace": "Seedflow", "Dimensions": [["Project"], []],
                "Metrics": [{"Name": "Deployments"}, {"Name": "Skips"}]}]},
            "Project": "shop", "Deployments": 1,
        });
        let mut usage = Usage::default();
        usage.add_log_line("f", &line.to_string());
        usage.add_log_line("f", &line.to_string());
        assert_eq!(usage.metrics.len(), 4);
        assert!(usage.metrics.contains("Seedflow/Skips Project=\"shop\""));
        assert!(metrics("not JSON").is_empty());
    }
}
