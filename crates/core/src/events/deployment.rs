//! The event of a whole deployment.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::chat::{ChatNotification, Happened, after_refusal};
use super::envelope::{Event, ReportAt, VERSION, is_sent_to_people, line, readable, seconds};
use crate::approval::ApprovalSummary;
use crate::deployment::status::DeploymentStatus;
use crate::formats::shell_word::quoted;
use crate::ids::DeploymentId;
use crate::ids::{AwsEnvironment, ExecutionArn};
use crate::module::commit_info::CommitInfo;
use crate::module::state::{State, word};
use crate::started_by::StartedBy;
use crate::storage_layout;

/// Maximum lengths in the message of the cause, of the error's name, and of the names of other failed modules.
const MAX_CAUSE: usize = 600;
const MAX_ERROR: usize = 200;
const MAX_OTHERS: usize = 400;

/// The detail of "Seedflow Deployment State Change".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeploymentStateChange {
    /// Version of these fields.
    pub version: String,
    /// Project and deployment.
    #[serde(flatten)]
    pub deployment: DeploymentId,
    /// The new state.
    pub state: State,
    /// Final state of the previous execution.
    pub previous_state: Option<State>,
    /// Whether the deployment has recovered: the previous state was a failure or a stop.
    pub recovered: bool,
    /// The execution that wrote the state.
    pub execution: ExecutionArn,
    /// The execution in the console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_url: Option<String>,
    /// Who started the execution, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<StartedBy>,
    /// When the state was written.
    pub at: Timestamp,
    /// When the execution began to deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Time from the start to the state, if the state is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Number of modules by final state, as far as the deployment got.
    pub modules: BTreeMap<String, usize>,
    /// The modules that failed, at most twenty.
    pub failed: Vec<String>,
    /// Name of the error, after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it failed: one sentence for people. Of a failed module it begins with `group/module: `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Reason of the failure, with those of all modules that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The commit that is or was deployed.
    #[serde(flatten)]
    pub commit_info: CommitInfo,
    /// The approval that the plan waits or waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalSummary>,
    /// The report of the execution, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportAt>,
    /// What a chat channel gets, if this is sent to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatNotification>,
    /// Summary in one line for people.
    pub message: String,
}

impl DeploymentStateChange {
    /// The event of a status that was written, or that would have been written if anything were left of the deployment.
    #[must_use]
    pub fn of(deployment: &DeploymentId, status: &DeploymentStatus, report: Option<ReportAt>) -> Self {
        let environment = AwsEnvironment::from_arn(status.execution.as_str());
        let page = environment
            .as_ref()
            .ok()
            .zip(report.as_ref())
            .and_then(|(environment, report)| {
                let key = storage_layout::page_key(&report.key)?;
                Some(environment.object_url(&report.bucket, &key))
            });
        let ended = status
            .started_at
            .filter(|_| status.state != State::InProgress)
            .map(|started| status.updated_at.duration_since(started));
        Self {
            version: VERSION.to_owned(),
            deployment: deployment.clone(),
            state: status.state,
            previous_state: status.previous_state,
            recovered: status.state.recovers(status.previous_state),
            execution: status.execution.clone(),
            execution_url: environment
                .ok()
                .map(|environment| environment.execution_url(&status.execution)),
            started_by: status.started_by.clone(),
            at: status.updated_at,
            started_at: status.started_at,
            duration_seconds: ended.map(seconds),
            modules: status.modules.clone(),
            failed: status.failed.clone(),
            error: status.why.error.clone(),
            cause: status.why.cause_or_reason().map(str::to_owned),
            reason: status.why.reason.clone(),
            commit_info: status.commit_info.clone(),
            approval: status.approval.clone(),
            report,
            chat: is_sent_to_people(status.state, status.previous_state)
                .then(|| happened(deployment, status, page.as_deref()).notification()),
            message: message(deployment, status, ended, page.as_deref()),
        }
    }
}

impl Event for DeploymentStateChange {
    const DETAIL_TYPE: &'static str = "Seedflow Deployment State Change";

    fn execution(&self) -> &ExecutionArn {
        &self.execution
    }

    fn at(&self) -> Timestamp {
        self.at
    }
}

