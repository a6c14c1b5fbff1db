#![allow(clippy::unwrap_used)]
//! Checks the metric lines against the JSON Schema that AWS publishes for them.

use super::*;
use crate::ids::{BuildId, ExecutionArn, ModuleId};
use crate::target::Target;

/// Amazon CloudWatch User Guide, "Specification: Embedded metric format", section "Embedded metric format example and
/// JSON schema", without titles, examples, `$id`s and patterns that match everything.
fn schema() -> Value {
    let text = json!({"type": "string", "minLength": 1, "maxLength": 255});
    let metric = json!({
        "type": "object",
        "required": ["Name"],
        "properties": {
            "Name": text,
            "Unit": {
                "type": "string",
                "enum": [
                    "Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Gigabytes",
                    "Terabytes", "Bits", "Kilobits", "Megabits", "Gigabits", "Terabits", "Percent", "Count",
                    "Bytes/Second", "Kilobytes/Second", "Megabytes/Second", "Gigabytes/Second", "Terabytes/Second",
                    "Bits/Second", "Kilobits/Second", "Megabits/Second", "Gigabits/Second", "Terabits/Second",
                    "Count/Second", "None"
                ]
            }
        }
    });
    let dimensions = json!({
        "type": "array",
        "minItems": 1,
        "items": {"type": "array", "minItems": 0, "maxItems": 9, "items": text}
    });
    let directive = json!({
        "type": "object",
        "required": ["Namespace", "Dimensions", "Metrics"],
        "properties": {
            "Namespace": text,
            "Dimensions": dimensions,
            "Metrics": {"type": "array", "items": metric}
        }
    });
    json!({
        "type": "object",
        "required": ["_aws"],
        "properties": {
            "_aws": {
                "type": "object",
                "required": ["Timestamp", "CloudWatchMetrics"],
                "properties": {
                    "Timestamp": {"type": "integer"},
                    "CloudWatchMetrics": {"type": "array", "items": directive}
                }
            }
        }
    })
}

/// Validates a value against the keywords of JSON Schema that the schema above uses; any other keyword is an error.
fn check(schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    for (word, wanted) in schema.as_object().unwrap() {
        let length = || match value {
            Value::String(text) => text.chars().count() as u64,
            _ => value.as_array().map_or(0, Vec::len) as u64,
        };
        let holds = match word.as_str() {
            "type" => match wanted.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                other => panic!("type {other}"),
            },
            "required" => wanted
                .as_array()
                .unwrap()
                .iter()
                .all(|key| !value[key.as_str().unwrap()].is_null()),
            "enum" => wanted.as_array().unwrap().contains(value),
            "minLength" | "minItems" => length() >= wanted.as_u64().unwrap(),
            "maxLength" | "maxItems" => length() <= wanted.as_u64().unwrap(),
            "properties" => {
                for (key, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        check(schema, value, &format!("{path}.{key}"))?;
                    }
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().unwrap().iter().enumerate() {
                    check(wanted, item, &format!("{path}[{index}]"))?;
                }
                true
            }
            other => panic!("{other} is not understood"),
        };
        if !holds {
            return Err(format!("{path}: {value} against {word} {wanted}"));
        }
    }
    Ok(())
}

/// What the specification requires beyond its schema: targets are members of the root, of the right type.
fn check_targets(document: &Value) -> Result<(), String> {
    for directive in document["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        let metrics = directive["Metrics"].as_array().unwrap();
        if metrics.len() > 100 {
            return Err("more than 100 metrics".to_owned());
        }
        for metric in metrics {
            let name = metric["Name"].as_str().unwrap();
            if !document[name].is_number() {
                return Err(format!("{name}: {}", document[name]));
            }
        }
        for dimension in directive["Dimensions"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|set| set.as_array().unwrap())
        {
            let name = dimension.as_str().unwrap();
            if !document[name].is_string() {
                return Err(format!("{name}: {}", document[name]));
            }
        }
    }
    Ok(())
}

fn valid(document: &Value) -> Result<(), String> {
    check(&schema(), document, "$")?;
    check_targets(document)
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00.123456789Z".parse().unwrap()
}

fn about() -> LogContext {
    let module = ModuleId::parse("p", "d", "g", "m").unwrap();
    LogContext::module(&ExecutionArn::new("arn:e"), &module).with_build(BuildId::parse("p:1").ok().as_ref())
}

/// An execution that started at 100 s, acquired its lock at 110, built from 112 to 145 and was recorded at 150; or the same
/// without a build.
fn times(build: bool) -> Timeline {
    let at = |second| Timestamp::from_second(second).ok();
    Timeline {
        execution_started_at: at(100),
        lock_acquired_at: at(110),
        started_at: at(111),
        build_started_at: at(112).filter(|_| build),
        build_ended_at: at(145).filter(|_| build),
        recorded_at: at(150).unwrap(),
    }
}

