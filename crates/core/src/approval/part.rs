//! Whether the execution of one module is part of a plan that somebody has approved.

use super::verdict::{Verdict, VerdictState};
use crate::error::{Error, ErrorName, Result};
use crate::ids::{DeploymentId, ModuleId};

/// The error of an execution that is not part of an approved plan, where the policy wants an approval.
#[must_use]
pub fn required(module: &ModuleId) -> Error {
    let deployment = DeploymentId::from(module);
    Error::new(
        ErrorName::ApprovalRequired,
        format!(
            "{module}: the policy {} wants an approval, but this execution belongs to no approved plan of {deployment} that still runs; start the whole deployment, with \"only\" for one module",
            deployment.policy_key()
        ),
    )
}

/// Whether an error says that a module is not approved. Where only rules ask for an approval, they decide whether that
/// matters.
#[must_use]
pub fn says_not_approved(error: &Error) -> bool {
    matches!(error.name, ErrorName::ApprovalRequired | ErrorName::ApprovalVoid)
}

/// The decision by which a module's execution may run. An approval counts as long as its execution holds the deployment's
/// lock, so nobody can use it again.
///
/// # Errors
/// `ApprovalRequired` without a decision, if it is not an approval, or if its execution has ended.
pub fn current(module: &ModuleId, verdict: Option<Verdict>, holds_lock: bool) -> Result<Verdict> {
    verdict
        .filter(|verdict| holds_lock && verdict.state == VerdictState::Approved)
        .ok_or_else(|| required(module))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use jiff::Timestamp;

    fn module() -> ModuleId {
        ModuleId::parse("shop", "dev", "net", "vpc").unwrap()
    }

    #[test]
    fn an_approval_counts_while_its_execution_holds_the_lock() {
        let verdict = |state| Verdict {
            state,
            plan: "hash".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            by: None,
            reason: None,
            superseded_by: None,
        };
        let approved = verdict(VerdictState::Approved);
        assert_eq!(
            current(&module(), Some(approved.clone()), true),
            Ok(approved.clone())
        );
        for (verdict, holds) in [
            (Some(approved), false),
            (Some(verdict(VerdictState::Rejected)), true),
            (Some(verdict(VerdictState::Expired)), true),
            (Some(verdict(VerdictState::Superseded)), true),
            (None, true),
        ] {
            let error = current(&module(), verdict, holds).unwrap_err();
            assert!(says_not_approved(&error), "{error}");
            assert!(error.message.contains("policies/shop/dev.json"), "{error}");
        }
        assert!(!says_not_approved(&Error::new(ErrorName::Throttled, "no")));
    }
}
