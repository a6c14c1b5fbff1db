//! The event of a module.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::chat::{ChatNotification, Happened, after_refusal};
use super::envelope::{Event, ReportAt, VERSION, is_sent_to_people, line, readable, seconds};
use crate::console::LogUrl;
use crate::error::excerpt;
use crate::formats::shell_word::quoted;
use crate::ids::{AwsEnvironment, BuildId, ExecutionArn, ModuleId};
use crate::module::commit_info::CommitInfo;
use crate::module::destroy;
use crate::module::former_names::FormerNames;
use crate::module::status::{State, Status};
use crate::module::timeline::Timeline;
use crate::started_by::StartedBy;
use crate::target::Target;

/// Maximum number of reasons in an event, and maximum length of each.
const MAX_REASONS: usize = 20;
const MAX_REASON: usize = 300;
/// Maximum length of the cause, and of the reasons, in the message.
const MAX_CAUSE: usize = 400;

/// The detail of "Seedflow Module State Change".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleStateChange {
    /// Version of these fields.
    pub version: String,
    /// Project, deployment, group and module.
    #[serde(flatten)]
    pub module: ModuleId,
    /// The new state.
    pub state: State,
    /// Final state of the previous execution.
    pub previous_state: Option<State>,
    /// Whether the module has recovered: the previous state was a failure or a stop.
    pub recovered: bool,
    /// The execution that wrote the state.
    pub execution: ExecutionArn,
    /// The execution in the console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_url: Option<String>,
    /// The execution of the whole deployment that started this one, if any. It publishes an event of its own end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<ExecutionArn>,
    /// Where the module is; absent at home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The names that the module had before it was renamed; absent if it never was.
    #[serde(default, skip_serializing_if = "FormerNames::is_empty")]
    pub former_names: FormerNames,
    /// Who started the execution, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<StartedBy>,
    /// When the state was written.
    pub at: Timestamp,
    /// When the execution was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Time from the start to the state, if the state is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// The build of the execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<BuildId>,
    /// The build in the console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_url: Option<String>,
    /// The build's log in the console.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "LogUrl::lenient"
    )]
    pub log_url: Option<LogUrl>,
    /// Duration of the build, including its preparation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_seconds: Option<f64>,
    /// Why the module is deployed, or that nothing changed.
    pub reasons: Vec<String>,
    /// Name of the error, after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The phase of the build that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Why it failed: one sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Reason of the failure, as it was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The commit that is or was deployed.
    #[serde(flatten)]
    pub commit_info: CommitInfo,
    /// The report of the execution, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportAt>,
    /// What a chat channel gets, if this is sent to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatNotification>,
    /// Summary in one line for people.
    pub message: String,
}

impl ModuleStateChange {
    /// The event of a status. `part_of` is the whole deployment's execution; `work_bucket` holds the report.
    #[must_use]
    pub fn of(
        module: &ModuleId,
        status: &Status,
        timeline: &Timeline,
        part_of: Option<&ExecutionArn>,
        work_bucket: &str,
    ) -> Self {
        // A status that was only touched still names the build of the last success.
        let own = status.state != State::Unchanged;
        let build_id = status.build_id.clone().filter(|_| own);
        let environment = AwsEnvironment::from_arn(status.execution.as_str()).ok();
        let reasons = status.reasons.iter().take(MAX_REASONS);
        let ended = timeline.total().filter(|_| status.state != State::InProgress);
        Self {
            version: VERSION.to_owned(),
            module: module.clone(),
            state: status.state,
            previous_state: status.previous_state,
            recovered: status.state.recovers(status.previous_state),
            execution: status.execution.clone(),
            part_of: part_of.cloned(),
            target: status.target.clone(),
            former_names: status.former_names.clone(),
            execution_url: environment
                .as_ref()
                .map(|environment| environment.execution_url(&status.execution)),
            started_by: status.started_by.clone(),
            at: status.updated_at,
            started_at: timeline.execution_started_at,
            duration_seconds: ended.map(seconds),
            build_url: environment
                .zip(build_id.as_ref())
                .map(|(environment, build)| environment.build_url(build)),
            build_id,
            log_url: status.log_url.clone().filter(|_| own),
            build_seconds: timeline.build().map(seconds),
            reasons: reasons.map(|reason| excerpt(reason, MAX_REASON)).collect(),
            error: status.why.error.clone(),
            phase: status.why.phase.clone(),
            cause: status.why.cause_or_reason().map(str::to_owned),
            reason: status.why.reason.clone(),
            commit_info: status.commit_info.clone(),
            report: is_reported(status.state).then(|| ReportAt {
                bucket: work_bucket.to_owned(),
                key: module.report_key(&status.execution),
            }),
            chat: (part_of.is_none() && is_sent_to_people(status.state, status.previous_state))
                .then(|| happened(module, status).notification()),
            message: message(module, status, ended),
        }
    }
}

