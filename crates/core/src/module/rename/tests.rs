#![allow(clippy::unwrap_used)]
use super::*;
use crate::error::says;
use crate::ids::BuildId;
use crate::module::change_detection::decide;
use crate::module::codebuild::request::tests::plan;
use crate::module::deployed_record::Kept;
use crate::module::status::Failure;
use crate::workflow::build_outcome::{BuildOutcome, BuildStatus};
use serde_json::json;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn old() -> ModuleId {
    plan(json!({}), true).module
}

fn new() -> ModuleId {
    name("core/network").id(&old())
}

fn name(text: &str) -> ModuleRef {
    ModuleRef::parse("renamed_from", text).unwrap()
}

/// What is stored under one name.
#[derive(Debug, Clone, Default, PartialEq)]
struct Place {
    parameters: ModuleParameters,
    record: Option<DeployedModule>,
    bundle: bool,
}

/// What is stored under both names.
#[derive(Debug, Clone, PartialEq)]
struct World {
    own: Place,
    old: Place,
}

impl World {
    /// A module that is deployed under its old name.
    fn deployed() -> Self {
        let plan = plan(json!({}), true);
        let kept = Some(Kept {
            bundle: plan.source.clone(),
            published: plan.source.clone(),
        });
        let record = DeployedModule::new(&plan, &ExecutionArn::new("first"), kept, NOW);
        let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
        let status = Status::succeed(None, &old(), &ExecutionArn::new("first"), &build, NOW);
        let parameters = ModuleParameters {
            md5: Some(json!(plan.fingerprint).to_string()),
            metadata: Some("{\"VpcId\":\"vpc-1\"}".into()),
            outputs: Some("{}".into()),
            status: Some(json!(status).to_string()),
            renamed: None,
        };
        Self {
            own: Place::default(),
            old: Place {
                parameters,
                record: Some(record),
                bundle: true,
            },
        }
    }

    fn is_due(&self) -> Result<bool> {
        let from = ModuleRef::from(&old());
        is_due(&new(), &self.own.parameters, &from, &self.old.parameters)
    }

    /// The steps after the mark.
    fn steps(&mut self, execution: &str) -> Result<Vec<RenameStep>> {
        self.old.parameters.renamed = Some(json!(ModuleRef::from(&new())).to_string());
        let stored = RenameState {
            own: &self.own.parameters,
            own_record: self.own.record.as_ref(),
            old: &self.old.parameters,
            old_record: self.old.record.as_ref(),
        };
        let from = ModuleRef::from(&old());
        steps(&new(), &from, stored, &ExecutionArn::new(execution), NOW)
    }

    fn apply(&mut self, steps: &[RenameStep]) {
        for step in steps {
            match step {
                RenameStep::KeepBundle(_) => {
                    assert!(self.old.bundle, "copied from where it still is");
                    self.own.bundle = true;
                }
                RenameStep::Record(record) => self.own.record = Some((**record).clone()),
                RenameStep::Parameter(write) => {
                    let text = write.encoded.parameter.as_str().to_owned();
                    self.own.parameters.set(write.kind, text);
                }
                RenameStep::Unmark => self.own.parameters.renamed = None,
                RenameStep::DropBundles => self.old.bundle = false,
                RenameStep::DropRecord => self.old.record = None,
                RenameStep::DropParameters => {
                    let status = self.old.parameters.status.take();
                    let renamed = self.old.parameters.renamed.take();
                    self.old.parameters = ModuleParameters {
                        status,
                        renamed,
                        ..ModuleParameters::default()
                    };
                }
                RenameStep::DropValues => {}
                RenameStep::DropStatus => self.old.parameters.status = None,
            }
        }
    }

    /// The end of an execution that was broken off.
    fn fail(&mut self) {
        let before = self.own.parameters.status_of(&new()).unwrap();
        let failure = Failure {
            error: "Lambda.Unknown".into(),
            reason: "crashed".into(),
            build_id: None,
            outcome: None,
            commit_info: Default::default(),
        };
        let status = Status::fail(before.as_ref(), &new(), &ExecutionArn::new("e"), &failure, NOW);
        self.own.parameters.status = Some(json!(status).to_string());
    }

    fn own_status(&self) -> Status {
        self.own.parameters.status_of(&new()).unwrap().unwrap()
    }
}

