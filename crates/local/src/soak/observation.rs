//! What is observed of a soak once nothing runs any more: executions, builds, and what is stored.

use anyhow::{Context, Result};
use seedflow_core::ids::ModuleId;
use serde_json::{Value, json};

use crate::aws_api::AwsApi;
use crate::client::deployment;

/// An execution as it ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Execution {
    pub arn: String,
    /// Which module it deployed.
    pub module: usize,
    /// The parameter `tag` that it deployed.
    pub tag: String,
    /// When it was started, in seconds from the epoch.
    pub started: f64,
    /// Its status as DescribeExecution returns it.
    pub status: String,
    /// The module's state in its output: SUCCEEDED, UNCHANGED or SUPERSEDED; empty where it has none.
    pub state: String,
    /// The execution that replaced it.
    pub superseded_by: Option<String>,
    /// The events of its history that show how it ended.
    pub ends: Vec<String>,
    /// The fencing number under which it held its module's lock.
    pub fence: Option<u64>,
    /// The hash of its fingerprint.
    pub hash: Option<String>,
    pub build: Option<String>,
    /// Whether it began to record a success.
    pub committing: bool,
}

impl Execution {
    /// Reads an execution from Step Functions.
    pub async fn read(api: &AwsApi, arn: &str, module: usize, tag: &str) -> Result<Self> {
        let call = json!({"executionArn": arn});
        let described = api
            .json("states", "AWSStepFunctions.DescribeExecution", &call)
            .await;
        let described = described.with_context(|| format!("cannot read the execution {arn}"))?;
        let history = deployment::history(api, arn).await?;
        Ok(Self {
            arn: arn.to_owned(),
            module,
            tag: tag.to_owned(),
            ..Self::of(&described, &history)
        })
    }

    fn of(described: &Value, history: &[Value]) -> Self {
        let output = parsed(&described["output"]);
        let output = if described["status"] == "SUCCEEDED" {
            output
        } else {
            Value::Null
        };
        let mut execution = Self {
            started: described["startDate"].as_f64().unwrap_or_default(),
            status: text(&described["status"]).unwrap_or_default(),
            state: text(&output["state"]).unwrap_or_default(),
            superseded_by: text(&output["superseded_by"]),
            ..Self::default()
        };
        history.iter().for_each(|event| execution.event(event));
        execution
    }

    fn event(&mut self, event: &Value) {
        let kind = event["type"].as_str().unwrap_or_default();
        if kind.starts_with("Execution") && kind != "ExecutionStarted" {
            self.ends.push(kind.to_owned());
        }
        self.committing |= event["stateEnteredEventDetails"]["name"] == "RecordSuccess";
        let output = parsed(&event["taskSucceededEventDetails"]["output"]);
        // A function's answer, or what was answered by a token.
        let answer = output.get("Payload").unwrap_or(&output);
        self.fence = self.fence.or_else(|| answer["lock"]["fence"].as_u64());
        self.hash = self
            .hash
            .take()
            .or_else(|| text(&answer["plan"]["fingerprint"]["hash"]));
        self.build = self.build.take().or_else(|| text(&answer["build_id"]));
    }

    /// Whether it ended by deploying the module.
    #[must_use]
    pub fn deployed(&self) -> bool {
        self.state == "SUCCEEDED"
    }
}

/// A build as it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Build {
    pub id: String,
    /// When it was started, in seconds from the epoch.
    pub start: f64,
    pub end: Option<f64>,
    pub status: String,
}

/// The ids of all builds of a CodeBuild project, the oldest first.
async fn build_ids(api: &AwsApi, project: &str) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut call = json!({"projectName": project});
    loop {
        let target = "CodeBuild_20161006.ListBuildsForProject";
        let page = match api.json("codebuild", target, &call).await {
            Ok(page) => page,
            // The first build makes the project.
            Err(error) if error.code == "ResourceNotFoundException" => return Ok(ids),
            Err(error) => return Err(error).with_context(|| format!("cannot list the builds of {project}")),
        };
        ids.extend(page["ids"].as_array().into_iter().flatten().filter_map(text));
        if page["nextToken"].is_null() {
            ids.reverse();
            return Ok(ids);
        }
        call["nextToken"] = page["nextToken"].clone();
    }
}

