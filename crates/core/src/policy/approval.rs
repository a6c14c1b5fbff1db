//! When a plan waits for a person, and who may decide on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::changes::{Change, Changes, named};
use super::principal::{Principal, PrincipalPattern};

/// How long an approval is waited for, if the policy doesn't say it.
pub const DEFAULT_EXPIRY: Duration = Duration::from_secs(3 * 24 * 3600);
/// The longest wait: a task token is kept for seven days.
pub const MAX_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Which plans wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalMode {
    /// None.
    Never,
    /// Those that destroy a module.
    Destroys,
    /// Those that deploy or destroy a module.
    Changes,
    /// Those that start anything.
    Always,
}

impl ApprovalMode {
    /// The values of the field.
    pub const NAMES: [&str; 4] = ["never", "destroys", "changes", "always"];

    pub(super) fn parse(text: &str) -> Option<Self> {
        let modes = [Self::Never, Self::Destroys, Self::Changes, Self::Always];
        Self::NAMES
            .iter()
            .zip(modes)
            .find_map(|(name, mode)| (*name == text).then_some(mode))
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Destroys => "destroys",
            Self::Changes => "changes",
            Self::Always => "always",
        }
    }
}

/// What a policy says of approvals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRule {
    /// Which plans wait; without it those that destroy more than half of the deployment's modules.
    pub mode: Option<ApprovalMode>,
    /// Who may decide; with none, everybody that IAM lets call the function.
    pub approvers: Vec<PrincipalPattern>,
    /// Whether who requested the plan may not approve it.
    pub four_eyes: bool,
    /// How long a plan waits.
    pub expires_after: Duration,
    /// Whether a module with another value of an upstream module than at the time of the approval is not deployed.
    pub approve_values: bool,
}

impl Default for ApprovalRule {
    fn default() -> Self {
        Self {
            mode: None,
            approvers: Vec::new(),
            four_eyes: false,
            expires_after: DEFAULT_EXPIRY,
            approve_values: false,
        }
    }
}

/// What a plan is about to start, as far as an approval depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Starts<'a> {
    /// The changes that are certain.
    pub changes: &'a Changes,
    /// Whether any execution of a module starts.
    pub starts_anything: bool,
    /// How many modules of the deployment are deployed.
    pub deployed: usize,
    /// Whether the request itself says that the deployment is to be destroyed.
    pub destroys_by_request: bool,
}

impl ApprovalRule {
    /// Why a plan waits for an approval; empty if it doesn't.
    #[must_use]
    pub fn reasons(&self, starts: &Starts<'_>) -> Vec<String> {
        let of = |wanted: Option<Change>| {
            starts
                .changes
                .iter()
                .filter(move |(_, change)| wanted.is_none_or(|wanted| **change == wanted))
                .map(|(module, _)| module)
        };
        let destroyed = of(Some(Change::Destroy)).count();
        let waits = match self.mode {
            Some(ApprovalMode::Never) => false,
            Some(ApprovalMode::Destroys) => destroyed > 0,
            Some(ApprovalMode::Changes) => !starts.changes.is_empty(),
            Some(ApprovalMode::Always) => starts.starts_anything,
            None => !starts.destroys_by_request && destroyed * 2 > starts.deployed,
        };
        if !waits {
            return Vec::new();
        }
        let reason = match self.mode {
            Some(ApprovalMode::Destroys) => {
                format!(
                    "approval: destroys: {} to be destroyed",
                    named(of(Some(Change::Destroy)))
                )
            }
            Some(mode) if starts.changes.is_empty() => {
                format!("approval: {}: modules may change", mode.as_str())
            }
            Some(mode) => format!("approval: {}: {} to change", mode.as_str(), named(of(None))),
            None => format!(
                "more than half of the deployment's {} modules would be destroyed: {}",
                starts.deployed,
                named(of(Some(Change::Destroy)))
            ),
        };
        vec![reason]
    }

    /// Whether a module's change needs the approval of a plan, however its execution was started. The default for plans
    /// without a policy is not such a rule: it guards against accidents.
    #[must_use]
    pub fn needs_plan(&self, change: Change) -> bool {
        match self.mode {
            None | Some(ApprovalMode::Never) => false,
            Some(ApprovalMode::Destroys) => change == Change::Destroy,
            Some(ApprovalMode::Changes | ApprovalMode::Always) => true,
        }
    }

