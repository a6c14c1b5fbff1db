//! The metrics of the code, the dashboard, the alarms and the documentation are the same.
use std::collections::BTreeSet;

use seedflow_contract::{Template, file};
use seedflow_core::telemetry::metric::{DIMENSION, Metric, NAMESPACE};
use serde_json::Value;

fn template() -> Template {
    Template::read("template.yaml")
}

fn of_type(kind: &str) -> Vec<(String, Value)> {
    template().of_type(kind)
}

/// The body of the dashboard with names in the place of `${…}`.
fn dashboard() -> Value {
    let (_, dashboard) = of_type("AWS::CloudWatch::Dashboard").remove(0);
    serde_json::from_str(dashboard["DashboardBody"].as_str().unwrap()).expect("the dashboard is JSON")
}

/// All metrics of the dashboard: namespace, name and dimensions in one list each.
fn shown() -> Vec<Vec<Value>> {
    let dashboard = dashboard();
    let widgets = dashboard["widgets"].as_array().unwrap();
    let metrics = widgets
        .iter()
        .flat_map(|widget| widget["properties"]["metrics"].as_array().unwrap());
    metrics.map(|metric| metric.as_array().unwrap().clone()).collect()
}

fn names() -> BTreeSet<&'static str> {
    Metric::ALL.iter().map(|metric| metric.name()).collect()
}

#[test]
fn every_function_knows_the_dimension_s_value() {
    let given = &template().json()["Globals"]["Function"]["Environment"]["Variables"];
    assert_eq!(given["STACK_NAME"], "AWS::StackName");
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let shown = shown();
    let ours: BTreeSet<&str> = shown
        .iter()
        .filter(|metric| metric[0] == NAMESPACE)
        .map(|metric| {
            assert_eq!(
                (&metric[2], &metric[3]),
                (&DIMENSION.into(), &"${AWS::StackName}".into())
            );
            metric[1].as_str().unwrap()
        })
        .collect();
    assert_eq!(ours, names());
}

#[test]
fn the_dashboard_shows_every_function_and_state_machine() {
    let shown = serde_json::to_string(&shown()).unwrap();
    for (name, function) in of_type("AWS::Serverless::Function") {
        let function = function["FunctionName"].as_str().unwrap();
        let count = shown.matches(&format!("\"{function}\"")).count();
        assert_eq!(count, 2, "{name}: errors and throttles");
    }
    for (name, _) in of_type("AWS::Serverless::StateMachine") {
        assert!(shown.contains(&format!("\"${{{name}}}\"")), "{name}");
    }
}

#[test]
fn alarms_watch_existing_metrics_and_notify() {
    let documentation = file("docs/observability.md");
    for (name, alarm) in of_type("AWS::CloudWatch::Alarm") {
        let metric = alarm["MetricName"].as_str().unwrap();
        if alarm["Namespace"] == NAMESPACE {
            assert!(names().contains(metric), "{name}: {metric}");
            let dimension = &alarm["Dimensions"][0];
            assert_eq!(dimension["Name"], DIMENSION, "{name}");
            assert_eq!(dimension["Value"], "AWS::StackName", "{name}");
            // If a metric has several units, an alarm without a unit uses any of them (CloudWatch API reference,
            // PutMetricAlarm, Unit), and anybody may add a unit.
            let found = Metric::ALL.iter().find(|known| known.name() == metric).unwrap();
            assert_eq!(alarm["Unit"], found.unit(), "{name}");
        }
        // A build may log a value below zero. It would lower a sum or an average, and so silence the alarm.
        assert_eq!(alarm["Statistic"], "Maximum", "{name}");
        assert_eq!(alarm["ComparisonOperator"], "GreaterThanThreshold", "{name}");
        assert!(
            alarm["AlarmActions"].to_string().contains("NotificationTopic"),
            "{name}"
        );
        assert_eq!(alarm["TreatMissingData"], "notBreaching", "{name}");
        assert!(
            documentation.contains(&format!("| `{name}` |")),
            "{name} is not documented"
        );
    }
}

#[test]
fn every_metric_is_documented_with_its_unit() {
    let documentation = file("docs/observability.md");
    for metric in Metric::ALL {
        let row = format!("| `{}` | {} |", metric.name(), metric.unit());
        assert!(documentation.contains(&row), "{row}");
    }
}

#[test]
fn every_situation_that_alarms_lead_to_is_there() {
    let headings: Vec<String> = file("docs/operations.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| heading.to_lowercase().replace(' ', "-").replace('\'', ""))
        .collect();
    let documentation = file("docs/observability.md");
    let links: Vec<&str> = documentation
        .split("operations.md#")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .collect();
    assert!(links.len() > 5);
    for link in links {
        assert!(headings.iter().any(|heading| heading == link), "{link}");
    }
}
