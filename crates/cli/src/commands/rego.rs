//! The rules in Rego of a deployment, for `policy`: parsed, tried and shown offline by the engine that the workflow has.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use seedflow_core::deployment::plan_json::PlanJson;
use seedflow_core::policy::rego::RuleResult;
use seedflow_rego::Rules;

/// Whether a file has rules, by its name; it is a document otherwise.
pub fn is_rego(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "rego")
}

/// The text of a file with rules that are valid.
pub fn rules(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(file, &text)?;
    Ok(text)
}

/// What is wrong with stored rules, if anything.
pub fn problem(name: &str, text: &str) -> Option<String> {
    Rules::parse(name, text).err()
}

fn parse(file: &Path, text: &str) -> Result<Rules> {
    let name = file.display().to_string();
    Rules::parse(&name, text).map_err(|problem| anyhow!("{name} is not valid:\n{problem}"))
}

/// What rules say of a saved plan.
pub fn result(file: &Path, plan: &PlanJson, now: Timestamp) -> Result<RuleResult> {
    let text = rules(file)?;
    let evaluated = parse(file, &text)?.evaluate(plan, now);
    let findings = evaluated.map_err(|why| {
        anyhow!(
            "{} can't be evaluated, so nothing would start: {why}",
            file.display()
        )
    })?;
    Ok(RuleResult::of(&plan.deployment, text.as_bytes(), findings))
}
