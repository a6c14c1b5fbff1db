#![allow(clippy::unwrap_used)]

mod removals;
mod renames;

use super::draft::execution_name;
use super::*;
use crate::deployment::renames::Renames;
use crate::deployment::selection::Selection;
use crate::error::says;
use crate::ids::{DeploymentId, ExecutionArn, Name, ParameterKind};
use crate::module::fingerprint::{VersionsByTarget, deployspec_digest};
use crate::module::input::{Limits, Options};
use serde_json::{Value, json};

/// The manifest of a test: groups of modules. Each module has the upstream modules whose `Value` it consumes (or a
/// literal value, without a slash), and its files.
type Manifest<'a> = [(&'a str, &'a [(&'a str, &'a [&'a str], &'a str)])];

const THREE: &Manifest<'_> = &[
    ("net", &[("vpc", &[], "1"), ("dns", &[], "1")]),
    ("data", &[("store", &["net/vpc"], "1")]),
    ("apps", &[("web", &["data/store"], "1"), ("job", &[], "1")]),
];

fn name(text: &str) -> Name {
    Name::parse("name", text).unwrap()
}

fn deployment() -> DeploymentId {
    DeploymentId {
        project: name("p"),
        deployment: name("d"),
    }
}

fn module(group: &str, module: &str, consumes: &[&str], digest: &str, redeploy: bool) -> PlannableModule {
    let id = ModuleId::parse("p", "d", group, module).unwrap();
    let parameters: serde_json::Map<String, Value> = consumes
        .iter()
        .enumerate()
        .map(|(i, of)| {
            let value = match of.split_once('/') {
                Some((group, module)) => {
                    json!({"module_metadata": {"group": group, "module": module, "key": "Value"}})
                }
                None => json!(of),
            };
            (format!("p{i}"), value)
        })
        .collect();
    let limits = Limits::of_aws("w", "s");
    let manifest = json!({"parameters": parameters, "redeploy_with_dependencies": redeploy});
    PlannableModule {
        options: Options::from_manifest(&manifest, &id, &limits).unwrap(),
        input: json!(id),
        id,
        digest: digest.to_owned(),
        deployspec: Vec::new(),
        deployspec_digest: deployspec_digest(b""),
    }
}

fn groups(manifest: &Manifest<'_>, redeploy: bool) -> Vec<PlannableGroup> {
    manifest
        .iter()
        .map(|(group, modules)| PlannableGroup {
            name: name(group),
            concurrency: None,
            modules: modules
                .iter()
                .map(|(m, consumes, digest)| module(group, m, consumes, digest, redeploy))
                .collect(),
        })
        .collect()
}

/// The stored state after a manifest was deployed and every module published `value`.
fn deployed(manifest: &Manifest<'_>, value: &str, redeploy: bool) -> BTreeMap<String, String> {
    let mut stored = BTreeMap::new();
    for module in groups(manifest, redeploy).iter().flat_map(|group| &group.modules) {
        let id = &module.id;
        let metadata = json!({"Value": value, "CodeBuildBuildId": "s:1"});
        let upstreams = module.options.parameters.upstreams();
        let known = upstreams
            .into_iter()
            .map(|upstream| (upstream, metadata.as_object().unwrap().clone()))
            .collect();
        let options = module.options.clone().resolve(id, &known).unwrap();
        let fingerprint = Fingerprint::new(&module.digest, &module.deployspec, &options, &Versions::new());
        let status = json!({"state": "SUCCEEDED", "updated_at": "2026-01-01T00:00:00Z", "group": id.group, "module": id.module, "execution": "e"});
        for (kind, value) in [
            (ParameterKind::Md5, json!(fingerprint)),
            (ParameterKind::Metadata, metadata),
            (ParameterKind::Status, status),
        ] {
            stored.insert(id.parameter(kind), value.to_string());
        }
    }
    stored
}

/// Sets one field of a stored value.
fn set<'a>(
    stored: &mut BTreeMap<String, String>,
    module: &str,
    kind: ParameterKind,
    key: &str,
    value: impl Into<Option<&'a str>>,
) {
    let (group, module) = module.split_once('/').unwrap();
    let name = ModuleId::parse("p", "d", group, module).unwrap().parameter(kind);
    let mut parsed: Value = serde_json::from_str(&stored[&name]).unwrap();
    parsed[key] = json!(value.into());
    stored.insert(name, parsed.to_string());
}

