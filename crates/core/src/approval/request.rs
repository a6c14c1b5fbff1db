//! A plan that waits for an approval.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::excerpt;
use crate::formats::shell_word::quoted;
use crate::ids::{DeploymentId, ExecutionArn};
use crate::module::commit_info::CommitInfo;
use crate::policy::ApprovalRule;
use crate::started_by::StartedBy;

/// How many characters of a plan's hash people see: enough to distinguish plans.
pub const SHOWN_HASH: usize = 12;

/// The most reasons and approvers that are shown, and the longest of them.
const MAX_SHOWN: usize = 10;
const MAX_LENGTH: usize = 700;

/// That a plan needs an approval, and whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalNeeded {
    /// The SHA-256 of everything that would run.
    pub plan: String,
    /// Why it needs one.
    pub reasons: Vec<String>,
    /// The patterns of those who may decide; with none everybody that IAM lets call the function.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// Whether who requested the plan may not approve it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub four_eyes: bool,
    /// How long it waits.
    pub expires_after_seconds: u64,
}

impl ApprovalNeeded {
    /// What a plan with this hash needs; `None` if there is no reason to wait.
    #[must_use]
    pub fn of(plan: String, reasons: Vec<String>, rule: &ApprovalRule) -> Option<Self> {
        (!reasons.is_empty()).then(|| Self {
            reasons: some(reasons),
            ..Self::for_rules(plan, rule)
        })
    }

    /// The arguments of the command that approves it, without those that name the stack.
    #[must_use]
    pub fn arguments<'a>(&'a self, execution: &'a ExecutionArn) -> [&'a str; 6] {
        let plan = self.plan.get(..SHOWN_HASH).unwrap_or(&self.plan);
        ["approve", execution.name(), "--plan", plan, "--reason", "TEXT"]
    }

    /// What rules may ask for: the same without a reason.
    #[must_use]
    pub fn for_rules(plan: String, rule: &ApprovalRule) -> Self {
        Self {
            plan,
            reasons: Vec::new(),
            approvers: some(rule.approvers_shown()),
            four_eyes: rule.four_eyes,
            expires_after_seconds: rule.expires_after.as_secs(),
        }
    }

    /// Adds the reasons of rules to the other reasons for an approval.
    #[must_use]
    pub fn because(&self, needed: Option<Self>, rules: &[String]) -> Option<Self> {
        let rules = rules.iter().map(|reason| format!("rules: {reason}"));
        let needed = needed.unwrap_or_else(|| self.clone());
        // A repeated evaluation says the same again.
        let others = needed
            .reasons
            .iter()
            .filter(|reason| !reason.starts_with("rules: "));
        let reasons: Vec<String> = others.cloned().chain(rules).collect();
        (!reasons.is_empty()).then(|| Self {
            reasons: some(reasons),
            ..needed
        })
    }
}

/// As many as people read, and as fit into an event.
fn some(texts: Vec<String>) -> Vec<String> {
    let more = texts.len().saturating_sub(MAX_SHOWN);
    let shown = texts.iter().take(MAX_SHOWN).map(|text| excerpt(text, MAX_LENGTH));
    shown
        .chain((more > 0).then(|| format!("and {more} more")))
        .collect()
}

/// A plan that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// The deployment.
    #[serde(flatten)]
    pub deployment: DeploymentId,
    /// The execution that waits.
    pub execution: ExecutionArn,
    /// What it needs.
    #[serde(flatten)]
    pub needed: ApprovalNeeded,
    /// Who started the execution, if that is known or claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<StartedBy>,
    /// The commit that would be deployed; its author is a claim.
    #[serde(flatten)]
    pub commit_info: CommitInfo,
    /// Since when it waits.
    pub requested_at: Timestamp,
    /// Until when it waits.
    pub expires_at: Timestamp,
}

impl ApprovalRequest {
    /// A request that begins now.
    #[must_use]
    pub fn new(
        deployment: &DeploymentId,
        execution: &ExecutionArn,
        needed: &ApprovalNeeded,
        started_by: Option<StartedBy>,
        commit_info: &CommitInfo,
        now: Timestamp,
    ) -> Self {
        let wait = SignedDuration::try_from(Duration::from_secs(needed.expires_after_seconds));
        let expires_at = now.checked_add(wait.unwrap_or_default());
        Self {
            deployment: deployment.clone(),
            execution: execution.clone(),
            needed: needed.clone(),
            started_by,
            commit_info: commit_info.clone(),
            requested_at: now,
            expires_at: expires_at.unwrap_or(now),
        }
    }

    /// How long it still waits, in whole seconds. Step Functions waits for a second at least.
    #[must_use]
    pub fn seconds_left(&self, now: Timestamp) -> i64 {
        self.expires_at.duration_since(now).as_secs().max(1)
    }

    /// The beginning of the plan's hash, for people.
    #[must_use]
    pub fn shown_plan(&self) -> String {
        self.needed.plan.chars().take(SHOWN_HASH).collect()
    }

    /// The command that approves it.
    #[must_use]
    pub fn command(&self) -> String {
        let words = self.needed.arguments(&self.execution).map(quoted);
        format!("seedflow {}", words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_command_quotes_the_name_of_the_execution() {
        let request: ApprovalRequest = serde_json::from_value(json!({
            "project": "shop", "deployment": "dev", "execution": "arn:aws:states:r:1:execution:deploy:it's mine",
            "plan": "c0ffeec0ffeec0ffee", "reasons": [], "expires_after_seconds": 60,
            "requested_at": "2026-11-29T12:00:00Z", "expires_at": "2026-11-29T12:01:00Z",
        }))
        .unwrap();
        assert_eq!(
            request.command(),
            r"seedflow approve 'it'\''s mine' --plan c0ffeec0ffee --reason TEXT"
        );
    }
}
