//! The first failure among the events of a CloudFormation stack.
//!
//! A resource that fails makes CloudFormation cancel those that it works on at the same time, so the first failure since
//! the build began is the cause, and later ones follow from it. If the resource is a nested stack, that stack's own
//! events have the cause (CloudFormation user guide, "Troubleshooting CloudFormation").

use jiff::Timestamp;

/// The type of a nested stack.
const NESTED: &str = "AWS::CloudFormation::Stack";

/// An event of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StackEvent {
    /// When it happened.
    pub at: Option<Timestamp>,
    /// The ARN of the stack.
    pub stack_id: String,
    /// The resource's name in the template. Of the stack itself it is the stack's name.
    pub logical_id: String,
    /// The resource's id; a stack's is its ARN.
    pub physical_id: String,
    /// The resource's type.
    pub resource_type: String,
    /// Such as `CREATE_FAILED`.
    pub status: String,
    /// The reason.
    pub reason: String,
}

/// The first failure of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackFailure {
    /// The resource, its status and the reason: `Queue UPDATE_FAILED: why`.
    pub cause: String,
    /// The resource's name in the template.
    pub logical_id: String,
    /// The ARN of the nested stack in which to look for the cause.
    pub nested: Option<String>,
}

/// The first failure since `since`. The order of the events does not matter: AWS returns the newest first.
#[must_use]
pub fn first_failure(events: &[StackEvent], since: Timestamp) -> Option<StackFailure> {
    let is_recent = |event: &&StackEvent| event.at.is_some_and(|at| at >= since);
    let failed = |event: &&StackEvent| event.status.ends_with("_FAILED") && !is_cancelled(&event.reason);
    // Oldest first; the sort keeps the order of events of the same time.
    let mut failures: Vec<&StackEvent> = events.iter().rev().filter(is_recent).filter(failed).collect();
    failures.sort_by_key(|event| event.at);
    // What a stack says of itself repeats what its resources say.
    let is_resource = |event: &&&StackEvent| event.physical_id != event.stack_id;
    let first = failures.iter().find(is_resource).or(failures.first())?;
    let is_nested = first.resource_type == NESTED && first.physical_id != first.stack_id;
    let has_own_events = first.physical_id.starts_with("arn:");
    Some(StackFailure {
        cause: format!(
            "{} {}: {}",
            first.logical_id,
            first.status,
            readable(&first.reason)
        ),
        logical_id: first.logical_id.clone(),
        nested: (is_nested && has_own_events).then(|| first.physical_id.clone()),
    })
}

/// Whether CloudFormation only stopped what it did because something else had failed.
fn is_cancelled(reason: &str) -> bool {
    let words = [
        "Resource creation cancelled",
        "Resource update cancelled",
        "Resource deletion cancelled",
    ];
    words.iter().any(|cancelled| reason.starts_with(cancelled))
}

/// A reason without what surrounds it: the handler's introduction, the service and the ids of requests.
#[must_use]
pub fn readable(reason: &str) -> String {
    let reason = reason.trim();
    let reason = reason
        .strip_prefix("Resource handler returned message: ")
        .unwrap_or(reason);
    let reason = before(reason, " (RequestToken: ");
    let reason = reason
        .strip_prefix('"')
        .map_or(reason, |quoted| quoted.strip_suffix('"').unwrap_or(quoted));
    let reason = before(before(reason, " (Service: "), " (SDK Attempt Count: ");
    match reason.trim() {
        "" => "CloudFormation gave no reason".to_owned(),
        reason => reason.to_owned(),
    }
}

fn before<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or(text, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STACK: &str = "arn:aws:cloudformation:eu-central-1:123456789012:stack/p-d-g-m/0a1b";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn event(second: i64, logical: &str, status: &str, reason: &str) -> StackEvent {
        StackEvent {
            at: Some(at(second)),
            stack_id: STACK.to_owned(),
            logical_id: logical.to_owned(),
            physical_id: format!("{logical}-1"),
            resource_type: "AWS::SQS::Queue".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn of_stack(second: i64, status: &str, reason: &str) -> StackEvent {
        StackEvent {
            physical_id: STACK.to_owned(),
            resource_type: NESTED.to_owned(),
            ..event(second, "p-d-g-m", status, reason)
        }
    }

    #[test]
    fn the_first_failure_is_the_cause_and_what_was_cancelled_is_not() {
        let why = "Resource handler returned message: \"Value 5 for parameter MessageRetentionPeriod is invalid. Reason: Must be between 60 and 1209600. (Service: Sqs, Status Code: 400, Request ID: 4d1f) (SDK Attempt Count: 1)\" (RequestToken: 6a7e, HandlerErrorCode: InvalidRequest)";
        // As DescribeStackEvents answers: the newest first.
        let events = [
            of_stack(50, "UPDATE_ROLLBACK_COMPLETE", ""),
            of_stack(
                41,
                "UPDATE_ROLLBACK_IN_PROGRESS",
                "The following resource(s) failed to update: [Queue, Topic].",
            ),
            event(40, "Topic", "UPDATE_FAILED", "Resource update cancelled"),
            event(40, "Queue", "UPDATE_FAILED", why),
            event(38, "Queue", "UPDATE_IN_PROGRESS", ""),
            of_stack(30, "UPDATE_IN_PROGRESS", "User Initiated"),
            event(9, "Old", "CREATE_FAILED", "of an earlier build"),
        ];
        let found = first_failure(&events, at(20)).unwrap();
        assert_eq!(
            found.cause,
            "Queue UPDATE_FAILED: Value 5 for parameter MessageRetentionPeriod is invalid. Reason: Must be between 60 and 1209600."
        );
        assert_eq!(found.nested, None);
        assert_eq!(first_failure(&events[4..], at(20)), None);
        let all = first_failure(&events, at(0)).unwrap();
        assert_eq!(all.cause, "Old CREATE_FAILED: of an earlier build");
    }

    #[test]
    fn a_nested_stack_is_followed_and_a_stacks_own_event_is_the_last_resort() {
        let arn = "arn:aws:cloudformation:eu-central-1:123456789012:stack/p-d-g-m-Data-1ABC/5f1a";
        let nested = StackEvent {
            physical_id: arn.to_owned(),
            resource_type: NESTED.to_owned(),
            ..event(
                40,
                "Data",
                "CREATE_FAILED",
                &format!(
                    "Embedded stack {arn} was not successfully created: The following resource(s) failed to create: [Queue]."
                ),
            )
        };
        let own = of_stack(30, "CREATE_FAILED", "");
        let found = first_failure(&[nested, own.clone()], at(0)).unwrap();
        assert_eq!(
            (found.logical_id.as_str(), found.nested.as_deref()),
            ("Data", Some(arn))
        );
        let found = first_failure(&[own], at(0)).unwrap();
        assert_eq!(
            (found.cause.as_str(), found.nested),
            ("p-d-g-m CREATE_FAILED: CloudFormation gave no reason", None)
        );
    }
}