fn message(
    deployment: &DeploymentId,
    status: &DeploymentStatus,
    took: Option<SignedDuration>,
    page: Option<&str>,
) -> String {
    let took = took
        .map(|took| format!(" in {}", readable(took)))
        .unwrap_or_default();
    let counts: Vec<String> = status
        .modules
        .iter()
        .map(|(state, count)| format!("{count} {}", word(state)))
        .collect();
    let counts = match counts.as_slice() {
        [] => String::new(),
        counts => format!(" ({})", counts.join(", ")),
    };
    let happened = match status.state {
        State::InProgress => "is being deployed".to_owned(),
        State::Succeeded => match &status.rollback {
            Some(rollback) => format!(
                "was rolled back to {}{took}{counts}",
                line(&rollback.to, MAX_ERROR)
            ),
            None if only_destroyed(&status.modules) => format!("had modules destroyed{took}{counts}"),
            None => format!("was deployed{took}{counts}"),
        },
        State::Unchanged => format!("is unchanged{counts}"),
        State::Destroyed => format!("was destroyed{took}{counts}"),
        State::Failed => format!("failed{took}{counts}: {}", trouble(status)),
        State::Aborted => format!("was stopped{took}: {}", trouble(status)),
        State::Refused => format!("was refused before anything ran: {}", trouble(status)),
        State::WaitingForApproval => waiting(status, page),
        State::Unknown => "is in a state that this version doesn't know".to_owned(),
    };
    let recovered = match status.previous_state {
        Some(before) if status.state.recovers(Some(before)) => {
            format!("; the deployment before {}", before.did())
        }
        _ => String::new(),
    };
    format!(
        "Deployment {} of project {} {happened}{recovered}",
        deployment.deployment, deployment.project
    )
}

/// Whether modules of a deployment that stays were destroyed, and none was deployed.
fn only_destroyed(modules: &BTreeMap<String, usize>) -> bool {
    let some = |state: State| modules.contains_key(state.as_str());
    some(State::Destroyed) && !some(State::Succeeded)
}

fn happened<'a>(deployment: &DeploymentId, status: &'a DeploymentStatus, page: Option<&str>) -> Happened<'a> {
    let DeploymentId { project, deployment } = deployment;
    let execution = quoted(status.execution.name());
    let report = format!("seedflow report {deployment} --project {project} --execution {execution}");
    let (what, commands) = match status.state {
        State::Failed => ("failed", vec![report, format!("seedflow retry {execution}")]),
        State::Aborted => ("was stopped", vec![report, format!("seedflow retry {execution}")]),
        State::Refused => (
            "was refused before anything ran",
            vec![after_refusal(status.why.error.as_deref(), report)],
        ),
        State::WaitingForApproval => {
            let command = status
                .approval
                .as_ref()
                .map(|approval| approval.request.command());
            ("waits for an approval", command.into_iter().collect())
        }
        _ => ("works again", Vec::new()),
    };
    let reasons = status
        .approval
        .as_ref()
        .filter(|_| status.state == State::WaitingForApproval);
    let reasons = reasons.map(|approval| approval.request.needed.reasons.join("\n"));
    let environment = AwsEnvironment::from_arn(status.execution.as_str()).ok();
    let url = environment.map(|environment| ("Execution", environment.execution_url(&status.execution)));
    Happened {
        of: format!("{project}/{deployment}"),
        what: what.to_owned(),
        cause: reasons.or_else(|| status.why.cause_or_reason().map(str::to_owned)),
        started_by: status.started_by.as_ref(),
        links: url
            .into_iter()
            .chain(page.map(|page| ("Page", page.to_owned())))
            .collect(),
        commands,
    }
}

/// What waits, why, until when, and how to approve it.
fn waiting(status: &DeploymentStatus, page: Option<&str>) -> String {
    let Some(approval) = &status.approval else {
        return "waits for an approval".to_owned();
    };
    let request = &approval.request;
    format!(
        "{} ({}). Look at the plan{}, then: {}",
        approval.line(),
        line(&request.needed.reasons.join("; "), MAX_CAUSE),
        page.map(|page| format!(" at {page}")).unwrap_or_default(),
        request.command()
    )
}

