//! The report of a deployment's execution: its status, its plan, and the result of each module.
//!
//! It is written at the start, without results, so that a page can show the work in progress, and again at the end.

use serde_json::{Value, json};

use super::outcome::ModuleResult;
use super::plan::{Plan, PlannedModule};
use super::previews::Preview;
use super::status::DeploymentStatus;

/// The report; `results` is empty until the end, and where the execution was ended from outside. `previews` are those that an
/// approver saw.
#[must_use]
pub fn report(
    plan: &Plan,
    status: &DeploymentStatus,
    results: &[ModuleResult],
    previews: &[Preview],
) -> Value {
    json!({
        "deployment": plan.deployment, "execution": status.execution, "written_at": status.updated_at,
        "status": status, "plan": modules(plan), "sources": plan.sources, "warnings": warnings(plan),
        "previews": previews, "results": results,
    })
}

/// The planner's warnings, and those of the deployment's rules.
fn warnings(plan: &Plan) -> Vec<String> {
    let rules = plan.rego.iter().flat_map(|verdict| &verdict.findings.warn);
    let rules = rules.map(|warning| format!("policy: {warning}"));
    plan.warnings.iter().cloned().chain(rules).collect()
}

/// The modules without their definitions: those are for who decides on the plan.
fn modules(plan: &Plan) -> Vec<PlannedModule> {
    let modules = plan.modules.iter().map(|module| PlannedModule {
        definition: None,
        ..module.clone()
    });
    modules.collect()
}
