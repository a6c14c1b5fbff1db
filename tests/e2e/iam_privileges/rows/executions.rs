//! Functions and executions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::table::*;

/// Each state machine invokes its own functions; the functions that events start aren't among them.
pub fn invocations(functions: &BTreeMap<String, String>) -> Vec<Row> {
    let invoke = |(logical, name): (&String, &String)| {
        let granted: Granted = match logical.as_str() {
            // People call approve.
            "BuildEventFunction" | "PublishReportFunction" | "ApproveFunction" => NOBODY,
            "EndExecutionFunction" => &[END_MACHINE],
            "DetectDriftFunction" => &[DRIFT],
            "AcquireLockFunction" | "EvaluatePolicyFunction" => &[DEPLOY_MODULE, DEPLOY],
            "PlanDeploymentFunction"
            | "FetchSourcesFunction"
            | "RecordDeploymentFunction"
            | "RequestApprovalFunction"
            | "PreviewModulesFunction" => &[DEPLOY],
            _ => &[DEPLOY_MODULE],
        };
        let function = name.clone();
        Row {
            // A function's answer to an empty event.
            answer: Some("InvalidInput"),
            ..row(format!("invoke {name}"), granted, Call::Invoke { function })
        }
    };
    functions.iter().map(invoke).collect()
}

pub fn executions(fixtures: &Fixtures) -> Vec<Row> {
    let execution = json!({"executionArn": fixtures.execution});
    let token = |more: Value| {
        let mut input = more;
        input["taskToken"] = fixtures.token.as_str().into();
        input
    };
    let start = |machine: &str| json!({"stateMachineArn": machine, "input": "{}"});
    let machine = |name: &str| fixtures.state_machine.replace("deploy-module", name);
    let [ours, deploy, plan, drift] = ["deploy-module", "deploy", "plan", "drift"].map(machine);
    let [end, check_key, others] = ["end-execution", "check-key", "other"].map(machine);
    // An execution of another state machine.
    let other = json!({"executionArn": fixtures.execution.replace("deploy-module", "end-execution")});
    let other_stop = other.clone();
    let succeed = |what: &str, granted, token: &str| Row {
        // The error of the second answer.
        answer: Some("TaskDoesNotExist"),
        ..ask(
            STATES,
            "SendTaskSuccess",
            what,
            granted,
            json!({"taskToken": token, "output": "{}"}),
        )
    };
    vec![
        ask(
            STATES,
            "StartExecution",
            "of the workflow",
            &[UPLOAD, DEPLOY],
            start(&ours),
        ),
        ask(
            STATES,
            "StartExecution",
            "of whole deployments",
            &[REPOSITORY, PLAN, DEPLOY],
            start(&deploy),
        ),
        ask(STATES, "StartExecution", "of plans", NOBODY, start(&plan)),
        ask(
            STATES,
            "StartExecution",
            "of checks for drift",
            &[DRIFT_SCHEDULE],
            start(&drift),
        ),
        ask(
            STATES,
            "StartExecution",
            "of what cleans up",
            &[ACQUIRE_LOCK, END_EXECUTION, EXECUTION_ENDED],
            json!({"stateMachineArn": end, "input": json!({"execution": fixtures.execution}).to_string()}),
        ),
        ask(
            STATES,
            "StartExecution",
            "of what looks at a key",
            &[KEY],
            json!({"stateMachineArn": check_key, "input": json!({"key": "sources/p/repository.zip"}).to_string()}),
        ),
        ask(STATES, "StartExecution", "of another's", NOBODY, start(&others)),
        ask(
            STATES,
            "DescribeExecution",
            "",
            &[ACQUIRE_LOCK, END_EXECUTION, DEPLOY],
            execution.clone(),
        ),
        Row {
            answer: Some("ExecutionDoesNotExist"),
            ..ask(
                STATES,
                "DescribeExecution",
                "of a deployment",
                &[ACQUIRE_LOCK, END_EXECUTION, PLAN_DEPLOYMENT, APPROVE],
                json!({"executionArn": fixtures.execution.replace("deploy-module", "deploy")}),
            )
        },
        ask(
            STATES,
            "DescribeExecution",
            "of another machine",
            NOBODY,
            other.clone(),
        ),
        // It contains the task token.
        ask(
            STATES,
            "GetExecutionHistory",
            "",
            &[END_EXECUTION],
            execution.clone(),
        ),
        ask(STATES, "GetExecutionHistory", "of another machine", NOBODY, other),
        ask(
            STATES,
            "ListExecutions",
            "",
            NOBODY,
            json!({"stateMachineArn": ours}),
        ),
        ask(
            STATES,
            "ListExecutions",
            "of another machine",
            NOBODY,
            json!({"stateMachineArn": end}),
        ),
        // One that never existed: stopping ours would end the execution of the last rows.
        Row {
            answer: Some("ExecutionDoesNotExist"),
            ..ask(
                STATES,
                "StopExecution",
                "",
                &[END_EXECUTION, DEPLOY],
                json!({"executionArn": format!("{}-never", fixtures.execution)}),
            )
        },
        ask(STATES, "StopExecution", "of another machine", NOBODY, other_stop),
        ask(STATES, "SendTaskHeartbeat", "", NOBODY, token(json!({}))),
        ask(
            STATES,
            "SendTaskFailure",
            "",
            NOBODY,
            token(json!({"error": "E"})),
        ),
        // Last: it ends the execution.
        succeed(
            "its task",
            &[ACQUIRE_LOCK, CHECK_STATUS, BUILD_EVENT, END_EXECUTION],
            &fixtures.token,
        ),
        // Of any machine; the last two answer for deployments only.
        succeed(
            "a task that never was",
            &[
                ACQUIRE_LOCK,
                CHECK_STATUS,
                BUILD_EVENT,
                END_EXECUTION,
                REQUEST_APPROVAL,
                APPROVE,
            ],
            "never",
        ),
    ]
}