struct Asked<'a> {
    only: &'a [&'a str],
    force: &'a [&'a str],
    redeploy: bool,
}

const ALL: Asked<'_> = Asked {
    only: &[],
    force: &[],
    redeploy: false,
};

fn request(only: &[&str], force: &[&str]) -> (Selection, Forced) {
    let limits = Limits::of_aws("w", "s");
    let input =
        json!({"project": "p", "source": {"key": "uploads/r.zip"}, "only": only, "force_update": force});
    let request = crate::deployment::input::DeploymentInput::parse(&input, &limits).unwrap();
    match request.action {
        crate::deployment::input::DeploymentAction::Deploy { force, .. } => (request.only, force),
        _ => panic!("no deployment"),
    }
}

fn plan(manifest: &Manifest<'_>, stored: &BTreeMap<String, String>, asked: &Asked<'_>) -> (Plan, Vec<Wave>) {
    plan_of(groups(manifest, asked.redeploy), stored, asked)
}

fn plan_of(
    mut groups: Vec<PlannableGroup>,
    stored: &BTreeMap<String, String>,
    asked: &Asked<'_>,
) -> (Plan, Vec<Wave>) {
    let mut state = DeploymentState::of(&deployment(), stored.clone());
    let (only, force) = request(asked.only, asked.force);
    let execution = ExecutionArn::new("arn:aws:states:r:1:execution:deploy:run");
    let renames = Renames::apply(&mut groups, &mut state, &only, &execution);
    let planning = Planning {
        deployment: &deployment(),
        execution: &execution,
        state: &state,
        renames: &renames,
        versions: &VersionsByTarget::new(),
        only: &only,
        concurrency: 40,
    };
    deploying(&planning, &groups, &force, CommitInfo::default())
}

fn destroy(stored: &BTreeMap<String, String>, only: &[&str]) -> (Plan, Vec<Wave>) {
    let state = DeploymentState::of(&deployment(), stored.clone());
    let (only, _) = request(only, &[]);
    let execution = ExecutionArn::new("e");
    destroying(&Planning {
        deployment: &deployment(),
        execution: &execution,
        state: &state,
        renames: &Renames::default(),
        versions: &VersionsByTarget::new(),
        only: &only,
        concurrency: 40,
    })
}

/// The modules with their actions: `+` deploy, `=` unchanged, `?` unchanged unless an upstream value changes, `-`
/// destroy, `!` blocked.
fn shown(plan: &Plan) -> Vec<String> {
    plan.modules
        .iter()
        .map(|planned| {
            let sign = match planned.action {
                PlannedAction::Deploy => "+",
                PlannedAction::Unchanged if planned.redeploy_if_changed.is_empty() => "=",
                PlannedAction::Unchanged => "?",
                PlannedAction::Destroy => "-",
                PlannedAction::Blocked => "!",
            };
            format!("{sign}{}", planned.module)
        })
        .collect()
}

fn sizes(waves: &[Wave]) -> Vec<usize> {
    waves.iter().map(|wave| wave.items.len()).collect()
}

#[test]
fn a_first_deployment_deploys_everything_group_by_group() {
    let (plan, waves) = plan(THREE, &BTreeMap::new(), &ALL);
    assert_eq!(
        shown(&plan),
        ["+net/vpc", "+net/dns", "+data/store", "+apps/web", "+apps/job"]
    );
    assert_eq!(sizes(&waves), [2, 1, 2]);
    assert_eq!(plan.groups, ["net", "data", "apps"]);
    let names: BTreeSet<&String> = waves
        .iter()
        .flat_map(|wave| &wave.items)
        .map(|item| &item.name)
        .collect();
    assert_eq!(names.len(), 5);
    assert!(names.iter().all(|name| name.len() <= 80));
}

#[test]
fn nothing_changed_starts_nothing() {
    let (plan, waves) = plan(THREE, &deployed(THREE, "v", false), &ALL);
    assert_eq!(
        shown(&plan),
        ["=net/vpc", "=net/dns", "=data/store", "=apps/web", "=apps/job"]
    );
    assert_eq!(waves, []);
}

