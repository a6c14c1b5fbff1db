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
mod policy;
mod repository;
mod rollback;
mod state;
mod targets;

use std::collections::BTreeMap;
use std::pin::pin;

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::plans;
use seedflow_core::deployment::definitions;
use seedflow_core::deployment::input::{Action, DeploymentInput};
use seedflow_core::deployment::plan::Plan;
use seedflow_core::deployment::planner;
use seedflow_core::deployment::planner::{PlannableGroup, Planning};
use seedflow_core::deployment::preview_builds::Previews;
use seedflow_core::deployment::previewable::{self, Wanted};
use seedflow_core::deployment::remote_source::{FetchedSource, RemoteSource};
use seedflow_core::deployment::renames::Renames;
use seedflow_core::deployment::repository::Loaded;
use seedflow_core::deployment::rollback::{After, OnFailure, Rollback, To};
use seedflow_core::deployment::selection::Forced;
use seedflow_core::deployment::state::State;
use seedflow_core::deployment::targets::{TargetProblems, TargetsAsked};
use seedflow_core::error::{Error, ErrorName, Result, excerpt};
use seedflow_core::ids::{AwsEnvironment, BuildFolder, DeploymentId, ExecutionArn, ModuleId};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::definition::{DefinedBuild, DefinedSource, Surroundings};
use seedflow_core::module::fingerprint::VersionsByTarget;
use seedflow_core::module::input::Limits;
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::telemetry::log_context::LogContext;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Named, Outcome, Planned, answer};
use crate::repository::{Asked, Read, Stores};
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

    async fn destroy(
        &self,
        deployment: &DeploymentId,
        request: &DeploymentInput,
        (execution, home): (&ExecutionArn, &AwsEnvironment),
    ) -> Result<Outcome> {
        let state = state::state(&self.modules, deployment).await?;
        request.refuse_unknown(&known(&[], state.modules()))?;
        let (mut plan, waves) = planner::destroying(&Planning {
            deployment,
            execution,
            state: &state,
            renames: &Renames::default(),
            versions: &VersionsByTarget::new(),
            only: &request.only,
            concurrency: self.limits.maxima.concurrency,
        });
        plan.started_by.clone_from(&request.started_by);
        let problems = TargetProblems::default();
        self.targets.refuse(problems, (&plan, &state), home).await?;
        policy::apply(&self.modules.work, &mut plan, &state, true).await?;
        Ok(Outcome::Planned(Box::new(plan), waves))
    }

    async fn deploy(
        &self,
        (mut read, mut state, force, on_failure): (Read, State, &Forced, OnFailure),
        request: &DeploymentInput,
        execution: &ExecutionArn,
        home: &AwsEnvironment,
    ) -> Result<Outcome> {
        let mut groups = read.groups(force);
        let problems = self.targets.check(&groups, &read.targets, home).await?;
        let renames = Renames::apply(&mut groups, &mut state, &request.only, execution);
        request.refuse_unknown(&known(&groups, state.deployed()))?;
        let planning = Planning {
            deployment: &read.deployment,
            execution,
            state: &state,
            renames: &renames,
            versions: &self.targets.versions(&groups, &problems, home).await?,
            only: &request.only,
            concurrency: self.limits.maxima.concurrency,
        };
        let (mut plan, waves) = planner::deploying(&planning, &groups, force, read.commit_info.clone());
        self.targets.refuse(problems, (&plan, &state), home).await?;
        plan.sources = read.fetched.iter().map(FetchedSource::shown).collect();
        plan.warnings.append(&mut read.warnings);
        plan.started_by.clone_from(&request.started_by);
        policy::apply(&self.modules.work, &mut plan, &state, false).await?;
        let from = (&read.sources(), &read.commits());
        self.explain(&mut plan, &planning, &groups, from, (request.plan_only, home))
            .await?;
        if plan.refuse().is_ok() {
            let may_wait = plan.approval.is_some() || plan.approval_for_rules.is_some();
            let wanted = Wanted::of(request, may_wait);
            let run = || BuildFolder::from_random(uuid::Uuid::new_v4().into_bytes());
            plan.previews = previewable::find(&plan, &planning, &groups, wanted, &self.limits, run);
            let bundles = match request.plan_only {
                true => plan.previews.to_run(),
                false => {
                    rollback::prepare(&self.modules, &mut plan, on_failure).await?;
                    bundles::of(&plan)
                }
            };
            bundles::store(&self.modules.work, read, &bundles).await?;
        }
        Ok(Outcome::Planned(Box::new(plan), waves))
    }

    /// Plans to deploy again what an earlier execution of the deployment left.
    async fn roll_back(
        &self,
        deployment: &DeploymentId,
        request: &DeploymentInput,
        asked: RollbackRequest,
        (execution, home): (&ExecutionArn, &AwsEnvironment),
    ) -> Result<Outcome> {
        let mut state = state::state(&self.modules, deployment).await?;
        let earlier = rollback::find(&self.modules, deployment, asked.to, &state).await?;
        let mut groups = earlier.record.plannable(&earlier.modules);
        let problems = self
            .targets
            .check(&groups, &TargetsAsked::default(), home)
            .await?;
        let renames = Renames::apply(&mut groups, &mut state, &request.only, execution);
        request.refuse_unknown(&known(&groups, state.deployed()))?;
        let planning = Planning {
            deployment,
            execution,
            state: &state,
            renames: &renames,
            versions: &self.targets.versions(&groups, &problems, home).await?,
            only: &request.only,
            concurrency: self.limits.maxima.concurrency,
        };
        let commit_info = earlier.record.commit_info.clone();
        let (mut plan, waves) = planner::rolling_back(&planning, &groups, asked.destroy_new, commit_info);
        self.targets.refuse(problems, (&plan, &state), home).await?;
        plan.started_by.clone_from(&request.started_by);
        plan.rollback = Some(Rollback {
            after: asked.after,
            ..earlier.record.rollback()
        });
        policy::apply(&self.modules.work, &mut plan, &state, false).await?;
        rollback::check_bundles(&self.modules, &earlier, &plan).await?;
        let from = (&earlier.sources(), &earlier.commits());
        self.explain(&mut plan, &planning, &groups, from, (request.plan_only, home))
            .await?;
        Ok(Outcome::Planned(Box::new(plan), waves))
    }

    /// Adds what rules and people see of a plan: what each module is deployed from, and in a plan that is only shown the
    /// values that change.
    async fn explain(
        &self,
        plan: &mut Plan,
        planning: &Planning<'_>,
        groups: &[PlannableGroup],
        (sources, commits): (
            &BTreeMap<ModuleId, DefinedSource>,
            &BTreeMap<ModuleId, CommitInfo>,
        ),
        (plan_only, home): (bool, &AwsEnvironment),
    ) -> Result<()> {
        if plan_only || plan.rules.is_some() {
            let around = Surroundings {
                home,
                build: &self.build,
            };
            definitions::add(plan, planning, groups, sources, &around);
        }
        if plan_only {
            let again = planner::deployed_again(plan, planning.state);
            let records = state::records(&self.modules, &again, planning.renames).await?;
            planner::add_changed_values(plan, planning, groups, commits, &records);
        }
        Ok(())
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

/// The modules that an input can name.
fn known(groups: &[planner::PlannableGroup], stored: Vec<ModuleRef>) -> Vec<ModuleRef> {
    let modules = groups.iter().flat_map(|group| &group.modules);
    let mut known: Vec<ModuleRef> = modules.map(|module| ModuleRef::from(&module.id)).collect();
    known.extend(stored);
    known
}
