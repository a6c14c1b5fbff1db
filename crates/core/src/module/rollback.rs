//! Chooses which earlier deployment of a module a rollback deploys again (decision 52).
//!
//! Each success writes the module's record anew, and the bucket keeps the versions of the record and of the bundle that
//! it names. So a rollback is a deployment like any other, with the bundle and the options of an earlier record. A module
//! whose last execution did not succeed goes back to its last success. Any other module goes back to the last success
//! that deployed something else.

use jiff::Timestamp;

use crate::error::{Error, ErrorName, Result};
use crate::ids::{ExecutionName, ModuleId};
use crate::module::change_detection::RequestReason;
use crate::module::deployed_record::DeployedModule;
use crate::module::input::{DeployInput, RollbackInput};
use crate::module::status::{State, Status};

/// The number of a record's versions in which a rollback looks, the newest first.
pub const MAX_VERSIONS: i32 = 1000;

/// The deployment of a module that a rollback wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// The last one that deployed something else than what is deployed now.
    Previous,
    /// That of an execution.
    Execution(ExecutionName),
    /// The last one that had ended at this time.
    At(Timestamp),
}

impl From<Option<ExecutionName>> for Goal {
    fn from(to: Option<ExecutionName>) -> Self {
        to.map_or(Self::Previous, Self::Execution)
    }
}

/// What a rollback looks for in the records of a module, which are given one by one, the newest first.
#[derive(Debug)]
pub struct Search {
    module: ModuleId,
    goal: Goal,
    /// Whether the current deployment succeeded. Then its own record is skipped.
    leaves: bool,
    /// The fingerprint of what is deployed now, once its record was seen.
    deployed: Option<String>,
    found: Option<DeployedModule>,
}

impl Search {
    /// A search for what a module with this status goes back to.
    #[must_use]
    pub fn new(module: &ModuleId, goal: Goal, status: Option<&Status>) -> Self {
        Self {
            module: module.clone(),
            goal,
            leaves: status.is_some_and(|s| matches!(s.state, State::Succeeded | State::Unchanged)),
            deployed: None,
            found: None,
        }
    }

    /// Looks at the next record, an older one. Returns whether the search is over.
    pub fn look_at(&mut self, record: DeployedModule) -> bool {
        if let Some(found) = &self.found {
            // A destruction that was repaired wrote the record of its deployment again, with a newer bundle. The
            // deployment's own version is the older one.
            let again = found.execution == record.execution;
            if again {
                self.found = Some(record);
            }
            return !again;
        }
        if !record.attempt && self.is_wanted(&record) {
            self.found = Some(record);
        }
        false
    }

    fn is_wanted(&mut self, record: &DeployedModule) -> bool {
        match &self.goal {
            Goal::Execution(to) => record.execution.name() == to.as_str(),
            Goal::At(time) => record.deployed_at <= *time,
            Goal::Previous => {
                let hash = &record.fingerprint.hash;
                let is_deployed = self.leaves && self.deployed.get_or_insert_with(|| hash.clone()) == hash;
                !is_deployed
            }
        }
    }

    /// The deployment to go back to, after all records were looked at or the search was over.
    ///
    /// # Errors
    /// `SourceNotFound` if there is none.
    pub fn end(self) -> Result<DeployedModule> {
        let Self {
            module, goal, found, ..
        } = self;
        found.ok_or_else(|| not_found(&module, &goal))
    }
}

/// The request that deploys a record again, and its reason.
///
/// # Errors
/// `SourceNotFound` if its bundle was not kept.
pub fn request(record: DeployedModule, asked: &RollbackInput) -> Result<(DeployInput, RequestReason)> {
    let Some(source) = record.bundle.clone() else {
        return Err(no_bundle(&record));
    };
    let reason = format!(
        "rollback to the deployment of {:.0} ({})",
        record.deployed_at,
        record.execution.name()
    );
    let mut options = match asked.only_changes {
        true => record.options.unresolved(),
        false => record.options,
    };
    options.force_update = false;
    let request = DeployInput {
        module: record.module,
        source,
        options: Some(options),
    };
    let reason = RequestReason {
        reason,
        forces: !asked.only_changes,
    };
    Ok((request, reason))
}

