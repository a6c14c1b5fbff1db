//! A deployment from the client's side: upload a bundle, start an execution, follow it to its end.
//!
//! Following reads what Step Functions and CodeBuild return to every client: the execution's history, the
//! build's phases, the build's log. It polls twice a second, for a person; the workflow
//! itself waits for events and polls nothing.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use seedflow_core::ids::{ModuleId, ParameterKind};
use seedflow_core::module::cause;
use seedflow_core::module::stored_parameters::SpillReference;
use serde_json::{Map, Value, json};

use crate::aws_api::AwsApi;
use crate::stack::Connection;
use seedflow_cli::checkout::bundle::Bundle;

const POLL: Duration = Duration::from_millis(400);

/// The input of an execution that deploys `source` as a module.
pub fn input(module: &ModuleId, source: &Value, parameters: &Map<String, Value>, force: bool) -> Value {
    let mut input = json!(module);
    input["source"] = source.clone();
    if !parameters.is_empty() {
        input["parameters"] = Value::Object(parameters.clone());
    }
    if force {
        input["force_update"] = Value::Bool(true);
    }
    input
}

/// Uploads a bundle under `uploads/`, where no event starts anything, and returns it as the `source`
/// of an input. Its MD5 is in its key: what is there already stays what it is.
pub async fn upload(api: &AwsApi, stack: &Connection, module: &ModuleId, bundle: &Bundle) -> Result<Value> {
    let key = module.upload_key(&bundle.md5);
    let content = tokio::fs::read(&bundle.path)
        .await
        .context("cannot read the bundle")?;
    let bucket = &stack.work_bucket;
    api.put_object(bucket, &key, content)
        .await
        .with_context(|| format!("cannot upload to {bucket}/{key}"))?;
    Ok(json!({"bucket": bucket, "key": key}))
}

/// Starts an execution and returns its ARN.
pub async fn start(api: &AwsApi, stack: &Connection, input: &Value) -> Result<String> {
    let call = json!({"stateMachineArn": stack.state_machine_arn, "input": input.to_string()});
    let answer = api.json("states", "AWSStepFunctions.StartExecution", &call).await;
    let answer = answer.context("cannot start an execution")?;
    text(&answer["executionArn"]).context("the started execution has no ARN")
}

/// Something that happened while a deployment was followed.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A state began.
    Entered(String),
    /// A state ended, after so long.
    Exited(String, Duration),
    /// The workflow knows why it builds, or why it doesn't.
    Reasons(Vec<String>),
    /// The build was started.
    Build(String),
    /// A phase of the build ended: name, status, how long.
    Phase(String, String, Duration),
}

/// How a deployment ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The execution's ARN.
    pub execution: String,
    /// The execution's status: SUCCEEDED, FAILED, TIMED_OUT or ABORTED.
    pub status: String,
    /// Its output, where it succeeded.
    pub output: Value,
    /// Its error's name, where it failed.
    pub error: String,
    /// And the cause.
    pub cause: String,
    /// Why the module was built, or why it wasn't.
    pub reasons: Vec<String>,
    /// The build as BatchGetBuilds returns it; null where none was started.
    pub build: Value,
    /// Each state and how long it took, in order.
    pub states: Vec<(String, Duration)>,
    /// From the start of the following to its end.
    pub took: Duration,
}

impl Finished {
    /// Whether the execution succeeded.
    pub fn succeeded(&self) -> bool {
        self.status == "SUCCEEDED"
    }

    /// The module's state: SUCCEEDED, UNCHANGED, SUPERSEDED or FAILED.
    pub fn state(&self) -> &str {
        self.output["state"].as_str().unwrap_or(&self.status)
    }

    /// The build's id, where there was a build.
    pub fn build_id(&self) -> Option<&str> {
        self.build["id"].as_str()
    }
}

