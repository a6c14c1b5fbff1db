//! The order in which modules are destroyed: consumers before publishers, and otherwise later groups before earlier ones
//! (decision 26).
//!
//! A deployment's status keeps the order of its groups. Groups that left the manifest keep their place in it as long as
//! one of their modules is deployed, and an attempt that fails changes no group's place.

use std::collections::{BTreeMap, BTreeSet};

use crate::module::metadata_reference::ModuleRef;

/// Sorts modules into waves. `consumes` names the modules that each was deployed with. `groups` is the order in which
/// the groups were deployed; a group that is not in it counts as later than all others.
#[must_use]
pub fn destroying(
    modules: &BTreeSet<ModuleRef>,
    consumes: &BTreeMap<ModuleRef, BTreeSet<ModuleRef>>,
    groups: &[String],
) -> Vec<Vec<ModuleRef>> {
    let place = |module: &ModuleRef| {
        groups
            .iter()
            .position(|group| *group == module.group.as_str())
            .unwrap_or(usize::MAX)
    };
    let mut left = modules.clone();
    let mut waves = Vec::new();
    while !left.is_empty() {
        let consumed = |module: &&ModuleRef| {
            left.iter()
                .filter(|other| *other != *module)
                .any(|other| consumes.get(other).is_some_and(|of| of.contains(*module)))
        };
        let mut free: Vec<ModuleRef> = left.iter().filter(|module| !consumed(module)).cloned().collect();
        if free.is_empty() {
            // A circle cannot have been deployed. If one is stored nevertheless, all of it is destroyed.
            free = left.iter().cloned().collect();
        }
        let last = free.iter().map(place).max();
        let wave: Vec<ModuleRef> = free
            .into_iter()
            .filter(|module| Some(place(module)) == last)
            .collect();
        for module in &wave {
            left.remove(module);
        }
        waves.push(wave);
    }
    waves
}

/// The order `first`, with the groups that only `second` has, in its order: each after its predecessor of `second`.
#[must_use]
pub fn merged(first: &[String], second: &[String]) -> Vec<String> {
    let mut merged = first.to_vec();
    // The place after the last added group: added groups keep the order that `second` has.
    let mut place = 0;
    let mut predecessor: Option<&String> = None;
    for group in second {
        if !merged.contains(group) {
            let after = merged.iter().position(|other| Some(other) == predecessor);
            place = place.max(after.map_or(0, |after| after + 1));
            merged.insert(place, group.clone());
            place += 1;
        }
        predecessor = Some(group);
    }
    merged
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Name;
    use proptest::prelude::*;

    fn module_ref(text: &str) -> ModuleRef {
        let (group, module) = text.split_once('/').unwrap();
        ModuleRef {
            group: Name::parse("group", group).unwrap(),
            module: Name::parse("module", module).unwrap(),
        }
    }

    fn waves(consumes: &[(&str, &[&str])], groups: &[&str]) -> Vec<Vec<String>> {
        let of = |names: &[&str]| names.iter().map(|name| module_ref(name)).collect::<BTreeSet<_>>();
        let modules = consumes.iter().map(|(name, _)| module_ref(name)).collect();
        let consumes = consumes
            .iter()
            .map(|(name, names)| (module_ref(name), of(names)))
            .collect();
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        destroying(&modules, &consumes, &groups)
            .iter()
            .map(|wave| wave.iter().map(ToString::to_string).collect())
            .collect()
    }

    #[test]
    fn consumers_go_first_and_then_later_groups() {
        let consumes: [(&str, &[&str]); 5] = [
            ("net/vpc", &[]),
            ("net/dns", &["net/vpc"]),
            ("data/store", &["net/vpc"]),
            ("apps/web", &["data/store"]),
            ("old/thing", &[]),
        ];
        assert_eq!(
            waves(&consumes, &["net", "data", "apps"]),
            [
                vec!["old/thing"],
                vec!["apps/web"],
                vec!["data/store"],
                vec!["net/dns"],
                vec!["net/vpc"]
            ]
        );
    }

    #[test]
    fn groups_that_left_keep_their_places_and_their_order() {
        for (first, second, expected) in [
            ("a b c", "", "a b c"),
            ("", "a b c", "a b c"),
            ("x", "a b c", "a b c x"),
            ("b", "a b c", "a b c"),
            ("c a", "a b c d", "c a b d"),
        ] {
            let groups = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let merged = merged(&groups(first), &groups(second));
            assert_eq!(merged, groups(expected), "{first} / {second}");
        }
    }

    #[test]
    fn a_circle_ends() {
        assert_eq!(
            waves(&[("a/x", &["a/y"]), ("a/y", &["a/x"])], &["a"]),
            [vec!["a/x", "a/y"]]
        );
    }

    proptest! {
        #[test]
        fn everything_is_destroyed_once_and_after_what_consumes_it(edges in proptest::collection::vec((0..8usize, 0..8usize), 0..20)) {
            let name = |i: usize| module_ref(&format!("g{}/m{i}", i % 3));
            let modules: BTreeSet<ModuleRef> = (0..8).map(name).collect();
            let mut consumes: BTreeMap<ModuleRef, BTreeSet<ModuleRef>> = BTreeMap::new();
            // Only from a lower to a higher number: no circles.
            for (one, other) in edges.iter().filter(|(one, other)| one < other) {
                consumes.entry(name(*one)).or_default().insert(name(*other));
            }
            let waves = destroying(&modules, &consumes, &["g0".into(), "g1".into()]);
            let place: BTreeMap<&ModuleRef, usize> = waves.iter().enumerate().flat_map(|(i, wave)| wave.iter().map(move |m| (m, i))).collect();
            prop_assert_eq!(place.len(), 8);
            prop_assert_eq!(waves.iter().map(Vec::len).sum::<usize>(), 8);
            for (consumer, consumed) in &consumes {
                prop_assert!(consumed.iter().all(|module| place[consumer] < place[module]));
            }
        }
    }
}