#[test]
fn only_consumers_of_a_changed_module_are_executed() {
    let mut changed = THREE.to_vec();
    changed[0] = ("net", &[("vpc", &[], "2"), ("dns", &[], "1")]);
    let stored = deployed(THREE, "v", false);
    let (planned, waves) = plan(&changed, &stored, &ALL);
    assert_eq!(
        shown(&planned),
        ["+net/vpc", "=net/dns", "?data/store", "?apps/web", "=apps/job"]
    );
    assert_eq!(sizes(&waves), [1, 1, 1]);
    assert_eq!(planned.modules[2].redeploy_if_changed, ["net/vpc"]);
    let redeploy = Asked {
        redeploy: true,
        ..ALL
    };
    let (planned, _) = plan(&changed, &deployed(THREE, "v", true), &redeploy);
    assert_eq!(
        shown(&planned),
        ["+net/vpc", "=net/dns", "+data/store", "+apps/web", "=apps/job"]
    );
    assert_eq!(planned.modules[2].reasons, ["deployment of net/vpc"]);
}

/// If an execution died after the upstream module was deployed, the next one does the rest.
#[test]
fn a_value_that_changed_in_an_earlier_run_is_seen() {
    let mut stored = deployed(THREE, "v", false);
    set(&mut stored, "net/vpc", ParameterKind::Metadata, "Value", "w");
    let (planned, _) = plan(THREE, &stored, &ALL);
    assert_eq!(
        shown(&planned),
        ["=net/vpc", "=net/dns", "+data/store", "?apps/web", "=apps/job"]
    );
    assert_eq!(planned.modules[2].reasons, ["parameter p0 changed"]);
    let mut stored = deployed(THREE, "v", true);
    set(
        &mut stored,
        "net/vpc",
        ParameterKind::Metadata,
        "CodeBuildBuildId",
        "s:2",
    );
    let (planned, _) = plan(
        THREE,
        &stored,
        &Asked {
            redeploy: true,
            ..ALL
        },
    );
    assert_eq!(planned.modules[2].reasons, ["deployment of net/vpc changed"]);
}

/// The value of a deployment that failed, whose upstream module is deployed again: by a rollback, it gets the value back that
/// the consumer has.
#[test]
fn a_value_that_is_about_to_be_replaced_is_no_reason() {
    let mut changed = THREE.to_vec();
    changed[0] = ("net", &[("vpc", &[], "2"), ("dns", &[], "1")]);
    let mut stored = deployed(THREE, "v", false);
    set(&mut stored, "net/vpc", ParameterKind::Metadata, "Value", "w");
    set(
        &mut stored,
        "data/store",
        ParameterKind::Status,
        "state",
        "FAILED",
    );
    let (planned, _) = plan(&changed, &stored, &ALL);
    assert_eq!(
        planned.modules[2].reasons,
        [
            "consumes what net/vpc is about to publish",
            "last deployment failed"
        ]
    );
}

#[test]
fn what_failed_is_tried_again_and_what_succeeded_is_not() {
    let mut stored = deployed(THREE, "v", false);
    set(
        &mut stored,
        "data/store",
        ParameterKind::Status,
        "state",
        "FAILED",
    );
    let (planned, _) = plan(THREE, &stored, &ALL);
    assert_eq!(
        shown(&planned),
        ["=net/vpc", "=net/dns", "+data/store", "?apps/web", "=apps/job"]
    );
    assert_eq!(planned.modules[2].reasons, ["last deployment failed"]);
}

#[test]
fn a_run_may_be_about_some_modules_and_force_some() {
    let stored = deployed(THREE, "v", false);
    let only = Asked {
        only: &["net", "apps/job"],
        force: &["net/dns"],
        ..ALL
    };
    let (planned, _) = plan(THREE, &stored, &only);
    assert_eq!(shown(&planned), ["=net/vpc", "+net/dns", "=apps/job"]);
    let apps = Asked {
        only: &["apps"],
        ..ALL
    };
    let (planned, waves) = plan(THREE, &BTreeMap::new(), &apps);
    assert_eq!(shown(&planned), ["!apps/web", "+apps/job"]);
    assert_eq!(sizes(&waves), [1]);
    let error = planned.refuse_blocked().unwrap_err();
    assert_eq!(error.name, ErrorName::Blocked);
    assert_eq!(
        error.message,
        "nothing was started. apps/web: it consumes data/store, which is neither deployed nor part of this run"
    );
}