fn not_found(module: &ModuleId, goal: &Goal) -> Error {
    let (expected, advice) = match goal {
        Goal::Execution(to) => (
            format!("a successful deployment by the execution {to}"),
            format!(
                "name one that succeeded; `seedflow history {}/{}/{} --project {}` lists them",
                module.deployment, module.group, module.module, module.project
            ),
        ),
        Goal::At(time) => (
            format!("a successful deployment that had ended at {time:.0}"),
            "roll back to a later execution, or deploy a source that works instead".to_owned(),
        ),
        Goal::Previous => (
            "an earlier successful deployment with other files, parameters or commands".to_owned(),
            "deploy a source that works instead".to_owned(),
        ),
    };
    Error::new(
        ErrorName::SourceNotFound,
        format!(
            "{}: expected {expected}, found none among the versions that are kept (template parameter KeptSuccesses); {advice}",
            module.record_key()
        ),
    )
}

fn no_bundle(record: &DeployedModule) -> Error {
    Error::new(
        ErrorName::SourceNotFound,
        format!(
            "{}: found no bundle of the execution {}, because it deployed with \"bundle\": false; name another execution in \"to\", or deploy its source again",
            record.module.record_key(),
            record.execution.name()
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{BuildId, ExecutionArn, Name};
    use crate::module::codebuild::request::tests::plan;
    use crate::module::deployed_record::Kept;
    use crate::module::metadata_reference::ModuleRef;
    use crate::module::status::Failure;
    use crate::workflow::build_outcome::{BuildOutcome, BuildStatus};
    use jiff::Timestamp;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn record(execution: &str, hash: &str) -> DeployedModule {
        let mut plan = plan(json!({"parameters": {"of": execution}}), true);
        plan.fingerprint.hash = hash.to_owned();
        let kept = Kept {
            bundle: plan.source.clone(),
            published: plan.source.clone(),
        };
        DeployedModule::new(&plan, &ExecutionArn::new(arn(execution)), Some(kept), NOW)
    }

    fn arn(execution: &str) -> String {
        format!("arn:aws:states:eu-central-1:111122223333:execution:m:{execution}")
    }

    fn status(succeeded: bool) -> Status {
        let module = plan(json!({}), true).module;
        let execution = ExecutionArn::new(arn("now"));
        let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
        let failure = Failure {
            error: "BuildFailed".into(),
            reason: "exit 1".into(),
            build_id: None,
            outcome: None,
            commit_info: Default::default(),
        };
        match succeeded {
            true => Status::succeed(None, &module, &execution, &build, NOW),
            false => Status::fail(None, &module, &execution, &failure, NOW),
        }
    }

    /// The name of the execution that is chosen of these records, and how many were looked at.
    fn chosen(to: Option<&str>, succeeded: bool, records: Vec<DeployedModule>) -> (Result<String>, usize) {
        let module = records[0].module.clone();
        let to = to.map(|to| ExecutionName::parse(to).unwrap());
        let mut search = Search::new(&module, Goal::from(to), Some(&status(succeeded)));
        let mut looked = 0;
        for record in records {
            looked += 1;
            if search.look_at(record) {
                break;
            }
        }
        let end = search.end();
        (end.map(|record| record.execution.name().to_owned()), looked)
    }

    #[test]
    fn a_module_that_failed_goes_back_to_its_last_success_and_another_to_the_one_before() {
        let records = || vec![record("third", "3"), record("second", "2"), record("first", "1")];
        assert_eq!(chosen(None, false, records()), (Ok("third".to_owned()), 2));
        assert_eq!(chosen(None, true, records()).0, Ok("second".to_owned()));
        assert_eq!(chosen(Some("first"), true, records()).0, Ok("first".to_owned()));
        assert_eq!(
            chosen(Some(&arn("first")), false, records()).0,
            Ok("first".to_owned())
        );
    }

    #[test]
    fn the_same_again_is_nothing_to_go_back_to_and_neither_is_an_attempt() {
        let mut attempt = record("attempt", "9");
        attempt.attempt = true;
        let forced = vec![
            record("forced", "2"),
            record("second", "2"),
            attempt,
            record("first", "1"),
        ];
        assert_eq!(chosen(None, true, forced).0, Ok("first".to_owned()));
        let only = chosen(None, true, vec![record("second", "2"), record("first", "2")]).0;
        let error = only.unwrap_err();
        assert_eq!(error.name, ErrorName::SourceNotFound);
        assert!(
            error
                .message
                .contains("expected an earlier successful deployment"),
            "{error}"
        );
        let missing = chosen(Some("gone"), true, vec![record("first", "1")])
            .0
            .unwrap_err();
        assert!(missing.message.contains("by the execution gone"), "{missing}");
    }

    #[test]
    fn a_repaired_destruction_does_not_replace_the_bundle_that_was_deployed() {
        let deployed = record("first", "1");
        let newer = deployed.bundle.clone().unwrap();
        let repaired = deployed
            .clone()
            .repaired(newer, Some(1), deployed.deployspec.clone(), None);
        let mut search = Search::new(&deployed.module.clone(), Goal::Previous, None);
        assert!(!search.look_at(repaired));
        assert!(!search.look_at(deployed.clone()));
        assert!(search.look_at(record("older", "0")));
        assert_eq!(search.end().unwrap(), deployed);
    }

    #[test]
    fn the_last_deployment_before_a_time_is_found() {
        let at = |execution: &str, second: i64| DeployedModule {
            deployed_at: Timestamp::from_second(second).unwrap(),
            ..record(execution, execution)
        };
        let found = |time: i64| {
            let goal = Goal::At(Timestamp::from_second(time).unwrap());
            let mut search = Search::new(&record("x", "x").module, goal, Some(&status(true)));
            for record in [at("third", 30), at("second", 20), at("first", 10)] {
                search.look_at(record);
            }
            search.end().map(|record| record.execution.name().to_owned())
        };
        assert_eq!(found(30), Ok("third".to_owned()));
        assert_eq!(found(29), Ok("second".to_owned()));
        assert!(found(9).unwrap_err().message.contains("KeptSuccesses"));
    }

    #[test]
    fn the_rollback_of_a_deployment_reads_the_values_of_other_modules_again() {
        let module = record("x", "x").module;
        let reference = json!({"module_metadata": {"group": "network", "module": "vpc", "key": "VpcId"}});
        let plan = plan(json!({"parameters": {"vpc": reference, "size": 2}}), true);
        let written = plan.options.clone();
        let known = [(
            ModuleRef {
                group: Name::parse("group", "network").unwrap(),
                module: Name::parse("module", "vpc").unwrap(),
            },
            json!({"VpcId": "vpc-1"}).as_object().unwrap().clone(),
        )];
        let resolved = written
            .clone()
            .resolve(&module, &known.into_iter().collect())
            .unwrap();
        assert_ne!(resolved.parameters, written.parameters);
        assert_eq!(resolved.unresolved().parameters, written.parameters);
    }

    #[test]
    fn the_request_has_the_parameters_of_that_time() {
        let mut earlier = record("first", "1");
        earlier.options.force_update = true;
        let earlier_module = earlier.module.clone();
        let asked = |only_changes| RollbackInput {
            module: earlier_module.clone(),
            to: None,
            only_changes,
        };
        let (request, because) = request(earlier.clone(), &asked(false)).unwrap();
        assert!(because.forces);
        assert_eq!(
            because.reason,
            "rollback to the deployment of 1970-01-01T00:00:00Z (first)"
        );
        assert_eq!(Some(request.source), earlier.bundle);
        let options = request.options.unwrap();
        assert_eq!(options.parameters, earlier.options.parameters);
        assert!(!options.force_update, "the reason is the rollback");
        assert!(!super::request(earlier.clone(), &asked(true)).unwrap().1.forces);
        earlier.bundle = None;
        let error = super::request(earlier, &asked(false)).unwrap_err();
        assert!(error.message.contains("\"bundle\": false"), "{error}");
    }
}
