//! `plan`: what `apply` would do, and why.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use seedflow_core::approval::ApprovalNeeded;
use seedflow_core::deployment::plan::{PlannedAction, PlannedModule};
use seedflow_core::deployment::plan_json::{PlanJson, has_changes};
use seedflow_core::ids::ExecutionArn;
use seedflow_core::policy::Decision;
use seedflow_core::policy::rego::Verdict;
use seedflow_core::workflow::ending::{Described, ExecutionStatus};
use seedflow_terminal::{Tone, Ui};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cancel::CANCELED;
use super::reading::print_json_line;
use super::repository::{Purpose, RepositoryArguments};
use super::start::unique;
use crate::account::Account;
use crate::exit::{self, Refused, is_refusal};
use crate::view::report::line;
use crate::view::table::{Cell, Table};

/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Shows what would be deployed, destroyed or left as it is, and why, with old and new values. Changes nothing.
///
/// Ctrl-C stops the planning. Values that may be secret are not shown.
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    repository: RepositoryArguments,
    /// Prints JSON (docs/command-line.md).
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Prints a table in Markdown, for a comment in a pull request.
    #[arg(long)]
    markdown: bool,
    /// Ends with 3 if there are changes.
    #[arg(long)]
    detailed_exitcode: bool,
}

impl Plan {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let input = self.repository.input(Purpose::Plan, account, ui).await?;
        let Some(output) = planned(account, &input, ui).await? else {
            ui.complain("\nStopped planning; nothing was changed.");
            return Ok(ExitCode::from(exit::INTERRUPTED));
        };
        let planned = Planned::of(&output, account)?;
        if self.json {
            print_json_line(planned.json(output)?, ui);
        } else if self.markdown {
            ui.say(planned.markdown());
        } else {
            planned.show(ui);
        }
        Ok(self.code(&planned))
    }

    fn code(&self, planned: &Planned) -> ExitCode {
        if planned.is_refused() {
            return ExitCode::from(exit::REFUSED);
        }
        match self.detailed_exitcode && planned.has_changes() {
            true => ExitCode::from(exit::CHANGES_PENDING),
            false => ExitCode::SUCCESS,
        }
    }
}

