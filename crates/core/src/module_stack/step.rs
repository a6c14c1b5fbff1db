//! What to do next about a module's stack, by how CloudFormation says that it stands.
//!
//! A stack takes a while, and nothing waits inside a function: it is asked again and again what to do, and answers by
//! what it finds and by what the execution has asked of CloudFormation last ([`Progress`]). The latter tells a failure
//! of this execution, which is reported, from one of an earlier, which is cleared away.

use serde::{Deserialize, Serialize};

/// What an execution has asked of CloudFormation last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// To create or update the stack.
    Deployed,
    /// To delete it.
    Deleted,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is none: create it.
    Create,
    /// Update it, which CloudFormation may say there is no need for.
    Update,
    /// Delete it.
    Delete,
    /// Ask again later.
    Wait,
    /// It is as it should be.
    Done,
    /// What this execution asked for has failed.
    Failed,
}

/// How a stack stands, by the groups that matter here (CloudFormation user guide, "Stack status codes").
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
        // Made by a change set that nobody executed; it stays so.
        Some("REVIEW_IN_PROGRESS") => Standing::Broken,
        Some(status) if status.ends_with("_IN_PROGRESS") => Standing::Busy,
        // CREATE_FAILED, ROLLBACK_COMPLETE, ROLLBACK_FAILED, UPDATE_FAILED, UPDATE_ROLLBACK_FAILED and so on.
        Some(_) => Standing::Broken,
    }
}

/// The next step towards a stack that is up to date.
#[must_use]
pub fn deploy(status: Option<&str>, last: Option<Progress>) -> Step {
    let deployed = last == Some(Progress::Deployed);
    match standing(status) {
        Standing::Missing => Step::Create,
        Standing::Busy => Step::Wait,
        Standing::Good if deployed => Step::Done,
        Standing::Good => Step::Update,
        Standing::RolledBack | Standing::Broken if deployed => Step::Failed,
        Standing::RolledBack => Step::Update,
        Standing::Broken => Step::Delete,
        Standing::DeleteFailed if last == Some(Progress::Deleted) => Step::Failed,
        Standing::DeleteFailed => Step::Delete,
    }
}

/// The next step towards no stack.
#[must_use]
pub fn delete(status: Option<&str>, last: Option<Progress>) -> Step {
    match standing(status) {
        Standing::Missing => Step::Done,
        Standing::Busy => Step::Wait,
        Standing::DeleteFailed if last == Some(Progress::Deleted) => Step::Failed,
        _ => Step::Delete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Progress::{Deleted, Deployed};

    #[test]
    fn a_stack_is_made_or_brought_up_to_date() {
        for (status, last, step) in [
            (None, None, Step::Create),
            (Some("CREATE_IN_PROGRESS"), Some(Deployed), Step::Wait),
            (Some("CREATE_COMPLETE"), Some(Deployed), Step::Done),
            // Of an earlier execution: it may be of another template.
            (Some("CREATE_COMPLETE"), None, Step::Update),
            (Some("UPDATE_COMPLETE"), None, Step::Update),
            (
                Some("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
                Some(Deployed),
                Step::Wait,
            ),
            (Some("UPDATE_ROLLBACK_COMPLETE"), None, Step::Update),
            (Some("UPDATE_ROLLBACK_COMPLETE"), Some(Deployed), Step::Failed),
        ] {
            assert_eq!(deploy(status, last), step, "{status:?} {last:?}");
        }
    }

    #[test]
    fn what_can_not_be_updated_is_deleted_and_made_anew_and_an_own_failure_is_told() {
        for broken in [
            "ROLLBACK_COMPLETE",
            "ROLLBACK_FAILED",
            "CREATE_FAILED",
            "UPDATE_ROLLBACK_FAILED",
            "REVIEW_IN_PROGRESS",
        ] {
            assert_eq!(deploy(Some(broken), None), Step::Delete, "{broken}");
            assert_eq!(deploy(Some(broken), Some(Deployed)), Step::Failed, "{broken}");
        }
        assert_eq!(deploy(Some("DELETE_IN_PROGRESS"), Some(Deleted)), Step::Wait);
        assert_eq!(deploy(None, Some(Deleted)), Step::Create);
        assert_eq!(deploy(Some("DELETE_FAILED"), None), Step::Delete);
        assert_eq!(deploy(Some("DELETE_FAILED"), Some(Deleted)), Step::Failed);
    }

    #[test]
    fn a_stack_is_removed_however_it_stands() {
        assert_eq!(delete(None, None), Step::Done);
        for status in [
            "CREATE_COMPLETE",
            "UPDATE_ROLLBACK_COMPLETE",
            "ROLLBACK_COMPLETE",
            "DELETE_FAILED",
        ] {
            assert_eq!(delete(Some(status), None), Step::Delete, "{status}");
        }
        assert_eq!(delete(Some("DELETE_IN_PROGRESS"), Some(Deleted)), Step::Wait);
        assert_eq!(delete(Some("DELETE_COMPLETE"), Some(Deleted)), Step::Done);
        assert_eq!(delete(Some("DELETE_FAILED"), Some(Deleted)), Step::Failed);
    }

    /// Whatever CloudFormation says in between, an execution asks for the same thing twice only after it asked
    /// for another, so it ends.
    #[test]
    fn a_failure_is_never_tried_again_by_the_same_execution() {
        for status in [
            "ROLLBACK_COMPLETE",
            "UPDATE_ROLLBACK_COMPLETE",
            "UPDATE_ROLLBACK_FAILED",
        ] {
            let mut last = None;
            let mut status = Some(status);
            let mut steps = Vec::new();
            for _ in 0..10 {
                let step = deploy(status, last);
                steps.push(step);
                match step {
                    Step::Create => (last, status) = (Some(Deployed), Some("ROLLBACK_COMPLETE")),
                    Step::Update => (last, status) = (Some(Deployed), Some("UPDATE_ROLLBACK_COMPLETE")),
                    Step::Delete => (last, status) = (Some(Deleted), None),
                    _ => break,
                }
            }
            assert_eq!(steps.last(), Some(&Step::Failed), "{steps:?}");
        }
    }
}
