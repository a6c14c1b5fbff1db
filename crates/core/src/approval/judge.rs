//! Whether an approver's call decides.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::request::ApprovalRequest;
use super::verdict::{Verdict, VerdictState};
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::ids::ExecutionArn;
use crate::policy::{ApprovalRule, Caller};
use crate::workflow::ending::ExecutionStatus;

/// The longest reason.
const MAX_REASON: usize = 500;
/// The shortest beginning of a plan's hash that names it.
const MIN_HASH: usize = 12;

/// What an approver says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Says {
    /// The plan may run.
    Approve,
    /// It may not.
    Reject,
}

/// An approver's call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// What the approver says.
    pub decision: Says,
    /// The hash of the plan that the approver has seen, or its beginning.
    pub plan: String,
    /// Why.
    pub reason: String,
}

impl Submission {
    /// The hash of everything that is said about an execution's plan: what an approver signs.
    #[must_use]
    pub fn hash(&self, execution: &ExecutionArn) -> String {
        let said = json!([execution, self.decision, self.plan, self.reason]);
        hex::encode(Sha256::digest(said.to_string()))
    }
}

/// The verdict of a call: a new one, or the stored one if the same principal repeats itself. `rule` is that of the policy as
/// it is now, and the caller is the principal that AWS has identified.
///
/// # Errors
/// Why the call decides nothing: `InvalidInput`, `StateConflict`, `ApprovalVoid`, `ApprovalExpired` or `NotApprover`.
pub fn judge(
    request: &ApprovalRequest,
    rule: &ApprovalRule,
    found: Option<&Verdict>,
    caller: &Caller,
    says: &Submission,
    now: Timestamp,
) -> Result<Verdict> {
    let verdict = Verdict {
        state: match says.decision {
            Says::Approve => VerdictState::Approved,
            Says::Reject => VerdictState::Rejected,
        },
        by: Some(caller.principal.to_string()),
        reason: Some(reason(&says.reason)?),
        ..Verdict::expired(request, now)
    };
    check_plan(request, says)?;
    if let Some(found) = found {
        return repeated(found, &verdict);
    }
    if now >= request.expires_at {
        return Err(Error::new(
            ErrorName::ApprovalExpired,
            format!("the plan waited until {}; start it again", request.expires_at),
        ));
    }
    check_approver(request, rule, caller, verdict.state)?;
    Ok(verdict)
}

/// Refuses a first decision on the plan of an execution that doesn't run any more: it would reach nobody. `status` is that of the
/// execution, if Step Functions knows it.
///
/// # Errors
/// `StateConflict`, with what to do.
pub fn check_waits(request: &ApprovalRequest, status: Option<ExecutionStatus>) -> Result<()> {
    match status {
        Some(ExecutionStatus::Running) => Ok(()),
        _ => Err(Error::new(
            ErrorName::StateConflict,
            format!(
                "execution: expected one that waits for an approval, found {}, which has ended; nothing was decided. Start it again, and decide on the new plan",
                request.execution.name()
            ),
        )),
    }
}

fn reason(text: &str) -> Result<String> {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let line = line.trim();
    let length = line.chars().count();
    if (1..=MAX_REASON).contains(&length) {
        return Ok(line.to_owned());
    }
    Err(Error::field(
        "reason",
        format!("{length} characters"),
        format!("1 to {MAX_REASON} characters"),
    ))
}

/// An approver decides on the plan that was shown, and on no other one.
fn check_plan(request: &ApprovalRequest, says: &Submission) -> Result<()> {
    let given = &says.plan;
    if given.len() >= MIN_HASH && request.needed.plan.starts_with(given.as_str()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorName::ApprovalVoid,
        format!(
            "plan: expected {}, which is waiting, found {}; look at the plan again",
            request.shown_plan(),
            excerpt(given, 80)
        ),
    ))
}

/// A principal that repeats its decision gets the stored one: its first call may have ended before it was answered.
fn repeated(found: &Verdict, verdict: &Verdict) -> Result<Verdict> {
    if found.state == verdict.state && found.by == verdict.by {
        return Ok(found.clone());
    }
    let by = found
        .by
        .as_ref()
        .map(|by| format!(" by {by}"))
        .unwrap_or_default();
    Err(Error::new(
        ErrorName::StateConflict,
        format!(
            "the plan was decided on before: {}{by} at {}",
            found.state.as_str(),
            found.at
        ),
    ))
}

