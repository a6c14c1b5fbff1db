//! Whether there is anything to destroy of a module, and how.
//!
//! What is deployed stands in its record, and the record goes as soon as a build has destroyed it, before all else that
//! is stored. So a module without a record isn't deployed, and what may still be stored of it (of a removal that was
//! broken off, or of deployments that never succeeded) is forgotten without a build. The exception is a module that
//! has been deployed without leaving a record: it is never forgotten while it may still run.

use crate::error::{Error, ErrorName, Result};
use crate::ids::{ModuleId, ParameterKind};
use crate::module::deployed_record::DeployedModule;
use crate::module::plan::Plan;
use crate::module::status::Status;
use crate::module::stored_parameters::ModuleParameters;

/// Why a module is built to be destroyed. Where a status says so, its execution had found a record, and one that is
/// missing then was removed because the module was.
pub const REASON: &str = "destroy";

/// One step of recording that a module is destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Remove the bundles that the record names.
    DropBundles,
    /// Remove the record: from here on the module isn't deployed, and the next destruction removes the rest without a build.
    DropRecord,
    /// Remove what a success leaves in Parameter Store, except the status.
    DropParameters,
    /// Remove the values that were too long for Parameter Store.
    DropValues,
    /// Write the report. Before the status goes: whoever sees that nothing is stored any more finds it.
    Report,
    /// Publish the event. Before the status goes too, because a call that finds no status publishes none.
    Publish,
    /// Remove the status.
    DropStatus,
}

/// The steps after the destroy phases have run, in order. Wherever they are broken off, the same execution's next try or the next
/// execution does what is left, and none calls the module unchanged, because its last execution didn't succeed.
pub const AFTER_THE_BUILD: [Step; 7] = [
    Step::DropBundles,
    Step::DropRecord,
    Step::DropParameters,
    Step::DropValues,
    Step::Report,
    Step::Publish,
    Step::DropStatus,
];

/// The steps where nothing was deployed, in order.
pub const WITHOUT_A_BUILD: [Step; 5] = [
    Step::DropParameters,
    Step::DropValues,
    Step::Report,
    Step::Publish,
    Step::DropStatus,
];

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Destruction {
    /// Run the destroy phases.
    Build(Box<Plan>),
    /// Remove what is stored, if anything.
    Forget,
}

/// Decides from what is stored of a module.
///
/// # Errors
/// Where the record or what is stored belongs to another module, can't be used, or should be there and isn't.
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

/// Whether a module without a record isn't deployed: nothing of it has ever succeeded, or it was being removed.
fn is_removed(stored: &ModuleParameters, status: Option<&Status>) -> bool {
    let succeeded = [
        ParameterKind::Md5,
        ParameterKind::Metadata,
        ParameterKind::Outputs,
    ]
    .iter()
    .any(|slot| stored.text(*slot).is_some())
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
    fn what_is_recorded_is_destroyed_by_a_build_however_the_last_execution_ended() {
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
    fn what_is_not_deployed_is_forgotten_without_one() {
        let nothing = ModuleParameters::default();
        assert_eq!(decided(None, &nothing), Ok(Destruction::Forget));
        // No deployment has succeeded.
        let never = stored(&failed(None), false);
        assert_eq!(decided(None, &never), Ok(Destruction::Forget));
        // The record was removed, and then something went wrong.
        for status in [destroying(), failed(Some(&destroying()))] {
            for md5 in [true, false] {
                let broken_off = stored(&status, md5);
                assert_eq!(decided(None, &broken_off), Ok(Destruction::Forget));
            }
        }
    }

    #[test]
    fn what_runs_is_never_forgotten_for_want_of_a_record() {
        for stored in [stored(&succeeded(), true), stored(&succeeded(), false)] {
            let error = decided(None, &stored).unwrap_err();
            assert_eq!(error.name, ErrorName::SourceNotFound);
            assert!(error.message.contains("\"force_update\": true"), "{error}");
        }
        // An attempt to destroy it that was refused doesn't change that.
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

    /// Whatever step a destruction is broken off after, what is left is found again: as a build while there is a record, as
    /// something to forget after that, and never as a module that is still deployed without one.
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