impl Event for ModuleStateChange {
    const DETAIL_TYPE: &'static str = "Seedflow Module State Change";

    fn execution(&self) -> &ExecutionArn {
        &self.execution
    }

    fn at(&self) -> Timestamp {
        self.at
    }
}

/// Whether an execution that leaves this state has written a report before.
const fn is_reported(state: State) -> bool {
    !matches!(state, State::InProgress | State::Unchanged)
}

fn message(module: &ModuleId, status: &Status, took: Option<SignedDuration>) -> String {
    let took = took
        .map(|took| format!(" in {}", readable(took)))
        .unwrap_or_default();
    let why = match status.reasons.as_slice() {
        [] => String::new(),
        reasons => format!(" ({})", line(&reasons.join(", "), MAX_REASON)),
    };
    let happened = match status.state {
        State::InProgress if status.reasons == [destroy::REASON] => "is being destroyed".to_owned(),
        State::InProgress => format!("is being deployed{why}"),
        State::Succeeded => format!("was deployed{took}{why}"),
        State::Unchanged => "is unchanged".to_owned(),
        State::Destroyed => format!("was destroyed{took}"),
        State::Failed => format!("failed{took}: {}", trouble(status)),
        State::Aborted => format!("was stopped{took}: {}", trouble(status)),
        State::Refused => format!("was refused before anything ran: {}", trouble(status)),
        State::WaitingForApproval => "waits for an approval".to_owned(),
        State::Unknown => "is in a state that this version doesn't know".to_owned(),
    };
    let recovered = match status.previous_state {
        Some(before) if status.state.recovers(Some(before)) => {
            format!("; the deployment before {}", before.did())
        }
        _ => String::new(),
    };
    format!(
        "{}/{}/{} in project {} {happened}{recovered}",
        module.deployment, module.group, module.module, module.project
    )
}

fn happened<'a>(module: &ModuleId, status: &'a Status) -> Happened<'a> {
    let name = format!("{}/{}/{}", module.deployment, module.group, module.module);
    let execution = quoted(status.execution.name());
    let of = |command: &str| {
        format!(
            "seedflow {command} {name} --project {} --execution {execution}",
            module.project
        )
    };
    let url = AwsEnvironment::from_arn(status.execution.as_str()).ok();
    let log = status
        .log_url
        .as_ref()
        .map(|url| ("Log", url.as_str().to_owned()));
    let (what, commands) = match status.state {
        State::Failed => ("failed", vec![of("logs"), format!("seedflow retry {execution}")]),
        State::Aborted => (
            "was stopped",
            vec![of("report"), format!("seedflow retry {execution}")],
        ),
        State::Refused => (
            "was refused before anything ran",
            vec![after_refusal(status.why.error.as_deref(), of("report"))],
        ),
        _ => ("works again", Vec::new()),
    };
    Happened {
        of: format!("{}/{name}", module.project),
        what: what.to_owned(),
        cause: status.why.cause_or_reason().map(str::to_owned),
        started_by: status.started_by.as_ref(),
        links: url
            .map(|environment| ("Execution", environment.execution_url(&status.execution)))
            .into_iter()
            .chain(log.filter(|_| status.state == State::Failed))
            .collect(),
        commands,
    }
}

