//! The decision: which fields of a policy a change breaks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::approval::ApprovalRule;
use super::changes::{Change, Changes, named};
use super::document::{DeploymentPolicy, version_of};
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::ids::DeploymentId;
use crate::module::metadata_reference::ModuleRef;

/// The longest message.
const MAX_MESSAGE: usize = 4000;
/// How much of a version messages show: enough to find it.
const SHOWN_VERSION: usize = 12;

impl DeploymentPolicy {
    /// What the changes break, each with the field, what is allowed and what was found.
    #[must_use]
    pub fn broken_by(&self, changes: &Changes, now: Timestamp) -> Vec<String> {
        if changes.is_empty() {
            return Vec::new();
        }
        let destroyed: Vec<&ModuleRef> = changes
            .iter()
            .filter(|(_, change)| **change == Change::Destroy)
            .map(|(module, _)| module)
            .collect();
        let mut broken = Vec::new();
        let found = named(changes.keys());
        if let Some(reason) = &self.stopped {
            broken.push(format!(
                "stopped: expected nothing to deploy or destroy ({reason}), found {found}"
            ));
        }
        for (i, freeze) in self
            .freeze
            .iter()
            .enumerate()
            .filter(|(_, freeze)| freeze.covers(now))
        {
            broken.push(format!(
                "freeze[{i}]: expected nothing to deploy or destroy until {} ({freeze}), found {found}",
                freeze.end()
            ));
        }
        for (i, pattern) in self.protect.iter().enumerate() {
            let mut protected = destroyed
                .iter()
                .filter(|module| pattern.covers(module))
                .peekable();
            if protected.peek().is_some() {
                let found = named(protected.copied());
                broken.push(format!(
                    "protect[{i}]: expected {pattern} to stay, found {found} to be destroyed"
                ));
            }
        }
        if let Some(most) = self.max_destroys.filter(|most| destroyed.len() > *most) {
            let found = named(destroyed.iter().copied());
            broken.push(format!(
                "max_destroys: expected at most {most} to be destroyed, found {found}"
            ));
        }
        broken
    }
}

/// The document of a deployment, as it is stored.
#[derive(Debug, Clone)]
pub struct StoredPolicy {
    deployment: DeploymentId,
    version: String,
    /// The policy, or what is wrong with the document.
    policy: Result<DeploymentPolicy, Vec<String>>,
}

impl StoredPolicy {
    /// Reads a document.
    #[must_use]
    pub fn of(deployment: &DeploymentId, text: &[u8]) -> Self {
        Self {
            deployment: deployment.clone(),
            version: version_of(text),
            policy: DeploymentPolicy::parse(text),
        }
    }

    /// The SHA-256 of the document.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the policy says of approvals; `None` if the document isn't valid, and then everything is refused.
    #[must_use]
    pub fn approval(&self) -> Option<&ApprovalRule> {
        self.policy.as_ref().ok().map(|policy| &policy.approval)
    }

    /// Decides on changes that are about to start.
    #[must_use]
    pub fn decide(&self, changes: &Changes, now: Timestamp) -> Decision {
        let broken = match &self.policy {
            Ok(policy) => policy.broken_by(changes, now),
            Err(_) if changes.is_empty() => Vec::new(),
            Err(problems) => problems
                .iter()
                .map(|problem| format!("the document is not valid, so nothing is allowed: {problem}"))
                .collect(),
        };
        Decision {
            document: self.deployment.policy_key(),
            version: self.version.clone(),
            broken,
            rolls_back: self.policy.as_ref().is_ok_and(|policy| policy.rolls_back),
        }
    }
}

impl StoredPolicy {
    /// Decides on changes of a deployment that was admitted when it was planned, and that still runs: a freeze lets it finish.
    #[must_use]
    pub fn decide_on_admitted(&self, changes: &Changes, now: Timestamp) -> Decision {
        let without_freeze = self.policy.clone().map(|policy| DeploymentPolicy {
            freeze: Vec::new(),
            ..policy
        });
        Self {
            policy: without_freeze,
            ..self.clone()
        }
        .decide(changes, now)
    }
}

impl StoredPolicy {
    /// What a rename breaks: a protected module may not get a name under which anybody can destroy it. `from` is the old
    /// name.
    #[must_use]
    pub fn unprotected_by(&self, from: &ModuleRef, to: &ModuleRef) -> Option<String> {
        let protect = &self.policy.as_ref().ok()?.protect;
        if protect.iter().any(|pattern| pattern.covers(to)) {
            return None;
        }
        let (i, pattern) = protect
            .iter()
            .enumerate()
            .find(|(_, pattern)| pattern.covers(from))?;
        Some(format!(
            "protect[{i}]: expected {pattern} to stay protected, found {from} to be renamed to {to}, which no pattern covers"
        ))
    }