/// Why it failed, the error's name, and which other modules failed.
fn trouble(status: &DeploymentStatus) -> String {
    let error = status.why.error.as_deref().unwrap_or("no error is known");
    let cause = status.why.cause_or_reason();
    let cause = cause.unwrap_or("no cause is known");
    let others = match status.failed.get(1..).unwrap_or_default() {
        [] => String::new(),
        others => format!("; failed too: {}", others.join(", ")),
    };
    format!(
        "{} ({}){}",
        line(cause, MAX_CAUSE),
        line(error, MAX_ERROR),
        line(&others, MAX_OTHERS)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Name;
    use crate::module::explanation::Explained;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn event_of(status: &DeploymentStatus) -> DeploymentStateChange {
        let name = |text: &str| Name::parse("name", text).unwrap();
        let deployment = DeploymentId {
            project: name("x"),
            deployment: name("prod"),
        };
        DeploymentStateChange::of(&deployment, status, None)
    }

    fn status(state: State) -> DeploymentStatus {
        DeploymentStatus {
            started_at: Some(at(10)),
            modules: BTreeMap::from([("FAILED".to_owned(), 1), ("SUCCEEDED".to_owned(), 2)]),
            ..DeploymentStatus::new(
                state,
                &ExecutionArn::new("arn:aws-cn:states:cn-north-1:123456789012:execution:deploy:e"),
                at(75),
            )
        }
    }

    #[test]
    fn a_failure_names_what_failed() {
        let status = status(State::Failed)
            .failed("DeploymentFailed", "g/c failed: exit 1; g/d failed: exit 2")
            .with_cause(Some("g/c: The command `make`\nfailed with exit status 1"))
            .naming(&["g/c".to_owned(), "g/d".to_owned()]);
        let event = event_of(&status);
        assert_eq!(
            event.message,
            "Deployment prod of project x failed in 1 min 5 s (1 failed, 2 deployed): g/c: The command `make` failed with exit status 1 (DeploymentFailed); failed too: g/d"
        );
        assert_eq!(
            (event.failed, event.duration_seconds),
            (vec!["g/c".to_owned(), "g/d".to_owned()], Some(65.0))
        );
        let url = event.execution_url.unwrap();
        assert!(
            url.starts_with("https://cn-north-1.console.amazonaws.cn/states/"),
            "{url}"
        );
    }

    #[test]
    fn a_plan_that_waits_says_why_until_when_and_how_to_approve_it() {
        let execution = "arn:aws-cn:states:cn-north-1:123456789012:execution:deploy:e";
        let approval: ApprovalSummary = serde_json::from_value(serde_json::json!({
            "state": "WAITING", "project": "x", "deployment": "prod", "execution": execution, "plan": "c0ffeec0ffeec0ffee",
            "reasons": ["approval: changes: \"g/a\" to change"], "expires_after_seconds": 60,
            "requested_at": at(0), "expires_at": at(60),
        }))
        .unwrap();
        let status = DeploymentStatus::wait(None, approval, at(0));
        let name = |text: &str| Name::parse("name", text).unwrap();
        let deployment = DeploymentId {
            project: name("x"),
            deployment: name("prod"),
        };
        let report = ReportAt {
            bucket: "work".to_owned(),
            key: "reports/x/prod/e.json".to_owned(),
        };
        let event = DeploymentStateChange::of(&deployment, &status, Some(report));
        assert_eq!(
            event.message,
            "Deployment prod of project x waits for an approval until 1970-01-01T00:01:00Z (approval: changes: 'g/a' to change). Look at the plan at https://cn-north-1.console.amazonaws.cn/s3/object/work?region=cn-north-1&prefix=reports/x/prod/e.html, then: seedflow approve e --plan c0ffeec0ffee --reason TEXT"
        );
        assert!(event.duration_seconds.is_none() && event.approval.is_some());
    }

    #[test]
    fn a_recovery_is_reported_once() {
        let event = event_of(&DeploymentStatus {
            previous_state: Some(State::Aborted),
            ..status(State::Unchanged)
        });
        assert!(event.recovered && event.message.ends_with("; the deployment before was stopped"));
        assert!(!event_of(&status(State::Succeeded)).recovered);
        let begun = event_of(&status(State::InProgress));
        assert_eq!((begun.recovered, begun.duration_seconds), (false, None));
    }
}
