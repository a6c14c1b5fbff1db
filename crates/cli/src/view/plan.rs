//! A plan as people see it: a table with the reasons, in Markdown too, and what previews, policy and rules say of it.

use anyhow::{Result, bail};
use seedflow_core::approval::ApprovalNeeded;
use seedflow_core::deployment::plan::{PlannedAction, PlannedModule};
use seedflow_core::deployment::plan_json::{PlanJson, has_changes};
use seedflow_core::deployment::previews::{Preview, PreviewState, Shown, shown};
use seedflow_core::policy::Decision;
use seedflow_core::policy::rego::RuleResult;
use seedflow_terminal::{Tone, Ui};
use serde::Deserialize;
use serde_json::{Value, json};

use super::report::line;
use super::table::{Cell, Table};

fn name(deployment: &Value) -> String {
    let text = |field: &str| deployment[field].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text("project"), text("deployment"))
}

/// A plan as people see it.
pub struct PlanView {
    deployment: String,
    modules: Vec<PlannedModule>,
    policy: Option<Decision>,
    notes: Vec<String>,
    rego: Option<RuleResult>,
    approval: Option<ApprovalNeeded>,
    previews: Vec<Preview>,
}

impl PlanView {
    /// The plan in the output of an execution, with the bucket of plans that are too long for an output.
    pub fn of(output: &Value, bucket: &str) -> Result<Self> {
        let modules = match output.get("modules") {
            Some(modules) => serde_json::from_value(modules.clone())?,
            None => bail!(
                "the plan is too long to be shown; it is stored at s3://{}/{}. Name a part of the deployment instead: a group or a module",
                bucket,
                output["plan_key"].as_str().unwrap_or_default()
            ),
        };
        let notes = output.get("warnings").map(Vec::deserialize).transpose()?;
        Ok(Self {
            deployment: name(&output["deployment"]),
            modules,
            policy: output.get("policy").map(Decision::deserialize).transpose()?,
            rego: Option::<RuleResult>::deserialize(output.get("rego").unwrap_or(&Value::Null))?,
            approval: output
                .get("approval")
                .map(ApprovalNeeded::deserialize)
                .transpose()?,
            notes: notes.unwrap_or_default(),
            previews: Vec::<Preview>::deserialize(output.get("previews").unwrap_or(&json!([])))?,
        })
    }

    /// Whether an execution with this plan would be refused.
    pub fn is_refused(&self) -> bool {
        !self.refusals().is_empty()
    }

    /// Why an execution with this plan would be refused: modules that are blocked, and the policy.
    pub fn refusals(&self) -> Vec<String> {
        let blocked = self.with(PlannedAction::Blocked);
        let blocked = blocked.map(|module| format!("{}: {}", module.module, module.reasons.join("; ")));
        let broken = self.broken().into_iter();
        blocked
            .chain(broken.map(|broken| format!("refused by the policy: {broken}")))
            .collect()
    }

    /// What people should know of a plan that is not refused: what the rules warn of, and what it would wait for.
    pub fn remarks(&self) -> Vec<String> {
        let warned = self.warnings().iter();
        let warned = warned.map(|warning| format!("warned by the policy: {warning}"));
        let waits = self.waits_because().iter();
        warned
            .chain(waits.map(|reason| format!("waits for an approval: {reason}")))
            .collect()
    }

    /// The modules with which this is done.
    pub fn with(&self, action: PlannedAction) -> impl Iterator<Item = &PlannedModule> {
        self.modules.iter().filter(move |module| module.action == action)
    }

    /// What breaks the deployment's policy, and its rules.
    fn broken(&self) -> Vec<String> {
        let policy = self.policy.iter().flat_map(|policy| policy.broken.clone());
        policy
            .chain(self.rego.iter().flat_map(RuleResult::broken))
            .collect()
    }

    /// What the rules warn of.
    fn warnings(&self) -> &[String] {
        self.rego.as_ref().map_or(&[], |result| &result.findings.warn)
    }

    /// The number of modules with which this is done.
    pub fn count(&self, action: PlannedAction) -> usize {
        self.with(action).count()
    }

    /// Whether a module is not just unchanged.
    pub fn has_changes(&self) -> bool {
        has_changes(&self.modules)
    }

