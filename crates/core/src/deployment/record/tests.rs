#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;

use super::super::outcome::EndedExecution;
use super::super::plan::{PlannedAction, PlannedModule};
use super::super::planner::{Planning, rolling_back};
use super::*;
use crate::deployment::renames::Renames;
use crate::deployment::selection::Selection;
use crate::ids::ExecutionName;
use crate::module::codebuild::request::tests;
use crate::module::fingerprint::VersionsByTarget;
use crate::module::input::{Limits, Options};
use crate::module::metadata_reference::UpstreamMetadata;

fn name(text: &str) -> Name {
    Name::parse("name", text).unwrap()
}

fn module_ref(text: &str) -> ModuleRef {
    let (group, module) = text.split_once('/').unwrap();
    ModuleRef {
        group: name(group),
        module: name(module),
    }
}

fn deployment() -> DeploymentId {
    DeploymentId {
        project: name("p"),
        deployment: name("d"),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn record(execution: &str, ended: i64, modules: &[&str]) -> DeploymentRecord {
    DeploymentRecord {
        deployment: deployment(),
        execution: ExecutionArn::new(format!("arn:aws:states:r:1:execution:deploy:{execution}")),
        ended_at: at(ended),
        commit_info: CommitInfo::default(),
        groups: vec!["net".into(), "apps".into()],
        modules: modules.iter().map(|module| module_ref(module)).collect(),
    }
}

/// The stored state of modules: each with its state and the second of its last success.
fn state(modules: &[(&str, &str, i64)]) -> DeploymentState {
    let status = |(module, state, second): &(&str, &str, i64)| {
        let of = module_ref(module);
        let id = deployment().module(of.group.clone(), of.module.clone());
        let text = json!({"state": state, "updated_at": at(*second), "deployed_at": at(*second), "group": of.group,
            "module": of.module, "execution": "e"});
        (format!("{}/status", id.parameter_path()), text.to_string())
    };
    DeploymentState::of(&deployment(), modules.iter().map(status))
}

fn planned(module: &str, action: PlannedAction) -> PlannedModule {
    PlannedModule {
        module: module_ref(module),
        action,
        moves: false,
        renamed_from: None,
        reasons: Vec::new(),
        changes: Vec::new(),
        definition: None,
        redeploy_if_changed: Vec::new(),
        execution: (action != PlannedAction::Unchanged).then(|| module.replace('/', "-")),
    }
}

fn plan(modules: &[(&str, PlannedAction)], whole: bool, before: Option<State>) -> Plan {
    Plan {
        deployment: deployment(),
        commit_info: CommitInfo::default(),
        started_by: None,
        previous_state: before,
        groups: vec!["net".into()],
        attempted_groups: Vec::new(),
        modules: modules
            .iter()
            .map(|(module, action)| planned(module, *action))
            .collect(),
        leaves_nothing: false,
        whole,
        rollback: None,
        on_failure_to: None,
        sources: Vec::new(),
        warnings: Vec::new(),
        policy: None,
        rules: None,
        rego: None,
        approval_for_rules: None,
        approval: None,
        parts: BTreeMap::new(),
        previews: crate::deployment::preview_builds::Previews::default(),
    }
}

#[test]
fn a_success_of_everything_leaves_a_record_and_nothing_else_does() {
    use PlannedAction::{Deploy, Destroy, Unchanged};
    let of = |plan: &Plan, ends: &[(&str, End)]| {
        let ended: Vec<EndedExecution> = ends
            .iter()
            .map(|(name, state)| EndedExecution {
                name: (*name).to_owned(),
                state: *state,
            })
            .collect();
        let outcome = DeploymentOutcome::of(plan, &ended);
        let record = DeploymentRecord::of(plan, &outcome, &ExecutionArn::new("e"), at(5));
        record.map(|record| record.modules.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let modules = [("net/vpc", Deploy), ("net/dns", Unchanged), ("net/old", Destroy)];
    let good = [("net-vpc", End::Succeeded), ("net-old", End::Destroyed)];
    let whole = plan(&modules, true, None);
    assert_eq!(of(&whole, &good).unwrap(), ["net/vpc", "net/dns"]);
    assert_eq!(of(&plan(&modules, false, None), &good), None, "a part");
    let bad = [("net-vpc", End::Failed), ("net-old", End::Destroyed)];
    assert_eq!(of(&whole, &bad), None);
    let nothing = [("net/vpc", Unchanged)];
    assert_eq!(
        of(&plan(&nothing, true, Some(State::Succeeded)), &[]),
        None,
        "known"
    );
    assert!(of(&plan(&nothing, true, Some(State::Failed)), &[]).is_some());
    assert_eq!(of(&plan(&[("net/old", Destroy)], true, None), &good), None);
}

#[test]
fn without_an_execution_it_goes_back_to_the_last_success_that_is_not_what_is_deployed() {
    let chosen = |to: Option<&str>, now: &DeploymentState| {
        let to = to.map(|to| ExecutionName::parse(to).unwrap());
        let id = deployment();
        let mut search = Search::new(&id, to, now);
        for record in [
            record("second", 20, &["net/vpc", "apps/web"]),
            record("first", 10, &["net/vpc"]),
        ] {
            if search.look_at(record) {
                break;
            }
        }
        search.end().map(|found| found.execution.name().to_owned())
    };
    let as_then = state(&[("net/vpc", "UNCHANGED", 9), ("apps/web", "SUCCEEDED", 19)]);
    assert_eq!(chosen(None, &as_then), Ok("first".to_owned()));
    for (why, changed) in [
        (
            "failed",
            state(&[("net/vpc", "FAILED", 9), ("apps/web", "SUCCEEDED", 19)]),
        ),
        (
            "deployed since",
            state(&[("net/vpc", "SUCCEEDED", 21), ("apps/web", "SUCCEEDED", 19)]),
        ),
        ("destroyed", state(&[("net/vpc", "SUCCEEDED", 9)])),
        (
            "new",
            state(&[
                ("net/vpc", "SUCCEEDED", 9),
                ("apps/web", "SUCCEEDED", 19),
                ("apps/new", "FAILED", 25),
            ]),
        ),
        ("all destroyed", DeploymentState::default()),
    ] {
        assert_eq!(chosen(None, &changed), Ok("second".to_owned()), "{why}");
    }
    assert_eq!(
        chosen(Some("first"), &DeploymentState::default()),
        Ok("first".to_owned())
    );
    let error = chosen(Some("other"), &as_then).unwrap_err();
    assert_eq!(error.name, ErrorName::SourceNotFound);
    assert!(error.message.contains("the execution other"), "{error}");
}

/// A module that publishes, and one that consumes its value, as an execution deployed them.
fn modules() -> [DeployedModule; 2] {
    let execution = ExecutionArn::new("arn:aws:states:r:1:execution:m:then");
    let of = |module: &str, manifest: Value, known: &UpstreamMetadata| {
        let of = module_ref(module);
        let id = deployment().module(of.group, of.module);
        let options = Options::from_manifest(&manifest, &id, &Limits::of_aws("w", "s")).unwrap();
        let mut plan = tests::plan(json!({}), true);
        plan.options = options.resolve(&id, known).unwrap();
        plan.module = id;
        DeployedModule::new(&plan, &execution, None, at(9))
    };
    let published = (
        module_ref("net/vpc"),
        json!({"Id": "old"}).as_object().unwrap().clone(),
    );
    let known: UpstreamMetadata = [published].into_iter().collect();
    let reference =
        json!({"parameters": {"vpc": {"module_metadata": {"group": "net", "module": "vpc", "key": "Id"}}}});
    [
        of("net/vpc", json!({}), &UpstreamMetadata::default()),
        of("apps/web", reference, &known),
    ]
}

#[test]
fn a_rollback_is_a_plan_whose_consumers_follow_the_values_and_that_destroys_only_on_request() {
    let record = record("then", 10, &["net/vpc", "apps/web"]);
    let groups = record.plannable(&modules());
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["net", "apps"]);
    assert_eq!(
        groups[1].modules[0].input,
        json!({"project": "p", "deployment": "d", "group": "apps", "module": "web", "action": "rollback", "to": "then", "only_changes": true})
    );
    // What is deployed now: another vpc, and a module that did not exist then.
    let now = state(&[
        ("net/vpc", "SUCCEEDED", 20),
        ("apps/web", "SUCCEEDED", 20),
        ("apps/new", "SUCCEEDED", 20),
    ]);
    let planning = Planning {
        deployment: &deployment(),
        execution: &ExecutionArn::new("e"),
        state: &now,
        renames: &Renames::default(),
        versions: &VersionsByTarget::new(),
        only: &Selection::default(),
        concurrency: 40,
    };
    let planned = |destroy_new: bool| rolling_back(&planning, &groups, destroy_new, CommitInfo::default());
    let (plan, waves) = planned(false);
    let actions: Vec<String> = plan
        .modules
        .iter()
        .map(|planned| format!("{:?} {}", planned.action, planned.module))
        .collect();
    assert_eq!(actions, ["Deploy net/vpc", "Deploy apps/web"]);
    assert_eq!(
        plan.modules[1].reasons,
        ["consumes what net/vpc is about to publish"],
        "the reference, not the value of then"
    );
    assert_eq!(waves.len(), 2);
    assert_eq!(
        plan.warnings,
        ["apps/new: it did not exist then, and stays as it is"]
    );
    let (plan, _) = planned(true);
    let last = plan.modules.last().unwrap();
    assert_eq!(
        (last.action, last.module.to_string()),
        (PlannedAction::Destroy, "apps/new".to_owned())
    );
    assert_eq!(last.reasons, ["did not exist then"]);
}

#[test]
fn what_is_missing_is_named_with_its_module() {
    let record = record("then", 10, &["net/vpc"]);
    let id = record.id(&module_ref("net/vpc"));
    let error = missing(&record, &[(id, "its bundle is not kept any more".to_owned())]);
    assert_eq!(error.name, ErrorName::SourceNotFound);
    assert!(
        error.message.starts_with(
            "nothing was started: net/vpc: its bundle is not kept any more; without these, the state after then"
        ),
        "{error}"
    );
}
