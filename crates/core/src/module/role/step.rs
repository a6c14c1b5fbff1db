//! The next step for a module's stack, from the state that CloudFormation reports.
//!
//! A stack takes some time, and functions do not wait. The function is called repeatedly, and decides from the stack's
//! state and from the execution's own progress ([`Progress`], which travels through the states). The progress separates
//! a failure of this execution, which is reported, from an earlier one, which is cleared away. It also contains the
//! time of the first look, so the loop ends: an execution may have 25,000 events (Step Functions Developer Guide,
//! "Service quotas"), and each look makes nine.
//!
//! One failure of this execution is retried. IAM is eventually consistent, so CloudFormation may not find a role that
//! was created a moment ago (IAM User Guide, "Changes that I make are not always immediately visible").

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorName};

/// The longest wait for a stack. The policies of a role take less than a minute. Half an hour covers a slow day of
/// CloudFormation, and makes 360 looks, five seconds apart: some 3,300 events.
pub const LONGEST: SignedDuration = SignedDuration::from_mins(30);

/// How often a stack that did not find the module's role is created again. An attempt takes some 30 seconds, including
/// the removal of the failed stack; IAM is usually consistent within seconds.
pub const MAX_UNSEEN: u8 = 5;

/// An execution's request to CloudFormation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// Create or update the stack.
    Deployed,
    /// Delete the stack.
    Deleted,
}

/// The progress of an execution with a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The time of the first look.
    since: Timestamp,
    /// The last request; `None` if there is none yet.
    asked: Option<Asked>,
    /// How often CloudFormation did not find the module's role.
    unseen: u8,
}

impl Progress {
    /// The progress at the first look.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            asked: None,
            unseen: 0,
        }
    }

    /// The progress after one more request.
    #[must_use]
    pub const fn asked(self, asked: Asked) -> Self {
        Self {
            asked: Some(asked),
            ..self
        }
    }

    /// The step, if there is time left.
    fn in_time(&self, step: StackStep, now: Timestamp) -> StackStep {
        match step {
            StackStep::Done | StackStep::Failed => step,
            _ if now.duration_since(self.since) > LONGEST => StackStep::TimedOut,
            step => step,
        }
    }
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackStep {
    /// The stack does not exist: create it.
    Create,
    /// Update it; CloudFormation may answer that no update is needed.
    Update,
    /// Delete it.
    Delete,
    /// Look again later.
    Wait,
    /// The stack has the wanted state.
    Done,
    /// This execution's request has failed.
    Failed,
    /// It took longer than [`LONGEST`].
    TimedOut,
}

/// A stack's state, in the groups that matter here (CloudFormation user guide, "Stack status codes").
enum Standing {
    Missing,
    Busy,
    /// It can be updated.
    Good,
    /// It can be updated, but the last update failed.
    RolledBack,
    /// It can only be deleted.
    Broken,
    DeleteFailed,
}

fn standing(status: Option<&str>) -> Standing {
    match status {
        None | Some("DELETE_COMPLETE") => Standing::Missing,
        Some("CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE") => Standing::Good,
        Some("UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE") => Standing::RolledBack,
        Some("DELETE_FAILED") => Standing::DeleteFailed,
        // Made by a change set that was never executed; the state does not change by itself.
        Some("REVIEW_IN_PROGRESS") => Standing::Broken,
        Some(status) if status.ends_with("_IN_PROGRESS") => Standing::Busy,
        // CREATE_FAILED, ROLLBACK_COMPLETE, ROLLBACK_FAILED, UPDATE_FAILED, UPDATE_ROLLBACK_FAILED and so on.
        Some(_) => Standing::Broken,
    }
}

