//! Decides whether a module has to be destroyed by a build, and in which steps (decision 24).
//!
//! The record describes what is deployed. After a build has destroyed it, the record is removed before the parameters
//! and values. So a module without a record is not deployed. Its remaining stored state (from a removal that was
//! interrupted, or from deployments that failed before their build) is removed without a build. The exceptions are a
//! module that was deployed without leaving a record, and one whose failed build left none: their state is never removed
//! while they may still have resources.

use std::fmt;

use crate::error::{Error, ErrorName, Result};
use crate::ids::{ModuleId, ParameterKind};
use crate::module::deployed_record::DeployedModule;
use crate::module::plan::Plan;
use crate::module::status::{State, Status};
use crate::module::stored_parameters::ModuleParameters;
use crate::target::Target;

/// The reason of a destruction's build. If a status has it, its execution found a record. A record that is missing
/// after that was removed with the module.
pub const REASON: &str = "destroy";

/// One step of recording that a module is destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestroyStep {
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

/// The steps after the destroy phases, in order; also if there is nothing to destroy, where most find nothing. If they
/// are interrupted, the next attempt of the same execution or the next execution does the rest. The module is never
/// called unchanged in between, because its last execution did not succeed.
pub const STEPS: [DestroyStep; 7] = [
    DestroyStep::DropBundles,
    DestroyStep::DropRecord,
    DestroyStep::DropParameters,
    DestroyStep::DropValues,
    DestroyStep::Report,
    DestroyStep::Publish,
    DestroyStep::DropStatus,
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
    Purge,
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
    let status = status.as_ref();
    match record {
        Some(record) if record.attempt && !may_have_left(status) => Ok(Destruction::Purge),
        Some(record) => record
            .into_destruction(stored)
            .map(|plan| Destruction::Build(Box::new(plan))),
        None if is_removing(status) => Ok(Destruction::Purge),
        None if is_never_deployed(stored, status) => purge_attempt(module, status),
        None => Err(Error::new(
            ErrorName::SourceNotFound,
            format!(
                "{}: found no record, but the module has been deployed (by a version that kept none, or the record was removed); deploy it once more with \"force_update\": true, then destroy it",
                module.record_key()
            ),
        )),
    }
}

/// Whether no deployment of a module has succeeded.
#[must_use]
pub fn is_never_deployed(stored: &ModuleParameters, status: Option<&Status>) -> bool {
    OF_A_SUCCESS.iter().all(|kind| stored.text(*kind).is_none())
        && status.is_none_or(|status| status.deployed_at.is_none())
}

/// Where a module is that is to be deployed in `target`, if that is elsewhere. It is destroyed there first
/// (decision 56).
#[must_use]
pub fn moves_from<'a>(status: Option<&'a Status>, target: Option<&Target>) -> Option<TargetOrHome<'a>> {
    let status = status.filter(|status| is_or_may_be_there(status))?;
    (status.target.as_ref() != target).then_some(TargetOrHome(status.target.as_ref()))
}

/// Whether a module is deployed, or may have left something.
pub(crate) fn is_or_may_be_there(status: &Status) -> bool {
    status.deployed_at.is_some() || may_have_left(Some(status))
}

/// A target or home, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetOrHome<'a>(pub Option<&'a Target>);

impl fmt::Display for TargetOrHome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(target) => target.fmt(f),
            None => f.write_str("Seedflow's own account and region"),
        }
    }
}

/// Whether the removal of a module had begun. If it has no record, its destroy phases have run.
fn is_removing(status: Option<&Status>) -> bool {
    status.is_some_and(|status| status.reasons == [REASON])
}

/// Whether a build of a module that was never deployed has run, or may have run.
pub(crate) fn may_have_left(status: Option<&Status>) -> bool {
    status.is_some_and(|status| {
        status.attempted || status.build_id.is_some() || status.state == State::InProgress
    })
}

