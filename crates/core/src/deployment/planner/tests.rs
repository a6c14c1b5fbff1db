#![allow(clippy::unwrap_used)]
use super::*;
use crate::deployment::targets;
use crate::error::says;
use crate::ids::{Name, ParameterKind};
use crate::module::fingerprint::deployspec_digest;
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
        crate::deployment::input::Action::Deploy { force, .. } => (request.only, force),
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
    let mut state = State::of(&deployment(), stored.clone());
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
    let state = State::of(&deployment(), stored.clone());
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
                PlannedAction::Unchanged if planned.unless.is_empty() => "=",
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
    assert_eq!(planned.modules[2].unless, ["net/vpc"]);
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
    assert_eq!(planned.modules[2].reasons, ["last deployment FAILED"]);
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
        "nothing was started. apps/web: it consumes data/store, which isn't deployed and isn't part of this run"
    );
}

#[test]
fn what_is_not_in_the_manifest_any_more_is_destroyed_last_and_consumers_first() {
    let stored = deployed(THREE, "v", false);
    let left: &Manifest<'_> = &[("net", &[("dns", &[], "1")])];
    let (planned, waves) = plan(left, &stored, &ALL);
    assert_eq!(
        shown(&planned),
        ["=net/dns", "-apps/job", "-apps/web", "-data/store", "-net/vpc"]
    );
    assert_eq!(sizes(&waves), [2, 1, 1]);
    assert_eq!(
        waves[1].items[0].input,
        json!({"project": "p", "deployment": "d", "group": "data", "module": "store", "action": "destroy"})
    );
    assert!(!planned.leaves_nothing);
}

/// Stores a deployment's status after an execution with this plan.
fn record(stored: &mut BTreeMap<String, String>, groups: &[String]) {
    let status =
        json!({"state": "FAILED", "updated_at": "2026-01-01T00:00:00Z", "execution": "e", "groups": groups});
    stored.insert("/sf/p/d/status".into(), status.to_string());
}

/// Groups of modules that consume nothing of each other, so that only the stored order decides.
const INDEPENDENT: &Manifest<'_> = &[
    ("net", &[("vpc", &[], "1")]),
    ("data", &[("store", &[], "1")]),
    ("apps", &[("web", &[], "1"), ("job", &[], "1")]),
];
const IN_REVERSE: [&str; 4] = ["-apps/job", "-apps/web", "-data/store", "-net/vpc"];

#[test]
fn groups_that_leave_together_are_destroyed_in_reverse_order_also_after_attempts_that_failed() {
    let mut stored = deployed(INDEPENDENT, "v", false);
    record(&mut stored, &["net".into(), "data".into(), "apps".into()]);
    // Each manifest is tried and fails: its order is not that of what is deployed.
    for attempt in [
        &[] as &Manifest<'_>,
        &[("new", &[("n", &[], "1")])],
        &[("apps", &[("web", &[], "2")]), ("net", &[("vpc", &[], "2")])],
        &[],
    ] {
        let (planned, waves) = plan(attempt, &stored, &ALL);
        let leaving: Vec<String> = shown(&planned)
            .into_iter()
            .filter(|m| m.starts_with('-'))
            .collect();
        let expected = IN_REVERSE
            .iter()
            .filter(|module| leaving.iter().any(|m| m == *module));
        assert_eq!(
            leaving.iter().map(String::as_str).collect::<Vec<_>>(),
            expected.copied().collect::<Vec<_>>()
        );
        if attempt.is_empty() {
            assert_eq!(sizes(&waves), [2, 1, 1]);
        }
        record(&mut stored, &planned.attempted_groups);
    }
    let (planned, waves) = destroy(&stored, &[]);
    assert_eq!(
        (shown(&planned), sizes(&waves)),
        (IN_REVERSE.map(str::to_owned).to_vec(), vec![2, 1, 1])
    );
    let (after, _) = plan(&[], &stored, &ALL);
    assert_eq!(
        after.groups,
        ["net", "data", "apps"],
        "\"new\" was never deployed"
    );
}