fn check_approver(
    request: &ApprovalRequest,
    rule: &ApprovalRule,
    caller: &Caller,
    state: VerdictState,
) -> Result<()> {
    let refuse = |why: String| Err(Error::new(ErrorName::NotApprover, why));
    let principal = &caller.principal;
    if !rule.is_approver(principal) {
        return refuse(format!(
            "{principal} is none of the policy's approvers: {}",
            excerpt(&rule.approvers_shown().join(", "), 1000)
        ));
    }
    // Who requested a plan may always withdraw it.
    if !rule.four_eyes || state == VerdictState::Rejected {
        return Ok(());
    }
    let started_by = request.started_by.as_ref();
    if let Some(started_by) = started_by.filter(|by| caller.may_be(&by.principal)) {
        return refuse(format!(
            "the policy wants four eyes, and {started_by} started the execution; somebody else has to approve it"
        ));
    }
    let author = request.commit_info.author();
    if let Some(author) = author.filter(|author| principal.is_claimed_by(author)) {
        return refuse(format!(
            "the policy wants four eyes, and {author} is named as the author of the commit; somebody else has to approve it"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::approval::ApprovalNeeded;
    use crate::ids::{DeploymentId, Name};
    use crate::module::commit_info::CommitInfo;
    use crate::policy::{DeploymentPolicy, Principal};
    use crate::started_by::{Proof, StartedBy};

    fn arn(user: &str) -> String {
        format!("arn:aws:iam::111122223333:user/{user}")
    }

    fn principal(user: &str) -> Caller {
        Caller {
            principal: Principal::of_arn(&arn(user)).unwrap(),
            user_id: format!("AIDA-{user}"),
        }
    }

    fn rule(four_eyes: bool) -> ApprovalRule {
        let policy = json!({"approval": "changes", "four_eyes": four_eyes,
            "approvers": ["arn:aws:iam::111122223333:user/anna", "arn:aws:iam::111122223333:user/bob"]});
        DeploymentPolicy::parse(policy.to_string().as_bytes())
            .unwrap()
            .approval
    }

    fn request() -> ApprovalRequest {
        let name = |text: &str| Name::parse("name", text).unwrap();
        let deployment = DeploymentId {
            project: name("p"),
            deployment: name("prod"),
        };
        let needed = ApprovalNeeded::of("c0ffee".repeat(10), vec!["r".to_owned()], &rule(true)).unwrap();
        let commit = CommitInfo::from_metadata(|name| (name == "author").then_some("Carl <carl@x.org>"));
        let execution = ExecutionArn::new("arn:aws:states:r:1:execution:deploy:e");
        ApprovalRequest::new(
            &deployment,
            &execution,
            &needed,
            Some(StartedBy {
                principal: arn("bob"),
                proof: Proof::Principal,
            }),
            &commit,
            Timestamp::UNIX_EPOCH,
        )
    }

    fn says(decision: Says) -> Submission {
        Submission {
            decision,
            plan: "c0ffeec0ffee".to_owned(),
            reason: "looks right".to_owned(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn refusal(caller: &str, of: &ApprovalRule, says: &Submission, second: i64) -> (ErrorName, String) {
        let error = judge(&request(), of, None, &principal(caller), says, at(second)).unwrap_err();
        (error.name, error.message)
    }

    #[test]
    fn an_approver_decides_on_the_plan_that_was_shown() {
        let verdict = judge(
            &request(),
            &rule(true),
            None,
            &principal("anna"),
            &says(Says::Approve),
            at(9),
        )
        .unwrap();
        assert_eq!(
            (
                verdict.state,
                verdict.by.as_deref(),
                verdict.reason.as_deref(),
                verdict.at
            ),
            (
                VerdictState::Approved,
                Some("arn:aws:iam::111122223333:user/anna"),
                Some("looks right"),
                at(9)
            )
        );
        assert_eq!(verdict.plan, request().needed.plan);
        for plan in ["c0ffee", "c0ffeec0ffef", ""] {
            let other = Submission {
                plan: plan.to_owned(),
                ..says(Says::Approve)
            };
            let (name, message) = refusal("anna", &rule(true), &other, 9);
            assert_eq!(name, ErrorName::ApprovalVoid);
            assert!(message.contains("expected c0ffeec0ffee"), "{message}");
        }
    }

    #[test]
    fn nobody_else_decides() {
        let (name, message) = refusal("eve", &rule(true), &says(Says::Reject), 9);
        assert_eq!(name, ErrorName::NotApprover);
        assert!(
            message.contains("user/eve is none of the policy's approvers"),
            "{message}"
        );
        let open = ApprovalRule::default();
        assert!(
            judge(
                &request(),
                &open,
                None,
                &principal("eve"),
                &says(Says::Approve),
                at(9)
            )
            .is_ok()
        );
    }

    #[test]
    fn with_four_eyes_who_asks_does_not_approve_and_may_withdraw() {
        let (name, message) = refusal("bob", &rule(true), &says(Says::Approve), 9);
        assert_eq!(name, ErrorName::NotApprover);
        assert!(message.contains("user/bob) started the execution"), "{message}");
        let bob = principal("bob");
        assert!(judge(&request(), &rule(true), None, &bob, &says(Says::Reject), at(9)).is_ok());
        assert!(judge(&request(), &rule(false), None, &bob, &says(Says::Approve), at(9)).is_ok());
        let claimed = ApprovalRule {
            approvers: Vec::new(),
            ..rule(true)
        };
        let (_, message) = refusal("carl", &claimed, &says(Says::Approve), 9);
        assert!(
            message.contains("Carl <carl@x.org> is named as the author"),
            "{message}"
        );
    }

    #[test]
    fn a_decision_is_made_once_and_in_time() {
        let (name, _) = refusal("anna", &rule(true), &says(Says::Approve), 3 * 24 * 3600);
        assert_eq!(name, ErrorName::ApprovalExpired);
        let decide = |caller: &str, decision, found: &Verdict, second| {
            judge(
                &request(),
                &rule(false),
                Some(found),
                &principal(caller),
                &says(decision),
                at(second),
            )
        };
        let first = judge(
            &request(),
            &rule(true),
            None,
            &principal("anna"),
            &says(Says::Approve),
            at(9),
        )
        .unwrap();
        // Also after the time: the answer to the task may have been lost.
        let late = 4 * 24 * 3600;
        assert_eq!(decide("anna", Says::Approve, &first, late).unwrap(), first);
        for (caller, decision) in [("anna", Says::Reject), ("bob", Says::Approve)] {
            let error = decide(caller, decision, &first, 10).unwrap_err();
            assert_eq!(error.name, ErrorName::StateConflict);
            assert!(
                error
                    .message
                    .contains("APPROVED by arn:aws:iam::111122223333:user/anna"),
                "{error}"
            );
        }
        let expired = Verdict::expired(&request(), at(8));
        assert!(decide("anna", Says::Approve, &expired, 9).is_err());
    }

    #[test]
    fn nothing_is_decided_for_an_execution_that_has_ended() {
        assert!(check_waits(&request(), Some(ExecutionStatus::Running)).is_ok());
        for ended in [
            Some(ExecutionStatus::Aborted),
            Some(ExecutionStatus::Failed),
            None,
        ] {
            let error = check_waits(&request(), ended).unwrap_err();
            assert_eq!(error.name, ErrorName::StateConflict);
            assert!(error.message.contains("found e, which has ended"), "{error}");
        }
    }

    #[test]
    fn what_is_signed_covers_everything_that_is_said() {
        let execution = ExecutionArn::new("e");
        let says = says(Says::Approve);
        let others = [
            Submission {
                decision: Says::Reject,
                ..says.clone()
            },
            Submission {
                plan: "c0ffeec0ffee0".to_owned(),
                ..says.clone()
            },
            Submission {
                reason: "r".to_owned(),
                ..says.clone()
            },
        ];
        let hash = says.hash(&execution);
        assert!(others.iter().all(|other| other.hash(&execution) != hash));
        assert_ne!(says.hash(&ExecutionArn::new("f")), hash);
    }

    #[test]
    fn a_reason_is_one_line_and_not_empty() {
        for text in ["", " \n", &"x".repeat(501)] {
            let empty = Submission {
                reason: text.to_owned(),
                ..says(Says::Approve)
            };
            assert_eq!(refusal("anna", &rule(true), &empty, 9).0, ErrorName::InvalidInput);
        }
        assert_eq!(reason(" a\nb ").unwrap(), "a b");
    }

    #[test]
    fn what_was_not_approved_is_refused_with_a_name_of_its_own() {
        let of = |verdict: &Verdict| {
            verdict
                .answer()
                .refused
                .map(|refused| (refused.error, refused.cause))
        };
        let rejected = judge(
            &request(),
            &rule(true),
            None,
            &principal("anna"),
            &says(Says::Reject),
            at(9),
        )
        .unwrap();
        let (error, cause) = of(&rejected).unwrap();
        assert_eq!(error, "ApprovalRejected");
        assert!(cause.contains("user/anna: looks right"), "{cause}");
        let approved = Verdict {
            state: VerdictState::Approved,
            ..rejected
        };
        assert_eq!(of(&approved), None);
        assert_eq!(
            of(&Verdict::expired(&request(), at(9))).unwrap().0,
            "ApprovalExpired"
        );
        let by = ExecutionArn::new("arn:aws:states:r:1:execution:deploy:newer");
        let (error, cause) = of(&Verdict::superseded(&request(), &by, at(9))).unwrap();
        assert_eq!(error, "PlanSuperseded");
        assert!(cause.contains("the newer execution newer deploys"), "{cause}");
    }
}
