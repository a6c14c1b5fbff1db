//! Reads from an ended execution's history what it may have left behind.
//!
//! The clean-up after an execution of a module needs three facts: the build that it started, if any; the CodeBuild
//! project to search if the build is not known; and whether a function that writes may still be running in its name. The
//! clean-up after an execution of a deployment needs the executions of modules that may still run ([`Started`]).

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::ids::BuildId;
use crate::ids::DeploymentId;

/// The fields of a GetExecutionHistory event that are needed here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Such as `TaskScheduled`.
    pub kind: String,
    /// The state's name, in events of entering one.
    pub state: Option<String>,
    /// The resource that a task calls, in events of scheduling and starting one.
    pub resource: Option<String>,
    /// The output, in events of a task's success.
    pub output: Option<String>,
    /// The input of the state, in events of entering one.
    pub input: Option<String>,
    /// When it happened.
    pub at: Option<Timestamp>,
}

/// What an execution may have left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// A function that writes was called and has not answered: it may still be running.
    pub working: bool,
    /// The build that it started.
    pub build_id: Option<BuildId>,
    /// The CodeBuild project to search for a build whose id is unknown; `None` if no build was started.
    pub searched: Option<String>,
}

impl Trace {
    /// Everything that is possible, if the history of an execution with this input can't be read.
    #[must_use]
    pub fn unknown(input: &Value, default_project: &str) -> Self {
        let named = input.pointer("/build/project_name").and_then(Value::as_str);
        Self {
            working: true,
            build_id: None,
            searched: Some(named.unwrap_or(default_project).to_owned()),
        }
    }
}

/// The state that starts the build.
const START_BUILD: &str = "StartBuild";
/// The state before it that names the project.
const CHECK: &str = "CheckMd5";

/// Reads a history, newest event first.
#[must_use]
pub fn trace(newest_first: &[Event]) -> Trace {
    let outputs = newest_first
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event.output.as_deref()?).ok());
    let (mut build_id, mut project) = (None, None);
    for output in outputs {
        let field = |name: &str| output["Payload"][name].as_str().map(str::to_owned);
        build_id = build_id.or_else(|| BuildId::parse(&field("build_id")?).ok());
        project = project.or_else(|| field("build_project"));
        // A module that moves is checked and built twice. What is older than the last check has ended.
        if project.is_some() {
            break;
        }
    }
    let entered = |state: &str| {
        let mut events = newest_first.iter();
        events.position(|event| event.state.as_deref() == Some(state))
    };
    let asked = match (entered(START_BUILD), entered(CHECK)) {
        (Some(build), Some(check)) => build < check,
        (build, _) => build.is_some(),
    };
    Trace {
        working: working(newest_first),
        searched: project.filter(|_| asked && build_id.is_none()),
        build_id,
    }
}

/// The state of a deployment that runs an execution of a module, and the one that follows its failure.
const DEPLOY_MODULE: &str = "DeployModule";
const MODULE_FAILED: &str = "ModuleFailed";

/// How long Step Functions may not know an execution that was just started (its answers are eventually consistent).
const VISIBLE_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// The executions of modules that a deployment's execution has started and not seen end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Started {
    /// Their names.
    pub names: BTreeSet<String>,
    /// When the last one was started, or tried to.
    pub last: Option<Timestamp>,
}

impl Started {
    /// Reads a history, newest event first.
    #[must_use]
    pub fn read(newest_first: &[Event]) -> Self {
        let entered = |state: &'static str| {
            newest_first
                .iter()
                .filter(move |event| event.state.as_deref() == Some(state))
                .filter_map(|event| field(event.input.as_deref()?, "name"))
        };
        let succeeded = newest_first
            .iter()
            .filter_map(|event| field(event.output.as_deref()?, "Name"));
        let ended: BTreeSet<String> = succeeded.chain(entered(MODULE_FAILED)).collect();
        Self {
            names: entered(DEPLOY_MODULE)
                .filter(|name| !ended.contains(name))
                .collect(),
            last: newest_first
                .iter()
                .find(|event| {
                    event
                        .resource
                        .as_deref()
                        .is_some_and(|resource| resource.contains(".sync"))
                })
                .and_then(|event| event.at),
        }
    }

    /// How long an execution that Step Functions doesn't know may still appear.
    #[must_use]
    pub fn may_appear(&self, now: Timestamp) -> Option<SignedDuration> {
        let left = VISIBLE_WITHIN - now.duration_since(self.last?);
        (left > SignedDuration::ZERO).then_some(left)
    }
}

fn field(json: &str, name: &str) -> Option<String> {
    let json: Value = serde_json::from_str(json).ok()?;
    Some(json.get(name)?.as_str()?.to_owned())
}

/// The deployment whose lock an execution takes, from the output of the state that reads its name.
#[must_use]
pub fn deployment(newest_first: &[Event]) -> Option<DeploymentId> {
    let mut outputs = newest_first
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event.output.as_deref()?).ok());
    outputs.find_map(|output| serde_json::from_value(output["Payload"]["deployment"].clone()).ok())
}