/// Plans by an execution, and waits for its output. Ctrl-C stops the execution, which changes nothing; `None` then.
pub(super) async fn planned(account: &Account, input: &Value, ui: &Ui) -> Result<Option<Value>> {
    // From before the start on, so that no Ctrl-C leaves an execution behind.
    let interrupted = tokio::spawn(tokio::signal::ctrl_c());
    let execution = start(input, account).await?;
    let _live = ui.quiet_task("planning");
    let sfn = account.step_functions();
    let ended = async {
        loop {
            match sfn.describe(&execution).await? {
                Some(described) if described.status != ExecutionStatus::Running => return output(described),
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    };
    tokio::select! {
        output = ended => output.map(Some),
        interrupted = interrupted => {
            interrupted??;
            sfn.stop(&execution, CANCELED, "Ctrl-C in seedflow plan").await?;
            Ok(None)
        }
    }
}

/// Starts a plan, by the state machine that can't deploy: no more rights are needed. Returns the execution that plans.
async fn start(input: &Value, account: &Account) -> Result<ExecutionArn> {
    let sfn = account.step_functions();
    let asked = sfn.start(&account.plan_arn(), &unique(), input).await?;
    let plan = account.plan_execution(&asked);
    loop {
        let asked = sfn.describe(&asked).await?;
        if sfn.describe(&plan).await?.is_some() {
            return Ok(plan);
        }
        match asked.map(|asked| (asked.status, asked.error, asked.cause)) {
            None | Some((ExecutionStatus::Running | ExecutionStatus::Succeeded, ..)) => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Some((_, error, cause)) => bail!(
                "no plan was started: {}: {}",
                error.unwrap_or_default(),
                cause.unwrap_or_default()
            ),
        }
    }
}

fn output(described: Described) -> Result<Value> {
    let (error, cause) = (
        described.error.unwrap_or_default(),
        described.cause.unwrap_or_default(),
    );
    match described.status {
        ExecutionStatus::Succeeded => Ok(described.output),
        _ if is_refusal(&error) => Err(Refused(cause).into()),
        _ => bail!("{error}: {cause}"),
    }
}

fn name(deployment: &Value) -> String {
    let text = |field: &str| deployment[field].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text("project"), text("deployment"))
}

/// A plan as people see it.
pub(super) struct Planned {
    deployment: String,
    modules: Vec<PlannedModule>,
    policy: Option<Decision>,
    notes: Vec<String>,
    rego: Option<Verdict>,
    approval: Option<ApprovalNeeded>,
}

impl Planned {
    /// The plan in the output of an execution.
    pub(super) fn of(output: &Value, account: &Account) -> Result<Self> {
        let modules = match output.get("modules") {
            Some(modules) => serde_json::from_value(modules.clone())?,
            None => bail!(
                "the plan is too long to be shown; it is stored at s3://{}/{}, and --only shows parts of it",
                account.work_bucket,
                output["plan_key"].as_str().unwrap_or_default()
            ),
        };
        let notes = output.get("warnings").map(Vec::deserialize).transpose()?;
        Ok(Self {
            deployment: name(&output["deployment"]),
            modules,
            policy: output.get("policy").map(Decision::deserialize).transpose()?,
            rego: Option::<Verdict>::deserialize(output.get("rego").unwrap_or(&Value::Null))?,
            approval: output
                .get("approval")
                .map(ApprovalNeeded::deserialize)
                .transpose()?,
            notes: notes.unwrap_or_default(),
        })
    }

    /// Whether an execution with this plan would be refused.
    pub(super) fn is_refused(&self) -> bool {
        self.count(PlannedAction::Blocked) > 0 || !self.broken().is_empty()
    }

    /// What breaks the deployment's policy, and its rules.
    fn broken(&self) -> Vec<String> {
        let policy = self.policy.iter().flat_map(|policy| policy.broken.clone());
        policy.chain(self.rego.iter().flat_map(Verdict::broken)).collect()
    }

    /// What the rules warn of.
    fn warnings(&self) -> &[String] {
        self.rego.as_ref().map_or(&[], |verdict| &verdict.findings.warn)
    }

    pub(super) fn count(&self, action: PlannedAction) -> usize {
        self.modules
            .iter()
            .filter(|module| module.action == action)
            .count()
    }

    pub(super) fn has_changes(&self) -> bool {
        has_changes(&self.modules)
    }

    /// `3 to deploy, 1 to destroy, 12 unchanged`
    pub(super) fn summary(&self) -> String {
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

    pub(super) fn show(&self, ui: &Ui) {
        ui.say(ui.paint(Tone::Bold, &self.deployment));
        if self.changes().next().is_some() {
            table_of(&self.modules).show(ui);
        }
        for note in &self.notes {
            ui.say(format!("note: {note}"));
        }
        ui.say(self.summary());
        for warning in self.warnings() {
            ui.say(ui.paint(Tone::Bold, format!("warned by the policy: {warning}")));
        }
        for broken in self.broken() {
            ui.say(ui.paint(Tone::Bad, format!("refused by the policy: {broken}")));
        }
        for reason in self.waits_because() {
            ui.say(ui.paint(Tone::Bold, format!("waits for an approval: {reason}")));
        }
    }

    fn markdown(&self) -> String {
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
        for warning in self.warnings() {
            text.push_str(&format!("\nwarned by the policy: {}\n", escaped(warning)));
        }
        for broken in self.broken() {
            text.push_str(&format!("\nrefused by the policy: {}\n", escaped(&broken)));
        }
        for reason in self.waits_because() {
            text.push_str(&format!("\nwaits for an approval: {}\n", escaped(reason)));
        }
        text
    }

    fn json(&self, output: Value) -> Result<Value> {
        let plan: PlanJson = serde_json::from_value(output)?;
        Ok(json!(PlanJson {
            changes: self.has_changes(),
            ..plan
        }))
    }
}

/// The modules that are not only unchanged.
fn changes(modules: &[PlannedModule]) -> impl Iterator<Item = &PlannedModule> {
    let is_shown =
        |module: &&PlannedModule| module.action != PlannedAction::Unchanged || !module.unless.is_empty();
    modules.iter().filter(is_shown)
}

/// What would be done with which module, and why.
pub(super) fn table_of(modules: &[PlannedModule]) -> Table {
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
        PlannedAction::Unchanged => format!("unless {} publishes other values", module.unless.join(", ")),
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

    fn planned() -> Planned {
        let modules = json!([
            {"group": "network", "module": "vpc", "action": "deploy", "reasons": ["bundle changed", "parameter a|b changed"],
             "changes": [{"what": "parameter a|b", "old": "<1>", "new": "2"}, {"what": "parameter c", "new": "3"}]},
            {"group": "data", "module": "queue", "action": "unchanged", "reasons": ["unchanged since x"], "unless": ["network/vpc"]},
            {"group": "data", "module": "store", "action": "unchanged", "reasons": ["unchanged since x"]},
            {"group": "old", "module": "gone", "action": "destroy", "reasons": ["not in the manifest any more"]},
        ]);
        Planned {
            deployment: "p/dev".to_owned(),
            modules: serde_json::from_value(modules).unwrap(),
            policy: None,
            notes: Vec::new(),
            approval: None,
            rego: serde_json::from_value(json!({"document": "d", "version": "v", "warn": ["w|1"], "deny": ["d"], "require_approval": ["a"]})).unwrap(),
        }
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
    fn a_refused_plan_is_a_refusal() {
        let ended = |error: &str| Described {
            status: ExecutionStatus::Failed,
            input: Value::Null,
            output: Value::Null,
            started_at: None,
            stopped_at: None,
            error: Some(error.to_owned()),
            cause: Some("deployment.yaml:1: no".to_owned()),
        };
        let refused = output(ended("InvalidManifest")).unwrap_err();
        assert!(refused.is::<Refused>());
        assert!(!output(ended("Refused")).unwrap_err().is::<Refused>());
    }
}