#[test]
fn a_module_whose_values_are_consumed_is_not_destroyed() {
    let stored = deployed(THREE, "v", false);
    let (planned, waves) = destroy(&stored, &["net/vpc"]);
    assert_eq!(shown(&planned), ["!net/vpc"]);
    assert_eq!(waves, []);
    let message = planned.refuse_blocked().unwrap_err().message;
    assert!(
        message.contains("net/vpc: it can't be destroyed while data/store consumes its values"),
        "{message}"
    );
    // Its consumer is deployed without it in the same execution.
    let mut without = THREE.to_vec();
    without[0] = ("net", &[("dns", &[], "1")]);
    without[1] = ("data", &[("store", &[], "1")]);
    let (planned, _) = plan(&without, &stored, &ALL);
    assert_eq!(
        shown(&planned),
        ["=net/dns", "+data/store", "?apps/web", "=apps/job", "-net/vpc"]
    );
    // But not if the consumer is not selected.
    let only = Asked {
        only: &["net"],
        ..ALL
    };
    let (planned, _) = plan(&without, &stored, &only);
    assert_eq!(shown(&planned), ["=net/dns", "!net/vpc"]);
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
fn destroying_everything_leaves_nothing() {
    let (planned, waves) = destroy(&deployed(THREE, "v", false), &[]);
    assert!(planned.leaves_nothing);
    assert_eq!(waves.iter().map(|wave| wave.items.len()).sum::<usize>(), 5);
    let (planned, waves) = destroy(&BTreeMap::new(), &[]);
    assert!(planned.modules.is_empty() && waves.is_empty());
}

/// Such as a rollback of a module that never existed.
#[test]
fn what_was_only_ever_refused_is_no_deployed_module() {
    let mut stored = deployed(THREE, "v", false);
    let phantom = ModuleId::parse("p", "d", "ap", "ps-web2").unwrap();
    let refused = json!({"state": "REFUSED", "updated_at": "2026-01-01T00:00:00Z", "group": "ap", "module": "ps-web2", "execution": "e"});
    stored.insert(phantom.parameter(ParameterKind::Status), refused.to_string());
    let (planned, waves) = plan(THREE, &stored, &ALL);
    assert!(
        !shown(&planned).iter().any(|module| module.contains("web2")),
        "{planned:?}"
    );
    assert_eq!(waves, []);
    // Nothing of it is deployed, so nothing is left; and a real module may have the path.
    let (planned, _) = plan(&[], &stored, &ALL);
    assert!(planned.leaves_nothing, "{planned:?}");
    let (planned, _) = plan(&[("ap-ps", &[("web2", &[], "1")])], &stored, &ALL);
    assert_eq!(planned.modules[0].action, PlannedAction::Deploy, "{planned:?}");
    // The whole deployment goes with what is stored of it.
    let (planned, _) = destroy(&stored, &[]);
    assert!(shown(&planned).contains(&"-ap/ps-web2".to_owned()), "{planned:?}");
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
            state: &State::of(&deployment(), []),
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

#[test]
fn a_module_that_moves_says_so_and_counts_as_destroyed_for_a_policy() {
    let mut stored = deployed(THREE, "v", false);
    set(&mut stored, "net/vpc", ParameterKind::Md5, "bundle", "other");
    set(
        &mut stored,
        "net/vpc",
        ParameterKind::Status,
        "deployed_at",
        "2026-01-01T00:00:00Z",
    );
    let name = ModuleId::parse("p", "d", "net", "vpc").unwrap();
    let name = name.parameter(ParameterKind::Status);
    let mut status: Value = serde_json::from_str(&stored[&name]).unwrap();
    status["target"] = json!({"account": "222222222222", "region": "eu-west-1"});
    stored.insert(name, status.to_string());
    let (plan, _) = plan(THREE, &stored, &ALL);
    let planned = |name: &str| {
        let mut modules = plan.modules.iter();
        modules
            .find(|planned| planned.module.to_string() == name)
            .unwrap()
    };
    let vpc = planned("net/vpc");
    assert_eq!(
        vpc.reasons[0],
        "moves from 222222222222/eu-west-1 to Seedflow's own account and region; destroyed there first"
    );
    assert!(vpc.moves && !planned("net/dns").moves);
    assert_eq!(
        plan.changes().get(&vpc.module),
        Some(&crate::policy::Change::Destroy)
    );
    // Its consumers follow.
    assert_eq!(planned("data/store").unless, ["net/vpc"]);

    // Whatever destroys it needs its old target.
    let left = |plan: &Plan| targets::left(plan, &State::of(&deployment(), stored.clone()));
    let there: Target = "222222222222/eu-west-1".parse().unwrap();
    let vpc = BTreeMap::from([(there, vec![ModuleRef::parse("module", "net/vpc").unwrap()])]);
    assert_eq!(left(&plan), vpc);
    assert_eq!(left(&destroy(&stored, &[]).0), vpc);
    assert_eq!(left(&destroy(&stored, &["apps"]).0), BTreeMap::new());
}

/// The groups of a manifest in which modules were renamed: each new name with its old one.
fn renamed(manifest: &Manifest<'_>, former: &[(&str, &str)]) -> Vec<PlannableGroup> {
    let mut groups = groups(manifest, false);
    for module in groups.iter_mut().flat_map(|group| &mut group.modules) {
        let name = ModuleRef::from(&module.id).to_string();
        let from = former.iter().find(|(to, _)| *to == name);
        module.options.renamed_from = from.map(|(_, from)| ModuleRef::parse("renamed_from", from).unwrap());
    }
    groups
}

/// [`THREE`] after net/vpc became core/network.
const RENAMED: &Manifest<'_> = &[
    ("core", &[("network", &[], "1")]),
    ("net", &[("dns", &[], "1")]),
    ("data", &[("store", &["core/network"], "1")]),
    ("apps", &[("web", &["data/store"], "1"), ("job", &[], "1")]),
];
const FORMER: &[(&str, &str)] = &[("core/network", "net/vpc")];

#[test]
fn a_renamed_module_is_deployed_and_not_destroyed_and_its_consumers_find_it() {
    let stored = deployed(THREE, "v", false);
    let (plan, _) = plan_of(renamed(RENAMED, FORMER), &stored, &ALL);
    assert_eq!(
        shown(&plan),
        [
            "+core/network",
            "=net/dns",
            "?data/store",
            "?apps/web",
            "=apps/job"
        ]
    );
    let network = &plan.modules[0];
    assert_eq!(network.renamed_from.as_ref().unwrap().to_string(), "net/vpc");
    assert_eq!(network.reasons, ["renamed from net/vpc"]);
    assert_eq!(plan.changes().len(), 1);
    assert!(
        plan.changes()
            .values()
            .all(|change| *change == crate::policy::Change::Deploy)
    );
    // Without its former name, the old one is destroyed.
    let (without, _) = plan_of(renamed(RENAMED, &[]), &stored, &ALL);
    assert!(shown(&without).contains(&"-net/vpc".to_owned()));
    // Its own changes are named, too.
    let changed: &Manifest<'_> = &[("core", &[("network", &[], "2")])];
    let (plan, _) = plan_of(renamed(changed, FORMER), &stored, &ALL);
    assert_eq!(
        plan.modules[0].reasons,
        ["renamed from net/vpc", "bundle changed"]
    );
}

#[test]
fn a_rename_outside_of_the_selection_changes_nothing() {
    let stored = deployed(THREE, "v", false);
    let only = |only: &'static [&'static str]| Asked { only, ..ALL };
    let (plan, waves) = plan_of(renamed(RENAMED, FORMER), &stored, &only(&["net/vpc"]));
    assert!(plan.modules.is_empty() && waves.is_empty(), "{:?}", shown(&plan));
    // Its consumers have to wait for it.
    let (plan, _) = plan_of(renamed(RENAMED, FORMER), &stored, &only(&["data"]));
    assert_eq!(shown(&plan), ["!data/store"]);
}

