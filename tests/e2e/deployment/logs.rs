//! One query of docs/observability.md finds the work of all functions for a deployment.

use std::collections::BTreeSet;

use seedflow_core::deployment::planner::SHARED_NAME;
use seedflow_core::telemetry::metric::Metric;
use seedflow_e2e::{Repository, TestStack, eventually, run};
use serde_json::{Value, json};

use super::{STACK, assert_state};

/// All functions that take part in a deployment without a `modulestack.yaml`.
const FUNCTIONS: [&str; 9] = [
    "acquire-lock",
    "build-event",
    "check-md5",
    "check-status",
    "end-execution",
    "plan-deployment",
    "record-deployment",
    "start-build",
    "update-metadata",
];

/// The field and the text of the query's filter, with a name substituted.
fn filter(name: &str) -> (String, String) {
    let page = include_str!("../../../docs/observability.md");
    let query = page
        .split("```")
        .find(|block| block.contains("| filter "))
        .expect("a query");
    let filter = query
        .lines()
        .find_map(|line| line.strip_prefix("| filter "))
        .expect("a filter");
    let (field, text) = filter.split_once(" like /").expect("FIELD like /TEXT/");
    (field.to_owned(), text.trim_end_matches('/').replace("NAME", name))
}

/// The functions and the number of lines that the query finds of each.
async fn found(stack: &TestStack, name: &str) -> Vec<(&'static str, Value)> {
    let (field, text) = filter(name);
    let mut found = Vec::new();
    for function in FUNCTIONS {
        let lines = stack.lines(function).await.into_iter();
        let matching = lines.filter(|line| line[&field].as_str().is_some_and(|value| value.contains(&text)));
        found.extend(matching.map(|line| (function, line)));
    }
    found
}

#[test]
fn one_query_follows_a_deployment_and_its_modules_through_all_functions() {
    run(async {
        let stack = STACK.get().await;
        let project = "followed";
        let repository = Repository::deploying(&[("core", &[("one", &[])])]);
        let deployed = stack.deploy_repository(project, &repository, json!({})).await;
        assert_state(&deployed, "SUCCEEDED");
        stack.deployment_released(project).await;
        let name: String = deployed
            .execution
            .rsplit(':')
            .next()
            .unwrap()
            .chars()
            .take(SHARED_NAME)
            .collect();
        let lines = eventually("lines of all functions", || async {
            let lines = found(stack, &name).await;
            let functions: BTreeSet<&str> = lines.iter().map(|(function, _)| *function).collect();
            (functions == FUNCTIONS.into()).then_some(lines)
        })
        .await;

        let module = format!("{project}/dev/core/one");
        let of_module = lines.iter().find(|(_, line)| line["module"] == module.as_str());
        let module_execution = of_module.expect("a line of the module").1["execution"]
            .as_str()
            .unwrap();
        let build = lines
            .iter()
            .find_map(|(_, line)| line["build"].as_str())
            .expect("the id of a build");
        let alone = found(stack, module_execution.rsplit(':').next().unwrap()).await;
        assert!(!alone.is_empty() && alone.len() < lines.len());
        for (function, line) in &lines {
            assert!(
                line["timestamp"].is_string() && line["level"].is_string(),
                "{line}"
            );
            if line["_aws"].is_object() {
                continue;
            }
            let is_related = match *function {
                // Functions that receive only a build.
                "build-event" | "check-status" => line["build"] == build,
                _ => {
                    let deployment = line["deployment"].as_str();
                    line["module"] == module.as_str() || deployment.is_some_and(|of| of.starts_with(project))
                }
            };
            assert!(is_related, "{function}: {line}");
            assert!(line["request_id"].is_string(), "{function}: {line}");
        }
        let measured = stack.measured(
            "record-deployment",
            Metric::DeploymentsSucceeded,
            &deployed.execution,
        );
        assert_eq!(measured.await, [1.0]);

        let again = stack.deploy_repository(project, &repository, json!({})).await;
        assert_state(&again, "UNCHANGED");
        for metric in [Metric::DeploymentsUnchanged, Metric::ModulesUnchanged] {
            assert_eq!(
                stack
                    .measured("record-deployment", metric, &again.execution)
                    .await,
                [1.0]
            );
        }
    });
}
