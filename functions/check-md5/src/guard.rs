//! What the policy of the module's deployment, its rules and its approvals allow.

use jiff::Timestamp;
use seedflow_aws::stores::approvals::Approval;
use seedflow_aws::stores::{plans, policies, stored_lock};
use seedflow_core::approval::part as approved_part;
use seedflow_core::deployment::module_part::ModulePart;
use seedflow_core::deployment::plan_parts::PlanParts;
use seedflow_core::error::Result;
use seedflow_core::ids::{DeploymentId, ExecutionArn, ModuleId};
use seedflow_core::module::input::ModuleAction;
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::plan::Plan;
use seedflow_core::policy::{ApprovalRule, Change, Changes, rego};

use crate::handler::{CurrentExecution, Handler};

impl Handler {
    /// Refuses a change of a module that breaks the policy of its deployment, or that nobody has approved, however the
    /// execution was started.
    pub async fn refuse_by_policy(
        &self,
        module: &ModuleId,
        change: Change,
        part: Option<&ModulePart>,
        at: CurrentExecution<'_>,
    ) -> Result<()> {
        let deployment = DeploymentId::from(module);
        let Some(policy) = policies::of(&self.modules.work, &deployment).await? else {
            return Ok(());
        };
        let (changes, now) = (
            Changes::from([(ModuleRef::from(module), change)]),
            Timestamp::now(),
        );
        let decision = policy.decide(&changes, now);
        let admitted = policy.decide_on_admitted(&changes, now);
        match decision != admitted && self.is_admitted(&deployment, at).await? {
            true => admitted.refuse()?,
            false => decision.refuse()?,
        }
        let rule = ApprovalRule::of(Some(&policy));
        if !rule.needs_plan(change) {
            return Ok(());
        }
        let parts = self.approved(module, at.part_of).await?;
        parts.check_module(&ModuleRef::from(module), change, part, rule.approve_values)
    }

    /// Whether a module is part of a plan that was approved, for rules that ask for it.
    pub async fn is_approved(
        &self,
        plan: &Plan,
        part: Option<&ModulePart>,
        at: CurrentExecution<'_>,
    ) -> Result<bool> {
        let change = match plan.action {
            ModuleAction::Deploy => Change::Deploy,
            ModuleAction::Destroy => Change::Destroy,
        };
        let policy = policies::of(&self.modules.work, &DeploymentId::from(&plan.module)).await?;
        let is_pinned = ApprovalRule::of(policy.as_ref()).approve_values;
        let of = ModuleRef::from(&plan.module);
        let parts = self.approved(&plan.module, at.part_of).await;
        match parts.and_then(|parts| parts.check_module(&of, change, part, is_pinned)) {
            Ok(()) => Ok(true),
            Err(error) if approved_part::says_not_approved(&error) => {
                tracing::info!(cause = %error.message, "not approved");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses to move or rename a module by a request of its own where rules have to be evaluated ([`rego::alone`]).
    pub async fn refuse_alone_by_rules(
        &self,
        module: &ModuleId,
        what: &str,
        at: CurrentExecution<'_>,
    ) -> Result<()> {
        let deployment = DeploymentId::from(module);
        let has_rules = policies::has_rego(&self.modules.work, &deployment).await?;
        if !has_rules || self.is_admitted(&deployment, at).await? {
            return Ok(());
        }
        Err(rego::alone(module, what))
    }

    /// The plan that somebody has approved for the execution that this one says to be part of ([`approved_part::current`]).
    async fn approved(&self, module: &ModuleId, part_of: Option<&ExecutionArn>) -> Result<PlanParts> {
        let deployment = DeploymentId::from(module);
        let whole = part_of.ok_or_else(|| approved_part::required(module))?;
        let lock = stored_lock::read(&self.modules.work, &deployment.lock_key()).await?;
        let holds = lock.is_some_and(|(lock, _)| lock.is_held_by(whole));
        let approval = Approval {
            bucket: &self.modules.work,
            deployment: &deployment,
            execution: whole,
        };
        let verdict = approved_part::current(module, approval.verdict().await?, holds)?;
        plans::approved_parts(&self.modules.work, whole, &verdict.plan).await
    }

    /// Whether the execution belongs to a deployment that was admitted when it was planned, and that still runs. What its input
    /// says is only where to look: the deployment has to hold its lock, and its plan has to have this execution.
    async fn is_admitted(&self, deployment: &DeploymentId, at: CurrentExecution<'_>) -> Result<bool> {
        let Some(part_of) = at.part_of else {
            return Ok(false);
        };
        let lock = stored_lock::read(&self.modules.work, &deployment.lock_key()).await?;
        if !lock.is_some_and(|(lock, _)| lock.is_held_by(part_of)) {
            return Ok(false);
        }
        let plan = plans::find_deployment(&self.modules.work, part_of).await?;
        Ok(plan.is_some_and(|plan| plan.deployment == *deployment && plan.admits(at.execution)))
    }
}
