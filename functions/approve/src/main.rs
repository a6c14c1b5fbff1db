//! `approve`: takes an approver's decision on a plan that waits (decision 59).
//!
//! Who calls is not read from the event: the caller signs a request to STS for exactly this decision, and STS says who has
//! signed it. The decision counts if the policy, as it is now, names the caller, if it is about the plan that waits, and if its
//! execution still runs. It is stored once, and then the waiting task is answered. A call that is repeated does the second again.

use jiff::Timestamp;
use seedflow_aws::runtime::config::SdkConfig;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::identity;
use seedflow_aws::services::identity::Proof;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::stores::approvals::Approval;
use seedflow_aws::stores::policies;
use seedflow_core::approval::{ApprovalSummary, Submission, check_waits, judge};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{DeploymentId, ExecutionArn};
use seedflow_core::policy::ApprovalRule;
use seedflow_core::telemetry::log_context::LogContext;
use serde::Deserialize;

#[derive(Deserialize)]
struct Event {
    deployment: DeploymentId,
    /// The execution whose plan waits.
    execution: ExecutionArn,
    /// What the approver says.
    #[serde(flatten)]
    says: Submission,
    /// Who says it.
    identity: Proof,
}

struct Handler {
    aws: SdkConfig,
    work: Bucket,
    step_functions: StepFunctions,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let function = Handler {
        work: Bucket::new(&aws, config::setting("WORK_BUCKET")?),
        step_functions: StepFunctions::new(&aws),
        aws,
    };
    handler::run(async |invocation| function.decide(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn decide(
        &self,
        Invocation { event, .. }: Invocation<Event>,
        now: Timestamp,
    ) -> Result<ApprovalSummary> {
        let Event {
            deployment,
            execution,
            says,
            identity,
        } = event;
        log::add_log_context(&LogContext::deployment(&execution, &deployment));
        let caller = identity::verify(&self.aws, &identity, &says.hash(&execution)).await?;
        let approval = Approval {
            bucket: &self.work,
            deployment: &deployment,
            execution: &execution,
        };
        let request = approval
            .request()
            .await?
            .filter(|request| request.execution == execution);
        let request = request.ok_or_else(|| {
            let message = format!(
                "execution: expected one of {deployment} whose plan waits for an approval, found {}",
                execution.name()
            );
            Error::new(ErrorName::InvalidInput, message)
        })?;
        let policy = policies::of(&self.work, &deployment).await?;
        let rule = ApprovalRule::of(policy.as_ref());
        let found = approval.verdict().await?;
        let verdict = judge(&request, &rule, found.as_ref(), &caller, &says, now)?;
        if found.is_none() {
            let described = self.step_functions.describe(&execution).await?;
            check_waits(&request, described.map(|described| described.status))?;
        }
        let decided = approval.settle(verdict, &self.step_functions).await?;
        // Another approver, or the end of the time, may have been faster.
        judge(&request, &rule, Some(&decided), &caller, &says, now)?;
        tracing::info!(verdict = decided.state.as_str(), by = %caller.principal, "decided");
        Ok(ApprovalSummary::of(request, Some(&decided)))
    }
}
