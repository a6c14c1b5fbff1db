//! Decides whether a module has to be destroyed by a build, and in which steps (decision 24).
//!
//! The record describes what is deployed. After a build has destroyed it, the record is removed before the parameters
//! and values. So a module without a record is not deployed. Its remaining stored state (from a removal that was
//! interrupted, or from deployments that never succeeded) is removed without a build. The exception is a module that
//! was deployed without leaving a record: its state is never removed while the module may still be running.

use crate::error::{Error, ErrorName, Result};
use crate::ids::{ModuleId, ParameterKind};
use crate::module::deployed_record::DeployedModule;
use crate::module::plan::Plan;
use crate::module::status::Status;
use crate::module::stored_parameters::ModuleParameters;

/// The reason of a destruction's build. If a status has it, its execution found a record. A record that is missing
/// after that was removed with the module.
pub const REASON: &str = "destroy";

/// One step of recording that a module is destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Remove the bundles that the record names.
    DropBundles,
    /// Remove the record. From here on the module is not deployed, and the next destruction removes the rest without a
    /// build.
    DropRecord,
    /// Remove the parameters of a success from Parameter Store, except the status.
    DropParameters,
    /// Remove the values that are too long for Parameter Store.
    DropValues,
    /// Write the report. It comes before the removal of the status, so that it exists once nothing else is stored.
    Report,
    /// Publish the event. It also comes before the removal of the status, because a call that finds no status publishes
    /// none.
    Publish,
    /// Remove the status.
    DropStatus,
}

/// The steps after the destroy phases, in order. If they are interrupted, the next attempt of the same execution or the
/// next execution does the rest. The module is never called unchanged in between, because its last execution did not
/// succeed.
pub const AFTER_THE_BUILD: [Step; 7] = [
    Step::DropBundles,
    Step::DropRecord,
    Step::DropParameters,
    Step::DropValues,
    Step::Report,
    Step::Publish,
    Step::DropStatus,
];

/// The steps if nothing was deployed, in order.
pub const WITHOUT_A_BUILD: [Step; 5] = [
    Step::DropParameters,
    Step::DropValues,
    Step::Report,
    Step::Publish,
    Step::DropStatus,
];

/// The parameters of a success, except the status.
pub const OF_A_SUCCESS: [ParameterKind; 3] = [
    ParameterKind::Outputs,
    ParameterKind::Metadata,
    ParameterKind::Md5,
];

/// The decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Destruction {
    /// Run the destroy phases.
    Build(Box<Plan>),
    /// Remove the stored state, if any.
    Forget,
}

/// Decides from a module's stored state.
///
/// # Errors
/// If the record or the stored state belongs to another module, cannot be used, or is missing although it should exist.
pub fn decide(
    module: &ModuleId,
    record: Option<DeployedModule>,
    stored: &ModuleParameters,
) -> Result<Destruction> {
    let status = stored.status_of(module)?;
    match record {
        Some(record) => record
            .into_destruction(stored)
            .map(|plan| Destruction::Build(Box::new(plan))),
        None if is_removed(stored, status.as_ref()) => Ok(Destruction::Forget),
        None => Err(Error::new(
            ErrorName::SourceNotFound,
            format!(
                "{}: found no record, but the module has been deployed (by a version that kept none, or the record was removed); deploy it once more with \"force_update\": true, then destroy it",
                module.record_key()
            ),
        )),
    }
}