/// Decides on a module that was never deployed and has no record of an attempt.
fn purge_attempt(module: &ModuleId, status: Option<&Status>) -> Result<Destruction> {
    if !may_have_left(status) {
        return Ok(Destruction::Purge);
    }
    Err(Error::new(
        ErrorName::SourceNotFound,
        format!(
            "{}: found no record, but a deployment of the module that failed may have left resources (by a version that kept none, or the record was removed); deploy it once more, even if it fails again, then destroy it",
            module.record_key()
        ),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{BuildId, ExecutionArn};
    use crate::module::codebuild::request::tests::plan;
    use crate::module::deployed_record::Kept;
    use crate::module::deployed_record::REPAIR;
    use crate::module::source::Source;
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

    fn failure() -> Failure {
        Failure {
            error: "BuildFailed".into(),
            reason: "exit 1".into(),
            build_id: None,
            outcome: None,
            commit_info: crate::module::commit_info::CommitInfo::default(),
        }
    }

    fn failed(before: Option<&Status>) -> Status {
        Status::fail(before, &module(), &ExecutionArn::new("d"), &failure(), NOW)
    }

    /// The record that a first deployment writes before its build.
    fn attempt() -> DeployedModule {
        let plan = plan(json!({}), true);
        DeployedModule::before_build(
            &plan,
            &ExecutionArn::new("e"),
            None,
            Some(plan.source.clone()),
            NOW,
        )
    }

    /// The status of a module whose first deployment failed in its build, and later attempts did before.
    fn failed_first(again: bool) -> Status {
        let execution = ExecutionArn::new("d");
        let failed = failed(Some(&Status::start(None, &module(), &execution, &[], NOW)));
        if !again {
            return failed;
        }
        let refused = Failure {
            error: "InvalidInput".into(),
            ..failure()
        };
        Status::fail(
            Some(&failed),
            &module(),
            &ExecutionArn::new("later"),
            &refused,
            NOW,
        )
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
        assert_eq!(decided(None, &nothing), Ok(Destruction::Purge));
        // No deployment has succeeded.
        let never = stored(&failed(None), false);
        assert_eq!(decided(None, &never), Ok(Destruction::Purge));
        // No build has run: the role could not be created.
        let before_the_build = Failure {
            error: "ModuleStackFailed".into(),
            ..failure()
        };
        let started = Status::start(None, &module(), &ExecutionArn::new("d"), &[], NOW);
        let status = Status::fail(
            Some(&started),
            &module(),
            &ExecutionArn::new("d"),
            &before_the_build,
            NOW,
        );
        for record in [None, Some(attempt())] {
            assert_eq!(decided(record, &stored(&status, false)), Ok(Destruction::Purge));
        }
        // The record was removed, and then a step failed.
        for status in [destroying(), failed(Some(&destroying()))] {
            for md5 in [true, false] {
                let broken_off = stored(&status, md5);
                assert_eq!(decided(None, &broken_off), Ok(Destruction::Purge));
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
    fn what_a_failed_first_deployment_left_is_destroyed_or_said_to_stay() {
        let execution = ExecutionArn::new("e");
        let in_progress = Status::start(None, &module(), &execution, &[], NOW);
        // Whether a build was started is unknown, even if the role was still being prepared.
        let stopped = Failure {
            error: "Aborted".into(),
            ..failure()
        };
        let aborted = Status::end(
            State::Aborted,
            Some(&in_progress),
            &module(),
            &execution,
            &stopped,
            NOW,
        );
        for status in [
            failed_first(false),
            failed_first(true),
            in_progress,
            aborted.unwrap(),
        ] {
            let stored = stored(&status, false);
            let destruction = decided(Some(attempt()), &stored).unwrap();
            assert!(matches!(destruction, Destruction::Build(_)), "{status:?}");
            let error = decided(None, &stored).unwrap_err();
            assert_eq!(error.name, ErrorName::SourceNotFound);
            assert!(error.message.contains("may have left resources"), "{error}");
        }
    }

    #[test]
    fn broken_destroy_phases_are_repaired_by_a_newer_source_which_is_recorded() {
        let newer = Source {
            key: "uploads/newer.zip".into(),
            ..plan(json!({}), true).source
        };
        let mut broken = record();
        broken.deployspec.destroy = None;
        let stored = stored(&failed(Some(&destroying())), true);
        let error = decided(Some(broken.clone()), &stored).unwrap_err();
        assert!(error.message.contains(REPAIR), "{error}");
        let repaired = broken
            .clone()
            .repaired(newer.clone(), Some(7), record().deployspec, None);
        let Destruction::Build(plan) = decided(Some(repaired), &stored).unwrap() else {
            panic!("no build")
        };
        assert_eq!((&plan.source, plan.source_bytes), (&newer, Some(7)));
        let kept = Source {
            key: "deployed/kept.zip".into(),
            ..newer
        };
        let written = DeployedModule::before_build(
            &plan,
            &ExecutionArn::new("d"),
            Some(broken),
            Some(kept.clone()),
            NOW,
        );
        let expected = DeployedModule {
            bundle: Some(kept),
            bundle_bytes: Some(7),
            ..record()
        };
        assert_eq!(written, expected, "what was deployed stays in the record");
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
        for done in 0..=STEPS.len() {
            let mut found = Some(record());
            let mut left = stored(&destroying(), true);
            for step in &STEPS[..done] {
                match step {
                    DestroyStep::DropRecord => found = None,
                    DestroyStep::DropParameters => left.md5 = None,
                    DestroyStep::DropStatus => left.status = None,
                    DestroyStep::DropBundles
                    | DestroyStep::DropValues
                    | DestroyStep::Report
                    | DestroyStep::Publish => {}
                }
            }
            let has_record = found.is_some();
            let decided = decide(&module(), found, &left).unwrap();
            let builds = matches!(decided, Destruction::Build(_));
            assert_eq!(builds, has_record, "after {done} steps");
        }
    }
}
