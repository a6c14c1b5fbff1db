//! The plans of each kind of request: a deployment, a destruction, a rollback.

use std::collections::BTreeMap;

use seedflow_aws::services::object_reader::ObjectReader;
use seedflow_aws::stores::build_folder::new_folder;
use seedflow_core::deployment::input::{DeploymentAction, DeploymentInput};
use seedflow_core::deployment::plan::Plan;
use seedflow_core::deployment::planner::{PlannableGroup, Planning};
use seedflow_core::deployment::previewable::{self, Wanted};
use seedflow_core::deployment::remote_source::{FetchedSource, replaced};
use seedflow_core::deployment::renames::Renames;
use seedflow_core::deployment::repository::LoadedRepository;
use seedflow_core::deployment::rollback::{After, DeploymentRollback, OnFailure, To};
use seedflow_core::deployment::selection::Forced;
use seedflow_core::deployment::state::DeploymentState;
use seedflow_core::deployment::targets::{TargetProblems, TargetsAsked};
use seedflow_core::deployment::{definitions, planner};
use seedflow_core::error::{ErrorName, Result};
use seedflow_core::ids::{AwsEnvironment, DeploymentId, ExecutionArn, ModuleId};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::definition::{DefinedSource, StackDefaults};
use seedflow_core::module::fingerprint::VersionsByTarget;
use seedflow_core::module::metadata_reference::ModuleRef;

use crate::answer::Outcome;
use crate::handler::Handler;
use crate::reading::Repository;
use crate::repository::Asked;
use crate::{bundles, policy, reading, rollback, state};

/// What a rollback asks for.
struct RollbackRequest {
    to: To,
    destroy_new: bool,
    after: Option<After>,
}

impl Handler {
    /// Makes the plan that the request asks for.
    ///
    /// # Errors
    /// The outer error ends the call. The inner one refuses the deployment.
    pub async fn make(
        &self,
        deployment: &DeploymentId,
        request: &DeploymentInput,
        sources: Option<&[FetchedSource]>,
        at: (&ExecutionArn, &AwsEnvironment),
    ) -> Result<Result<Outcome>> {
        Ok(match &request.action {
            DeploymentAction::Destroy { .. } => self.destroy(deployment, request, at).await,
            DeploymentAction::Rollback {
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
                let planned = self.roll_back(deployment, request, asked, at).await;
                match (planned, after) {
                    (Err(error), Some(after)) => Err(after.then(error)),
                    (planned, _) => planned,
                }
            }
            DeploymentAction::Deploy {
                source,
                options,
                force,
                on_failure,
            } => {
                let asked = Asked {
                    request,
                    source,
                    fetched: sources.unwrap_or_default(),
                    options,
                    environment: at.1,
                    maxima: &self.limits.maxima,
                };
                match reading::read(&self.modules, deployment, self.stores(), &asked).await? {
                    Ok(Repository::Whole(whole)) => {
                        let (read, state) = *whole;
                        let to_deploy = (read, state, force, *on_failure);
                        self.deploy(to_deploy, request, at.0, at.1).await
                    }
                    Ok(Repository::Needs(missing)) if sources.is_none() => Ok(Outcome::Fetch(missing)),
                    Ok(Repository::Needs(missing)) => Err(replaced(&missing)),
                    Err(error) => Err(error),
                }
            }
        })
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
        self.targets
            .refuse(problems, (&plan, &state), ErrorName::Refused, home)
            .await?;
        policy::apply(&self.modules.work, &mut plan, &state, true).await?;
        Ok(Outcome::Planned(Box::new(plan), waves))
    }

    async fn deploy(
        &self,
        (mut read, mut state, force, on_failure): (
            LoadedRepository<ObjectReader>,
            DeploymentState,
            &Forced,
            OnFailure,
        ),
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
        self.targets
            .refuse(problems, (&plan, &state), ErrorName::InvalidManifest, home)
            .await?;
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
            plan.previews = previewable::find(&plan, &planning, &groups, wanted, &self.limits, new_folder);
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
        self.targets
            .refuse(problems, (&plan, &state), ErrorName::Refused, home)
            .await?;
        plan.started_by.clone_from(&request.started_by);
        plan.rollback = Some(DeploymentRollback {
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
            let defaults = StackDefaults {
                home,
                build: &self.build,
            };
            definitions::add(plan, planning, groups, sources, &defaults);
        }
        if plan_only {
            let again = planner::deployed_again(plan, planning.state);
            let records = state::records(&self.modules, &again, planning.renames).await?;
            planner::add_changed_values(plan, planning, groups, commits, &records);
        }
        Ok(())
    }
}

/// The modules that an input can name.
fn known(groups: &[planner::PlannableGroup], stored: Vec<ModuleRef>) -> Vec<ModuleRef> {
    let modules = groups.iter().flat_map(|group| &group.modules);
    let mut known: Vec<ModuleRef> = modules.map(|module| ModuleRef::from(&module.id)).collect();
    known.extend(stored);
    known
}
