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
mod planning;
mod policy;
mod repository;
mod rollback;
mod state;
mod targets;

use std::pin::pin;

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::plans;
use seedflow_core::deployment::input::{Action, DeploymentInput};
use seedflow_core::deployment::preview_builds::Previews;
use seedflow_core::deployment::remote_source::{FetchedSource, RemoteSource};
use seedflow_core::deployment::repository::Loaded;
use seedflow_core::deployment::rollback::{After, To};
use seedflow_core::error::{Error, ErrorName, Result, excerpt};
use seedflow_core::ids::{AwsEnvironment, DeploymentId, ExecutionArn};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::definition::DefinedBuild;
use seedflow_core::module::input::Limits;
use seedflow_core::telemetry::log_context::LogContext;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Named, Outcome, Planned, answer};
use crate::repository::{Asked, Stores};
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
    Plan {
        /// The name that was read before; the execution holds its lock.
        deployment: DeploymentId,
        /// The remote sources of its manifest, once they are fetched.
        #[serde(default)]
        sources: Option<Vec<FetchedSource>>,
        /// The hash of the plan that was approved; null before that.
        #[serde(default)]
        approved: Option<String>,
    },
}

/// What a rollback asks for.
struct RollbackRequest {
    to: To,
    destroy_new: bool,
    after: Option<After>,
}

/// What the second and later calls get.
struct ToPlan {
    deployment: DeploymentId,
    sources: Option<Vec<FetchedSource>>,
    approved: Option<String>,
}

struct Handler {
    limits: Limits,
    modules: ModuleStore,
    targets: Targets,
    /// The container of builds that ask for nothing else.
    build: DefinedBuild,
    step_functions: StepFunctions,
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
    handler::run(async |invocation| function.handle(invocation).await).await
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
            Step::Plan {
                deployment,
                sources,
                approved,
            } => {
                let to_plan = ToPlan {
                    deployment,
                    sources,
                    approved,
                };
                json!(self.plan(to_plan, input, &execution, &environment).await?)
            }
        })
    }

    async fn name(
        &self,
        input: Value,
        execution: &ExecutionArn,
        environment: &AwsEnvironment,
    ) -> Result<Named> {
        let input = plans::first_input(&self.modules.work, &self.step_functions, input, execution).await?;
        let request = DeploymentInput::parse(&input, &self.limits)?;
        let mut place = None;
        if let Action::Rollback {
            after: Some(after), ..
        } = &request.action
        {
            place = Some(after.place(Timestamp::now()));
        }
        let (deployment, origin) = match &request.action {
            Action::Destroy { deployment } | Action::Rollback { deployment, .. } => {
                let deployment = DeploymentId {
                    project: request.project.clone(),
                    deployment: deployment.clone(),
                };
                (deployment, CommitInfo::default())
            }
            Action::Deploy { source, options, .. } => {
                let asked = Asked {
                    request: &request,
                    source,
                    fetched: &[],
                    options,
                    environment,
                    maxima: &self.limits.maxima,
                };
                let (found, origin) = repository::name(self.stores(), &asked).await?;
                request.check_deployment(&found)?;
                (found, origin)
            }
        };
        log::add_log_context(&LogContext::deployment(execution, &deployment));
        plans::store_name(&self.modules.work, execution, &deployment).await?;
        Ok(Named {
            deployment,
            whole: request.is_whole(),
            plan_only: request.plan_only,
            record_refusal: request.record_refusal,
            origin,
            place,
            started_by: request.started_by,
        })
    }

    async fn plan(
        &self,
        to_plan: ToPlan,
        input: Value,
        execution: &ExecutionArn,
        environment: &AwsEnvironment,
    ) -> Result<Planned> {
        let ToPlan {
            deployment,
            sources,
            approved,
        } = to_plan;
        let input = plans::input(&self.modules.work, input, execution).await?;
        let request = DeploymentInput::parse(&input, &self.limits)?;
        let made = match &request.action {
            Action::Destroy { .. } => {
                self.destroy(&deployment, &request, (execution, environment))
                    .await
            }
            Action::Rollback {
                to,
                destroy_new,
                after,
                ..
            } => {
                let asked = RollbackRequest {
                    to: to.clone(),
                    destroy_new: *destroy_new,
                    after: after.clone(),
                };
                let planned = self
                    .roll_back(&deployment, &request, asked, (execution, environment))
                    .await;
                match (planned, after) {
                    (Err(error), Some(after)) => Err(after.then(error)),
                    (planned, _) => planned,
                }
            }
            Action::Deploy {
                source,
                options,
                force,
                on_failure,
            } => {
                let asked = Asked {
                    request: &request,
                    source,
                    fetched: sources.as_deref().unwrap_or_default(),
                    options,
                    environment,
                    maxima: &self.limits.maxima,
                };
                // The state is read beside the repository, because Parameter Store answers few calls a second (decision 54).
                let (mut read, mut state) = (
                    pin!(repository::read(self.stores(), &asked)),
                    pin!(state::state(&self.modules, &deployment)),
                );
                let (found, state_so_far) = tokio::select! {
                    found = &mut read => (found?, None),
                    state = &mut state => (read.await?, Some(state)),
                };
                match found.of(&deployment) {
                    Ok(Loaded::Whole(read)) => {
                        let state = match state_so_far {
                            Some(state) => state?,
                            None => state.await?,
                        };
                        self.deploy(
                            (*read, state, force, *on_failure),
                            &request,
                            execution,
                            environment,
                        )
                        .await
                    }
                    Ok(Loaded::Needs(missing)) if sources.is_none() => Ok(Outcome::Fetch(missing)),
                    Ok(Loaded::Needs(missing)) => Err(replaced(&missing)),
                    Err(error) => Err(error),
                }
            }
        };
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

    fn stores(&self) -> Stores<'_> {
        Stores {
            work: &self.modules.work,
            parameters: &self.modules.parameters,
        }
    }
}

/// The error of a manifest that names other sources than it did before they were fetched. To fetch again could go on for
/// ever.
fn replaced(sources: &[RemoteSource]) -> Error {
    let named: Vec<String> = sources.iter().map(ToString::to_string).collect();
    Error::new(
        ErrorName::InvalidManifest,
        format!(
            "the manifest names {}, and named other sources when this execution began; the repository was replaced meanwhile, so start a new execution",
            excerpt(&named.join(", "), 1000)
        ),
    )
}