/// Whether the last task was called and has no result. Functions behind `.waitForTaskToken` do not count: they write
/// nothing that outlives the execution, and their tasks have no result until the token is answered. An execution that
/// is waited for (`.sync`) is not a function either. An aborted state does not show whether its function has ended.
fn working(newest_first: &[Event]) -> bool {
    let last = newest_first
        .iter()
        .filter(|event| event.kind != "TaskStateAborted")
        .find(|event| event.kind.starts_with("Task") && event.state.is_none());
    last.is_some_and(|event| {
        ["TaskScheduled", "TaskStarted"].contains(&event.kind.as_str())
            && !event
                .resource
                .as_deref()
                .is_some_and(|resource| resource.ends_with(".waitForTaskToken") || resource.contains(".sync"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str) -> Event {
        Event {
            kind: kind.to_owned(),
            ..Event::default()
        }
    }

    fn entered(state: &str) -> Event {
        Event {
            state: Some(state.to_owned()),
            ..event("TaskStateEntered")
        }
    }

    fn scheduled(resource: &str) -> Event {
        Event {
            resource: Some(resource.to_owned()),
            ..event("TaskScheduled")
        }
    }

    fn succeeded(output: &str) -> Event {
        Event {
            output: Some(output.to_owned()),
            ..event("TaskSucceeded")
        }
    }

    /// A history, oldest event first, up to a build that the execution waits for.
    fn waiting() -> Vec<Event> {
        vec![
            entered("CheckMd5"),
            scheduled("invoke"),
            succeeded("{\"Payload\":{\"changed\":true,\"build_project\":\"seedflow-x\"}}"),
            entered(START_BUILD),
            scheduled("invoke"),
            succeeded("{\"Payload\":{\"build_id\":\"seedflow-x:1\"}}"),
            entered("AwaitBuild"),
            scheduled("invoke.waitForTaskToken"),
        ]
    }

    fn read(mut oldest_first: Vec<Event>) -> Trace {
        oldest_first.push(event("ExecutionAborted"));
        oldest_first.reverse();
        trace(&oldest_first)
    }

    #[test]
    fn a_build_that_was_waited_for_is_known_and_nothing_else_runs() {
        let known = Trace {
            working: false,
            build_id: BuildId::parse("seedflow-x:1").ok(),
            searched: None,
        };
        assert_eq!(read(waiting()), known);
        let mut submitted = waiting();
        submitted.push(event("TaskSubmitted"));
        assert_eq!(read(submitted), known);
    }

    #[test]
    fn a_start_that_had_not_answered_is_searched_for() {
        let searched = |working| Trace {
            working,
            build_id: None,
            searched: Some("seedflow-x".to_owned()),
        };
        let mut starting = waiting()[..5].to_vec();
        assert_eq!(read(starting.clone()), searched(true));
        starting.push(event("TaskFailed"));
        assert_eq!(read(starting), searched(false));
    }

    #[test]
    fn before_a_build_is_requested_none_is_searched() {
        assert_eq!(read(waiting()[..3].to_vec()), Trace::default());
        assert!(read(waiting()[..2].to_vec()).working);
        assert_eq!(read(Vec::new()), Trace::default());
    }

    #[test]
    fn a_deployment_is_named_by_the_state_that_read_its_name() {
        let named = r#"{"Payload":{"deployment":{"project":"shop","deployment":"dev"},"whole":true,"plan_only":false}}"#;
        let found = deployment(&[event("ExecutionAborted"), succeeded(named), scheduled("invoke")]);
        let found = found.map(|deployment| deployment.to_string());
        assert_eq!(found.as_deref(), Some("shop/dev"));
        assert_eq!(deployment(&[scheduled("invoke")]), None);
    }

    #[test]
    fn a_history_that_can_not_be_read_may_hold_anything_in_the_project_of_the_input() {
        let searched = |input: Value| {
            let trace = Trace::unknown(&input, "seedflow");
            assert!(trace.working && trace.build_id.is_none());
            trace.searched
        };
        let named = serde_json::json!({"build": {"project_name": "seedflow-arm"}});
        assert_eq!(searched(named).as_deref(), Some("seedflow-arm"));
        assert_eq!(searched(Value::Null).as_deref(), Some("seedflow"));
    }

    #[test]
    fn modules_that_were_started_and_have_not_ended_may_still_run() {
        let at = |second| Timestamp::from_second(second).ok();
        let of = |state: &str, name: &str, second| Event {
            input: Some(format!("{{\"name\": \"{name}\", \"input\": {{}}}}")),
            at: at(second),
            ..entered(state)
        };
        let starts = |second| Event {
            at: at(second),
            ..scheduled("startExecution.sync:2")
        };
        let mut history = vec![
            of("DeployModule", "run-a", 1),
            starts(1),
            of("DeployModule", "run-b", 1),
            starts(2),
            succeeded("{\"Name\":\"run-a\",\"Output\":{\"state\":\"SUCCEEDED\"}}"),
            of("ModuleFailed", "run-b", 8),
            of("DeployModule", "run-c", 9),
            starts(20),
            event("ExecutionAborted"),
        ];
        history.reverse();
        let started = Started::read(&history);
        assert_eq!(started.names, BTreeSet::from(["run-c".to_owned()]));
        let appears = |second| started.may_appear(at(second)?).map(|left| left.as_secs());
        assert_eq!((appears(20), appears(29), appears(30)), (Some(10), Some(1), None));
        // A deployment that was stopped while it was planned has started nothing.
        let planning = Started::read(&[event("ExecutionAborted"), scheduled("invoke")]);
        assert_eq!(planning, Started::default());
        assert_eq!(planning.may_appear(Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn a_function_of_a_state_that_was_aborted_may_still_be_running() {
        let mut checking = waiting()[..2].to_vec();
        checking.push(event("TaskStateAborted"));
        assert!(read(checking).working);
    }
}
