//! The JSON of a plan: what `seedflow plan --json` prints, and what rules in Rego get as `input` (docs/plan.md,
//! docs/plan.schema.json).
//!
//! Both have the same fields, so a saved plan shows offline what rules say of it. The input has no names of executions and
//! no changed values, which not every plan has, and it has a clock ([`PlanJson::input`]).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::plan::{Plan, PlannedAction, PlannedModule};
use super::previews::Preview;
use crate::approval::ApprovalNeeded;
use crate::ids::DeploymentId;
use crate::module::commit_info::CommitInfo;
use crate::policy::Decision;
use crate::policy::rego::RuleResult;

/// What is planned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// A whole deployment, or a part of it.
    #[default]
    Deployment,
    /// One module that is about to start, by itself or as a part of a deployment.
    Module,
}

/// A plan as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanJson {
    /// What is planned.
    #[serde(default)]
    pub scope: Scope,
    /// The deployment.
    pub deployment: DeploymentId,
    /// Whether a module is not just unchanged.
    #[serde(default)]
    pub changes: bool,
    /// The number of modules by action.
    #[serde(default)]
    pub counts: Value,
    /// The commit, its author and its branch, as the one who handed it over claims.
    #[serde(default)]
    pub origin: CommitInfo,
    /// The modules.
    pub modules: Vec<PlannedModule>,
    /// Whether definitions and changed values are left out, because the plan is too long with them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shortened: bool,
    /// What the deployment's policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Decision>,
    /// What the deployment's rules in Rego say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rego: Option<RuleResult>,
    /// The approval that the plan needs before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalNeeded>,
    /// What the previews of modules show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previews: Vec<Preview>,
}

impl PlanJson {
    /// The JSON of a stored plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self {
            scope: Scope::Deployment,
            deployment: plan.deployment.clone(),
            changes: has_changes(&plan.modules),
            counts: json!(plan.counts()),
            origin: plan.commit_info.clone(),
            modules: plan.modules.clone(),
            shortened: false,
            policy: plan.policy.clone(),
            rego: plan.rego.clone(),
            approval: plan.approval.clone(),
            previews: Vec::new(),
        }
    }

    /// The input of rules: the plan without what is not the same in each plan of the same changes, and the clock.
    #[must_use]
    pub fn input(&self, now: &Value) -> Value {
        let modules = self.modules.iter().map(|module| PlannedModule {
            changes: Vec::new(),
            execution: None,
            ..module.clone()
        });
        let mut input = json!(Self {
            modules: modules.collect(),
            policy: None,
            rego: None,
            approval: None,
            previews: Vec::new(),
            ..self.clone()
        });
        input["now"] = now.clone();
        input
    }
}

/// Whether a module is not just unchanged.
#[must_use]
pub fn has_changes(modules: &[PlannedModule]) -> bool {
    modules
        .iter()
        .any(|module| module.action != PlannedAction::Unchanged)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rules_get_what_every_plan_of_the_same_changes_has() {
        let plan: PlanJson = serde_json::from_value(json!({
            "deployment": {"project": "p", "deployment": "prod"}, "changes": true, "counts": {"deploy": 1}, "origin": {"commit": "c1"},
            "modules": [{"group": "g", "module": "m", "action": "deploy", "reasons": ["r"], "execution": "e",
                         "changes": [{"what": "parameter a", "new": "1"}]}],
            "policy": {"document": "d", "version": "v"}, "rego": {"document": "d", "version": "v", "warn": ["w"]},
            "previews": [{"group": "g", "module": "m", "state": "succeeded", "output": "o"}],
        }))
        .unwrap();
        assert_eq!(
            plan.input(&json!({"weekday": "Friday"})),
            json!({
                "scope": "deployment", "deployment": {"project": "p", "deployment": "prod"}, "changes": true, "counts": {"deploy": 1},
                "origin": {"commit": "c1"}, "modules": [{"group": "g", "module": "m", "action": "deploy", "reasons": ["r"]}],
                "now": {"weekday": "Friday"},
            })
        );
    }
}
