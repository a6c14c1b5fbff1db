//! What the calls answer: the deployment's name, or its plan with what to start. The plan is stored first, and so is what is too
//! long for a payload.

use jiff::Timestamp;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::stores::plans;
use seedflow_core::approval::ApprovalNeeded;
use seedflow_core::deployment::input::DeploymentInput;
use seedflow_core::deployment::plan::{Plan, Wave, spill_long_inputs};
use seedflow_core::deployment::plan_parts::PlanParts;
use seedflow_core::deployment::previews::{self, Preview};
use seedflow_core::deployment::remote_source::RemoteSource;
use seedflow_core::deployment::rollback::DeploymentRollback;
use seedflow_core::error::{ErrorOutput, Result};
use seedflow_core::ids::{DeploymentId, ExecutionArn};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::policy::Decision;
use seedflow_core::started_by::StartedBy;
use serde::Serialize;
use serde_json::{Value, json};

/// The answer of the first call.
#[derive(Serialize)]
pub(crate) struct Named {
    pub(crate) deployment: DeploymentId,
    /// Whether everything is deployed: such an execution may wait for others.
    pub(crate) whole: bool,
    /// Whether nothing is changed: such an execution needs no lock.
    pub(crate) plan_only: bool,
    /// Whether a refusal of such a plan is recorded.
    pub(crate) record_refusal: bool,
    /// The commit of the repository: a refusal has it.
    pub(crate) origin: CommitInfo,
    /// The time by which the execution takes its place among those that wait, if it isn't that of its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<Timestamp>,
    /// Who started the execution: its modules and a refusal have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started_by: Option<StartedBy>,
}

/// The answer of the second call.
#[derive(Serialize)]
pub(crate) struct PlanAnswer {
    /// The deployment.
    pub(crate) deployment: DeploymentId,
    /// The executions to start, wave by wave.
    pub(crate) waves: Vec<Wave>,
    /// The key of the whole plan.
    pub(crate) plan_key: String,
    /// The number of modules by action.
    pub(crate) counts: Value,
    /// The modules with their actions and reasons, if the list is not too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) modules: Option<Value>,
    /// What the deployment's policy says of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<Decision>,
    /// Of a rollback, to what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rollback: Option<DeploymentRollback>,
    /// Warnings for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// The commit, for a plan that is only shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<CommitInfo>,
    /// Whether `modules` lacks definitions and changed values.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) shortened: bool,
    /// Whether the rules of the deployment have to be evaluated on the stored plan.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) evaluate: bool,
    /// The approval that the plan needs before it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<ApprovalNeeded>,
    /// Whether previews are to be run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) preview: bool,
    /// The previews of a plan that is only shown, if there is none to run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) previews: Vec<Preview>,
    /// The remote sources that have to be fetched before anything can be planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fetch: Option<Vec<RemoteSource>>,
    /// Why nothing is started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<ErrorOutput>,
}

impl PlanAnswer {
    /// An answer that starts nothing.
    fn nothing(deployment: DeploymentId, execution: &ExecutionArn) -> Self {
        Self {
            deployment,
            waves: Vec::new(),
            plan_key: execution.deployment_key(),
            counts: Value::Null,
            modules: None,
            policy: None,
            rollback: None,
            warnings: Vec::new(),
            origin: None,
            shortened: false,
            evaluate: false,
            approval: None,
            preview: false,
            previews: Vec::new(),
            fetch: None,
            refused: None,
        }
    }

    /// Adds what is shown of a plan.
    fn show(&mut self, plan: &Plan, request: &DeploymentInput) {
        self.evaluate = plan.rules.is_some();
        self.preview = plan.previews.has_pending();
        if request.plan_only && !self.preview {
            self.previews = previews::shortened(plan.previews.results(), previews::MAX_IN_ANSWER);
        }
        self.counts = json!(plan.counts());
        self.policy = plan.policy.clone();
        self.rollback = plan.rollback.clone();
        self.approval = plan.approval.clone();
        self.origin = Some(plan.commit_info.clone());
        (self.modules, self.shortened) = plan.listed();
        if request.plan_only && plan.rollback.is_some() {
            self.warnings = plan.warnings.clone();
        }
        if request.record_refusal
            && let Err(error) = plan.refuse()
        {
            self.refused = Some(error.into());
        }
    }
}

/// What planning leads to.
pub(crate) enum Outcome {
    /// A plan, and what to start.
    Planned(Box<Plan>, Vec<Wave>),
    /// Sources that have to be fetched first.
    Fetch(Vec<RemoteSource>),
}

/// Stores the plan and returns what to start. An error is returned with the deployment's name, so that the deployment's
/// status can have it too.
pub(crate) async fn answer(
    work: &Bucket,
    deployment: DeploymentId,
    made: Result<Outcome>,
    request: &DeploymentInput,
    execution: &ExecutionArn,
) -> Result<PlanAnswer> {
    let mut answer = PlanAnswer::nothing(deployment, execution);
    let (plan, waves) = match made {
        Ok(Outcome::Planned(plan, waves)) => (*plan, waves),
        Ok(Outcome::Fetch(sources)) => {
            answer.fetch = Some(sources);
            return Ok(answer);
        }
        Err(error) if request.is_decided_by(&error) => {
            answer.refused = Some(error.into());
            return Ok(answer);
        }
        Err(error) => return Err(error),
    };
    store(work, execution, &plan, request.plan_only).await?;
    answer.show(&plan, request);
    if request.plan_only {
        return Ok(answer);
    }
    let to_start = plan.refuse().and_then(|()| spill_long_inputs(waves, execution));
    match to_start {
        Err(error) => answer.refused = Some(error.into()),
        Ok((waves, stored)) => {
            for (key, text) in stored {
                work.put(&key, text).await?;
            }
            answer.modules = None;
            answer.origin = None;
            answer.waves = waves;
        }
    }
    Ok(answer)
}

/// Stores the plan, and what an approver and previews need of it.
async fn store(work: &Bucket, execution: &ExecutionArn, plan: &Plan, plan_only: bool) -> Result<()> {
    let may_wait = (plan.approval.is_some() || plan.rules.is_some()) && !plan_only;
    if may_wait {
        plans::store_parts(work, execution, &PlanParts::of(plan)).await?;
    }
    plans::store_deployment(work, execution, plan).await?;
    // An approver also sees why a module has no preview.
    if plan.previews.has_pending() || (may_wait && !plan.previews.modules.is_empty()) {
        plans::store_previews(work, execution, &plan.previews).await?;
    }
    Ok(())
}