    /// Whether a principal may decide on plans.
    #[must_use]
    pub fn is_approver(&self, principal: &Principal) -> bool {
        self.approvers.is_empty() || self.approvers.iter().any(|pattern| pattern.covers(principal))
    }

    /// Who may decide, for people.
    #[must_use]
    pub fn approvers_shown(&self) -> Vec<String> {
        self.approvers.iter().map(ToString::to_string).collect()
    }
}

/// Reads a time like `90s`, `30m`, `12h` or `3d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    let number: u64 = number
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| number.parse().ok())??;
    let duration = Duration::from_secs(number.checked_mul(seconds)?);
    (!duration.is_zero() && duration <= MAX_EXPIRY).then_some(duration)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::ModuleId;
    use crate::module::metadata_reference::ModuleRef;

    fn changes(deploy: &[&str], destroy: &[&str]) -> Changes {
        let module = |name: &str| ModuleRef::from(&ModuleId::parse("p", "d", "g", name).unwrap());
        let deployed = deploy.iter().map(|name| (module(name), Change::Deploy));
        let destroyed = destroy.iter().map(|name| (module(name), Change::Destroy));
        deployed.chain(destroyed).collect()
    }

    fn reasons(
        mode: Option<ApprovalMode>,
        changes: &Changes,
        deployed: usize,
        by_request: bool,
    ) -> Vec<String> {
        let rule = ApprovalRule {
            mode,
            ..ApprovalRule::default()
        };
        rule.reasons(&Starts {
            changes,
            starts_anything: true,
            deployed,
            destroys_by_request: by_request,
        })
    }

    #[test]
    fn each_mode_waits_for_its_plans() {
        use ApprovalMode::{Always, Changes, Destroys, Never};
        let (builds, destroys, nothing) = (changes(&["a"], &[]), changes(&["a"], &["b"]), changes(&[], &[]));
        let waits = |mode, of: &super::Changes| !reasons(Some(mode), of, 9, false).is_empty();
        let all = |mode| [&builds, &destroys, &nothing].map(|of| waits(mode, of));
        assert_eq!(all(Never), [false, false, false]);
        assert_eq!(all(Destroys), [false, true, false]);
        assert_eq!(all(Changes), [true, true, false]);
        assert_eq!(all(Always), [true, true, true]);
        assert_eq!(
            reasons(Some(Changes), &destroys, 9, false),
            ["approval: changes: 2 modules: g/a, g/b to change"]
        );
        assert_eq!(
            reasons(Some(Destroys), &destroys, 9, false),
            ["approval: destroys: g/b to be destroyed"]
        );
    }

    #[test]
    fn without_a_policy_only_the_loss_of_more_than_half_waits() {
        let waits = |of: &Changes, deployed, by_request| !reasons(None, of, deployed, by_request).is_empty();
        let two = changes(&["a"], &["b", "c"]);
        assert!(waits(&two, 3, false));
        assert!(!waits(&two, 4, false), "half is not more than half");
        assert!(!waits(&two, 3, true), "the request says that everything goes");
        assert!(!waits(&changes(&["a"], &[]), 0, false));
        assert_eq!(
            reasons(None, &two, 3, false),
            ["more than half of the deployment's 3 modules would be destroyed: 2 modules: g/b, g/c"]
        );
        let none: super::Changes = changes(&[], &[]);
        assert!(!waits(&none, 0, false));
    }

    #[test]
    fn a_single_module_needs_the_plan_that_the_policy_asks_for() {
        let needs = |mode, change| {
            let rule = ApprovalRule {
                mode,
                ..ApprovalRule::default()
            };
            rule.needs_plan(change)
        };
        for change in [Change::Deploy, Change::Destroy] {
            assert!(!needs(None, change) && !needs(Some(ApprovalMode::Never), change));
            assert!(needs(Some(ApprovalMode::Changes), change) && needs(Some(ApprovalMode::Always), change));
        }
        assert!(needs(Some(ApprovalMode::Destroys), Change::Destroy));
        assert!(!needs(Some(ApprovalMode::Destroys), Change::Deploy));
    }

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        let seconds = |text| duration(text).map(|found| found.as_secs());
        assert_eq!(
            ["90s", "30m", "12h", "7d"].map(seconds),
            [Some(90), Some(1800), Some(43200), Some(604_800)]
        );
        for wrong in [
            "",
            "s",
            "0s",
            "8d",
            "1w",
            "+1h",
            "1.5h",
            "é",
            "99999999999999999999d",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
