//! What the state machine gets of a check that leads to a plan.

use seedflow_aws::stores::{plans, policies};
use seedflow_core::deployment::module_part::ModulePart;
use seedflow_core::error::Result;
use seedflow_core::ids::DeploymentId;
use seedflow_core::module::plan::{CheckResult, Plan};

use crate::handler::{CurrentExecution, Handler};

impl Handler {
    /// Stores the plan, and returns it with the reasons and with what has to be asked before it runs.
    pub(crate) async fn checked(
        &self,
        changed: bool,
        reasons: Vec<String>,
        (plan, part): (Plan, Option<&ModulePart>),
        at: CurrentExecution<'_>,
    ) -> Result<CheckResult> {
        let (project, prefix) = (&self.limits.codebuild_project, &self.module_prefix);
        let result = CheckResult::new(changed, reasons, &plan, project, prefix);
        let deployment = DeploymentId::from(&plan.module);
        let evaluate = changed && policies::has_rego(&self.modules.work, &deployment).await?;
        Ok(CheckResult {
            evaluate,
            approved: evaluate && self.is_approved(&plan, part, at).await?,
            plan: Some(plans::store(&self.modules.work, plan, at.execution).await?),
            ..result
        })
    }
}
