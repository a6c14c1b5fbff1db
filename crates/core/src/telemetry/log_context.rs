//! Context fields of log lines and metrics: execution, module or deployment, build.
//!
//! Each log line and each metric has these fields under the same names, so that one query follows a deployment through
//! all functions (docs/observability.md). They are read from a function's raw event before the event is validated: field
//! by field, from the known positions, and nothing else of the event. No field here takes a task token or a parameter's
//! value, so neither gets into a log.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::error::excerpt;
use crate::ids::{BuildId, ExecutionArn, ModuleId};
use crate::target::Target;
use crate::workflow::build_outcome::EXECUTION_VARIABLE;

/// Maximum length of a field: it is read from an event that is not validated yet.
const MAX_FIELD: usize = 400;

/// Context fields of log lines and metrics: execution, module or deployment, build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogContext {
    /// The ARN of the execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// `{project}/{deployment}/{group}/{module}`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// `{project}/{deployment}`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// The id of the build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// `{account}/{region}` of the module or the build; absent at home.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub target: Option<Target>,
}

fn as_text<S: Serializer>(target: &Option<Target>, serializer: S) -> Result<S::Ok, S::Error> {
    match target {
        Some(target) => serializer.collect_str(target),
        None => serializer.serialize_none(),
    }
}

impl LogContext {
    /// An execution that deploys a module.
    #[must_use]
    pub fn module(execution: &ExecutionArn, module: &ModuleId) -> Self {
        Self {
            module: Some(module.to_string()),
            ..Self::execution(execution)
        }
    }

    /// An execution that deploys a whole deployment.
    #[must_use]
    pub fn deployment(execution: &ExecutionArn, deployment: &impl ToString) -> Self {
        Self {
            deployment: Some(deployment.to_string()),
            ..Self::execution(execution)
        }
    }

    /// An execution without a known module or deployment.
    #[must_use]
    pub fn execution(execution: &ExecutionArn) -> Self {
        Self {
            execution: Some(execution.as_str().to_owned()),
            ..Self::default()
        }
    }

    /// Adds a build.
    #[must_use]
    pub fn with_build(self, build: Option<&BuildId>) -> Self {
        Self {
            build: build.map(ToString::to_string),
            target: build.and_then(BuildId::target).or(self.target),
            ..self
        }
    }

    /// Adds where the module is.
    #[must_use]
    pub fn in_target(self, target: Option<&Target>) -> Self {
        Self {
            target: target.cloned().or(self.target),
            ..self
        }
    }

    /// Reads the context from a function's event.
    #[must_use]
    pub fn of_event(event: &Value) -> Self {
        let (module, deployment) = worked_on(event);
        let build = build(event);
        Self {
            // The second name is that of Step Functions' own event.
            execution: text(&event["execution"])
                .or_else(|| text(&event["executionArn"]))
                .or_else(|| execution_of_build(event)),
            module,
            deployment,
            target: build.as_ref().and_then(BuildId::target),
            build: build.map(|build| build.to_string()),
        }
    }
}

/// The module or the deployment: by the lock, by the plan, by the input of end-execution, or by the execution's input.
fn worked_on(event: &Value) -> (Option<String>, Option<String>) {
    let places = [
        &event["lock"]["of"],
        &event["plan"]["module"],
        &event["of"],
        &event["input"],
    ];
    let modules = places
        .iter()
        .find_map(|place| joined(place, &["project", "deployment", "group", "module"]));
    let deployments = || {
        let named = joined(&event["deployment"], &["project", "deployment"]);
        named.or_else(|| {
            places
                .iter()
                .find_map(|place| joined(place, &["project", "deployment"]))
        })
    };
    match modules {
        Some(module) => (Some(module), None),
        None => (None, deployments()),
    }
}

/// The build: by the state machine's fields or by CodeBuild's event.
fn build(event: &Value) -> Option<BuildId> {
    let places = [
        &event["build_id"],
        &event["build"]["build_id"],
        &event["failure"]["build_id"],
        &event["failure"]["build"]["build_id"],
        &event["detail"]["build-id"],
    ];
    let found = places.iter().find_map(|place| place.as_str())?;
    BuildId::parse(found).ok()
}