#[test]
fn a_document_is_what_cloudwatch_reads() {
    let measured = Measurement::end_of_module(State::Succeeded, &times(true));
    let document = measured.document("seedflow", &about(), now()).unwrap();
    let expected = json!({
        "timestamp": "2026-11-23T12:00:00.123456789Z", "level": "INFO", "message": "measured",
        "execution": "arn:e", "module": "p/d/g/m", "build": "p:1", "Stack": "seedflow",
        "ModulesSucceeded": 1.0, "BuildSeconds": 33.0, "OverheadSeconds": 7.0, "WaitingSeconds": 10.0,
        "_aws": {"Timestamp": 1_795_435_200_123_i64, "CloudWatchMetrics": [{
            "Namespace": "Seedflow", "Dimensions": [["Stack"]],
            "Metrics": [{"Name": "ModulesSucceeded", "Unit": "Count"}, {"Name": "BuildSeconds", "Unit": "Seconds"},
                {"Name": "OverheadSeconds", "Unit": "Seconds"}, {"Name": "WaitingSeconds", "Unit": "Seconds"}],
        }]},
    });
    assert_eq!(document, expected);
    valid(&document).unwrap();
}

#[test]
fn what_is_measured_in_a_target_is_measured_for_the_stack_too() {
    let target: Target = "222222222222/eu-west-1".parse().unwrap();
    let about = about().in_target(Some(&target));
    let document = Measurement::one(Metric::ModulesFailed)
        .document("seedflow", &about, now())
        .unwrap();
    valid(&document).unwrap();
    assert_eq!(
        document["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
        json!([["Stack"], ["Stack", "Account", "Region"]])
    );
    assert_eq!(
        (&document["Account"], &document["Region"], &document["target"]),
        (
            &json!("222222222222"),
            &json!("eu-west-1"),
            &json!("222222222222/eu-west-1")
        )
    );
}

#[test]
fn every_metric_makes_a_document_of_the_published_schema() {
    for metric in Metric::ALL {
        let document = Measurement::one(*metric)
            .document("s", &LogContext::default(), now())
            .unwrap();
        valid(&document).unwrap();
    }
    // No field of a log context can be taken for a metric or for the dimension.
    let Ok(Value::Object(fields)) = serde_json::to_value(about()) else {
        panic!("an object")
    };
    let dimensions = [&[DIMENSION][..], &TARGET_DIMENSIONS].concat();
    let taken =
        |name: &str| dimensions.contains(&name) || Metric::ALL.iter().any(|metric| metric.name() == name);
    assert!(fields.keys().all(|name| !taken(name)));
}

#[test]
fn the_schema_can_fail() {
    let good = Measurement::one(Metric::LostEvents)
        .document("s", &about(), now())
        .unwrap();
    let metric = |document: &Value| document["_aws"]["CloudWatchMetrics"][0].clone();
    for (pointer, bad) in [
        ("/_aws/Timestamp", json!("now")),
        ("/_aws/CloudWatchMetrics/0/Metrics/0/Unit", json!("Pieces")),
        ("/_aws/CloudWatchMetrics/0/Dimensions", json!([])),
        ("/_aws/CloudWatchMetrics/0/Namespace", json!("")),
        ("/LostEvents", json!("1")),
        ("/Stack", json!(7)),
    ] {
        let mut broken = good.clone();
        *broken.pointer_mut(pointer).unwrap() = bad;
        assert!(valid(&broken).is_err(), "{pointer}: {}", metric(&broken));
    }
}

#[test]
fn what_was_not_measured_is_not_written() {
    assert_eq!(
        Measurement::end_of_module(State::InProgress, &times(true)).document("s", &about(), now()),
        None
    );
    assert_eq!(
        Measurement::default().and_count(Some(Metric::ModulesUnchanged), 0),
        Measurement::default()
    );
    let backwards =
        Measurement::default().and_seconds(Metric::WaitingSeconds, Some(SignedDuration::from_secs(-2)));
    assert_eq!(
        backwards.document("s", &about(), now()).unwrap()["WaitingSeconds"],
        0.0
    );
    let skipped = Measurement::end_of_module(State::Unchanged, &times(false));
    let skipped = skipped.document("s", &about(), now()).unwrap();
    assert_eq!(skipped["WaitingSeconds"], 10.0);
    assert_eq!(
        [&skipped["BuildSeconds"], &skipped["OverheadSeconds"]],
        [&Value::Null; 2]
    );
}
