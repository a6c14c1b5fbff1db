//! The use of a deployment on the local stack, and AWS's bill for it: executions from their histories, invocations from
//! the lines that Lambda logs, calls from the proxy, and bytes of logs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use seedflow_local::proxy::Caller;
use serde_json::Value;

use super::alternatives::invocations;
use super::assumptions::*;
use super::prices::{Bill, Item};

/// The modules of the repository, in one group: simulated builds publish no values for another group.
pub const MODULES: usize = 40;
/// The changed ones of them.
pub const CHANGED: usize = 2;

/// The function that is called from a queue.
pub const QUEUE_CONSUMER: &str = "publish-report";

/// The use of the deployments that the page is about: a changed module by itself, an unchanged one, the repository with
/// nothing changed, and with a few changed modules.
pub type Counts = [Usage; 4];

/// The complete use of a deployment.
#[derive(Debug, Default)]
pub struct Usage {
    /// The numbers by their names on the page.
    pub counted: BTreeMap<String, f64>,
    /// All that is billed, except for the builds' minutes.
    pub bill: Bill,
    /// Metrics of our own, each with its dimensions.
    pub metrics: BTreeSet<String>,
}

impl Usage {
    /// Of a deployment that built this many modules.
    pub fn new(built: f64) -> Self {
        let mut usage = Self::default();
        usage.add(Item::S3Month, built * BUNDLE / 1e3 * BUNDLE_MONTHS);
        usage
    }

    pub fn get(&self, name: &str) -> f64 {
        self.counted.get(name).copied().unwrap_or_default()
    }

    fn count(&mut self, name: impl Into<String>, number: f64) {
        *self.counted.entry(name.into()).or_default() += number;
    }

    fn add(&mut self, item: Item, amount: f64) {
        self.bill.0.push((item, amount));
    }

    fn log(&mut self, bytes: f64) {
        self.count("bytes of logs", bytes);
        self.add(Item::LogGb, bytes / 1e9);
        self.add(Item::LogMonth, bytes / 1e9 * LOG_MONTHS);
    }

    /// Adds an execution by its history and the number of executions that it started out of a Map. Each state, each
    /// retry and the start are transitions. The emulator reports nothing from inside a Map, so each execution out of it
    /// counts as one state with five events.
    pub fn add_execution(&mut self, machine: &str, history: &[Value], children: usize) {
        let kinds = || history.iter().filter_map(|event| event["type"].as_str());
        let number = |kind: &str| kinds().filter(|found| found.ends_with(kind)).count();
        let retries = number("TaskScheduled").saturating_sub(number("TaskStateEntered"));
        let transitions = (1 + number("StateEntered") + retries + children) as f64;
        self.count(format!("executions of {machine}"), 1.0);
        self.count("state transitions", transitions);
        self.add(Item::Transition, transitions);
        self.add(Item::Trace, 1.0);
        // Step Functions logs end-execution only if it fails.
        if machine != "end-execution" {
            self.log((history.len() + 5 * children) as f64 * (HISTORY_LOG + LOG_LINE));
        }
    }

    /// Adds a line of a function's log. An invocation by a queue or an event has a trace of its own; one by an execution
    /// is part of the execution's trace.
    pub fn add_log_line(&mut self, function: &str, line: &str) {
        let of_lambda = ["START RequestId", "END RequestId"];
        if let Some(memory_mb) = reported_memory(line) {
            let by_queue = function == QUEUE_CONSUMER;
            self.count(format!("invocations of {function}"), 1.0);
            self.bill.0.extend(invocations(1.0, memory_mb, INVOCATION));
            if by_queue {
                self.add(Item::QueueRequest, MESSAGE);
            }
            if by_queue || function == "build-event" {
                self.add(Item::Trace, 1.0);
            }
            self.log(PLATFORM_LOG + PLATFORM_LINES * LOG_LINE);
        } else if !of_lambda.iter().any(|begin| line.starts_with(begin)) {
            self.log(line.len() as f64 + LOG_LINE);
            self.metrics.extend(metrics(line));
        }
    }

    /// Adds calls of one operation, `service:Operation`.
    pub fn add_calls(&mut self, caller: Caller, name: &str, count: u64) -> Result<()> {
        let by = match caller {
            Caller::Functions => "functions",
            Caller::Clients => "client",
            Caller::Builds | Caller::Codebuild => "build",
        };
        self.count(format!("{by}: {name}"), count as f64);
        let item = billed_as(name)?;
        self.bill.0.extend(item.map(|item| (item, count as f64)));
        Ok(())
    }
}