#[test]
fn a_renamed_module_keeps_all_that_is_stored_and_its_first_name() {
    let deployed = World::deployed();
    let mut world = deployed.clone();
    assert_eq!(world.is_due(), Ok(true));
    let steps = world.steps("e").unwrap();
    world.apply(&steps);
    assert_eq!(world.is_due(), Ok(false));
    let record = world.own.record.clone().unwrap();
    assert_eq!((&record.module, record.published.as_ref()), (&new(), None));
    assert_eq!(record.former_names.of_resources(&new()), old());
    assert_eq!(record.deployspec, deployed.old.record.unwrap().deployspec);
    for kind in destroy::OF_A_SUCCESS {
        let then = deployed.old.parameters.text(kind);
        assert_eq!(world.own.parameters.text(kind), then, "{kind}");
    }
    let left = ModuleParameters {
        renamed: world.old.parameters.renamed.clone(),
        ..ModuleParameters::default()
    };
    assert_eq!(world.old.parameters, left, "only the mark stays");
    // It is the status of a module that is deployed, so the same files need a build because of the rename alone.
    let status = world.own_status();
    assert_eq!(status.state, State::InProgress);
    assert_eq!(status.reasons, ["renamed from networking/vpc"]);
    assert!(status.deployed_at.is_some() && status.former_names == record.former_names);
    let fingerprint = world.own.parameters.fingerprint().unwrap();
    assert!(decide(&fingerprint, Some(&fingerprint), Some(&status), false).changed);
    let from = ModuleRef::from(&old());
    let (found, reason) = before(&status, &from, &ExecutionArn::new("e")).unwrap();
    let decision = decide(&fingerprint, Some(&fingerprint), Some(&found), false).because(reason);
    assert_eq!(
        (decision.changed, decision.reasons),
        (true, vec!["renamed from networking/vpc".to_owned()])
    );
    assert_eq!(before(&status, &from, &ExecutionArn::new("later")), None);
    // And its destruction is a build with what deployed it.
    let destruction = destroy::decide(
        &new(),
        Some(DeployedModule {
            bundle: Some(plan(json!({}), true).source),
            ..record
        }),
        &world.own.parameters,
    );
    let Ok(destroy::Destruction::Build(plan)) = destruction else {
        panic!("{destruction:?}")
    };
    assert_eq!(plan.resources(), old());
}

#[test]
fn a_crash_after_any_write_is_repaired() {
    let mut complete = World::deployed();
    let all = complete.steps("e").unwrap();
    complete.apply(&all);
    for done in 0..all.len() {
        for recorded in [false, true] {
            let mut crashed = World::deployed();
            crashed.steps("e").unwrap();
            crashed.apply(&all[..done]);
            if recorded {
                crashed.fail();
            }
            let note = format!("after {done} steps, recorded {recorded}: {crashed:#?}");
            assert_eq!(crashed.is_due(), Ok(true), "{note}");
            // What is deployed can be destroyed at any time, by one name at least.
            assert!(
                crashed.own.record.is_some() || crashed.old.record.is_some(),
                "{note}"
            );
            let rest = crashed.steps("e").unwrap();
            crashed.apply(&rest);
            assert_eq!(crashed.is_due(), Ok(false), "{note}");
            // A failure that was recorded after the new status is the module's last state; the rest is the same.
            assert_eq!(
                crashed.own_status().former_names,
                complete.own_status().former_names
            );
            assert!(crashed.own_status().deployed_at.is_some(), "{note}");
            crashed
                .own
                .parameters
                .status
                .clone_from(&complete.own.parameters.status);
            assert_eq!(crashed, complete, "{note}");
        }
    }
}

#[test]
fn what_was_deployed_since_an_interrupted_rename_is_not_overwritten() {
    let mut world = World::deployed();
    let all = world.steps("e").unwrap();
    let written = all
        .iter()
        .position(|step| *step == RenameStep::DropBundles)
        .unwrap();
    world.apply(&all[..written]);
    let newer = DeployedModule {
        execution: ExecutionArn::new("newer"),
        ..world.own.record.clone().unwrap()
    };
    world.own.record = Some(newer.clone());
    let rest = world.steps("later").unwrap();
    assert_eq!(rest, all[written..]);
    world.apply(&rest);
    assert_eq!(world.own.record, Some(newer));
}