    /// Refuses a rename that takes a module out of its protection.
    ///
    /// # Errors
    /// `DeniedByPolicy`.
    pub fn refuse_rename(&self, from: &ModuleRef, to: &ModuleRef) -> Result<()> {
        let broken: Vec<String> = self.unprotected_by(from, to).into_iter().collect();
        denied(&self.deployment.policy_key(), &self.version, &broken)
    }
}

impl ApprovalRule {
    /// The rule of a deployment's policy; that of a deployment without one is the default.
    #[must_use]
    pub fn of(policy: Option<&StoredPolicy>) -> Self {
        policy
            .and_then(StoredPolicy::approval)
            .cloned()
            .unwrap_or_default()
    }
}

/// The decision of a policy, as a plan has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The document's key in the work bucket.
    pub document: String,
    /// The SHA-256 of the document that decided.
    pub version: String,
    /// What breaks the policy: field, what is allowed, what was found. Empty if everything is allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
    /// Whether the deployment is rolled back if a module fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolls_back: bool,
}

impl Decision {
    /// Refuses what breaks the policy.
    ///
    /// # Errors
    /// `DeniedByPolicy` with everything that is broken, and who can change it.
    pub fn refuse(&self) -> Result<()> {
        denied(&self.document, &self.version, &self.broken)
    }
}

