//! The report of a deployment's execution: its status, its plan, and the result of each module.
//!
//! It is written twice: at the start, without results, so that a page can show the work in progress; and at the end.

use serde_json::{Value, json};

use super::outcome::ModuleResult;
use super::plan::Plan;
use super::status::Status;

/// The report; `results` is empty until the end, and where the execution was ended from outside.
#[must_use]
pub fn report(plan: &Plan, status: &Status, results: &[ModuleResult]) -> Value {
    json!({
        "deployment": plan.deployment, "execution": status.execution, "written_at": status.updated_at,
        "status": status, "plan": plan.modules, "sources": plan.sources, "warnings": plan.warnings,
        "results": results,
    })
}
