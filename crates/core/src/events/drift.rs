//! The event of a module's drift.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chat::{ChatNotification, Happened};
use super::envelope::{Event, ReportAt, VERSION, line};
use crate::drift::difference::ResourceState;
use crate::drift::record::{DriftRecord, DriftState};
use crate::error::excerpt;
use crate::ids::{AwsEnvironment, ExecutionArn, ModuleId};
use crate::target::Target;

/// Maximum number of resources in an event.
const MAX_RESOURCES: usize = 20;
/// Maximum length of what differs, and of the reason, in the message.
const MAX_TEXT: usize = 400;

/// The detail of "Seedflow Module Drift".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleDrift {
    /// Version of these fields.
    pub version: String,
    /// Project, deployment, group and module.
    #[serde(flatten)]
    pub module: ModuleId,
    /// Whether the module has drifted.
    pub state: DriftState,
    /// What the check before found.
    pub previous_state: Option<DriftState>,
    /// Whether a resource differs that did not at the check before.
    pub newly_drifted: bool,
    /// Whether the module had drifted, and is in sync again.
    pub recovered: bool,
    /// The execution that checked it.
    pub execution: ExecutionArn,
    /// The execution in the console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_url: Option<String>,
    /// The execution whose deployment was checked.
    pub deployed_by: ExecutionArn,
    /// Where the module is; absent at home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// When it was checked.
    pub at: Timestamp,
    /// The resources that differ, as far as there is room.
    pub resources: Vec<DriftedResource>,
    /// What its drift phases say; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<DriftState>,
    /// Why not all could be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the record is, which has the properties and their values, and the output of the drift phases.
    pub record: ReportAt,
    /// What a chat channel gets, if this is sent to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatNotification>,
    /// Summary in one line for people.
    pub message: String,
}

/// A resource that differs. The event has no values: more people receive events than may read the resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftedResource {
    /// The name of its stack.
    pub stack: String,
    /// Its name in the template.
    pub logical_id: String,
    /// Such as `AWS::SQS::Queue`.
    pub resource_type: String,
    /// How it differs.
    pub state: ResourceState,
    /// Which properties differ.
    pub properties: Vec<String>,
}

impl ModuleDrift {
    /// The event of a record that was written; `work_bucket` holds it.
    #[must_use]
    pub fn of(record: &DriftRecord, work_bucket: &str) -> Self {
        let news = record.news();
        let environment = AwsEnvironment::from_arn(record.execution.as_str()).ok();
        let resources = record.stacks.iter().flat_map(|stack| {
            stack.resources.iter().map(|resource| DriftedResource {
                stack: stack.stack.clone(),
                logical_id: resource.logical_id.clone(),
                resource_type: resource.resource_type.clone(),
                state: resource.state,
                properties: resource.properties.iter().map(|one| one.path.clone()).collect(),
            })
        });
        Self {
            version: VERSION.to_owned(),
            module: record.module.clone(),
            state: record.known.state,
            previous_state: record.before.as_ref().map(|before| before.state),
            newly_drifted: news.newly_drifted,
            recovered: news.recovered,
            execution: record.execution.clone(),
            execution_url: environment.map(|environment| environment.execution_url(&record.execution)),
            deployed_by: record.known.deployed_by.clone(),
            target: record.target.clone(),
            at: record.checked_at,
            resources: resources.take(MAX_RESOURCES).collect(),
            phases: record.phases.as_ref().map(|found| found.state),
            reason: record.reason.clone(),
            record: ReportAt {
                bucket: work_bucket.to_owned(),
                key: record.module.drift_key(),
            },
            chat: (news.newly_drifted || news.recovered).then(|| happened(record).notification()),
            message: message(record),
        }
    }
}

impl Event for ModuleDrift {
    const DETAIL_TYPE: &'static str = "Seedflow Module Drift";

    fn execution(&self) -> &ExecutionArn {
        &self.execution
    }

    fn at(&self) -> Timestamp {
        self.at
    }
}

fn what(state: DriftState) -> &'static str {
    match state {
        DriftState::InSync => "is in sync with what was deployed",
        DriftState::Drifted => "has drifted",
        DriftState::Unknown => "could not be checked for drift",
    }
}

fn name(module: &ModuleId) -> String {
    format!("{}/{}/{}", module.deployment, module.group, module.module)
}

fn command(record: &DriftRecord) -> String {
    format!(
        "seedflow drift {} --project {}",
        name(&record.module),
        record.module.project
    )
}

fn message(record: &DriftRecord) -> String {
    let module = &record.module;
    let of = format!(
        "{} in project {} {}",
        name(module),
        module.project,
        what(record.known.state)
    );
    match record.known.state {
        DriftState::InSync if record.news().recovered => format!("{of} again"),
        DriftState::InSync => of,
        DriftState::Drifted => format!(
            "{of}: {}; look at it: {}",
            line(&record.line(), MAX_TEXT),
            command(record)
        ),
        DriftState::Unknown => format!("{of}: {}", line(&record.line(), MAX_TEXT)),
    }
}

fn happened(record: &DriftRecord) -> Happened<'_> {
    let drifted = record.known.state == DriftState::Drifted;
    let environment = AwsEnvironment::from_arn(record.execution.as_str()).ok();
    Happened {
        of: format!("{}/{}", record.module.project, name(&record.module)),
        what: match drifted {
            true => what(DriftState::Drifted).to_owned(),
            false => format!("{} again", what(DriftState::InSync)),
        },
        cause: drifted.then(|| excerpt(&record.line(), MAX_TEXT)),
        started_by: None,
        links: environment
            .map(|environment| ("Execution", environment.execution_url(&record.execution)))
            .into_iter()
            .collect(),
        commands: drifted.then(|| command(record)).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::drift::record::tests::record;
    use serde_json::{Value, json};

    #[test]
    fn an_event_names_what_differs_and_has_no_values() {
        let event = ModuleDrift::of(&record("c1", &["Queue"], None), "work");
        let text = serde_json::to_string(&event).unwrap();
        let detail: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(detail["state"], "DRIFTED");
        assert_eq!(
            detail["resources"],
            json!([{"stack": "p-d-g-m", "logical_id": "Queue", "resource_type": "AWS::SQS::Queue",
                "state": "MODIFIED", "properties": ["/VisibilityTimeout"]}])
        );
        assert_eq!(
            detail["record"],
            json!({"bucket": "work", "key": "reports/_drift/p/d/g/m.json"})
        );
        assert_eq!(
            event.message,
            "d/g/m in project p has drifted: Queue: VisibilityTimeout; look at it: seedflow drift d/g/m --project p"
        );
        assert_eq!(
            detail["chat"]["content"]["nextSteps"],
            json!(["`seedflow drift d/g/m --project p`"])
        );
        assert!(!text.contains("\"31\""), "{text}");
        assert_eq!(serde_json::from_str::<ModuleDrift>(&text).unwrap(), event);
    }

    #[test]
    fn only_news_is_sent_to_people() {
        let drifted = record("c1", &["Queue"], None);
        let still = record("c2", &["Queue"], Some(&drifted));
        assert_eq!(ModuleDrift::of(&still, "work").chat, None);
        let back = ModuleDrift::of(&record("c3", &[], Some(&still)), "work");
        assert!(back.recovered && back.chat.is_some());
        assert_eq!(
            back.message,
            "d/g/m in project p is in sync with what was deployed again"
        );
        assert_eq!(back.previous_state, Some(DriftState::Drifted));
    }
}
