//! Modules that are renamed or move.

use super::*;
use crate::deployment::targets;

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
    assert_eq!(planned("data/store").redeploy_if_changed, ["net/vpc"]);

    // Whatever destroys it needs its old target.
    let left = |plan: &Plan| targets::left(plan, &DeploymentState::of(&deployment(), stored.clone()));
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