/// The value is the same, so nothing is built; but the stored fingerprint has to name its new publisher.
#[test]
fn a_module_that_takes_the_same_value_from_elsewhere_has_a_turn_and_no_build() {
    let stored = deployed(THREE, "v", false);
    for takes in [&["v"] as &[&str], &["net/dns"]] {
        let store = [("store", takes, "1")];
        let mut other = THREE.to_vec();
        other[0] = ("net", &[("dns", &[], "1")]);
        other[1] = ("data", &store);
        let (planned, waves) = plan(&other, &stored, &ALL);
        assert_eq!(
            shown(&planned),
            ["=net/dns", "=data/store", "=apps/web", "=apps/job", "-net/vpc"],
            "{takes:?}"
        );
        assert_eq!(sizes(&waves), [1, 1]);
        assert!(
            planned.modules[1]
                .reasons
                .contains(&"no more of net/vpc".to_owned())
        );
        // Once the new name is stored, no execution is needed, and the module that publishes the value now stays.
        let (planned, waves) = plan(&other, &deployed(&other, "v", false), &ALL);
        assert_eq!(shown(&planned)[1], "=data/store");
        assert_eq!(waves, []);
    }
}

#[test]
fn only_what_is_about_to_be_published_is_waited_for() {
    let takes_both: &Manifest<'_> = &[
        ("net", &[("vpc", &[], "1"), ("dns", &[], "2")]),
        ("data", &[("store", &["net/vpc", "net/dns"], "1")]),
    ];
    let mut without = deployed(THREE, "v", false);
    // It is deployed and unchanged, but does not publish a value of that name.
    set(&mut without, "net/vpc", ParameterKind::Metadata, "Value", None);
    let (planned, _) = plan(takes_both, &without, &ALL);
    assert_eq!(
        shown(&planned),
        ["=net/vpc", "+net/dns", "!data/store", "-apps/job", "-apps/web"]
    );
    let message = planned.refuse_blocked().unwrap_err().message;
    assert!(
        says(
            &message,
            "data/store: parameters.p0: expected …found no \"Value\" in the metadata of net/vpc"
        ),
        "{message}"
    );
    // A module that is executed before may still publish it.
    let mut without = deployed(THREE, "v", false);
    set(&mut without, "net/dns", ParameterKind::Metadata, "Value", None);
    let (planned, _) = plan(takes_both, &without, &ALL);
    assert_eq!(shown(&planned)[2], "+data/store");
    assert_eq!(
        planned.modules[2].reasons,
        ["consumes what net/dns is about to publish"]
    );
}

#[test]
fn the_status_of_another_module_at_the_same_path_blocks() {
    let stored = deployed(&[("a-b", &[("c", &[], "1")])], "v", false);
    let (planned, _) = plan(&[("a", &[("b-c", &[], "1")])], &stored, &ALL);
    assert_eq!(planned.modules[0].action, PlannedAction::Blocked);
    assert!(planned.modules[0].reasons[0].contains("rename one of them"));
}

#[test]
fn a_wave_is_as_wide_as_its_group_says_and_no_wider_than_the_maximum() {
    let (execution, only) = (ExecutionArn::new("arn:e"), Selection::default());
    let widths = |of_group: Option<u32>, most: u32| {
        let planning = Planning {
            deployment: &deployment(),
            execution: &execution,
            state: &DeploymentState::of(&deployment(), []),
            renames: &Renames::default(),
            versions: &VersionsByTarget::new(),
            only: &only,
            concurrency: most,
        };
        let mut groups = groups(&[("a", &[("b", &[], "1")])], false);
        groups[0].concurrency = of_group;
        let (_, waves) = deploying(
            &planning,
            &groups,
            &Forced::Some(Vec::new()),
            CommitInfo::default(),
        );
        waves[0].concurrency
    };
    assert_eq!(
        [widths(None, 40), widths(None, 3), widths(Some(2), 3)],
        [40, 3, 2]
    );
}

#[test]
fn names_of_module_executions_contain_the_deployments_and_fit_for_all_names() {
    let deployment =
        ExecutionArn::new("arn:aws:states:r:1:execution:deploy:3f2a91c0-1b2c-4d3e-8f40-0123456789ab");
    let long = "m".repeat(60);
    let names: Vec<String> = [("g", "a"), ("g", "b"), (&long, "a"), (&long, "b")]
        .iter()
        .map(|(group, module)| {
            execution_name(&deployment, &ModuleId::parse("p", "d", group, module).unwrap())
        })
        .collect();
    for name in &names {
        assert!(name.contains("-3f2a91c0-1b2c-4d3e-8f4-"), "{name}");
        assert!(name.len() <= 80, "{name}");
    }
    assert_eq!(
        names.iter().collect::<std::collections::BTreeSet<_>>().len(),
        names.len()
    );
    assert!(names[0].starts_with("g-a-"));
}