/// Why it failed, the error's name, and where to look.
fn trouble(status: &Status) -> String {
    let error = status.why.error.as_deref().unwrap_or("no error is known");
    let phase = status.why.phase.as_ref().map(|phase| format!(" in {phase}"));
    let cause = status.why.cause_or_reason();
    let said = format!(
        "{} ({})",
        line(cause.unwrap_or("no cause is known"), MAX_CAUSE),
        line(&format!("{error}{}", phase.unwrap_or_default()), MAX_REASON),
    );
    match &status.log_url {
        Some(url) => format!("{said}; log: {url}"),
        None => said,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::BuildFolder;
    use crate::module::status::Failure;
    use crate::workflow::build_outcome::{BuildOutcome, BuildStatus};
    use crate::workflow::lock::Lease;

    const LOG: &str =
        "https://console.aws.amazon.com/cloudwatch/home?region=eu-central-1#logEvent:group=g;stream=1";

    fn module() -> ModuleId {
        ModuleId::parse("x", "prod", "network", "vpc").unwrap()
    }

    fn execution(name: &str) -> ExecutionArn {
        ExecutionArn::new(format!(
            "arn:aws:states:eu-central-1:123456789012:execution:deploy-module:{name}"
        ))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn build(status: BuildStatus) -> BuildOutcome {
        BuildOutcome {
            failed_phase: (status == BuildStatus::Failed).then(|| "BUILD".to_owned()),
            log_url: LogUrl::parse(LOG),
            started_at: Some(at(40)),
            ended_at: Some(at(82)),
            ..BuildOutcome::ended(BuildId::parse("p:u").unwrap(), status)
        }
    }

    fn failed(reason: &str, before: Option<&Status>) -> Status {
        let failure = Failure {
            error: "BuildFailed".into(),
            reason: reason.into(),
            build_id: Some(BuildId::parse("p:u").unwrap()),
            outcome: Some(build(BuildStatus::Failed)),
            commit_info: CommitInfo::default(),
        };
        Status::fail(before, &module(), &execution("e1"), &failure, at(230))
    }

    fn started(before: Option<&Status>, name: &str) -> Status {
        let reasons = ["bundle changed".to_owned()];
        Status::start(before, &module(), &execution(name), &reasons, at(30))
    }

    fn event_of(status: &Status, build: Option<&BuildOutcome>) -> ModuleStateChange {
        let lock = Lease {
            of: module(),
            fence: 1,
            run: BuildFolder::parse("0f8fad5bd9cb469fa16570867728950e").unwrap(),
            started_at: Some(at(30)),
            acquired_at: None,
            part_of: None,
            started_by: None,
        };
        ModuleStateChange::of(
            &module(),
            status,
            &Timeline::new(&lock, status, build),
            None,
            "work",
        )
    }

    #[test]
    fn the_message_of_a_failure_is_one_line_with_where_to_look() {
        let status = failed("exit \"1\"\n".repeat(200).as_str(), Some(&started(None, "e1")));
        let event = event_of(&status, Some(&build(BuildStatus::Failed)));
        let start = "prod/network/vpc in project x failed in 3 min 20 s: Exit '1' exit '1'";
        assert!(event.message.starts_with(start), "{}", event.message);
        assert!(
            event
                .message
                .ends_with(&format!("… (BuildFailed in BUILD); log: {LOG}"))
        );
        assert!(event.message.chars().count() < 700, "{}", event.message);
        assert_eq!(
            (event.duration_seconds, event.build_seconds),
            (Some(200.0), Some(42.0))
        );
        assert_eq!(event.report.unwrap().key, "reports/x/prod/network/vpc/e1.json");
        assert_eq!(
            event.build_url.unwrap(),
            "https://eu-central-1.console.aws.amazon.com/codesuite/codebuild/123456789012/projects/p/build/p%3Au/?region=eu-central-1"
        );
        assert_eq!(
            event.execution_url.unwrap(),
            "https://eu-central-1.console.aws.amazon.com/states/home?region=eu-central-1#/v2/executions/details/arn:aws:states:eu-central-1:123456789012:execution:deploy-module:e1"
        );
    }

    #[test]
    fn a_link_out_of_the_console_is_not_sent_on() {
        let mut stored = serde_json::to_value(failed("exit 1", None)).unwrap();
        stored["log_url"] = "https://evil.example/cloudwatch/home".into();
        let event = event_of(&serde_json::from_value(stored).unwrap(), None);
        assert_eq!(event.log_url, None);
        assert!(!event.message.contains("evil.example"), "{}", event.message);
    }

    #[test]
    fn a_success_after_a_failure_is_a_recovery() {
        let failed = failed("exit 1", None);
        let started = started(Some(&failed), "e2");
        let outcome = build(BuildStatus::Succeeded);
        let good = Status::succeed(Some(&started), &module(), &execution("e2"), &outcome, at(90));
        let event = event_of(&good, Some(&outcome));
        assert_eq!(
            (event.recovered, event.previous_state),
            (true, Some(State::Failed))
        );
        assert_eq!(
            event.message,
            "prod/network/vpc in project x was deployed in 1 min 0 s (bundle changed); the deployment before failed"
        );
        assert!(!event_of(&started, None).recovered);
    }

    #[test]
    fn an_unchanged_module_reports_no_earlier_build() {
        let outcome = build(BuildStatus::Succeeded);
        let good = Status::succeed(None, &module(), &execution("e1"), &outcome, at(90));
        let touched = Status::touch(Some(&good), &module(), &execution("e2"), &[], at(100));
        let event = event_of(&touched, None);
        assert_eq!((event.build_id, event.log_url, event.report), (None, None, None));
        assert_eq!(event.duration_seconds, Some(70.0));
        assert_eq!(event.message, "prod/network/vpc in project x is unchanged");
    }

    #[test]
    fn an_event_of_the_longest_status_has_room_in_an_entry() {
        let reasons: Vec<String> = (0..1000).map(|n| format!("{n}{}", "ü".repeat(5000))).collect();
        let mut status = Status {
            reasons,
            ..failed("", None)
        };
        status.why.reason = Some("ü".repeat(1001));
        let text = serde_json::to_string(&event_of(&status, None)).unwrap();
        assert!(text.len() < 32 * 1024, "{}", text.len());
        let read: ModuleStateChange = serde_json::from_str(&text).unwrap();
        assert_eq!(read.reasons.len(), MAX_REASONS);
    }
}