/// All builds of a CodeBuild project, the oldest first.
pub async fn builds(api: &AwsApi, project: &str) -> Result<Vec<Build>> {
    let mut builds = Vec::new();
    for ids in build_ids(api, project).await?.chunks(100) {
        let target = "CodeBuild_20161006.BatchGetBuilds";
        let answer = api.json("codebuild", target, &json!({"ids": ids})).await;
        let answer = answer.with_context(|| format!("cannot read the builds of {project}"))?;
        builds.extend(
            answer["builds"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|build| Build {
                    id: text(&build["id"]).unwrap_or_default(),
                    start: build["startTime"].as_f64().unwrap_or_default(),
                    end: build["endTime"].as_f64(),
                    status: text(&build["buildStatus"]).unwrap_or_default(),
                }),
        );
    }
    Ok(builds)
}

/// What Parameter Store holds of a module; null where it holds nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    pub md5: Value,
    pub metadata: Value,
    pub outputs: Value,
    pub status: Value,
}

impl Stored {
    /// Reads what is stored of a module.
    pub async fn read(api: &AwsApi, module: &ModuleId) -> Result<Self> {
        let path = module.parameter_path();
        let mut stored = Self::default();
        for parameter in deployment::parameters(api, &path).await? {
            let value: Value = serde_json::from_str(&parameter.value)
                .with_context(|| format!("{} is not JSON", parameter.name))?;
            match &parameter.name[path.len() + 1..] {
                "md5" => stored.md5 = value,
                "metadata" => stored.metadata = value,
                "outputs" => stored.outputs = value,
                "status" => stored.status = value,
                _ => {}
            }
        }
        Ok(stored)
    }

    /// The state of the module.
    #[must_use]
    pub fn state(&self) -> &str {
        self.status["state"].as_str().unwrap_or("none")
    }

    /// Whether the module is recorded as it was last deployed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self.state(), "SUCCEEDED" | "UNCHANGED")
    }
}

/// Everything of one module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Module {
    /// Its executions, in the order in which they were started.
    pub executions: Vec<Execution>,
    /// Its builds, the oldest first.
    pub builds: Vec<Build>,
    /// What is stored of it.
    pub stored: Stored,
}

fn parsed(value: &Value) -> Value {
    value
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn succeeded(output: &Value) -> Value {
        json!({"type": "TaskSucceeded", "taskSucceededEventDetails": {"output": output.to_string()}})
    }

    #[test]
    fn an_execution_is_read_from_its_history() {
        let output = json!({"state": "SUCCEEDED", "build_id": "p:1"});
        let described = json!({"status": "SUCCEEDED", "startDate": 5.5, "output": output.to_string()});
        let history = [
            json!({"type": "ExecutionStarted"}),
            succeeded(&json!({"state": "ACQUIRED", "lock": {"fence": 7}})),
            succeeded(&json!({"Payload": {"plan": {"fingerprint": {"hash": "h"}}}})),
            succeeded(&json!({"Payload": {"build_id": "p:1"}})),
            json!({"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "RecordSuccess"}}),
            json!({"type": "ExecutionSucceeded"}),
        ];
        let execution = Execution::of(&described, &history);
        assert!(execution.deployed() && execution.committing);
        assert_eq!(execution.ends, ["ExecutionSucceeded"]);
        assert_eq!((execution.fence, execution.started), (Some(7), 5.5));
        assert_eq!(
            (execution.hash.as_deref(), execution.build.as_deref()),
            (Some("h"), Some("p:1"))
        );
    }
}
