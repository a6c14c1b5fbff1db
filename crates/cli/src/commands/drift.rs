//! `drift`: which modules differ from what was deployed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use seedflow_core::drift::record::{DriftRecord, DriftState};
use seedflow_core::ids::{ExecutionArn, ModuleId, Name};
use seedflow_core::workflow::ending::ExecutionStatus;
use seedflow_terminal::{Tone, Ui};
use serde_json::{Value, json};

use super::reading::{OfProject, parse_target, print_json};
use super::start::unique;
use crate::account::Account;
use crate::exit;
use crate::records::drift::DriftRecords;
use crate::records::project::{self, ProjectState};
use crate::records::target::Target;
use crate::view::drift::{Row, details, phases, table};

/// The pause between two looks at the execution.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Shows the modules that have drifted: their stacks differ from what was deployed.
///
/// Without --now it shows what the last check found. Nothing is changed in either case (docs/drift.md).
#[derive(Debug, Args)]
pub struct Drift {
    /// Only this deployment, group or module. For a module it shows every difference.
    #[arg(value_name = "DEPLOYMENT[/GROUP[/MODULE]]", value_parser = parse_target)]
    target: Option<Target>,
    #[command(flatten)]
    project: OfProject,
    /// Checks the modules now, and waits for the result.
    #[arg(long)]
    now: bool,
    /// Exits with 3 if a module has drifted.
    #[arg(long)]
    detailed_exitcode: bool,
    /// Prints JSON: the records as they are stored.
    #[arg(long)]
    json: bool,
}

impl Drift {
    /// Runs the command.
    pub async fn run(self, account: &Account, ui: &Ui) -> Result<ExitCode> {
        let (project, target) = self.project.whole_or(account, self.target.as_ref()).await?;
        let execution = match self.now {
            true => Some(check(account, &input(&project, target.as_ref()), ui).await?),
            false => None,
        };
        let state = project::read(&account.parameters(), &account.bucket(), &project).await?;
        let state = state.selected(target.as_ref(), false);
        let mut records = DriftRecords::default();
        records.refresh(&account.bucket(), &project).await?;
        let found = found(&state, &records);
        self.show(&project, &found, execution.as_ref(), ui)?;
        let has_drifted = found.iter().any(|(_, record)| is_drifted(*record));
        Ok(match self.detailed_exitcode && has_drifted {
            true => ExitCode::from(exit::CHANGES_PENDING),
            false => ExitCode::SUCCESS,
        })
    }

    fn show(
        &self,
        project: &Name,
        found: &[(ModuleId, Option<&DriftRecord>)],
        execution: Option<&ExecutionArn>,
        ui: &Ui,
    ) -> Result<()> {
        let records: Vec<&DriftRecord> = found.iter().filter_map(|(_, record)| *record).collect();
        if self.json {
            return print_json(
                json!({"project": project, "execution": execution, "modules": records}),
                ui,
            );
        }
        let rows: Vec<Row<'_>> = found
            .iter()
            .map(|(id, record)| (format!("{}/{}/{}", id.deployment, id.group, id.module), *record))
            .collect();
        ui.say(ui.paint(Tone::Quiet, format!("project {project}")));
        table(&rows, Timestamp::now()).show(ui);
        if let [record] = records.as_slice()
            && self.target.as_ref().is_some_and(|target| target.group.is_some())
        {
            if record.stacks.iter().any(|stack| !stack.resources.is_empty()) {
                details(record).show(ui);
            }
            for line in phases(record) {
                ui.say(line);
            }
        }
        if let Some(left_out) = left_out(found, execution) {
            ui.say(left_out);
        }
        Ok(())
    }
}

fn is_drifted(record: Option<&DriftRecord>) -> bool {
    record.is_some_and(|record| record.known.state == DriftState::Drifted)
}

/// The modules that are deployed, with what was found since they were.
fn found<'a>(state: &ProjectState, records: &'a DriftRecords) -> Vec<(ModuleId, Option<&'a DriftRecord>)> {
    let modules = state.modules.iter().filter_map(|row| {
        let deployed_at = row.status.deployed_at?;
        let (project, deployment) = (state.project.as_str(), row.deployment.as_str());
        let id = ModuleId::parse(project, deployment, &row.status.group, &row.status.module).ok()?;
        let record = records
            .of(&id)
            .filter(|record| record.is_current(Some(deployed_at)));
        Some((id, record))
    });
    modules.collect()
}

/// Which modules the check has left out.
fn left_out(found: &[(ModuleId, Option<&DriftRecord>)], execution: Option<&ExecutionArn>) -> Option<String> {
    let execution = execution?;
    let is_checked =
        |record: &Option<&DriftRecord>| record.is_some_and(|record| record.execution == *execution);
    let left: Vec<String> = found
        .iter()
        .filter(|(_, record)| !is_checked(record))
        .map(|(id, _)| format!("{}/{}/{}", id.deployment, id.group, id.module))
        .collect();
    (!left.is_empty()).then(|| {
        format!(
            "Not checked, because it is being deployed or was deployed meanwhile: {}",
            left.join(", ")
        )
    })
}

fn input(project: &Name, target: Option<&Target>) -> Value {
    let mut input = json!({"project": project});
    if let Some(target) = target {
        input["deployment"] = json!(target.deployment);
        for (field, name) in [("group", &target.group), ("module", &target.module)] {
            if let Some(name) = name {
                input[field] = json!(name);
            }
        }
    }
    input
}

/// Starts a check, and waits for its end. Ctrl-C leaves it running: it changes nothing.
async fn check(account: &Account, input: &Value, ui: &Ui) -> Result<ExecutionArn> {
    let sfn = account.step_functions();
    let name = format!("drift-{}", unique());
    let execution = sfn.start(&account.drift_arn(), &name, input).await?;
    let _live = ui.quiet_task("checking for drift");
    loop {
        let ended = sfn.describe(&execution).await?;
        match ended.filter(|described| described.status != ExecutionStatus::Running) {
            None => tokio::time::sleep(LOOK_AGAIN).await,
            Some(described) if described.status == ExecutionStatus::Succeeded => return Ok(execution),
            Some(described) => bail!(
                "not all modules were checked: {}: {}",
                described.error.unwrap_or_default(),
                described.cause.unwrap_or_default()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_checked_is_what_was_named() {
        let project = ModuleId::project("p").unwrap();
        let target: Target = "dev/network".parse().unwrap();
        assert_eq!(input(&project, None), json!({"project": "p"}));
        assert_eq!(
            input(&project, Some(&target)),
            json!({"project": "p", "deployment": "dev", "group": "network"})
        );
    }

    #[test]
    fn a_module_that_was_not_checked_is_named_after_a_check() {
        let id = ModuleId::parse("p", "dev", "g", "m").unwrap();
        let execution = ExecutionArn::new("e");
        assert_eq!(left_out(&[(id.clone(), None)], None), None);
        let left = left_out(&[(id, None)], Some(&execution)).unwrap();
        assert!(left.ends_with(": dev/g/m"), "{left}");
    }
}