#[test]
fn what_cannot_be_renamed_is_blocked() {
    let mut both = deployed(THREE, "v", false);
    both.extend(deployed(&[("core", &[("network", &[], "1")])], "v", false));
    let (plan, _) = plan_of(renamed(RENAMED, FORMER), &both, &ALL);
    assert_eq!(shown(&plan)[0], "!core/network");
    assert!(plan.modules[0].reasons[0].contains("both it and core/network are deployed"));
    assert!(!shown(&plan).contains(&"-net/vpc".to_owned()));
    // A new module can't have the name that the renamed one had.
    let after = after_the_rename();
    let again: &Manifest<'_> = &[("core", &[("network", &[], "1")]), ("net", &[("vpc", &[], "1")])];
    let (plan, _) = plan_of(renamed(again, &[]), &after, &ALL);
    let vpc = plan
        .modules
        .iter()
        .find(|planned| planned.module.to_string() == "net/vpc")
        .unwrap();
    assert_eq!(vpc.action, PlannedAction::Blocked);
    assert!(
        vpc.reasons[0].contains("the former name of core/network"),
        "{:?}",
        vpc.reasons
    );
    // A rollback doesn't bring it back either: it would have the resources of core/network.
    assert!(plan.refuse().is_err());
}

/// What is stored after net/vpc became core/network.
fn after_the_rename() -> BTreeMap<String, String> {
    let mut stored = deployed(RENAMED, "v", false);
    let network = ModuleId::parse("p", "d", "core", "network").unwrap();
    let names = json!([{"group": "net", "module": "vpc"}]);
    let status = network.parameter(ParameterKind::Status);
    let mut parsed: Value = serde_json::from_str(&stored[&status]).unwrap();
    parsed["former_names"] = names;
    stored.insert(status, parsed.to_string());
    let old = ModuleId::parse("p", "d", "net", "vpc").unwrap();
    stored.insert(
        old.parameter(ParameterKind::Renamed),
        json!(ModuleRef::from(&network)).to_string(),
    );
    // The stack of a renamed module is part of its fingerprint, as it was.
    let before = deployed(THREE, "v", false);
    let md5 = before[&old.parameter(ParameterKind::Md5)].clone();
    stored.insert(network.parameter(ParameterKind::Md5), md5);
    stored
}

