//! The steps that record a success, in order.
//!
//! The bundle's copies and the record come first: whatever happens afterwards, the record describes what is deployed
//! (decision 24). Then follow outputs, metadata and md5, the report, and the status last (docs/architecture.md). A
//! crash in between leaves an old md5 or a status that is not SUCCEEDED. So the next execution deploys again and never
//! reports "unchanged" for an incomplete record. A parameter that already has its value is not written, so a repeated
//! call for a recorded success writes no parameter and no report.

use serde_json::{Map, Value, json};

use crate::ids::{ModuleId, ParameterKind};
use crate::module::fingerprint::Fingerprint;
use crate::module::plan::Plan;
use crate::module::status::Status;
use crate::module::stored_parameters::{EncodedParameter, ModuleParameters};

/// The longest outputs that the execution's own output repeats: a stack may have 200 outputs of 4 KB each, more than a
/// state's payload can hold.
const MAX_REPEATED: usize = 32 * 1024;

/// One parameter to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterWrite {
    /// Which parameter.
    pub kind: ParameterKind,
    /// Its encoded text, with the text that goes to S3 first.
    pub encoded: EncodedParameter,
}

/// One step of recording a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuccessStep {
    /// Copy the bundle beside the record and to its published path, both at once. The record names these copies.
    KeepBundle,
    /// Write the record of the deployed module.
    Record,
    /// Write a parameter.
    Parameter(ParameterWrite),
    /// Write the report of the execution. It comes before the status, so that it exists once the status is SUCCEEDED.
    Report,
}

/// The steps that record the success of a plan, in order.
#[must_use]
pub fn steps(
    plan: &Plan,
    stored: &ModuleParameters,
    outputs: &Map<String, Value>,
    metadata: &Map<String, Value>,
    status: &Status,
) -> Vec<SuccessStep> {
    let writes = parameters(
        &plan.module,
        stored,
        outputs,
        metadata,
        Some(&plan.fingerprint),
        status,
    );
    let keep = plan.options.bundle.then_some(SuccessStep::KeepBundle);
    let mut steps: Vec<SuccessStep> = keep.into_iter().chain([SuccessStep::Record]).collect();
    for write in writes {
        if write.kind == ParameterKind::Status {
            steps.push(SuccessStep::Report);
        }
        steps.push(SuccessStep::Parameter(write));
    }
    steps
}

/// The outputs in the execution's own output: themselves, or where they are stored if they are too long.
#[must_use]
pub fn repeated_outputs(module: &ModuleId, outputs: Map<String, Value>) -> Value {
    let repeated = serde_json::to_string(&outputs).is_ok_and(|text| text.len() <= MAX_REPEATED);
    if repeated {
        return Value::Object(outputs);
    }
    json!(format!("see {}", module.parameter(ParameterKind::Outputs)))
}

/// The parameters that a success writes, in order. A module that was deployed by other means may have no fingerprint;
/// then the next execution deploys it.
#[must_use]
pub fn parameters(
    module: &ModuleId,
    stored: &ModuleParameters,
    outputs: &Map<String, Value>,
    metadata: &Map<String, Value>,
    fingerprint: Option<&Fingerprint>,
    status: &Status,
) -> Vec<ParameterWrite> {
    let values = [
        Some((ParameterKind::Outputs, text(outputs))),
        Some((ParameterKind::Metadata, text(metadata))),
        fingerprint.map(|fingerprint| (ParameterKind::Md5, text(fingerprint))),
    ];
    let mut writes: Vec<ParameterWrite> = values
        .into_iter()
        .flatten()
        .map(|(kind, value)| ParameterWrite {
            kind,
            encoded: EncodedParameter::new(module, kind, &value),
        })
        .filter(|write| stored.text(write.kind) != Some(write.encoded.parameter.as_str()))
        .collect();
    writes.extend(status_write(module, stored, status));
    writes
}

