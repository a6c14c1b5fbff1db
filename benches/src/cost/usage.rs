//! The use of a deployment on the local stack, and AWS's bill for it: executions from their histories, invocations from
//! the lines that Lambda logs, calls from the proxy, and bytes of logs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use seedflow_local::proxy::Caller;
use serde_json::Value;

use super::alternatives::invocations;
use super::assumptions::{
    BUNDLE, BUNDLE_MONTHS, HISTORY_LOG, INVOCATION, LOG_LINE, LOG_MONTHS, MESSAGE, PLATFORM_LINES,
    PLATFORM_LOG,
};
use super::prices::{Bill, Item};

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
        let storage = built * BUNDLE / 1e3 * BUNDLE_MONTHS;
        Self {
            bill: Bill(vec![(Item::S3Month, storage)]),
            ..Self::default()
        }
    }

    pub fn get(&self, name: &str) -> f64 {
        self.counted.get(name).copied().unwrap_or_default()
    }

    fn count(&mut self, name: impl Into<String>, number: f64) {
        *self.counted.entry(name.into()).or_default() += number;
    }

    fn log(&mut self, bytes: f64) {
        self.count("bytes of logs", bytes);
        let gigabytes = bytes / 1e9;
        let items = [(Item::LogGb, gigabytes), (Item::LogMonth, gigabytes * LOG_MONTHS)];
        self.bill.0.extend(items);
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
        self.bill
            .0
            .extend([(Item::Transition, transitions), (Item::Trace, 1.0)]);
        // Step Functions logs end-execution only if it fails.
        if machine != "end-execution" {
            let events = (history.len() + 5 * children) as f64;
            self.log(events * (HISTORY_LOG + LOG_LINE));
        }
    }

    /// Adds a line of a function's log. An invocation by a queue or an event has a trace of its own; one by an execution
    /// is part of the execution's trace.
    pub fn add_log_line(&mut self, function: &str, line: &str, queue_consumers: &BTreeSet<String>) {
        if let Some(memory_mb) = reported_memory(line) {
            let by_queue = queue_consumers.contains(function);
            self.count(format!("invocations of {function}"), 1.0);
            self.bill.0.extend(invocations(1.0, memory_mb, INVOCATION));
            if by_queue {
                self.bill.0.push((Item::QueueRequest, MESSAGE));
            }
            if by_queue || function == "build-event" {
                self.bill.0.push((Item::Trace, 1.0));
            }
            self.log(PLATFORM_LOG + PLATFORM_LINES * LOG_LINE);
        } else if !["START RequestId", "END RequestId"]
            .iter()
            .any(|of_lambda| line.starts_with(of_lambda))
        {
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
        self.bill
            .0
            .extend(billed_as(name)?.map(|item| (item, count as f64)));
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
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for directive in list(&document["_aws"]["CloudWatchMetrics"]) {
        for dimensions in list(&directive["Dimensions"]) {
            let names = list(&dimensions).into_iter();
            let values = names.filter_map(|name| Some(format!("{name}={}", document[name.as_str()?])));
            let dimensions = values.collect::<Vec<_>>().join(" ");
            for metric in list(&directive["Metrics"]) {
                found.push(format!(
                    "{}/{} {dimensions}",
                    directive["Namespace"], metric["Name"]
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

    #[test]
    fn an_execution_is_billed_by_states_retries_and_its_start() {
        let history = "ExecutionStarted TaskStateEntered TaskScheduled TaskFailed TaskScheduled TaskSucceeded \
                       TaskStateExited SucceedStateEntered SucceedStateExited ExecutionSucceeded";
        let history: Vec<Value> = history.split(' ').map(|kind| json!({"type": kind})).collect();
        let mut usage = Usage::default();
        usage.add_execution("deploy", &history, 0);
        assert_eq!(
            (usage.get("state transitions"), usage.get("bytes of logs")),
            (4.0, 4260.0)
        );
        usage.add_execution("deploy", &history, 3);
        assert_eq!(usage.bill.get(Item::Transition), 11.0);
        assert_eq!(usage.get("bytes of logs"), 4260.0 + 25.0 * 426.0);
    }

    #[test]
    fn calls_are_billed_by_what_they_do() {
        let item = |name| billed_as(name).unwrap();
        let writes = ["s3:PutObject", "s3:ListObjectsV2"].map(item);
        assert_eq!(writes, [Some(Item::S3Write); 2]);
        assert_eq!(item("s3:HeadObject"), Some(Item::S3Read));
        assert_eq!(item("events:PutEvents"), Some(Item::Event));
        assert_eq!(["s3:DeleteObject", "ssm:PutParameter"].map(item), [None; 2]);
        let unknown = billed_as("athena:StartQueryExecution").unwrap_err();
        assert!(unknown.to_string().contains("athena:StartQueryExecution"));
    }

    #[test]
    fn invocations_and_lines_are_read_from_logs() {
        let report = "REPORT RequestId: 1\tDuration: 120 ms\tMemory Size: 512 MB\tMax Memory Used: 9 MB";
        let consumers = ["pages".to_owned()].into();
        let mut usage = Usage::new(1.0);
        for (function, line) in [
            ("check-md5", report),
            ("pages", report),
            ("check-md5", "START RequestId: 1"),
            ("check-md5", "REPORT: a line of 26 bytes"),
        ] {
            usage.add_log_line(function, line, &consumers);
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
