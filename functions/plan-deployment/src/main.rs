//! `plan-deployment`: plans how to bring a deployment to the state of its repository, or how to destroy it.
//!
//! It is called twice. The first call reads the deployment's name, whose lock the execution then takes. It stores that name
//! for later functions, and also an input that is too long for a payload. The second call plans: it reads the manifests and
//! the modules' files in one pass over the repository's zip, reads the parameters of the deployment by their path, and lets
//! the core decide. If the manifest names remote sources, this call answers their list and plans nothing. A third call gets
//! where they are stored. A plan that was approved is made once more, and refused unless it is still the same.
//!
//! It changes nothing of the deployment. It stores the plan and the bundle of each module that is deployed, each always at
//! the same key, so it is idempotent.

mod answer;
mod bundles;
mod handler;
mod naming;
mod planning;
mod policy;
mod reading;
mod repository;
mod rollback;
mod state;
mod targets;

use seedflow_aws::runtime::config;
use seedflow_aws::runtime::handler as lambda;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::plans;
use seedflow_core::deployment::input::DeploymentInput;
use seedflow_core::deployment::preview_builds::Previews;
use seedflow_core::deployment::remote_source::FetchedSource;
use seedflow_core::error::Result;
use seedflow_core::ids::{AwsEnvironment, DeploymentId, ExecutionArn};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Outcome, PlanAnswer, answer};
use crate::handler::Handler;
use crate::targets::Targets;

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    /// Null if it is too long to be sent.
    input: Value,
    #[serde(flatten)]
    action: Step,
}

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Step {
    /// Reads the deployment's name.
    Name,
    /// Plans this deployment.
    Plan(ToPlan),
}

/// What the second and later calls get.
#[derive(Deserialize)]
struct ToPlan {
    /// The name that was read before; the execution holds its lock.
    deployment: DeploymentId,
    /// The remote sources of its manifest, once they are fetched.
    #[serde(default)]
    sources: Option<Vec<FetchedSource>>,
    /// The hash of the plan that was approved; null before that.
    #[serde(default)]
    approved: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let limits = config::limits()?;
    let function = Handler {
        modules: ModuleStore::new(&aws, limits.work_bucket.clone()),
        targets: Targets::new(&aws)?,
        build: config::default_build()?,
        step_functions: StepFunctions::new(&aws),
        limits,
    };
    lambda::run(async |invocation| function.handle(invocation).await).await
}

impl Handler {
    async fn handle(&self, Invocation { event, environment }: Invocation<Event>) -> Result<Value> {
        let Event {
            execution,
            input,
            action,
        } = event;
        Ok(match action {
            Step::Name => json!(self.name(input, &execution, &environment).await?),
            Step::Plan(to_plan) => json!(self.plan(to_plan, input, &execution, &environment).await?),
        })
    }

    async fn plan(
        &self,
        to_plan: ToPlan,
        input: Value,
        execution: &ExecutionArn,
        environment: &AwsEnvironment,
    ) -> Result<PlanAnswer> {
        let ToPlan {
            deployment,
            sources,
            approved,
        } = to_plan;
        let input = plans::input(&self.modules.work, input, execution).await?;
        let request = DeploymentInput::parse(&input, &self.limits)?;
        let made = self
            .make(
                &deployment,
                &request,
                sources.as_deref(),
                (execution, environment),
            )
            .await?;
        let made = match (made, &approved) {
            (Ok(Outcome::Planned(mut plan, waves)), Some(hash)) => {
                // The approver has seen them.
                plan.previews = Previews::default();
                let same = policy::check_approved(&self.modules.work, &plan, execution, hash).await;
                same.map(|()| Outcome::Planned(plan, waves))
            }
            (made, _) => made,
        };
        let mut planned = answer(&self.modules.work, deployment, made, &request, execution).await?;
        if approved.is_some() {
            planned.approval = None;
        }
        tracing::info!(
            counts = %planned.counts,
            fetch = planned.fetch.as_ref().map(Vec::len),
            refused = planned.refused.as_ref().map(|refused| refused.error), "planned"
        );
        Ok(planned)
    }
}
