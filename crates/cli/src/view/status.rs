//! The table of `status`.

use jiff::Timestamp;
use seedflow_core::deployment::current::RECOVERED;
use seedflow_core::deployment::status::DeploymentStatus;
use seedflow_core::drift::record::DriftState;
use seedflow_core::module::explanation::Explanation;
use seedflow_core::module::status::State;

use super::moment::{ago, short};
use super::state::cell;
use super::table::Table;
use crate::records::project::{DeploymentRow, ModuleRow, ProjectState, since};

/// One row for each deployment and each module. `command` makes a command for the stack, of its arguments.
#[must_use]
pub fn table(state: &ProjectState, now: Timestamp, command: impl Fn(&[&str]) -> String) -> Table {
    let mut table = Table::new(["MODULE", "STATE", "SINCE", "COMMIT", "CAUSE"]);
    for row in &state.deployments {
        let status = &row.status;
        let (state, why) = match row.recovered {
            true => (cell(RECOVERED), recovered(row, now, &command)),
            false => (cell(status.state.as_str()), row_note(status, now, &command)),
        };
        table.row([
            row.deployment.as_str().into(),
            state,
            ago(status.updated_at, now).into(),
            short(status.commit_info.commit()).into(),
            why.into(),
        ]);
    }
    for row in &state.modules {
        let status = &row.status;
        table.row([
            format!("{}/{}/{}", row.deployment, status.group, status.module).into(),
            cell(status.state.as_str()),
            ago(since(status.state, status.updated_at, status.deployed_at), now).into(),
            short(status.commit_info.commit()).into(),
            module_note(row, now).into(),
        ]);
    }
    table
}

/// Why it failed or was refused, and in what it has drifted.
fn module_note(row: &ModuleRow, now: Timestamp) -> String {
    let cause = cause(row.status.state, &row.status.why, now);
    let drifted = row
        .drift
        .as_ref()
        .filter(|drift| drift.state == DriftState::Drifted);
    let drifted = drifted.map(|drift| format!("drifted {}: {}", ago(drift.since, now), drift.what));
    let notes = [Some(cause).filter(|cause| !cause.is_empty()), drifted];
    notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What waits for an approval and how to approve it, or why the deployment failed.
fn row_note(status: &DeploymentStatus, now: Timestamp, command: impl Fn(&[&str]) -> String) -> String {
    match &status.approval {
        Some(approval) if approval.waits() => {
            let request = &approval.request;
            let command = command(&request.needed.arguments(&request.execution));
            format!("a plan {}: {command}", approval.line())
        }
        _ => cause(status.state, &status.why, now),
    }
}

/// Why the last request was refused, or which modules have succeeded since the deployment failed.
fn recovered(row: &DeploymentRow, now: Timestamp, command: impl Fn(&[&str]) -> String) -> String {
    match &row.status.why.refused {
        Some(_) => row_note(&row.status, now, command),
        None => format!("succeeded since: {}", row.status.failed.join(", ")),
    }
}

/// Why it failed, by the first text that there is, or why its last request was refused.
fn cause(state: State, why: &Explanation, now: Timestamp) -> String {
    if let Some(refused) = &why.refused {
        return format!("refused {}: {}", ago(refused.at, now), refused.cause);
    }
    match state {
        State::Failed | State::Aborted | State::Refused => {
            why.cause_or_reason().unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::records::project::DriftOfRow;
    use seedflow_core::ids::Name;
    use serde_json::json;

    #[test]
    fn a_row_has_the_cause_of_a_failure_or_the_refusal() {
        let status = |module: &str, more: serde_json::Value| {
            let mut status = json!({"state": "SUCCEEDED", "updated_at": "2026-11-29T12:00:00Z", "group": "g",
                "module": module, "execution": "e", "commit": "0123456789abcdef"});
            for (field, value) in more.as_object().unwrap() {
                status[field] = value.clone();
            }
            (format!("/sf/p/dev/g-{module}/status"), status.to_string())
        };
        let failed = json!({"state": "FAILED", "reason": "exit status 1", "cause": "no space left"});
        let refused =
            json!({"refused": {"at": "2026-11-29T12:59:00Z", "execution": "e", "cause": "no such key"}});
        let old = json!({"state": "FAILED", "reason": "exit status 1"});
        let parameters = [
            status("a", failed),
            status("b", refused),
            status("c", old),
            status("d", json!({})),
        ];
        let mut state = ProjectState::of(&Name::parse("project", "p").unwrap(), parameters);
        state.modules[3].drift = Some(DriftOfRow {
            state: DriftState::Drifted,
            since: "2026-11-29T11:00:00Z".parse().unwrap(),
            checked_at: "2026-11-29T12:00:00Z".parse().unwrap(),
            what: "Queue: VisibilityTimeout".to_owned(),
        });
        let now: Timestamp = "2026-11-29T13:00:00Z".parse().unwrap();
        let lines = table(&state, now, |_| String::new()).lines(None, |_, text| text.to_owned());
        assert_eq!(
            lines,
            [
                "MODULE   STATE     SINCE    COMMIT    CAUSE",
                "dev/g/a  failed    1 h ago  01234567  no space left",
                "dev/g/b  deployed  1 h ago  01234567  refused 1 min ago: no such key",
                "dev/g/c  failed    1 h ago  01234567  exit status 1",
                "dev/g/d  deployed  1 h ago  01234567  drifted 2 h ago: Queue: VisibilityTimeout",
            ]
        );
    }

    #[test]
    fn a_plan_that_waits_has_the_command_for_the_stack_that_was_asked() {
        let status = json!({"state": "SUCCEEDED", "updated_at": "2026-11-29T12:00:00Z", "execution": "e",
            "approval": {"state": "WAITING", "project": "p", "deployment": "dev", "execution": "arn:aws:states:r:1:execution:d:it's mine",
                "plan": "c0ffeec0ffeec0ffee", "reasons": [], "expires_after_seconds": 60,
                "requested_at": "2026-11-29T12:00:00Z", "expires_at": "2026-11-29T14:00:00Z"}});
        let parameters = [("/sf/p/dev/status".to_owned(), status.to_string())];
        let state = ProjectState::of(&Name::parse("project", "p").unwrap(), parameters);
        let now: Timestamp = "2026-11-29T13:00:00Z".parse().unwrap();
        let command =
            |arguments: &[&str]| crate::shell::command(arguments.iter().copied().chain(["--local"]));
        let lines = table(&state, now, command).lines(None, |_, text| text.to_owned());
        let expected = r"seedflow approve 'it'\''s mine' --plan c0ffeec0ffee --reason TEXT --local";
        assert!(lines[1].ends_with(expected), "{}", lines[1]);
    }
}