/// The next step towards an up-to-date stack, by its status; `None` if there is no stack.
#[must_use]
pub fn deploy(status: Option<&str>, progress: &Progress, now: Timestamp) -> StackStep {
    let deployed = progress.asked == Some(Asked::Deployed);
    let step = match standing(status) {
        Standing::Missing => StackStep::Create,
        Standing::Busy => StackStep::Wait,
        Standing::Good if deployed => StackStep::Done,
        Standing::Good => StackStep::Update,
        Standing::RolledBack | Standing::Broken if deployed => StackStep::Failed,
        Standing::RolledBack => StackStep::Update,
        Standing::Broken => StackStep::Delete,
        Standing::DeleteFailed if progress.asked == Some(Asked::Deleted) => StackStep::Failed,
        Standing::DeleteFailed => StackStep::Delete,
    };
    progress.in_time(step, now)
}

/// What to do after [`StackStep::Failed`] of [`deploy`], with the new progress. If CloudFormation did not find the role yet,
/// the failed stack is cleared away and created again, up to [`MAX_UNSEEN`] times. `reason` belongs to the resource
/// that failed first.
#[must_use]
pub fn after_failure(
    status: Option<&str>,
    progress: Progress,
    reason: &str,
    role: &str,
) -> (StackStep, Progress) {
    let unseen = progress.asked == Some(Asked::Deployed) && is_unseen(reason, role);
    if !unseen || progress.unseen >= MAX_UNSEEN {
        return (StackStep::Failed, progress);
    }
    let step = match standing(status) {
        Standing::RolledBack => StackStep::Update,
        _ => StackStep::Delete,
    };
    let progress = Progress {
        unseen: progress.unseen + 1,
        ..progress
    };
    (step, progress)
}

/// Whether IAM answered CloudFormation that the role does not exist (IAM API Reference, PutRolePolicy, `NoSuchEntity`).
/// A missing role that only the template names does not count.
fn is_unseen(reason: &str, role: &str) -> bool {
    reason.contains(&format!("role with name {role} cannot be found"))
}

/// The next step towards the removal of a stack, by its status; `None` if there is no stack.
#[must_use]
pub fn delete(status: Option<&str>, progress: &Progress, now: Timestamp) -> StackStep {
    let step = match standing(status) {
        Standing::Missing => StackStep::Done,
        Standing::Busy => StackStep::Wait,
        Standing::DeleteFailed if progress.asked == Some(Asked::Deleted) => StackStep::Failed,
        _ => StackStep::Delete,
    };
    progress.in_time(step, now)
}

/// The reason if CloudFormation has no event of a failure.
pub const NO_RESOURCE: &str = "CloudFormation names no resource that failed";

/// Why CloudFormation failed, by the first resource that failed.
#[must_use]
pub fn failure(stack: &str, status: Option<String>, reason: Option<String>) -> Error {
    let status = status.unwrap_or_default();
    Error::new(
        ErrorName::ModuleStackFailed,
        format!(
            "modulestack.yaml: the stack {stack} ended with {status}: {}; correct the template, or what it refers to, and start again",
            reason.as_deref().unwrap_or(NO_RESOURCE)
        ),
    )
}

