//! What a success writes to Parameter Store, in which order.
//!
//! Outputs, metadata, md5, and the status last (docs/architecture.md): a crash in between leaves an
//! old md5 or a status that isn't SUCCEEDED, so the next execution deploys again and never says "unchanged"
//! of something half recorded. What is there already is not written, so a repeated call costs reads only.

use serde_json::{Map, Value};

use crate::ids::{ModuleId, ParameterKind};
use crate::module::fingerprint::Fingerprint;
use crate::module::status::Status;
use crate::module::stored_parameters::{EncodedParameter, ModuleParameters};

/// One parameter to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterWrite {
    /// Which one.
    pub slot: ParameterKind,
    /// Its text, and what goes to S3 before it.
    pub laid: EncodedParameter,
}

/// What a success writes, in order.
#[must_use]
pub fn success(
    module: &ModuleId,
    stored: &ModuleParameters,
    outputs: &Map<String, Value>,
    metadata: &Map<String, Value>,
    fingerprint: &Fingerprint,
    status: &Status,
) -> Vec<ParameterWrite> {
    taken_over(module, stored, outputs, metadata, Some(fingerprint), status)
}

/// The same for a module that something else has deployed. Without a fingerprint the next execution deploys it.
#[must_use]
pub fn taken_over(
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
        .map(|(slot, value)| ParameterWrite {
            slot,
            laid: EncodedParameter::new(module, slot, &value),
        })
        .filter(|write| stored.text(write.slot) != Some(write.laid.parameter.as_str()))
        .collect();
    writes.extend(status_write(module, stored, status));
    writes
}

/// The write of a fingerprint of a module that is unchanged, but consumes the values of other modules than before.
#[must_use]
pub fn fingerprint_write(module: &ModuleId, fingerprint: &Fingerprint) -> ParameterWrite {
    ParameterWrite {
        slot: ParameterKind::Md5,
        laid: EncodedParameter::new(module, ParameterKind::Md5, &text(fingerprint)),
    }
}

/// The write of a status, unless the stored one says the same.
#[must_use]
pub fn status_write(module: &ModuleId, stored: &ModuleParameters, status: &Status) -> Option<ParameterWrite> {
    let before = stored
        .status
        .as_deref()
        .and_then(|text| serde_json::from_str::<Status>(text).ok());
    (!status.repeats(before.as_ref())).then(|| ParameterWrite {
        slot: ParameterKind::Status,
        laid: EncodedParameter::new(module, ParameterKind::Status, &text(status)),
    })
}

/// A value as JSON. The types that are stored have text keys only, which always serialise.
fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{BuildId, ExecutionArn};
    use crate::module::change_detection::decide;
    use crate::workflow::build_outcome::{BuildOutcome, BuildStatus};
    use jiff::Timestamp;
    use serde_json::json;

    fn fingerprint(hash: &str) -> Fingerprint {
        Fingerprint {
            hash: hash.into(),
            bundle: hash.into(),
            deployspec: "d".into(),
            configuration: "c".into(),
            parts: Default::default(),
            modified: Default::default(),
            consumes: Vec::new(),
        }
    }

    fn writes(stored: &ModuleParameters, execution: &str, hash: &str) -> Vec<ParameterWrite> {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
        let before = stored.status_of(&module).unwrap();
        let status = Status::succeed(
            before.as_ref(),
            &module,
            &ExecutionArn::new(execution),
            &build,
            Timestamp::UNIX_EPOCH,
        );
        let outputs = json!({"Out": hash});
        let metadata = json!({"key": hash});
        success(
            &module,
            stored,
            outputs.as_object().unwrap(),
            metadata.as_object().unwrap(),
            &fingerprint(hash),
            &status,
        )
    }

    fn apply(stored: &mut ModuleParameters, writes: &[ParameterWrite]) {
        for write in writes {
            stored.set(write.slot, write.laid.parameter.as_str().to_owned());
        }
    }

    #[test]
    fn a_value_with_double_braces_is_written_once() {
        let mut stored = ModuleParameters::default();
        let first = writes(&stored, "e", "{{x}}");
        assert!(
            first
                .iter()
                .all(|write| !write.laid.parameter.as_str().contains("{{"))
        );
        apply(&mut stored, &first);
        assert_eq!(writes(&stored, "e", "{{x}}"), []);
    }

    #[test]
    fn the_status_is_last_and_md5_after_what_it_vouches_for() {
        let slots: Vec<ParameterKind> = writes(&ModuleParameters::default(), "e", "1")
            .iter()
            .map(|w| w.slot)
            .collect();
        assert_eq!(
            slots,
            [
                ParameterKind::Outputs,
                ParameterKind::Metadata,
                ParameterKind::Md5,
                ParameterKind::Status
            ]
        );
    }

    #[test]
    fn a_crash_after_any_write_leads_to_a_redeploy_and_a_repetition_writes_the_rest() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let mut before = ModuleParameters::default();
        let first = writes(&before, "old", "1");
        apply(&mut before, &first);
        let in_progress = Status::start(
            before.status_of(&module).unwrap().as_ref(),
            &module,
            &ExecutionArn::new("new"),
            &[],
            Timestamp::UNIX_EPOCH,
        );
        before.status = Some(serde_json::to_string(&in_progress).unwrap());
        let all = writes(&before, "new", "2");
        for done in 0..all.len() {
            let mut crashed = before.clone();
            apply(&mut crashed, &all[..done]);
            let again = decide(
                &fingerprint("2"),
                crashed.fingerprint().as_ref(),
                crashed.status_of(&module).unwrap().as_ref(),
                false,
            );
            assert!(again.changed, "after {done} writes");
            assert_eq!(writes(&crashed, "new", "2"), all[done..], "after {done} writes");
        }
        let mut finished = before.clone();
        apply(&mut finished, &all);
        assert!(
            !decide(
                &fingerprint("2"),
                finished.fingerprint().as_ref(),
                finished.status_of(&module).unwrap().as_ref(),
                false
            )
            .changed
        );
        assert_eq!(writes(&finished, "new", "2"), []);
    }
}
