//! What administrators say of a plan: the policy, the rules, and whether it is the plan that somebody has approved.

use jiff::Timestamp;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::stores::approvals::Approval;
use seedflow_aws::stores::{plans, policies};
use seedflow_core::approval::{ApprovalNeeded, VerdictState};
use seedflow_core::deployment::plan::Plan;
use seedflow_core::deployment::plan_parts::PlanParts;
use seedflow_core::deployment::state::DeploymentState;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::ExecutionArn;
use seedflow_core::policy::{ApprovalRule, Starts, StoredPolicy, version_of};

/// What the deployment's policy says of a plan: whether it may run, and whether somebody has to approve it first.
pub(crate) async fn apply(
    work: &Bucket,
    plan: &mut Plan,
    state: &DeploymentState,
    destroys_by_request: bool,
) -> Result<()> {
    let policy = policies::of(work, &plan.deployment).await?;
    let changes = plan.changes();
    let renames = plan.modules.iter();
    let renames = renames.filter_map(|planned| Some((planned.renamed_from.as_ref()?, &planned.module)));
    let decide = |policy: &StoredPolicy| {
        let mut decision = policy.decide(&changes, Timestamp::now());
        let unprotected = renames.filter_map(|(from, to)| policy.unprotected_by(from, to));
        decision.broken.extend(unprotected);
        decision
    };
    plan.policy = policy.as_ref().map(decide);
    let rule = ApprovalRule::of(policy.as_ref());
    let reasons = rule.reasons(&Starts {
        changes: &changes,
        starts_anything: plan.modules.iter().any(|planned| planned.execution.is_some()),
        deployed: state.deployed().len(),
        destroys_by_request,
    });
    plan.rules = rules(work, plan).await?;
    let hash = PlanParts::of(plan).hash();
    plan.approval_for_rules = plan
        .rules
        .as_ref()
        .map(|_| ApprovalNeeded::for_rules(hash.clone(), &rule));
    plan.approval = ApprovalNeeded::of(hash, reasons, &rule);
    Ok(())
}

/// Refuses a plan that is not the one that was approved.
pub(crate) async fn check_approved(
    work: &Bucket,
    plan: &Plan,
    execution: &ExecutionArn,
    hash: &str,
) -> Result<()> {
    let approval = Approval {
        bucket: work,
        deployment: &plan.deployment,
        execution,
    };
    let verdict = approval.verdict().await?;
    // Everybody who has the task's token can answer it, and only functions write verdicts.
    if !verdict.is_some_and(|verdict| verdict.state == VerdictState::Approved && verdict.plan == hash) {
        let message = "nothing was started. The plan was not approved; start the deployment again";
        return Err(Error::new(ErrorName::ApprovalVoid, message));
    }
    let approved = plans::approved_parts(work, execution, hash).await?;
    approved.check_again(&PlanParts::of(plan))
}

/// The version of the deployment's rules in Rego, if the plan starts something that they may refuse.
async fn rules(work: &Bucket, plan: &Plan) -> Result<Option<String>> {
    if plan.changes().is_empty() {
        return Ok(None);
    }
    let rules = policies::rego(work, &plan.deployment).await?;
    Ok(rules.map(|rules| version_of(&rules)))
}