#[test]
fn after_a_rename_nothing_changes_any_more_with_or_without_the_former_name() {
    let after = after_the_rename();
    for former in [FORMER, &[]] {
        let (plan, waves) = plan_of(renamed(RENAMED, former), &after, &ALL);
        assert!(
            plan.modules
                .iter()
                .all(|planned| planned.action == PlannedAction::Unchanged),
            "{plan:?}"
        );
        assert!(
            waves.is_empty() && plan.warnings.is_empty(),
            "{:?}",
            plan.warnings
        );
    }
    // A consumer that names the old one still keeps it.
    let mut stale = after.clone();
    let store = ModuleId::parse("p", "d", "data", "store")
        .unwrap()
        .parameter(ParameterKind::Md5);
    let text = stale[&store].replace("core/network", "net/vpc");
    stale.insert(store, text);
    let (plan, _) = destroy(&stale, &["core/network"]);
    assert_eq!(shown(&plan), ["!core/network"]);
}

#[test]
fn an_interrupted_rename_is_completed_and_never_destroys_the_old_name() {
    let mut stored = deployed(THREE, "v", false);
    let old = ModuleId::parse("p", "d", "net", "vpc").unwrap();
    let to = json!({"group": "core", "module": "network"}).to_string();
    stored.insert(old.parameter(ParameterKind::Renamed), to);
    // What was written so far of the new name.
    let network = ModuleId::parse("p", "d", "core", "network").unwrap();
    let md5 = stored[&old.parameter(ParameterKind::Md5)].clone();
    stored.insert(network.parameter(ParameterKind::Md5), md5);
    let (plan, _) = plan_of(renamed(RENAMED, FORMER), &stored, &ALL);
    assert_eq!(shown(&plan)[0], "+core/network");
    assert!(!shown(&plan).contains(&"-net/vpc".to_owned()));
    let (plan, _) = plan_of(renamed(&RENAMED[1..2], &[]), &stored, &ALL);
    assert!(
        shown(&plan).contains(&"!net/vpc".to_owned()),
        "{:?}",
        shown(&plan)
    );
}