/// Refuses what breaks a document.
pub(super) fn denied(document: &str, version: &str, broken: &[String]) -> Result<()> {
    if broken.is_empty() {
        return Ok(());
    }
    let version: String = version.chars().take(SHOWN_VERSION).collect();
    let message = format!(
        "nothing was started. {}. The policy is {document}, version {version}; an administrator (AdministratorPrincipalArns of the stack) can change it by `seedflow policy set`",
        excerpt(&broken.join(". "), MAX_MESSAGE),
    );
    Err(Error::new(ErrorName::DeniedByPolicy, message))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::ids::{ModuleId, Name};

    fn module(path: &str) -> ModuleRef {
        let (group, module) = path.split_once('/').unwrap();
        ModuleRef::from(&ModuleId::parse("p", "d", group, module).unwrap())
    }

    fn changes(deploy: &[&str], destroy: &[&str]) -> Changes {
        let deployed = deploy.iter().map(|path| (module(path), Change::Deploy));
        let destroyed = destroy.iter().map(|path| (module(path), Change::Destroy));
        deployed.chain(destroyed).collect()
    }

    fn deployment() -> DeploymentId {
        let name = |text: &str| Name::parse("name", text).unwrap();
        DeploymentId {
            project: name("p"),
            deployment: name("prod"),
        }
    }

    fn broken(policy: Value, changes: &Changes, at: &str) -> Vec<String> {
        let policy = StoredPolicy::of(&deployment(), policy.to_string().as_bytes());
        policy.decide(changes, at.parse().unwrap()).broken
    }

    const FRIDAY: &str = "2026-12-04T16:30:00Z";
    const TUESDAY: &str = "2026-12-08T16:30:00Z";

    #[test]
    fn a_protected_module_is_renamed_only_to_a_name_that_is_protected_too() {
        let text = json!({"protect": ["network/vpc", "data/*"]}).to_string();
        let policy = StoredPolicy::of(&deployment(), text.as_bytes());
        let refused = |from: &str, to: &str| policy.refuse_rename(&module(from), &module(to));
        let error = refused("data/store", "tmp/store").unwrap_err();
        assert_eq!(error.name, ErrorName::DeniedByPolicy);
        assert!(
            error.message.contains(
                "protect[1]: expected data/* to stay protected, found data/store to be renamed to tmp/store"
            ),
            "{error}"
        );
        assert_eq!(refused("data/store", "data/bucket"), Ok(()));
        assert_eq!(refused("data/store", "network/vpc"), Ok(()));
        assert_eq!(refused("tmp/a", "tmp/b"), Ok(()));
    }

    #[test]
    fn a_protected_module_is_deployed_and_never_destroyed() {
        let policy = || json!({"protect": ["network/vpc", "data/*"]});
        assert!(
            broken(
                policy(),
                &changes(&["data/a", "network/vpc"], &["network/dns"]),
                TUESDAY
            )
            .is_empty()
        );
        assert_eq!(
            broken(
                policy(),
                &changes(&[], &["data/a", "data/b", "network/dns", "network/vpc"]),
                TUESDAY
            ),
            [
                "protect[0]: expected network/vpc to stay, found network/vpc to be destroyed",
                "protect[1]: expected data/* to stay, found 2 modules: data/a, data/b to be destroyed",
            ]
        );
    }

    #[test]
    fn destructions_are_counted_and_deployments_are_not() {
        let policy = || json!({"max_destroys": 1});
        assert!(broken(policy(), &changes(&["a/a", "a/b"], &["a/c"]), TUESDAY).is_empty());
        assert_eq!(
            broken(policy(), &changes(&["a/a"], &["a/b", "a/c"]), TUESDAY),
            ["max_destroys: expected at most 1 to be destroyed, found 2 modules: a/b, a/c"]
        );
        assert_eq!(
            broken(json!({"max_destroys": 0}), &changes(&[], &["a/b"]), TUESDAY).len(),
            1
        );
    }

    #[test]
    fn a_freeze_and_the_kill_switch_refuse_what_would_start_and_nothing_else() {
        let policy = || {
            json!({"freeze": [
                {"start": "2020-01-01T00:00", "end": "2020-01-02T00:00", "time_zone": "UTC"},
                {"start": "Fri 16:00", "end": "Mon 06:00", "time_zone": "UTC", "reason": "weekend"},
            ]})
        };
        let one = changes(&["a/b"], &[]);
        assert!(broken(policy(), &one, TUESDAY).is_empty());
        assert_eq!(
            broken(policy(), &one, FRIDAY),
            [
                "freeze[1]: expected nothing to deploy or destroy until Mon 06:00 UTC (Fri 16:00 to Mon 06:00 UTC: weekend), found a/b"
            ]
        );
        let stopped = || json!({"stopped": "incident 7"});
        assert_eq!(
            broken(stopped(), &one, TUESDAY),
            ["stopped: expected nothing to deploy or destroy (incident 7), found a/b"]
        );
        for policy in [policy(), stopped()] {
            assert!(broken(policy, &Changes::new(), FRIDAY).is_empty());
        }
    }

    #[test]
    fn a_document_that_is_not_valid_allows_nothing() {
        let one = changes(&["a/b"], &[]);
        let found = broken(json!({"protekt": []}), &one, TUESDAY);
        assert!(
            found[0].starts_with("the document is not valid, so nothing is allowed: protekt: "),
            "{found:?}"
        );
        assert!(broken(json!({"protekt": []}), &Changes::new(), TUESDAY).is_empty());
    }

    #[test]
    fn a_refusal_names_the_document_its_version_and_who_can_change_it() {
        let text = json!({"stopped": "incident 7"}).to_string();
        let policy = StoredPolicy::of(&deployment(), text.as_bytes());
        let decision = policy.decide(&changes(&["a/b"], &[]), TUESDAY.parse().unwrap());
        let error = decision.refuse().unwrap_err();
        assert_eq!(error.name, ErrorName::DeniedByPolicy);
        for part in [
            "nothing was started. stopped: ",
            "policies/p/prod.json",
            &version_of(text.as_bytes())[..12],
            "AdministratorPrincipalArns",
            "seedflow policy set",
        ] {
            assert!(error.message.contains(part), "{part}: {}", error.message);
        }
        let allowed = policy.decide(&Changes::new(), TUESDAY.parse().unwrap());
        assert!(allowed.refuse().is_ok());
        let many: Vec<String> = (0..11).map(|i| format!("a/m{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let found = policy
            .decide(&changes(&many, &[]), TUESDAY.parse().unwrap())
            .broken;
        assert!(
            found[0].contains("found 11 modules: a/m0, ") && found[0].ends_with(", …"),
            "{found:?}"
        );
    }

    #[test]
    fn a_freeze_lets_an_admitted_deployment_finish_and_the_kill_switch_does_not() {
        let freeze =
            json!({"start": "2000-01-01T00:00", "end": "2100-01-01T00:00", "time_zone": "Europe/Berlin"});
        let decide = |policy: Value| {
            let policy = StoredPolicy::of(&deployment(), policy.to_string().as_bytes());
            let (changes, now) = (
                changes(&["a/b"], &["c/d"]),
                "2026-12-24T18:00:00Z".parse().unwrap(),
            );
            let [all, admitted] = [
                policy.decide(&changes, now),
                policy.decide_on_admitted(&changes, now),
            ];
            assert_eq!(all.version, admitted.version);
            (all.broken.len(), admitted.broken)
        };
        assert_eq!(decide(json!({"freeze": [freeze]})), (1, Vec::new()));
        let (all, admitted) = decide(json!({"freeze": [freeze], "stopped": "why", "protect": ["c/*"]}));
        assert_eq!((all, admitted.len()), (3, 2));
        assert!(admitted[0].starts_with("stopped: ") && admitted[1].starts_with("protect[0]: "));
        assert_eq!(decide(json!({"unknown": 1})).1.len(), 1);
    }
}