/// The execution of a build in CodeBuild's event: it is one of the build's environment variables.
fn execution_of_build(event: &Value) -> Option<String> {
    let variables = &event["detail"]["additional-information"]["environment"]["environment-variables"];
    let ours = |variable: &&Value| variable["name"] == EXECUTION_VARIABLE;
    text(&variables.as_array()?.iter().find(ours)?["value"])
}

fn joined(place: &Value, fields: &[&str]) -> Option<String> {
    let parts: Option<Vec<&str>> = fields.iter().map(|field| place[*field].as_str()).collect();
    Some(excerpt(&parts?.join("/"), MAX_FIELD))
}

fn text(value: &Value) -> Option<String> {
    Some(excerpt(value.as_str()?, MAX_FIELD))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn read(event: &Value) -> Value {
        serde_json::to_value(LogContext::of_event(event)).unwrap()
    }

    #[test]
    fn the_events_of_all_functions_name_their_module_or_deployment() {
        let module = json!({"project": "p", "deployment": "d", "group": "g", "module": "m"});
        let arn = "arn:aws:states:us-east-1:1:execution:seedflow-deploy-module:e";
        for (event, expected) in [
            // acquire-lock, check-md5
            (
                json!({"execution": arn, "input": module, "waiting": {"token": "secret"}}),
                json!({"execution": arn, "module": "p/d/g/m"}),
            ),
            (
                json!({"execution": arn, "input": null}),
                json!({"execution": arn}),
            ),
            // update-metadata, start-build, module-stack
            (
                json!({"action": "succeed", "execution": arn, "lock": {"of": module, "fence": 1}, "plan": {}, "build": {"build_id": "p:1"}}),
                json!({"execution": arn, "module": "p/d/g/m", "build": "p:1"}),
            ),
            (
                json!({"action": "fail", "execution": arn, "lock": null, "failure": {"error": "x", "build_id": "p:1"}}),
                json!({"execution": arn, "build": "p:1"}),
            ),
            (
                json!({"action": "fail", "execution": arn, "lock": null, "failure": {"build": {"build_id": "p:1"}}}),
                json!({"execution": arn, "build": "p:1"}),
            ),
            // check-status
            (
                json!({"execution": arn, "token": "secret", "build_id": "p:1"}),
                json!({"execution": arn, "build": "p:1"}),
            ),
            (
                json!({"execution": arn, "build_id": "222222222222/eu-west-1/p:1"}),
                json!({"execution": arn, "build": "222222222222/eu-west-1/p:1", "target": "222222222222/eu-west-1"}),
            ),
            // record-deployment
            (
                json!({"action": "end", "execution": arn, "lock": {"of": {"project": "p", "deployment": "d"}}}),
                json!({"execution": arn, "deployment": "p/d"}),
            ),
            (
                json!({"action": "refuse", "execution": arn, "deployment": {"project": "p", "deployment": "d"}, "lock": {"of": {"project": "p", "deployment": "d"}}}),
                json!({"execution": arn, "deployment": "p/d"}),
            ),
            // end-execution
            (
                json!({"executionArn": arn, "status": "SUCCEEDED", "input": "{}", "output": "{}"}),
                json!({"execution": arn}),
            ),
            (
                json!({"execution": arn, "of": module}),
                json!({"execution": arn, "module": "p/d/g/m"}),
            ),
            // build-event
            (
                json!({"detail": {"build-id": "arn:aws:codebuild:us-east-1:1:build/p:1", "additional-information": {"environment": {
                    "environment-variables": [{"name": "A", "value": "secret"}, {"name": "SEEDFLOW_EXECUTION", "value": arn}]}}}}),
                json!({"execution": arn, "build": "p:1"}),
            ),
        ] {
            assert_eq!(read(&event), expected, "{event}");
        }
    }

    #[test]
    fn nothing_that_is_not_asked_for_comes_along() {
        let token = "AQCEAAAAKgAAAAMAAAAA";
        let event = json!({
            "token": token, "execution": {"token": token}, "build_id": token, "lock": {"of": {"project": token}},
            "waiting": {"token": token}, "of": [token], "detail": token, "input": {"parameters": {"a": token}},
        });
        assert_eq!(read(&event), json!({}));
        let long = LogContext::of_event(&json!({"execution": "x".repeat(100_000)}));
        assert!(long.execution.unwrap().len() < 500);
    }
}