/// The write of a fingerprint of an unchanged module that consumes values of other modules than before.
#[must_use]
pub fn fingerprint_write(module: &ModuleId, fingerprint: &Fingerprint) -> ParameterWrite {
    ParameterWrite {
        kind: ParameterKind::Md5,
        encoded: EncodedParameter::new(module, ParameterKind::Md5, &text(fingerprint)),
    }
}

/// The write of a status, unless the stored one is equal.
#[must_use]
pub fn status_write(module: &ModuleId, stored: &ModuleParameters, status: &Status) -> Option<ParameterWrite> {
    let before = stored
        .status
        .as_deref()
        .and_then(|text| serde_json::from_str::<Status>(text).ok());
    (!status.repeats(before.as_ref())).then(|| ParameterWrite {
        kind: ParameterKind::Status,
        encoded: EncodedParameter::new(module, ParameterKind::Status, &text(status)),
    })
}

/// A value as JSON. Stored types have only text keys, so they always serialise.
fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{BuildId, ExecutionArn};
    use crate::module::change_detection::decide;
    use crate::module::codebuild::request::tests::plan;
    use crate::workflow::build_outcome::{BuildOutcome, BuildStatus};
    use jiff::Timestamp;

    /// The stored state of a module. Each value is the name of the deployment that wrote it.
    #[derive(Debug, Clone, Default)]
    struct World {
        bundle: String,
        record: String,
        reports: Vec<String>,
        parameters: ModuleParameters,
    }

    impl World {
        /// The steps that record a deployment: `hash` represents its bundle, its outputs and its metadata.
        fn steps(&self, execution: &str, hash: &str) -> Vec<SuccessStep> {
            let plan = deployed(hash);
            let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
            let before = self.status(&plan);
            let execution = ExecutionArn::new(execution);
            let now = Timestamp::UNIX_EPOCH;
            let status = Status::succeed(before.as_ref(), &plan.module, &execution, &build, now);
            let (outputs, metadata) = (json!({"Out": hash}), json!({"key": hash}));
            let map = |value: &Value| value.as_object().unwrap().clone();
            steps(&plan, &self.parameters, &map(&outputs), &map(&metadata), &status)
        }

        fn apply(&mut self, steps: &[SuccessStep], execution: &str, hash: &str) {
            for step in steps {
                match step {
                    SuccessStep::KeepBundle => self.bundle = hash.to_owned(),
                    SuccessStep::Record => self.record = hash.to_owned(),
                    SuccessStep::Report => self.reports.push(execution.to_owned()),
                    SuccessStep::Parameter(write) => {
                        let text = write.encoded.parameter.as_str().to_owned();
                        self.parameters.set(write.kind, text);
                    }
                }
            }
        }

        fn status(&self, plan: &Plan) -> Option<Status> {
            self.parameters.status_of(&plan.module).unwrap()
        }

        fn changed(&self, hash: &str) -> bool {
            let plan = deployed(hash);
            let (fingerprint, status) = (self.parameters.fingerprint(), self.status(&plan));
            decide(&plan.fingerprint, fingerprint.as_ref(), status.as_ref(), false).changed
        }
    }

    fn deployed(hash: &str) -> Plan {
        let mut plan = plan(json!({}), true);
        plan.fingerprint.hash = hash.to_owned();
        plan
    }

    fn parameters_of(steps: &[SuccessStep]) -> Vec<&ParameterWrite> {
        let mut writes = Vec::new();
        for step in steps {
            if let SuccessStep::Parameter(write) = step {
                writes.push(write);
            }
        }
        writes
    }

    fn kinds(steps: &[SuccessStep]) -> Vec<String> {
        let name = |step: &SuccessStep| match step {
            SuccessStep::Parameter(write) => write.kind.to_string(),
            other => format!("{other:?}"),
        };
        steps.iter().map(name).collect()
    }

    #[test]
    fn the_record_is_first_the_status_last_and_md5_after_what_it_vouches_for() {
        let steps = World::default().steps("e", "1");
        let expected = [
            "KeepBundle",
            "Record",
            "outputs",
            "metadata",
            "md5",
            "Report",
            "status",
        ];
        assert_eq!(kinds(&steps), expected);
        let mut without = deployed("1");
        without.options.bundle = false;
        let status = Status::start(
            None,
            &without.module,
            &ExecutionArn::new("e"),
            &[],
            Timestamp::UNIX_EPOCH,
        );
        let none = Map::new();
        let steps = super::steps(&without, &ModuleParameters::default(), &none, &none, &status);
        assert_eq!(
            steps[0],
            SuccessStep::Record,
            "nothing is kept of a bundle that isn't wanted"
        );
    }

    #[test]
    fn a_value_with_double_braces_is_written_once() {
        let mut world = World::default();
        let first = world.steps("e", "{{x}}");
        assert_eq!(parameters_of(&first).len(), 4);
        for write in parameters_of(&first) {
            assert!(!write.encoded.parameter.as_str().contains("{{"));
        }
        world.apply(&first, "e", "{{x}}");
        assert_eq!(kinds(&world.steps("e", "{{x}}")), ["KeepBundle", "Record"]);
    }

    #[test]
    fn a_crash_after_any_write_leads_to_a_redeploy_and_a_repetition_writes_the_rest() {
        let mut before = World::default();
        let first = before.steps("old", "1");
        before.apply(&first, "old", "1");
        let module = deployed("1").module;
        let in_progress = Status::start(
            before.status(&deployed("1")).as_ref(),
            &module,
            &ExecutionArn::new("new"),
            &[],
            Timestamp::UNIX_EPOCH,
        );
        before.parameters.status = Some(serde_json::to_string(&in_progress).unwrap());
        let all = before.steps("new", "2");
        for done in 0..all.len() {
            let mut crashed = before.clone();
            crashed.apply(&all[..done], "new", "2");
            assert!(
                crashed.changed("2") && crashed.changed("1"),
                "after {done} writes"
            );
            let rest = crashed.steps("new", "2");
            assert_eq!(
                parameters_of(&rest),
                parameters_of(&all[done..]),
                "after {done} writes"
            );
            crashed.apply(&rest, "new", "2");
            assert!(
                parameters_of(&crashed.steps("new", "2")).is_empty(),
                "after {done} writes"
            );
            assert!(!crashed.changed("2"), "after {done} writes");
            let stored = (crashed.bundle.as_str(), crashed.record.as_str());
            assert_eq!(stored, ("2", "2"), "after {done} writes");
            assert!(crashed.reports.contains(&"new".to_owned()), "after {done} writes");
        }
    }

    #[test]
    fn the_record_is_of_what_runs_and_a_success_has_its_report() {
        let mut world = World::default();
        let first = world.steps("old", "1");
        world.apply(&first, "old", "1");
        for (done, _) in world.steps("new", "2").iter().enumerate() {
            let mut crashed = world.clone();
            let all = crashed.steps("new", "2");
            crashed.apply(&all[..=done], "new", "2");
            let plan = deployed("2");
            let md5 = crashed
                .parameters
                .fingerprint()
                .map(|fingerprint| fingerprint.hash);
            assert!(
                md5.as_deref() != Some("2") || crashed.record == "2",
                "after {} writes",
                done + 1
            );
            let succeeded = crashed
                .status(&plan)
                .is_some_and(|status| status.execution.as_str() == "new");
            assert!(!succeeded || crashed.reports.contains(&"new".to_owned()));
        }
    }

    #[test]
    fn an_execution_repeats_outputs_that_fit_into_its_own() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let of = |length: usize| {
            let outputs = json!({"A": "x".repeat(length - 8)});
            repeated_outputs(&module, outputs.as_object().unwrap().clone())
        };
        assert_eq!(
            of(MAX_REPEATED)["A"].as_str().map(str::len),
            Some(MAX_REPEATED - 8)
        );
        assert_eq!(of(MAX_REPEATED + 1), "see /sf/p/d/g-m/outputs");
    }
}