/// The error for a stack that took longer than [`LONGEST`].
#[must_use]
pub fn timed_out(stack: &str, status: Option<String>) -> Error {
    Error::new(
        ErrorName::ModuleStackTimedOut,
        format!(
            "modulestack.yaml: expected the stack {stack} to be ready, or gone, after {} minutes; found {}; look at its events in CloudFormation, and start again when the stack changes no more",
            LONGEST.as_mins(),
            status.as_deref().unwrap_or("no stack")
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use Asked::{Deleted, Deployed};

    const START: Timestamp = Timestamp::UNIX_EPOCH;
    const ROLE: &str = "seedflow-module-p-d-g-m-12345678";

    fn after(asked: Option<Asked>) -> Progress {
        Progress {
            asked,
            ..Progress::new(START)
        }
    }

    fn deploy(status: Option<&str>, asked: Option<Asked>) -> StackStep {
        super::deploy(status, &after(asked), START)
    }

    fn delete(status: Option<&str>, asked: Option<Asked>) -> StackStep {
        super::delete(status, &after(asked), START)
    }

    #[test]
    fn a_stack_is_made_or_brought_up_to_date() {
        for (status, last, step) in [
            (None, None, StackStep::Create),
            (Some("CREATE_IN_PROGRESS"), Some(Deployed), StackStep::Wait),
            (Some("CREATE_COMPLETE"), Some(Deployed), StackStep::Done),
            // From an earlier execution: it may have another template.
            (Some("CREATE_COMPLETE"), None, StackStep::Update),
            (Some("UPDATE_COMPLETE"), None, StackStep::Update),
            (
                Some("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
                Some(Deployed),
                StackStep::Wait,
            ),
            (Some("UPDATE_ROLLBACK_COMPLETE"), None, StackStep::Update),
            (
                Some("UPDATE_ROLLBACK_COMPLETE"),
                Some(Deployed),
                StackStep::Failed,
            ),
        ] {
            assert_eq!(deploy(status, last), step, "{status:?} {last:?}");
        }
    }

    #[test]
    fn a_stack_that_cannot_be_updated_is_recreated_and_an_own_failure_is_reported() {
        for broken in [
            "ROLLBACK_COMPLETE",
            "ROLLBACK_FAILED",
            "CREATE_FAILED",
            "UPDATE_ROLLBACK_FAILED",
            "REVIEW_IN_PROGRESS",
        ] {
            assert_eq!(deploy(Some(broken), None), StackStep::Delete, "{broken}");
            assert_eq!(
                deploy(Some(broken), Some(Deployed)),
                StackStep::Failed,
                "{broken}"
            );
        }
        assert_eq!(deploy(Some("DELETE_IN_PROGRESS"), Some(Deleted)), StackStep::Wait);
        assert_eq!(deploy(None, Some(Deleted)), StackStep::Create);
        assert_eq!(deploy(Some("DELETE_FAILED"), None), StackStep::Delete);
        assert_eq!(deploy(Some("DELETE_FAILED"), Some(Deleted)), StackStep::Failed);
    }

    #[test]
    fn a_stack_is_removed_in_every_status() {
        assert_eq!(delete(None, None), StackStep::Done);
        for status in [
            "CREATE_COMPLETE",
            "UPDATE_ROLLBACK_COMPLETE",
            "ROLLBACK_COMPLETE",
            "DELETE_FAILED",
        ] {
            assert_eq!(delete(Some(status), None), StackStep::Delete, "{status}");
        }
        assert_eq!(delete(Some("DELETE_IN_PROGRESS"), Some(Deleted)), StackStep::Wait);
        assert_eq!(delete(Some("DELETE_COMPLETE"), Some(Deleted)), StackStep::Done);
        assert_eq!(delete(Some("DELETE_FAILED"), Some(Deleted)), StackStep::Failed);
    }

    /// CloudFormation's reason for a role that IAM does not know yet; observed, without ids.
    fn unseen(role: &str) -> String {
        format!(
            "Policy (AWS::IAM::Policy) CREATE_FAILED: Resource handler returned message: \"The role with name {role} cannot be found. (Service: Iam, Status Code: 404, Request ID: …)\" (RequestToken: …, HandlerErrorCode: NotFound)"
        )
    }

    /// The steps of an execution until it ends, if each of its requests ends with these statuses.
    fn steps(mut status: Option<&'static str>, reason: &str) -> Vec<StackStep> {
        let mut progress = Progress::new(START);
        let mut steps = Vec::new();
        for _ in 0..100 {
            let mut step = super::deploy(status, &progress, START);
            if step == StackStep::Failed {
                (step, progress) = after_failure(status, progress, reason, ROLE);
            }
            steps.push(step);
            (progress, status) = match step {
                StackStep::Create => (progress.asked(Deployed), Some("ROLLBACK_COMPLETE")),
                StackStep::Update => (progress.asked(Deployed), Some("UPDATE_ROLLBACK_COMPLETE")),
                StackStep::Delete => (progress.asked(Deleted), None),
                _ => break,
            };
        }
        steps
    }

    /// Whatever CloudFormation reports in between, an execution repeats a request only after a different one, so it
    /// ends.
    #[test]
    fn a_failure_is_never_tried_again_by_the_same_execution() {
        for status in [
            "ROLLBACK_COMPLETE",
            "UPDATE_ROLLBACK_COMPLETE",
            "UPDATE_ROLLBACK_FAILED",
        ] {
            for reason in [
                "not authorized",
                &unseen("no-such-role"),
                &unseen("seedflow-module-p-d-g-m"),
            ] {
                let steps = steps(Some(status), reason);
                assert!(
                    steps.len() <= 3 && steps.last() == Some(&StackStep::Failed),
                    "{steps:?}"
                );
            }
        }
    }

    #[test]
    fn a_failure_to_find_the_new_role_is_retried_a_few_times() {
        let created = steps(None, &unseen(ROLE));
        assert_eq!(
            created[..4],
            [
                StackStep::Create,
                StackStep::Delete,
                StackStep::Create,
                StackStep::Delete
            ]
        );
        let updated = steps(Some("UPDATE_COMPLETE"), &unseen(ROLE));
        assert_eq!(
            updated[..3],
            [StackStep::Update, StackStep::Update, StackStep::Update]
        );
        for (steps, asks) in [(created, StackStep::Create), (updated, StackStep::Update)] {
            assert_eq!(steps.last(), Some(&StackStep::Failed));
            let tries = steps.iter().filter(|step| **step == asks).count();
            assert_eq!(tries, usize::from(MAX_UNSEEN) + 1, "{steps:?}");
        }
        // A deployment is not repeated for a deletion's message about a role.
        let deleting = after(Some(Deleted));
        let (step, _) = after_failure(Some("DELETE_FAILED"), deleting, &unseen(ROLE), ROLE);
        assert_eq!(step, StackStep::Failed);
    }

    #[test]
    fn a_stack_that_never_gets_anywhere_is_given_up_after_half_an_hour() {
        let late = START + LONGEST + SignedDuration::from_secs(1);
        for (status, asked) in [
            (Some("CREATE_IN_PROGRESS"), Some(Deployed)),
            (Some("UPDATE_ROLLBACK_IN_PROGRESS"), Some(Deployed)),
            (Some("DELETE_IN_PROGRESS"), Some(Deleted)),
            // Requested, and still missing.
            (None, Some(Deployed)),
        ] {
            let progress = after(asked);
            assert_ne!(
                super::deploy(status, &progress, START + LONGEST),
                StackStep::TimedOut
            );
            assert_eq!(
                super::deploy(status, &progress, late),
                StackStep::TimedOut,
                "{status:?}"
            );
        }
        let deleting = after(Some(Deleted));
        for status in ["DELETE_IN_PROGRESS", "CREATE_COMPLETE"] {
            assert_eq!(
                super::delete(Some(status), &deleting, late),
                StackStep::TimedOut,
                "{status}"
            );
        }
        // A final state says more than a time-out.
        assert_eq!(
            super::deploy(Some("ROLLBACK_COMPLETE"), &after(Some(Deployed)), late),
            StackStep::Failed
        );
        assert_eq!(
            super::deploy(Some("CREATE_COMPLETE"), &after(Some(Deployed)), late),
            StackStep::Done
        );
        assert_eq!(super::delete(None, &deleting, late), StackStep::Done);
    }

    #[test]
    fn progress_travels_through_the_states() {
        let progress = Progress::new(START).asked(Deployed);
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(
            text,
            r#"{"since":"1970-01-01T00:00:00Z","asked":"deployed","unseen":0}"#
        );
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
    }

    #[test]
    fn a_stack_that_takes_too_long_is_named_with_its_status_and_the_time_that_it_had() {
        let error = timed_out("seedflow-module-p", Some("CREATE_IN_PROGRESS".to_owned()));
        assert_eq!(error.name, ErrorName::ModuleStackTimedOut);
        for part in ["seedflow-module-p", "CREATE_IN_PROGRESS", "30 minutes"] {
            assert!(error.message.contains(part), "{error}");
        }
        assert!(timed_out("s", None).message.contains("found no stack"));
    }
}