/// Follows an execution until it ends, or until `limit`.
pub async fn follow(
    api: &AwsApi,
    execution: &str,
    limit: Option<Duration>,
    mut seen: impl FnMut(&Happening),
) -> Result<Finished> {
    let mut follower = Follower::default();
    let begun = Instant::now();
    loop {
        // The status first: what is read after a final status is complete.
        let described = describe(api, execution).await?;
        for happening in follower.look(api, execution).await? {
            seen(&happening);
        }
        let status = text(&described["status"]).unwrap_or_default();
        if status != "RUNNING" {
            return Ok(follower.finish(execution, status, &described, begun.elapsed()));
        }
        if limit.is_some_and(|limit| begun.elapsed() > limit) {
            let state = follower.current.unwrap_or_default();
            bail!(
                "{execution} still runs after {} s, in state {state}",
                begun.elapsed().as_secs()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn describe(api: &AwsApi, execution: &str) -> Result<Value> {
    let call = json!({"executionArn": execution});
    let answer = api
        .json("states", "AWSStepFunctions.DescribeExecution", &call)
        .await;
    answer.with_context(|| format!("cannot read the execution {execution}"))
}

/// What was seen of an execution so far.
#[derive(Default)]
struct Follower {
    last_event: u64,
    entered: BTreeMap<String, f64>,
    current: Option<String>,
    states: Vec<(String, Duration)>,
    reasons: Vec<String>,
    build_id: Option<String>,
    build: Value,
    phases: HashSet<String>,
}

impl Follower {
    async fn look(&mut self, api: &AwsApi, execution: &str) -> Result<Vec<Happening>> {
        let mut happenings = Vec::new();
        for event in history(api, execution).await? {
            let id = event["id"].as_u64().unwrap_or_default();
            if id > self.last_event {
                self.last_event = id;
                self.event(&event, &mut happenings);
            }
        }
        if let Some(id) = self.build_id.clone() {
            self.build = build(api, &id).await?;
            self.phases(&mut happenings);
        }
        Ok(happenings)
    }

    fn event(&mut self, event: &Value, happenings: &mut Vec<Happening>) {
        let kind = event["type"].as_str().unwrap_or_default();
        let at = event["timestamp"].as_f64().unwrap_or_default();
        if let Some(name) = text(&event["stateEnteredEventDetails"]["name"]) {
            self.entered.insert(name.clone(), at);
            self.current = Some(name.clone());
            happenings.push(Happening::Entered(name));
        } else if let Some(name) = text(&event["stateExitedEventDetails"]["name"]) {
            let took = at - self.entered.get(&name).copied().unwrap_or(at);
            let took = Duration::try_from_secs_f64(took).unwrap_or_default();
            self.states.push((name.clone(), took));
            happenings.push(Happening::Exited(name, took));
            // The first state returns them; later ones only pass them on.
            if self.reasons.is_empty()
                && let Some(reasons) = reasons(&event["stateExitedEventDetails"]["output"])
            {
                self.reasons = reasons.clone();
                happenings.push(Happening::Reasons(reasons));
            }
        } else if self.build_id.is_none() && kind == "TaskSucceeded" {
            self.build_id = build_id(&event["taskSucceededEventDetails"]["output"]);
            happenings.extend(self.build_id.clone().map(Happening::Build));
        }
    }

    fn phases(&mut self, happenings: &mut Vec<Happening>) {
        for phase in self.build["phases"].as_array().into_iter().flatten() {
            let (Some(name), Some(status)) = (text(&phase["phaseType"]), text(&phase["phaseStatus"])) else {
                continue; // it has not ended
            };
            if self.phases.insert(name.clone()) {
                let took = phase["endTime"].as_f64().unwrap_or_default()
                    - phase["startTime"].as_f64().unwrap_or_default();
                happenings.push(Happening::Phase(
                    name,
                    status,
                    Duration::try_from_secs_f64(took).unwrap_or_default(),
                ));
            }
        }
    }

    fn finish(self, execution: &str, status: String, described: &Value, took: Duration) -> Finished {
        let output = described["output"]
            .as_str()
            .and_then(|output| serde_json::from_str(output).ok());
        Finished {
            execution: execution.to_owned(),
            status,
            output: output.unwrap_or(Value::Null),
            error: text(&described["error"]).unwrap_or_default(),
            cause: text(&described["cause"]).unwrap_or_default(),
            reasons: self.reasons,
            build: self.build,
            states: self.states,
            took,
        }
    }
}

/// Every event of an execution's history, in order.
pub async fn history(api: &AwsApi, execution: &str) -> Result<Vec<Value>> {
    let mut events = Vec::new();
    let mut token = Value::Null;
    loop {
        let mut call = json!({"executionArn": execution, "maxResults": 1000, "includeExecutionData": true});
        if !token.is_null() {
            call["nextToken"] = token;
        }
        let answer = api
            .json("states", "AWSStepFunctions.GetExecutionHistory", &call)
            .await;
        let mut page = answer.with_context(|| format!("cannot read the history of {execution}"))?;
        events.extend(page["events"].as_array().cloned().unwrap_or_default());
        token = page["nextToken"].take();
        if token.is_null() {
            return Ok(events);
        }
    }
}

/// The reasons in the output of CheckMd5, `{"changed": …, "reasons": […]}`.
fn reasons(output: &Value) -> Option<Vec<String>> {
    let output: Value = serde_json::from_str(output.as_str()?).ok()?;
    output.get("changed")?;
    Some(output["reasons"].as_array()?.iter().filter_map(text).collect())
}

/// The build id in the output of StartBuild, whose answer is `{"Payload": {"build_id": …}}`.
fn build_id(output: &Value) -> Option<String> {
    let output: Value = serde_json::from_str(output.as_str()?).ok()?;
    text(&output["Payload"]["build_id"])
}

/// A build as BatchGetBuilds returns it; null where there is none of that id.
pub async fn build(api: &AwsApi, id: &str) -> Result<Value> {
    let answer = api
        .json(
            "codebuild",
            "CodeBuild_20161006.BatchGetBuilds",
            &json!({"ids": [id]}),
        )
        .await;
    let mut answer = answer.with_context(|| format!("cannot read the build {id}"))?;
    Ok(answer["builds"].get_mut(0).map(Value::take).unwrap_or_default())
}

/// The last lines of a build's log.
pub async fn log_lines(api: &AwsApi, build: &Value, count: usize) -> Result<Vec<String>> {
    // A build that never got a machine has no log.
    let (Some(group), Some(stream)) = (
        build["logs"]["groupName"].as_str(),
        build["logs"]["streamName"].as_str(),
    ) else {
        return Ok(Vec::new());
    };
    let call =
        json!({"logGroupName": group, "logStreamName": stream, "limit": count, "startFromHead": false});
    let answer = api
        .json("logs", "Logs_20140328.GetLogEvents", &call)
        .await
        .context("cannot read the build's log")?;
    let events = answer["events"].as_array().into_iter().flatten();
    // An event may hold several lines: CodeBuild logs a command of several lines in one.
    let lines = events
        .filter_map(|event| event["message"].as_str())
        .flat_map(str::lines);
    let mut lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    Ok(lines.split_off(lines.len().saturating_sub(count)))
}

/// A parameter of Parameter Store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its full name.
    pub name: String,
    /// Its value, as it is stored.
    pub value: String,
    /// How often it was written.
    pub version: u64,
}

/// Why an execution failed, as the module's status says, or else as the error does if the status is not this execution's.
pub async fn cause(api: &AwsApi, module: &ModuleId, finished: &Finished) -> Result<String> {
    let parameters = parameters(api, &module.parameter_path()).await?;
    let name = module.parameter(ParameterKind::Status);
    let stored = parameters.iter().find(|parameter| parameter.name == name);
    let status: Value = match stored {
        Some(stored) => serde_json::from_str(&stored.value).with_context(|| format!("{name} is not JSON"))?,
        None => Value::Null,
    };
    let is_own = status["execution"] == finished.execution.as_str();
    let cause = text(&status["cause"]).filter(|_| is_own);
    Ok(cause.unwrap_or_else(|| cause::of_error(&finished.error, &finished.cause)))
}

/// Every parameter below a path, in order of their names.
pub async fn parameters(api: &AwsApi, path: &str) -> Result<Vec<Parameter>> {
    let mut found = Vec::new();
    let mut token = Value::Null;
    loop {
        let mut call = json!({"Path": path, "Recursive": true});
        if !token.is_null() {
            call["NextToken"] = token;
        }
        let answer = api.json("ssm", "AmazonSSM.GetParametersByPath", &call).await;
        let mut page = answer.with_context(|| format!("cannot read the parameters below {path}"))?;
        found.extend(
            page["Parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|parameter| {
                    let (name, value) = (text(&parameter["Name"])?, text(&parameter["Value"])?);
                    Some(Parameter {
                        name,
                        value,
                        version: parameter["Version"].as_u64().unwrap_or_default(),
                    })
                }),
        );
        token = page["NextToken"].take();
        if token.is_null() {
            break;
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// A parameter's value, read from S3 where the parameter holds a reference to it.
pub async fn value(api: &AwsApi, work_bucket: &str, parameter: &Parameter) -> Result<String> {
    let Some(reference) = SpillReference::of(&parameter.value) else {
        return Ok(parameter.value.clone());
    };
    let (name, key) = (&parameter.name, &reference.key);
    let read = api.read_object(work_bucket, key).await;
    let bytes = read.with_context(|| format!("cannot read {key}, where the value of {name} is"))?;
    ensure!(
        reference.holds(&bytes),
        "{key} is not what {name} refers to: it was changed"
    );
    Ok(String::from_utf8(bytes)?)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn an_input_holds_only_what_was_asked_for() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let source = json!({"bucket": "b", "key": "k"});
        let plain = input(&module, &source, &Map::new(), false);
        assert_eq!(
            plain,
            json!({"project": "p", "deployment": "d", "group": "g", "module": "m", "source": source})
        );
        let parameters = Map::from_iter([("a".to_owned(), json!(1))]);
        let forced = input(&module, &source, &parameters, true);
        assert_eq!(
            (&forced["parameters"], &forced["force_update"]),
            (&json!({"a": 1}), &json!(true))
        );
    }

    #[test]
    fn events_become_happenings_once() {
        let mut follower = Follower::default();
        let mut seen = Vec::new();
        let events = [
            json!({"id": 1, "type": "TaskStateEntered", "timestamp": 10.0, "stateEnteredEventDetails": {"name": "StartBuild"}}),
            json!({"id": 2, "type": "TaskSucceeded", "timestamp": 10.1,
                "taskSucceededEventDetails": {"output": r#"{"Payload": {"build_id": "p:1"}}"#}}),
            json!({"id": 3, "type": "TaskStateExited", "timestamp": 10.5, "stateExitedEventDetails": {"name": "StartBuild",
                "output": r#"{"changed": true, "reasons": ["forced"]}"#}}),
        ];
        for event in &events {
            follower.event(event, &mut seen);
        }
        let name = "StartBuild".to_owned();
        let exited = Happening::Exited(name.clone(), Duration::from_millis(500));
        let reasons = Happening::Reasons(vec!["forced".into()]);
        assert_eq!(
            seen,
            [
                Happening::Entered(name),
                Happening::Build("p:1".into()),
                exited,
                reasons
            ]
        );
    }

    #[test]
    fn a_phase_is_reported_once_when_it_has_ended() {
        let build = json!({"phases": [
            {"phaseType": "INSTALL", "phaseStatus": "SUCCEEDED", "startTime": 1.0, "endTime": 2.5},
            {"phaseType": "BUILD", "startTime": 2.5},
        ]});
        let mut follower = Follower {
            build,
            ..Follower::default()
        };
        let mut seen = Vec::new();
        follower.phases(&mut seen);
        follower.phases(&mut seen);
        let install = Happening::Phase("INSTALL".into(), "SUCCEEDED".into(), Duration::from_millis(1500));
        assert_eq!(seen, [install]);
    }
}