/// Whether a module without a record is not deployed: it has never succeeded, or its removal had begun.
fn is_removed(stored: &ModuleParameters, status: Option<&Status>) -> bool {
    let succeeded = OF_A_SUCCESS.iter().any(|kind| stored.text(*kind).is_some())
        || status.is_some_and(|status| status.deployed_at.is_some());
    !succeeded || status.is_some_and(|status| status.reasons == [REASON])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{BuildId, ExecutionArn};
    use crate::module::codebuild::request::tests::plan;
    use crate::module::deployed_record::Kept;
    use crate::module::status::Failure;
    use crate::workflow::build_outcome::{BuildOutcome, BuildStatus};
    use jiff::Timestamp;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn module() -> ModuleId {
        plan(json!({}), true).module
    }

    fn record() -> DeployedModule {
        let plan = plan(json!({}), true);
        let kept = Some(Kept {
            bundle: plan.source.clone(),
            published: plan.source.clone(),
        });
        DeployedModule::new(&plan, &ExecutionArn::new("e"), kept, NOW)
    }

    fn stored(status: &Status, md5: bool) -> ModuleParameters {
        ModuleParameters {
            md5: md5.then(|| "{}".to_owned()),
            status: Some(serde_json::to_string(status).unwrap()),
            ..ModuleParameters::default()
        }
    }

    fn succeeded() -> Status {
        let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
        Status::succeed(None, &module(), &ExecutionArn::new("e"), &build, NOW)
    }

    fn failed(before: Option<&Status>) -> Status {
        let failure = Failure {
            error: "BuildFailed".into(),
            reason: "exit 1".into(),
            build_id: None,
            outcome: None,
        };
        Status::fail(before, &module(), &ExecutionArn::new("d"), &failure, NOW)
    }

    fn destroying() -> Status {
        let reasons = [REASON.to_owned()];
        let before = succeeded();
        Status::start(Some(&before), &module(), &ExecutionArn::new("d"), &reasons, NOW)
    }

    fn decided(record: Option<DeployedModule>, stored: &ModuleParameters) -> Result<Destruction> {
        decide(&module(), record, stored)
    }

    #[test]
    fn a_recorded_module_is_destroyed_by_a_build_after_any_end_of_the_last_execution() {
        for status in [
            succeeded(),
            failed(None),
            destroying(),
            failed(Some(&destroying())),
        ] {
            let decided = decided(Some(record()), &stored(&status, true)).unwrap();
            assert!(matches!(decided, Destruction::Build(_)), "{status:?}");
        }
    }

    #[test]
    fn a_module_that_is_not_deployed_is_purged_without_a_build() {
        let nothing = ModuleParameters::default();
        assert_eq!(decided(None, &nothing), Ok(Destruction::Forget));
        // No deployment has succeeded.
        let never = stored(&failed(None), false);
        assert_eq!(decided(None, &never), Ok(Destruction::Forget));
        // The record was removed, and then a step failed.
        for status in [destroying(), failed(Some(&destroying()))] {
            for md5 in [true, false] {
                let broken_off = stored(&status, md5);
                assert_eq!(decided(None, &broken_off), Ok(Destruction::Forget));
            }
        }
    }

    #[test]
    fn a_deployed_module_without_a_record_is_not_purged() {
        for stored in [stored(&succeeded(), true), stored(&succeeded(), false)] {
            let error = decided(None, &stored).unwrap_err();
            assert_eq!(error.name, ErrorName::SourceNotFound);
            assert!(error.message.contains("\"force_update\": true"), "{error}");
        }
        // A refused attempt to destroy it does not change that.
        let refused = stored(&failed(Some(&succeeded())), true);
        assert!(decided(None, &refused).is_err());
    }

    #[test]
    fn another_module_at_the_same_path_stays() {
        let other = ModuleId::parse("my-project", "prod", "networking-vpc", "x").unwrap();
        let status = Status::start(None, &other, &ExecutionArn::new("e"), &[], NOW);
        let error = decided(None, &stored(&status, false)).unwrap_err();
        assert_eq!(error.name, ErrorName::StateConflict);
    }

    /// Whatever the step after which a destruction is interrupted, the rest is found again: as a build while there is a
    /// record, as stored state to remove after that, and never as a deployed module without a record.
    #[test]
    fn a_destruction_that_is_broken_off_is_completed_by_the_next() {
        for done in 0..=AFTER_THE_BUILD.len() {
            let mut found = Some(record());
            let mut left = stored(&destroying(), true);
            for step in &AFTER_THE_BUILD[..done] {
                match step {
                    Step::DropRecord => found = None,
                    Step::DropParameters => left.md5 = None,
                    Step::DropStatus => left.status = None,
                    Step::DropBundles | Step::DropValues | Step::Report | Step::Publish => {}
                }
            }
            let has_record = found.is_some();
            let decided = decide(&module(), found, &left).unwrap();
            let builds = matches!(decided, Destruction::Build(_));
            assert_eq!(builds, has_record, "after {done} steps");
            assert!(
                has_record || WITHOUT_A_BUILD == AFTER_THE_BUILD[2..],
                "the rest is removed without a build"
            );
        }
    }
}