    /// `3 to deploy, 1 to destroy, 12 unchanged`
    pub fn summary(&self) -> String {
        let counts = [
            (PlannedAction::Deploy, "to deploy"),
            (PlannedAction::Destroy, "to destroy"),
            (PlannedAction::Blocked, "blocked"),
            (PlannedAction::Unchanged, "unchanged"),
        ];
        let counts = counts.map(|(action, words)| (self.count(action), words));
        let named: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, words)| format!("{count} {words}"))
            .collect();
        match named.is_empty() {
            true => "no modules".to_owned(),
            false => named.join(", "),
        }
    }

    /// Why the plan would wait for an approval.
    fn waits_because(&self) -> &[String] {
        self.approval.as_ref().map_or(&[], |approval| &approval.reasons)
    }

    /// The modules that are not only unchanged.
    fn changes(&self) -> impl Iterator<Item = &PlannedModule> {
        changes(&self.modules)
    }

    /// Shows the plan.
    pub fn show(&self, ui: &Ui) {
        ui.say(ui.paint(Tone::Bold, &self.deployment));
        if self.changes().next().is_some() {
            table_of(&self.modules).show(ui);
        }
        show_previews(&self.previews, ui);
        for note in &self.notes {
            ui.say(format!("note: {note}"));
        }
        ui.say(self.summary());
        for broken in self.broken() {
            ui.say(ui.paint(Tone::Bad, format!("refused by the policy: {broken}")));
        }
        for remark in self.remarks() {
            ui.say(ui.paint(Tone::Bold, remark));
        }
    }

    /// The plan in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("### {}: {}\n", self.deployment, self.summary());
        if self.changes().next().is_some() {
            text.push_str("\n| | module | why |\n|---|---|---|\n");
        }
        for module in self.changes() {
            let changes = module.changes.iter();
            let changes = changes.map(|one| line(&one.what, one.old.as_deref(), one.new.as_deref()));
            let lines: Vec<String> = [why(module)].into_iter().chain(changes).collect();
            let lines: Vec<String> = lines.iter().map(|line| escaped(line)).collect();
            let why = lines.join("<br>");
            text.push_str(&format!("| {} | `{}` | {why} |\n", word(module).0, module.module));
        }
        for preview in shown(&self.previews) {
            text.push_str(&preview_in_markdown(preview));
        }
        for note in &self.notes {
            text.push_str(&format!("\nnote: {}\n", escaped(note)));
        }
        for broken in self.broken() {
            text.push_str(&format!("\nrefused by the policy: {}\n", escaped(&broken)));
        }
        for remark in self.remarks() {
            text.push_str(&format!("\n{}\n", escaped(&remark)));
        }
        text
    }

    /// The output as JSON.
    pub fn json(&self, output: Value) -> Result<Value> {
        let plan: PlanJson = serde_json::from_value(output)?;
        Ok(json!(PlanJson {
            changes: self.has_changes(),
            ..plan
        }))
    }
}

/// What the previews of modules show.
pub fn show_previews(previews: &[Preview], ui: &Ui) {
    for preview in shown(previews) {
        let tone = match preview.state {
            PreviewState::Succeeded => Tone::Good,
            PreviewState::Failed => Tone::Bad,
            PreviewState::NotRun => Tone::Quiet,
        };
        ui.say(ui.paint(tone, &preview.line));
        for line in preview.output.lines() {
            ui.say(format!("  {line}"));
        }
    }
}

/// A preview with its output folded. What a module prints is text: a line of code for each of its own.
fn preview_in_markdown(preview: Shown<'_>) -> String {
    let heading = escaped(&preview.line);
    if preview.output.is_empty() {
        return format!("\n{heading}\n");
    }
    // An indented block ends with the first line that isn't indented, and no line of the output is that.
    let lines: Vec<String> = preview.output.lines().map(|line| format!("    {line}")).collect();
    format!(
        "\n{heading}\n\n<details><summary>output</summary>\n\n{}\n\n</details>\n",
        lines.join("\n")
    )
}