#[test]
fn nothing_is_renamed_that_is_not_deployed() {
    let mut world = World::deployed();
    world.old = Place::default();
    assert_eq!(world.is_due(), Ok(false));
    let refused = json!({"state": "REFUSED", "updated_at": NOW, "group": "networking", "module": "vpc", "execution": "e"});
    world.old.parameters.status = Some(refused.to_string());
    assert_eq!(world.is_due(), Ok(false));
    // The path is that of another module: networking/vpc and networking-vpc/… never share one, others do.
    let mut other = World::deployed();
    let status = Status::start(
        None,
        &ModuleId::parse("my-project", "prod", "networking-v", "pc").unwrap(),
        &ExecutionArn::new("e"),
        &[],
        NOW,
    );
    other.old.parameters.status = Some(json!(status).to_string());
    assert_eq!(other.is_due(), Ok(false));
}

#[test]
fn two_deployed_modules_are_refused_and_one_without_a_record_too() {
    let mut both = World::deployed();
    let build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
    let status = Status::succeed(None, &new(), &ExecutionArn::new("own"), &build, NOW);
    both.own.parameters.status = Some(json!(status).to_string());
    let error = both.is_due().unwrap_err();
    assert!(
        says(
            &error.message,
            "renamed_from: expected the former name…found networking/vpc, while both it and core/network are deployed"
        ),
        "{error}"
    );
    // A status that was lost doesn't hide the record.
    both.own = Place {
        record: Some(DeployedModule {
            module: new(),
            ..both.old.record.clone().unwrap()
        }),
        ..Place::default()
    };
    assert_eq!(both.steps("e").unwrap_err().name, ErrorName::StateConflict);
    let mut without = World::deployed();
    without.old.record = None;
    let error = without.steps("e").unwrap_err();
    assert_eq!(error.name, ErrorName::SourceNotFound);
    assert!(
        error.message.contains("deploy it once more under its old name"),
        "{error}"
    );
}

#[test]
fn a_former_name_is_taken_but_can_be_given_back() {
    let mut world = World::deployed();
    let all = world.steps("e").unwrap();
    world.apply(&all);
    let error = refuse_taken(&old(), &world.old.parameters, None).unwrap_err();
    assert!(
        says(
            &error.message,
            "found networking/vpc, the former name of core/network"
        ),
        "{error}"
    );
    let from = ModuleRef::from(&new());
    let back = Some((&from, &world.own.parameters));
    assert_eq!(refuse_taken(&old(), &world.old.parameters, back), Ok(()));
    assert_eq!(
        is_due(&old(), &world.old.parameters, &from, &world.own.parameters),
        Ok(true)
    );
    let stored = RenameState {
        own: &world.old.parameters,
        own_record: None,
        old: &world.own.parameters,
        old_record: world.own.record.as_ref(),
    };
    let steps = steps(&old(), &from, stored, &ExecutionArn::new("back"), NOW).unwrap();
    let written = |step: &&RenameStep| matches!(step, RenameStep::Parameter(write) if write.kind == ParameterKind::Status);
    let (status, unmark) = (
        steps.iter().position(|step| written(&step)),
        steps.iter().position(|step| *step == RenameStep::Unmark),
    );
    assert!(status < unmark && unmark < steps.iter().position(|step| *step == RenameStep::DropBundles));
    // Another module doesn't get it.
    let other = name("core/other");
    let never = World::deployed().old.parameters;
    assert!(refuse_taken(&old(), &world.old.parameters, Some((&other, &never))).is_err());
}

#[test]
fn a_module_does_not_move_to_another_account_while_it_is_renamed_and_loses_its_first_name_there() {
    let mut world = World::deployed();
    let there: Target = "222222222222/eu-west-1".parse().unwrap();
    let from = ModuleRef::from(&old());
    let status = world.old.parameters.status_of(&old()).unwrap();
    assert_eq!(refuse_move(&from, status.as_ref(), None), Ok(()));
    let error = refuse_move(&from, status.as_ref(), Some(&there)).unwrap_err();
    assert!(
        says(
            &error.message,
            "renamed_from: expected a module that stays…found networking/vpc, which is in Seedflow's own account and region and is to be in 222222222222/eu-west-1"
        ),
        "{error}"
    );
    let all = world.steps("e").unwrap();
    world.apply(&all);
    let status = world.own_status();
    assert_eq!(names_to_keep(Some(&status), None), status.former_names);
    assert!(names_to_keep(Some(&status), Some(&there)).is_empty());
    assert!(names_to_keep(None, None).is_empty());
}