/// A function's memory, from the line that Lambda logs at the end of an invocation: `REPORT RequestId: … Memory Size: 256 MB …`.
fn reported_memory(line: &str) -> Option<f64> {
    let rest = line.strip_prefix("REPORT ")?.split_once("Memory Size:")?.1;
    rest.split_whitespace().next()?.parse().ok()
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
        // At Parameter Store's standard throughput; Step Functions bills transitions; a build bills its minutes; logs
        // bill bytes.
        "ssm" | "states" | "codebuild" | "cloudformation" | "iam" | "sts" | "lambda" | "logs" | "xray"
        | "events" => None,
        _ => bail!("the price of {name} is unknown: add it in benches/src/cost/usage.rs#billed_as"),
    })
}

/// The metrics that a line in CloudWatch's embedded metric format makes:
/// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
fn metrics(line: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(line).unwrap_or_default();
    let mut found = Vec::new();
    for directive in list(&document["_aws"]["CloudWatchMetrics"]) {
        for dimensions in list(&directive["Dimensions"]) {
            let names = list(dimensions).iter().filter_map(Value::as_str);
            let values = names.map(|name| format!("{name:?}={}", document[name]));
            let dimensions = values.collect::<Vec<_>>().join(" ");
            let metrics = list(&directive["Metrics"]).iter();
            let names =
                metrics.map(|metric| format!("{}/{} {dimensions}", directive["Namespace"], metric["Name"]));
            found.extend(names);
        }
    }
    found
}

/// The elements of a list; none of another value.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn an_execution_is_billed_by_states_retries_and_its_start() {
        let history = "ExecutionStarted TaskStateEntered TaskScheduled TaskFailed TaskScheduled TaskSucceeded \
                       TaskStateExited SucceedStateEntered SucceedStateExited ExecutionSucceeded";
        let history: Vec<Value> = history.split(' ').map(|kind| json!({"type": kind})).collect();
        let mut usage = Usage::default();
        usage.add_execution("deploy", &history, 0);
        let found = ["state transitions", "bytes of logs"].map(|name| usage.get(name));
        assert_eq!(found, [4.0, 4260.0]);
        usage.add_execution("deploy", &history, 3);
        assert_eq!(usage.bill.get(Item::Transition), 11.0);
        assert_eq!(usage.get("bytes of logs"), 4260.0 + 25.0 * 426.0);
    }

    #[test]
    fn calls_are_billed_by_what_they_do() {
        for (names, item) in [
            ("s3:PutObject s3:ListObjectsV2", Some(Item::S3Write)),
            ("s3:HeadObject", Some(Item::S3Read)),
            ("events:PutEvents", Some(Item::Event)),
            ("s3:DeleteObject ssm:PutParameter", None),
        ] {
            names
                .split(' ')
                .for_each(|name| assert_eq!(billed_as(name).unwrap(), item, "{name}"));
        }
        let unknown = billed_as("athena:StartQueryExecution").unwrap_err();
        assert!(unknown.to_string().contains("athena:StartQueryExecution"));
    }

    #[test]
    fn invocations_and_lines_are_read_from_logs() {
        let report = "REPORT RequestId: 1\tDuration: 120 ms\tMemory Size: 512 MB\tMax Memory Used: 9 MB";
        let mut usage = Usage::new(1.0);
        usage.add_log_line(QUEUE_CONSUMER, report);
        for line in [report, "START RequestId: 1", "REPORT: a line of 26 bytes"] {
            usage.add_log_line("check-md5", line);
        }
        // Two invocations of Lambda's own lines, and one line of 26 + 26 bytes.
        assert_eq!(usage.get("bytes of logs"), 2.0 * 978.0 + 52.0);
        let items = [Item::Invocation, Item::GbSecond, Item::QueueRequest, Item::Trace];
        assert_eq!(items.map(|item| usage.bill.get(item)), [2.0, 0.5, 3.0, 1.0]);
        assert!((usage.bill.get(Item::S3Month) - 0.013).abs() < 1e-9);
    }

    #[test]
    fn metrics_differ_by_their_dimensions() {
        let line = json!({
            "_aws": {"CloudWatchMetrics": [{"Namespace": "Seedflow", "Dimensions": [["Project"], []],
                "Metrics": [{"Name": "Deployments"}, {"Name": "Skips"}]}]},
            "Project": "shop", "Deployments": 1,
        });
        let found: BTreeSet<String> = metrics(&line.to_string()).into_iter().collect();
        assert_eq!(found.len(), 4);
        assert!(
            found.contains("\"Seedflow\"/\"Skips\" \"Project\"=\"shop\""),
            "{found:?}"
        );
        assert!(metrics("not JSON").is_empty());
    }
}
