//! Modules that leave the manifest, and destructions.

use super::*;

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