/// The modules that are not only unchanged.
fn changes(modules: &[PlannedModule]) -> impl Iterator<Item = &PlannedModule> {
    let is_shown = |module: &&PlannedModule| {
        module.action != PlannedAction::Unchanged || !module.redeploy_if_changed.is_empty()
    };
    modules.iter().filter(is_shown)
}

/// What would be done with which module, and why.
pub fn table_of(modules: &[PlannedModule]) -> Table {
    let mut table = Table::new(["", "MODULE", "WHY"]);
    for module in changes(modules) {
        let (word, tone) = word(module);
        table.row([
            Cell::toned(word, tone),
            module.module.to_string().into(),
            why(module).into(),
        ]);
        for changed in &module.changes {
            table.note(line(
                &changed.what,
                changed.old.as_deref(),
                changed.new.as_deref(),
            ));
        }
    }
    table
}

fn word(module: &PlannedModule) -> (&'static str, Option<Tone>) {
    match module.action {
        PlannedAction::Deploy => ("deploy", Some(Tone::Good)),
        PlannedAction::Destroy => ("destroy", Some(Tone::Bad)),
        PlannedAction::Blocked => ("blocked", Some(Tone::Bad)),
        PlannedAction::Unchanged => ("unchanged", Some(Tone::Quiet)),
    }
}

fn why(module: &PlannedModule) -> String {
    match module.action {
        PlannedAction::Unchanged => format!(
            "unless {} publishes other values",
            module.redeploy_if_changed.join(", ")
        ),
        _ => module.reasons.join("; "),
    }
}

/// A text within a cell of a table in Markdown: no text of a repository ends the cell or becomes markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '@' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn planned() -> PlanView {
        let modules = json!([
            {"group": "network", "module": "vpc", "action": "deploy", "reasons": ["bundle changed", "parameter a|b changed"],
             "changes": [{"what": "parameter a|b", "old": "<1>", "new": "2"}, {"what": "parameter c", "new": "3"}]},
            {"group": "data", "module": "queue", "action": "unchanged", "reasons": ["unchanged since x"], "unless": ["network/vpc"]},
            {"group": "data", "module": "store", "action": "unchanged", "reasons": ["unchanged since x"]},
            {"group": "old", "module": "gone", "action": "destroy", "reasons": ["not in the manifest any more"]},
        ]);
        let rules = json!({"document": "d", "version": "v", "warn": ["w|1"], "deny": ["d"], "require_approval": ["a"]});
        let output =
            json!({"deployment": {"project": "p", "deployment": "dev"}, "modules": modules, "rego": rules});
        PlanView::of(&output, "work").unwrap()
    }

    #[test]
    fn what_rules_say_is_shown() {
        let text = planned().markdown();
        for part in [
            "\nwarned by the policy: w\\|1\n",
            "\nrefused by the policy: deny: d\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_plan_counts_and_shows_what_is_not_unchanged() {
        let planned = planned();
        assert_eq!(planned.summary(), "1 to deploy, 1 to destroy, 2 unchanged");
        assert!(planned.has_changes());
        let text = planned.markdown();
        assert!(
            text.contains(
                "| deploy | `network/vpc` | bundle changed; parameter a\\|b changed<br>~ parameter a\\|b: &lt;1> -> 2<br>+ parameter c: 3 |"
            ),
            "{text}"
        );
        assert!(
            text.contains("| unchanged | `data/queue` | unless network/vpc publishes other values |"),
            "{text}"
        );
        assert!(!text.contains("data/store"), "{text}");
    }

    #[test]
    fn what_a_module_prints_is_text_in_markdown() {
        let output = json!({
            "deployment": {"project": "p", "deployment": "dev"}, "modules": [],
            "previews": [
                {"group": "g", "module": "m", "state": "failed", "reason": "exit *1*", "output": "</details>\n```\n# x"},
                {"group": "g", "module": "n", "state": "not_run", "reason": "r"},
            ],
        });
        let text = PlanView::of(&output, "work").unwrap().markdown();
        let expected = "\ng/m: preview failed: exit \\*1\\*\n\n<details><summary>output</summary>\n\n    </details>\n    ```\n    # x\n\n</details>\n\ng/n: preview not run: r\n";
        assert!(text.ends_with(expected), "{text}");
    }
}
