//! Events of CodeBuild and stored values: arbitrary JSON, and real events with fields that are missing, null or of another
//! type.

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;
use seedflow_core::error::ErrorName;
use seedflow_core::ids::{BuildId, ExecutionArn, ParameterKind};
use seedflow_core::module::status::{Failure, Status};
use seedflow_core::module::stored_parameters::{EncodedParameter, ModuleParameters, SpillReference, Text};
use seedflow_core::workflow::build_outcome::{BuildOutcome, BuildStatus, Phase};
use serde_json::{Value, json};

use crate::{assert_refusal, cases, dictionary, module};

const ARN: &str =
    "arn:aws:codebuild:us-west-2:123456789012:build/seedflow:8745a7a9-c340-456a-9166-edf953571bEX";

/// The event of the CodeBuild user guide ("Build notifications input format reference"), reduced to the fields that are
/// read.
fn event() -> Value {
    json!({
        "source": "aws.codebuild", "detail-type": "CodeBuild Build State Change",
        "detail": {
            "build-status": "FAILED", "project-name": "seedflow", "build-id": ARN,
            "additional-information": {
                "logs": {"group-name": "g", "stream-name": "s", "deep-link": "https://l"},
                "phases": [
                    {"phase-type": "INSTALL", "phase-status": "SUCCEEDED", "phase-context": [": "], "duration-in-seconds": 3},
                    {"phase-type": "BUILD", "phase-status": "FAILED", "phase-context": ["COMMAND_EXECUTION_ERROR: no"], "duration-in-seconds": 1},
                ],
            },
        },
    })
}

const NEEDED: [&str; 3] = ["/detail", "/detail/build-id", "/detail/build-status"];
const NOT_NEEDED: [&str; 16] = [
    "/source",
    "/detail/project-name",
    "/detail/additional-information",
    "/detail/additional-information/logs",
    "/detail/additional-information/logs/group-name",
    "/detail/additional-information/logs/stream-name",
    "/detail/additional-information/logs/deep-link",
    "/detail/additional-information/phases",
    "/detail/additional-information/phases/0",
    "/detail/additional-information/phases/0/phase-type",
    "/detail/additional-information/phases/0/phase-status",
    "/detail/additional-information/phases/1",
    "/detail/additional-information/phases/1/phase-type",
    "/detail/additional-information/phases/1/phase-context",
    "/detail/additional-information/phases/1/phase-context/0",
    "/detail/additional-information/phases/1/duration-in-seconds",
];

fn with(field: &str, value: Option<Value>) -> Value {
    let mut event = event();
    let (parent, name) = field.rsplit_once('/').unwrap();
    match (event.pointer_mut(parent).unwrap(), value) {
        (Value::Object(map), Some(value)) => drop(map.insert(name.to_owned(), value)),
        (Value::Object(map), None) => drop(map.shift_remove(name)),
        (Value::Array(items), Some(value)) => items[name.parse::<usize>().unwrap()] = value,
        (Value::Array(items), None) => drop(items.remove(name.parse().unwrap())),
        _ => unreachable!("{field} has a parent"),
    }
    event
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn any_json_is_an_event_or_refused_by_name(event in dictionary::json()) {
        if let Err(error) = BuildOutcome::from_event(&event) {
            assert_refusal(&error, &[ErrorName::InvalidInput])?;
        }
    }

    #[test]
    fn a_field_that_is_not_needed_may_be_anything(field in select(&NOT_NEEDED[..]), value in prop::option::of(dictionary::json())) {
        let outcome = BuildOutcome::from_event(&with(field, value)).unwrap().unwrap();
        prop_assert_eq!(outcome.build_id.as_str(), ARN.rsplit_once('/').unwrap().1);
        prop_assert!(matches!(outcome.status, BuildStatus::Failed | BuildStatus::TimedOut));
        prop_assert!(outcome.reason.iter().all(|reason| reason.chars().count() <= 2001));
        prop_assert!(outcome.explain().starts_with("build "));
        // The outcome travels through the state machine.
        let text = serde_json::to_string(&outcome).unwrap();
        prop_assert_eq!(serde_json::from_str::<BuildOutcome>(&text).unwrap(), outcome);
    }

    #[test]
    fn a_field_that_is_needed_is_named_where_it_is_wrong(field in select(&NEEDED[..]), value in prop::option::of(dictionary::json())) {
        // A text with a colon may be the id of a build.
        prop_assume!(value.as_ref().and_then(Value::as_str).is_none_or(|text| BuildId::parse(text).is_err()));
        let error = BuildOutcome::from_event(&with(field, value)).unwrap_err();
        assert_refusal(&error, &[ErrorName::InvalidInput])?;
        prop_assert!(error.message.starts_with("detail.build-") || error.message.starts_with("build_id: "), "{}", error.message);
    }

    #[test]
    fn what_is_stored_is_read_or_unreadable(text in prop_oneof![dictionary::text(true), dictionary::json().prop_map(|json| json.to_string())]) {
        let mut stored = ModuleParameters::default();
        for kind in ParameterKind::ALL {
            stored.set(kind, text.clone());
        }
        let _ = (stored.fingerprint(), stored.metadata_object(), stored.status_of(&module()));
        prop_assert!(SpillReference::of(&text).is_none_or(|reference| reference.key.starts_with("values/")));
    }

    #[test]
    fn a_status_fits_into_its_parameter_after_every_failure(reason in dictionary::text(true), times in 1usize..50, phase in dictionary::text(true)) {
        let id = BuildId::parse("p:u").unwrap();
        let phases = vec![Phase { name: phase, status: Some("FAILED".into()), started_at: None, seconds: None, context: Some(reason.repeat(times)) }];
        let outcome = BuildOutcome::ended(id.clone(), BuildStatus::Failed).with_phases(phases);
        let failure = Failure { error: "BuildFailed".into(), reason: outcome.explain(), build_id: Some(id), outcome: Some(outcome), commit_info: seedflow_core::module::commit_info::CommitInfo::default() };
        let status = Status::fail(None, &module(), &ExecutionArn::new("arn:e"), &failure, Timestamp::UNIX_EPOCH);
        // Readers of a status do not resolve references to S3, so it must fit into the parameter.
        prop_assert!(Text::of_json(&serde_json::to_string(&status).unwrap()).as_str().len() <= 8192);
    }

    #[test]
    fn a_value_of_any_length_is_stored_and_found_again(text in dictionary::text(true), length in 0usize..20_000) {
        let value = json!({"value": text, "more": "x".repeat(length)}).to_string();
        let laid = EncodedParameter::new(&module(), ParameterKind::Metadata, &value);
        let parameter = laid.parameter.as_str();
        prop_assert!(parameter.len() <= 8192 && !parameter.contains("{{"));
        let stored = match laid.spilled {
            None => parameter.to_owned(),
            Some((key, spilled)) => {
                let reference = SpillReference::of(parameter).unwrap();
                prop_assert_eq!(reference.key.as_str(), key);
                prop_assert!(reference.holds(spilled.as_bytes()));
                spilled
            }
        };
        let read: Value = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(read.to_string(), value);
    }
}
