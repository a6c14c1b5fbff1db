//! What a plan consists of, for its approval: the hash that an approval names, and what has changed since (decision 59).
//!
//! The planner makes the parts of each plan that waits, and again before an approved plan runs. The module workflow makes
//! the part of its module ([`ModulePart`]) and compares it with the approved one, so that nothing else runs in its name.
//! Values of upstream modules are separate, because a value that the same deployment is about to publish may differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::module_part::ModulePart;
use super::plan::{Plan, PlannedAction};
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::module::metadata_reference::ModuleRef;
use crate::policy::{Change, version_of};

/// The most differences that a message names, and its length.
const MAX_NAMED: usize = 10;
const MAX_MESSAGE: usize = 3000;

/// The parts of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanParts {
    /// The commit of the repository.
    #[serde(default)]
    pub commit: Option<String>,
    /// The SHA-256 of the policy's document.
    #[serde(default)]
    pub policy: Option<String>,
    /// The SHA-256 of the rules in Rego.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    /// Sources of other hosts, each with what was fetched.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
    /// The modules with an execution that starts, by `group/module`.
    #[serde(default)]
    pub modules: BTreeMap<String, PlannedPart>,
}

/// A module with an execution that starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPart {
    /// What is planned.
    pub action: PlannedAction,
    /// Whether it is destroyed in another account or region first.
    #[serde(default)]
    pub moves: bool,
    /// What it is deployed from.
    #[serde(flatten)]
    pub part: ModulePart,
}

impl PlanParts {
    /// The parts of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let sources = plan.sources.iter().map(|fetched| {
            let found = fetched.commit.as_deref().unwrap_or(&fetched.key);
            (fetched.source.to_string(), found.to_owned())
        });
        let modules = plan.modules.iter().filter_map(|planned| {
            planned.execution.as_ref()?;
            let part = PlannedPart {
                action: planned.action,
                moves: planned.moves,
                part: plan.parts.get(&planned.module).cloned().unwrap_or_default(),
            };
            Some((planned.module.to_string(), part))
        });
        Self {
            commit: plan.commit_info.commit().map(str::to_owned),
            policy: plan.policy.as_ref().map(|policy| policy.version.clone()),
            rules: plan.rules.clone(),
            sources: sources.collect(),
            modules: modules.collect(),
        }
    }

    /// The hash that an approval names.
    #[must_use]
    pub fn hash(&self) -> String {
        // Keys are strings only, so this can't fail.
        version_of(serde_json::to_string(self).unwrap_or_default().as_bytes())
    }

    /// Refuses a plan that is not the approved one. `now` are the parts of the plan that is about to run.
    ///
    /// # Errors
    /// `ApprovalVoid` with everything that has changed.
    pub fn check_again(&self, now: &Self) -> Result<()> {
        if self.hash() == now.hash() {
            return Ok(());
        }
        let differences = self.differences(now);
        let more = differences.len().saturating_sub(MAX_NAMED);
        let mut named = differences
            .into_iter()
            .take(MAX_NAMED)
            .collect::<Vec<_>>()
            .join("; ");
        if more > 0 {
            named.push_str(&format!("; and {more} more"));
        }
        Err(Error::new(
            ErrorName::ApprovalVoid,
            excerpt(
                &format!(
                    "nothing was started. The plan was approved, and has changed since: {named}. Start it again"
                ),
                MAX_MESSAGE,
            ),
        ))
    }

    fn differences(&self, now: &Self) -> Vec<String> {
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        let mut found = Vec::new();
        if self.commit != now.commit {
            found.push(format!(
                "commit: approved {}, now {}",
                shown(&self.commit),
                shown(&now.commit)
            ));
        }
        if self.policy != now.policy {
            found.push(format!(
                "the policy: approved under version {}, now {}",
                excerpt(&shown(&self.policy), 12),
                excerpt(&shown(&now.policy), 12)
            ));
        }
        if self.rules != now.rules {
            found.push(format!(
                "the rules: approved under version {}, now {}",
                excerpt(&shown(&self.rules), 12),
                excerpt(&shown(&now.rules), 12)
            ));
        }
        for name in names(&self.sources, &now.sources) {
            let (then, now) = (self.sources.get(name), now.sources.get(name));
            if then != now {
                found.push(format!(
                    "{name}: approved {}, now {}",
                    shown(&then.cloned()),
                    shown(&now.cloned())
                ));
            }
        }
        for name in names(&self.modules, &now.modules) {
            match (self.modules.get(name), now.modules.get(name)) {
                (None, _) => found.push(format!("{name}: was not part of the plan")),
                (_, None) => found.push(format!("{name}: is not part of the plan any more")),
                (Some(then), Some(now)) => found.extend(then.differences(name, now)),
            }
        }
        found
    }

    /// Refuses the execution of a module that is not what was approved. `is_pinned` is whether values of upstream modules have
    /// to be those of the approval.
    ///
    /// # Errors
    /// `ApprovalVoid` with what differs.
    pub fn check_module(
        &self,
        module: &ModuleRef,
        change: Change,
        now: Option<&ModulePart>,
        is_pinned: bool,
    ) -> Result<()> {
        let void = |why: String| {
            Err(Error::new(
                ErrorName::ApprovalVoid,
                format!("{module} is not what was approved: {why}; deploy the whole deployment again"),
            ))
        };
        let Some(then) = self.modules.get(&module.to_string()) else {
            return void("it is not part of the approved plan".to_owned());
        };
        match (change, then.action) {
            (Change::Destroy, PlannedAction::Destroy) => Ok(()),
            (Change::Destroy, PlannedAction::Deploy) if then.moves => Ok(()),
            // One that is planned as unchanged is deployed if the values that it consumes have changed.
            (Change::Deploy, PlannedAction::Deploy | PlannedAction::Unchanged) => match now {
                Some(now) if then.part.content != now.content => {
                    void("its files, commands, parameters or settings differ".to_owned())
                }
                Some(now) if is_pinned && !then.part.changed_values(now).is_empty() => {
                    void(then.part.changed_values(now).join("; "))
                }
                _ => Ok(()),
            },
            (change, action) => void(format!(
                "expected it to {}, found it to {}",
                to_be(action),
                changes(change)
            )),
        }
    }
}

impl PlannedPart {
    fn differences(&self, name: &str, now: &Self) -> Vec<String> {
        if (self.action, self.moves) != (now.action, now.moves) {
            return vec![format!(
                "{name}: approved to {}, now to {}",
                to_be(self.action),
                to_be(now.action)
            )];
        }
        if self.part.content != now.part.content {
            return vec![format!(
                "{name}: its files, commands, parameters or settings changed"
            )];
        }
        let changed = self.part.changed_values(&now.part).into_iter();
        changed.map(|value| format!("{name}: {value}")).collect()
    }
}

fn to_be(action: PlannedAction) -> &'static str {
    match action {
        PlannedAction::Deploy => "be deployed",
        PlannedAction::Unchanged => "stay unchanged",
        PlannedAction::Destroy => "be destroyed",
        PlannedAction::Blocked => "be blocked",
    }
}

fn changes(change: Change) -> &'static str {
    match change {
        Change::Deploy => to_be(PlannedAction::Deploy),
        Change::Destroy => to_be(PlannedAction::Destroy),
    }
}

fn names<'a, T>(one: &'a BTreeMap<String, T>, two: &'a BTreeMap<String, T>) -> Vec<&'a String> {
    let mut names: Vec<&String> = one.keys().chain(two.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::ids::ModuleId;
    use crate::module::fingerprint::Versions;
    use crate::module::input::{Limits, Options};
    use crate::module::metadata_reference::UpstreamMetadata;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn module() -> ModuleId {
        ModuleId::parse("p", "d", "g", "m").unwrap()
    }

    /// A module that takes `vpc` from an upstream module that has published this, or nothing.
    fn part(digest: &str, size: u64, published: Option<&str>) -> ModulePart {
        part_with(
            digest,
            json!({"size": size, "vpc": reference("v", "Id")}),
            published,
        )
    }

    fn reference(module: &str, key: &str) -> Value {
        json!({"module_metadata": {"group": "n", "module": module, "key": key}})
    }

    fn part_with(digest: &str, parameters: Value, published: Option<&str>) -> ModulePart {
        let options = Options::from_manifest(
            &json!({"parameters": parameters}),
            &module(),
            &Limits::of_aws("w", "s"),
        )
        .unwrap();
        let upstream = ModuleRef::from(&ModuleId::parse("p", "d", "n", "v").unwrap());
        let known: UpstreamMetadata = published
            .map(|id| (upstream, object(json!({"Id": id}))))
            .into_iter()
            .collect();
        let resolved = options.parameters.resolve_known(&known);
        ModulePart::deploying(digest, "d", &options, &resolved, &Versions::new())
    }

    fn planned(action: PlannedAction, moves: bool, part: ModulePart) -> PlannedPart {
        PlannedPart { action, moves, part }
    }

    fn parts(of: ModulePart) -> PlanParts {
        parts_of(planned(PlannedAction::Deploy, false, of))
    }

    fn destroyed() -> PlannedPart {
        planned(PlannedAction::Destroy, false, ModulePart::default())
    }

    fn parts_of(of: PlannedPart) -> PlanParts {
        PlanParts {
            commit: Some("c1".to_owned()),
            policy: Some("p1".to_owned()),
            rules: None,
            sources: BTreeMap::from([("https://h/r@main".to_owned(), "s1".to_owned())]),
            modules: BTreeMap::from([("g/m".to_owned(), of)]),
        }
    }

    fn void(then: &PlanParts, now: &PlanParts) -> String {
        assert_ne!(then.hash(), now.hash());
        let error = then.check_again(now).unwrap_err();
        assert_eq!(error.name, ErrorName::ApprovalVoid);
        error.message
    }

    /// A changed reference voids the approval, even if values may differ.
    #[test]
    fn a_module_that_refers_to_something_else_is_not_what_was_approved() {
        let then = parts(part("b", 1, Some("vpc-1")));
        let module = ModuleRef::from(&module());
        for parameters in [
            json!({"size": 1, "vpc": reference("other", "Id")}),
            json!({"size": 1, "vpc": reference("v", "Other")}),
            json!({"size": 1, "vpc": reference("v", "Id"), "more": reference("v", "Id")}),
            json!({"size": 1}),
        ] {
            let now = part_with("b", parameters, Some("vpc-1"));
            let checked = then.check_module(&module, Change::Deploy, Some(&now), false);
            assert_eq!(checked.unwrap_err().name, ErrorName::ApprovalVoid, "{now:?}");
            void(&then, &parts(now));
        }
    }

    #[test]
    fn the_same_plan_has_the_same_hash_and_every_part_counts() {
        let then = parts(part("b", 1, Some("vpc-1")));
        let same = parts(part("b", 1, Some("vpc-1")));
        assert_eq!(then.hash(), same.hash());
        assert!(then.check_again(&same).is_ok());
        let stored: PlanParts = serde_json::from_value(json!(then)).unwrap();
        assert_eq!(stored.hash(), then.hash());

        let with = |change: &dyn Fn(&mut PlanParts)| {
            let mut parts = same.clone();
            change(&mut parts);
            void(&then, &parts)
        };
        let says = |message: String, part: &str| assert!(message.contains(part), "{part}: {message}");
        says(
            with(&|p| p.commit = Some("c2".to_owned())),
            "commit: approved c1, now c2",
        );
        says(
            with(&|p| p.policy = None),
            "the policy: approved under version p1, now none",
        );
        says(
            with(&|p| p.sources = BTreeMap::from([("https://h/r@main".to_owned(), "s2".to_owned())])),
            "https://h/r@main: approved s1, now s2",
        );
        says(
            with(&|p| p.modules.clear()),
            "g/m: is not part of the plan any more",
        );
        says(
            with(&|p| p.modules = BTreeMap::from([("g/m".to_owned(), destroyed())])),
            "g/m: approved to be deployed, now to be destroyed",
        );
        for changed in [part("b2", 1, Some("vpc-1")), part("b", 2, Some("vpc-1"))] {
            says(
                void(&then, &parts(changed)),
                "g/m: its files, commands, parameters or settings changed",
            );
        }
        says(
            void(&then, &parts(part("b", 1, Some("vpc-2")))),
            "g/m: parameter vpc: approved with vpc-1, now vpc-2",
        );
    }

    #[test]
    fn a_module_runs_only_as_it_was_approved() {
        let then = parts(part("b", 1, Some("vpc-1")));
        let of = ModuleRef::from(&module());
        let check = |change, now: &ModulePart, pinned| then.check_module(&of, change, Some(now), pinned);
        assert!(check(Change::Deploy, &part("b", 1, Some("vpc-1")), true).is_ok());
        // What an upstream module of the same deployment publishes.
        let other = part("b", 1, Some("vpc-2"));
        assert!(check(Change::Deploy, &other, false).is_ok());
        let error = check(Change::Deploy, &other, true).unwrap_err();
        assert!(
            error
                .message
                .contains("parameter vpc: approved with vpc-1, now vpc-2"),
            "{error}"
        );
        let first = parts(part("b", 1, None));
        let error = first
            .check_module(&of, Change::Deploy, Some(&other), true)
            .unwrap_err();
        assert!(
            error
                .message
                .contains("approved with not published yet, now vpc-2"),
            "{error}"
        );
        for changed in [part("b2", 1, Some("vpc-1")), part("b", 2, Some("vpc-1"))] {
            let error = check(Change::Deploy, &changed, false).unwrap_err();
            assert_eq!(error.name, ErrorName::ApprovalVoid);
        }
        let error = check(Change::Destroy, &ModulePart::default(), false).unwrap_err();
        assert!(
            error
                .message
                .contains("expected it to be deployed, found it to be destroyed"),
            "{error}"
        );
        let another = ModuleRef::from(&ModuleId::parse("p", "d", "g", "x").unwrap());
        let error = then
            .check_module(&another, Change::Destroy, None, false)
            .unwrap_err();
        assert!(error.message.contains("not part of the approved plan"), "{error}");
        let moved = parts_of(planned(PlannedAction::Deploy, true, part("b", 1, None)));
        assert!(moved.check_module(&of, Change::Destroy, None, false).is_ok());
        let gone = parts_of(destroyed());
        assert!(gone.check_module(&of, Change::Destroy, None, false).is_ok());
        assert!(gone.check_module(&of, Change::Deploy, None, false).is_err());
    }

    #[test]
    fn a_secret_value_is_hidden() {
        let parameters =
            json!({"db_password": {"module_metadata": {"group": "n", "module": "v", "key": "Id"}}});
        let options = Options::from_manifest(
            &json!({"parameters": parameters}),
            &module(),
            &Limits::of_aws("w", "s"),
        )
        .unwrap();
        let upstream = ModuleRef::from(&ModuleId::parse("p", "d", "n", "v").unwrap());
        let known: UpstreamMetadata = [(upstream, object(json!({"Id": "hunter2"})))]
            .into_iter()
            .collect();
        let resolved = options.parameters.resolve_known(&known);
        let part = ModulePart::deploying("b", "d", &options, &resolved, &Versions::new());
        let text = Value::to_string(&json!(part));
        assert!(!text.contains("hunter2"), "{text}");
    }
}
