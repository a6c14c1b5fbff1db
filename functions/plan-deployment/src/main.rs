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

mod bundles;
mod repository;
mod rollback;

use std::collections::BTreeSet;
use std::pin::pin;

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::services::ssm::{ParameterStore, about_references};
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::approvals::Approval;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::{plans, policies, spilled_values};
use seedflow_core::approval::{ApprovalNeeded, VerdictState};
use seedflow_core::deployment::definitions;
use seedflow_core::deployment::input::{Action, DeploymentInput, Forced};
use seedflow_core::deployment::plan;
use seedflow_core::deployment::plan::{Plan, Wave};
use seedflow_core::deployment::plan_parts::PlanParts;
use seedflow_core::deployment::planner;
use seedflow_core::deployment::planner::Planning;
use seedflow_core::deployment::remote_source::{FetchedSource, RemoteSource};
use seedflow_core::deployment::repository::Loaded;
use seedflow_core::deployment::rollback::{After, OnFailure, Rollback, To};
use seedflow_core::deployment::state::State;
use seedflow_core::error::{Error, ErrorName, Result, excerpt};
use seedflow_core::ids::{AwsEnvironment, DeploymentId, ExecutionArn, ModuleId};
use seedflow_core::module::commit_info::CommitInfo;
use seedflow_core::module::definition::{DefinedBuild, Surroundings};
use seedflow_core::module::deployed_record::DeployedModule;
use seedflow_core::module::fingerprint::{Versions, VersionsByTarget};
use seedflow_core::module::input::Limits;
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::target_settings::{TargetSettings, all_not_ready};
use seedflow_core::policy::{ApprovalRule, Decision, Starts, StoredPolicy, version_of};
use seedflow_core::started_by::StartedBy;
use seedflow_core::target::{Target, TargetRole, settings_parameter};
use seedflow_core::telemetry::log_context::LogContext;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::repository::{Asked, Read, Stores};

/// Maximum length of the list of modules in the answer; a longer one is stored with the plan.
const MAX_LISTED: usize = 150 * 1024;
/// Number of concurrent reads of records.
const READS: usize = 16;

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

/// The answer of the first call.
#[derive(Serialize)]
struct Named {
    deployment: DeploymentId,
    /// Whether everything is deployed: such an execution may wait for others.
    whole: bool,
    /// Whether nothing is changed: such an execution needs no lock.
    plan_only: bool,
    /// Whether a refusal of such a plan is recorded.
    record_refusal: bool,
    /// The commit of the repository: a refusal has it.
    origin: CommitInfo,
    /// The time by which the execution takes its place among those that wait, if it isn't that of its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Timestamp>,
    /// Who started the execution: its modules and a refusal have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_by: Option<StartedBy>,
}

/// The answer of the second call.
#[derive(Serialize)]
struct PlannedModule {
    /// The deployment.
    deployment: DeploymentId,
    /// The executions to start, wave by wave.
    waves: Vec<Wave>,
    /// The key of the whole plan.
    plan_key: String,
    /// The number of modules by action.
    counts: Value,
    /// The modules with their actions and reasons, if the list is not too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    modules: Option<Value>,
    /// What the deployment's policy says of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Decision>,
    /// Of a rollback, to what.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback: Option<Rollback>,
    /// Warnings for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// The commit, for a plan that is only shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<CommitInfo>,
    /// Whether `modules` lacks definitions and changed values.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shortened: bool,
    /// Whether the rules of the deployment have to be evaluated on the stored plan.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    evaluate: bool,
    /// The approval that the plan needs before it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<ApprovalNeeded>,
    /// The remote sources that have to be fetched before anything can be planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    fetch: Option<Vec<RemoteSource>>,
    /// Why nothing is started.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

/// What a rollback asks for.
struct RollbackRequest {
    to: To,
    destroy_new: bool,
    after: Option<After>,
}

/// What the second and later calls are told.
struct ToPlan {
    deployment: DeploymentId,
    sources: Option<Vec<FetchedSource>>,
    approved: Option<String>,
}

/// What planning leads to.
enum Outcome {
    /// A plan, and what to start.
    Planned(Box<Plan>, Vec<Wave>),
    /// Sources that have to be fetched first.
    Fetch(Vec<RemoteSource>),
}

/// A deployment with a known name that can't be planned.
#[derive(Serialize)]
struct Refused {
    error: &'static str,
    cause: String,
}

struct Handler {
    limits: Limits,
    work: Bucket,
    parameters: ParameterStore,
    /// Parameter Store at home and in targets.
    places: Placed<ParameterStore>,
    /// The parameter with the settings of a target.
    settings: String,
    /// The container of builds that ask for nothing else.
    build: DefinedBuild,
    step_functions: StepFunctions,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let limits = config::limits()?;
    let function = Handler {
        work: Bucket::new(&aws, limits.work_bucket.clone()),
        parameters: ParameterStore::new(&aws),
        places: Placed::new(&aws, TargetRole::Reads, ParameterStore::new)?,
        settings: settings_parameter(&config::setting("STACK_NAME")?),
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
        let input = plans::first_input(&self.work, &self.step_functions, input, execution).await?;
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
        plans::store_name(&self.work, execution, &deployment).await?;
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
    ) -> Result<PlannedModule> {
        let ToPlan {
            deployment,
            sources,
            approved,
        } = to_plan;
        let input = plans::input(&self.work, input, execution).await?;
        let request = DeploymentInput::parse(&input, &self.limits)?;
        let made = match &request.action {
            Action::Destroy { .. } => self.destroy(&deployment, &request, execution).await,
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
                planned.map_err(|error| with_the_failure_before(error, after.as_ref()))
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
                    pin!(self.state(&deployment)),
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
            (Ok(Outcome::Planned(plan, waves)), Some(hash)) => {
                let same = self.check_approved(&plan, execution, hash).await;
                same.map(|()| Outcome::Planned(plan, waves))
            }
            (made, _) => made,
        };
        let mut planned = self.answer(deployment, made, &request, execution).await?;
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
            work: &self.work,
            parameters: &self.parameters,
        }
    }

    async fn destroy(
        &self,
        deployment: &DeploymentId,
        request: &DeploymentInput,
        execution: &ExecutionArn,
    ) -> Result<Outcome> {
        let state = self.state(deployment).await?;
        request.refuse_unknown(&known(&[], state.modules()))?;
        let (mut plan, waves) = planner::destroying(&Planning {
            deployment,
            execution,
            state: &state,
            versions: &VersionsByTarget::new(),
            only: &request.only,
            concurrency: self.limits.maxima.concurrency,
        });
        plan.started_by.clone_from(&request.started_by);
        self.apply_policy(&mut plan, &state, true).await?;
        Ok(Outcome::Planned(Box::new(plan), waves))
    }

    async fn deploy(
        &self,
        (mut read, state, force, on_failure): (Read, State, &Forced, OnFailure),
        request: &DeploymentInput,
        execution: &ExecutionArn,
        home: &AwsEnvironment,
    ) -> Result<Outcome> {
        let groups = read.groups(force);
        self.check_targets(&groups, home).await?;
        request.refuse_unknown(&known(&groups, state.deployed()))?;
        let planning = Planning {
            deployment: &read.deployment,
            execution,
            state: &state,
            versions: &self.versions(&groups, home).await?,
            only: &request.only,
            concurrency: self.limits.maxima.concurrency,
        };
        let (mut plan, waves) = planner::deploying(&planning, &groups, force, read.commit_info.clone());
        plan.sources = read.fetched.iter().map(FetchedSource::shown).collect();
        plan.warnings.append(&mut read.warnings);
        plan.started_by.clone_from(&request.started_by);
        self.apply_policy(&mut plan, &state, false).await?;
        if request.plan_only || plan.rules.is_some() {
            let around = Surroundings {
                home,
                build: &self.build,
            };
            definitions::add(&mut plan, &planning, &groups, &read.sources(), &around);
        }
        if request.plan_only {
            let records = self.records(&planner::deployed_again(&plan, &state)).await?;
            planner::add_changed_values(&mut plan, &planning, &groups, &read.commits(), &records);
        }
        if !request.plan_only && plan.refuse().is_ok() {
            self.prepare_rollback(&mut plan, on_failure).await?;
            bundles::store(&self.work, read, &plan).await?;
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
        let store = self.store();
        let state = self.state(deployment).await?;
        let earlier = rollback::find(&store, deployment, asked.to, &state).await?;
        let groups = earlier.record.plannable(&earlier.modules);
        self.check_targets(&groups, home).await?;
        request.refuse_unknown(&known(&groups, state.deployed()))?;
        let planning = Planning {
            deployment,
            execution,
            state: &state,
            versions: &self.versions(&groups, home).await?,
            only: &request.only,
            concurrency: self.limits.maxima.concurrency,
        };
        let commit_info = earlier.record.commit_info.clone();
        let (mut plan, waves) = planner::rolling_back(&planning, &groups, asked.destroy_new, commit_info);
        plan.started_by.clone_from(&request.started_by);
        plan.rollback = Some(Rollback {
            after: asked.after,
            ..earlier.record.rollback()
        });
        self.apply_policy(&mut plan, &state, false).await?;
        rollback::check_bundles(&store, &earlier, &plan).await?;
        if request.plan_only || plan.rules.is_some() {
            let around = Surroundings {
                home,
                build: &self.build,
            };
            definitions::add(&mut plan, &planning, &groups, &earlier.sources(), &around);
        }
        if request.plan_only {
            let records = self.records(&planner::deployed_again(&plan, &state)).await?;
            planner::add_changed_values(&mut plan, &planning, &groups, &earlier.commits(), &records);
        }
        Ok(Outcome::Planned(Box::new(plan), waves))
    }

    /// Notes in a plan to which execution it is rolled back if a module fails, if the request or the policy asks for it.
    async fn prepare_rollback(&self, plan: &mut Plan, on_failure: OnFailure) -> Result<()> {
        let by_policy = plan.policy.as_ref().is_some_and(|policy| policy.rolls_back);
        if on_failure == OnFailure::Stop && !by_policy {
            return Ok(());
        }
        match rollback::last(&self.store(), &plan.deployment).await? {
            Some(last) => plan.on_failure_to = Some(last.execution.name().to_owned()),
            None => plan.warnings.push(
                "on_failure: there is no success of the whole deployment yet, so a failure is not rolled back"
                    .to_owned(),
            ),
        }
        Ok(())
    }

    fn store(&self) -> ModuleStore {
        ModuleStore {
            parameters: self.parameters.clone(),
            work: self.work.clone(),
        }
    }

    /// What the deployment's policy says of a plan: whether it may run, and whether somebody has to approve it first.
    async fn apply_policy(&self, plan: &mut Plan, state: &State, destroys_by_request: bool) -> Result<()> {
        let policy = policies::of(&self.work, &plan.deployment).await?;
        let changes = plan.changes();
        let decide = |policy: &StoredPolicy| policy.decide(&changes, Timestamp::now());
        plan.policy = policy.as_ref().map(decide);
        let rule = ApprovalRule::of(policy.as_ref());
        let reasons = rule.reasons(&Starts {
            changes: &changes,
            starts_anything: plan.modules.iter().any(|planned| planned.execution.is_some()),
            deployed: state.deployed().len(),
            destroys_by_request,
        });
        plan.rules = self.rules(plan).await?;
        let hash = PlanParts::of(plan).hash();
        plan.approval_for_rules = plan
            .rules
            .as_ref()
            .map(|_| ApprovalNeeded::for_rules(hash.clone(), &rule));
        plan.approval = ApprovalNeeded::of(hash, reasons, &rule);
        Ok(())
    }

    /// Refuses a plan that is not the one that was approved.
    async fn check_approved(&self, plan: &Plan, execution: &ExecutionArn, hash: &str) -> Result<()> {
        let approval = Approval {
            bucket: &self.work,
            deployment: &plan.deployment,
            execution,
        };
        let verdict = approval.verdict().await?;
        // Whoever has the task's token can answer it, and only functions write verdicts.
        if !verdict.is_some_and(|verdict| verdict.state == VerdictState::Approved && verdict.plan == hash) {
            let message = "nothing was started. The plan that waited was not approved; start it again";
            return Err(Error::new(ErrorName::ApprovalVoid, message));
        }
        let approved = plans::approved_parts(&self.work, execution, hash).await?;
        approved.check_again(&PlanParts::of(plan))
    }

    /// The version of the deployment's rules in Rego, if the plan starts something that they may refuse.
    async fn rules(&self, plan: &Plan) -> Result<Option<String>> {
        if plan.changes().is_empty() {
            return Ok(None);
        }
        let rules = policies::rego(&self.work, &plan.deployment).await?;
        Ok(rules.map(|rules| version_of(&rules)))
    }

    /// The stored state of a deployment.
    async fn state(&self, deployment: &DeploymentId) -> Result<State> {
        let mut whole = Vec::new();
        for (name, text) in self.parameters.below(&deployment.path()).await? {
            if State::plans_by(&name) {
                whole.push((name, spilled_values::resolve(&self.work, text).await?));
            }
        }
        Ok(State::of(deployment, whole))
    }

    /// The records of modules that are deployed.
    async fn records(&self, modules: &[ModuleId]) -> Result<Vec<DeployedModule>> {
        let store = self.store();
        let mut records = Vec::new();
        for some in modules.chunks(READS) {
            let mut reading = JoinSet::new();
            for module in some {
                let (store, module) = (store.clone(), module.clone());
                reading.spawn(async move { store.record(&module).await });
            }
            for record in reading.join_all().await {
                records.extend(record?);
            }
        }
        Ok(records)
    }

    /// Refuses targets in which nothing can be deployed, all at once.
    async fn check_targets(&self, groups: &[planner::PlannableGroup], home: &AwsEnvironment) -> Result<()> {
        let mut errors = Vec::new();
        for target in planner::targets(groups).into_iter().flatten() {
            match self.check_target(target, home).await {
                Err(error) if error.name == ErrorName::Refused => errors.push(error),
                checked => checked?,
            }
        }
        all_not_ready(&errors)
    }

    async fn check_target(&self, target: &Target, home: &AwsEnvironment) -> Result<()> {
        let parameters = self.places.at(Some(target), home).await?;
        let found = parameters.get(std::slice::from_ref(&self.settings)).await?;
        let text = found.get(&self.settings).map(|(text, _)| text.as_str());
        TargetSettings::parse(target, home, text).map(drop)
    }

    /// The versions of all parameters that modules reference, each in the module's own target.
    async fn versions(
        &self,
        groups: &[planner::PlannableGroup],
        home: &AwsEnvironment,
    ) -> Result<VersionsByTarget> {
        let mut versions = VersionsByTarget::new();
        for target in planner::targets(groups) {
            let parameters = self.places.at(target, home).await?;
            let found = versions_of(&parameters, planner::references(groups, target)).await?;
            versions.insert(target.cloned(), found);
        }
        Ok(versions)
    }

    /// Stores the plan and returns what to start. An error is returned with the deployment's name, so that the deployment's
    /// status can have it too.
    async fn answer(
        &self,
        deployment: DeploymentId,
        made: Result<Outcome>,
        request: &DeploymentInput,
        execution: &ExecutionArn,
    ) -> Result<PlannedModule> {
        let mut answer = PlannedModule {
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
            fetch: None,
            refused: None,
        };
        let (plan, waves) = match made {
            Ok(Outcome::Planned(plan, waves)) => (*plan, waves),
            Ok(Outcome::Fetch(sources)) => {
                answer.fetch = Some(sources);
                return Ok(answer);
            }
            Err(error) if is_decided(&error, request) => {
                answer.refused = Some(refused(error));
                return Ok(answer);
            }
            Err(error) => return Err(error),
        };
        answer.evaluate = plan.rules.is_some();
        if (plan.approval.is_some() || answer.evaluate) && !request.plan_only {
            plans::store_parts(&self.work, execution, &PlanParts::of(&plan)).await?;
        }
        plans::store_deployment(&self.work, execution, &plan).await?;
        answer.counts = json!(plan.counts());
        answer.policy = plan.policy.clone();
        answer.rollback = plan.rollback.clone();
        answer.approval = plan.approval.clone();
        answer.origin = Some(plan.commit_info.clone());
        (answer.modules, answer.shortened) = listed(&plan);
        let after = plan.rollback.as_ref().and_then(|rollback| rollback.after.clone());
        let refuse = |plan: &Plan| {
            let refused = plan.refuse();
            refused.map_err(|error| with_the_failure_before(error, after.as_ref()))
        };
        if request.record_refusal
            && let Err(error) = refuse(&plan)
        {
            answer.refused = Some(refused(error));
        }
        if request.plan_only {
            if plan.rollback.is_some() {
                answer.warnings = plan.warnings.clone();
            }
            return Ok(answer);
        }
        let spill_long_inputs = refuse(&plan).and_then(|()| plan::spill_long_inputs(waves, execution));
        match spill_long_inputs {
            Err(error) => answer.refused = Some(refused(error)),
            Ok((waves, stored)) => {
                for (key, text) in stored {
                    self.work.put(&key, text).await?;
                }
                answer.modules = None;
                answer.origin = None;
                answer.waves = waves;
            }
        }
        Ok(answer)
    }
}

async fn versions_of(parameters: &ParameterStore, names: BTreeSet<&str>) -> Result<Versions> {
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let found = parameters.get(&names).await.map_err(about_references)?;
    let version = |name: &String| found.get(name).map(|(_, version)| *version);
    Ok(names.iter().map(|name| (name.clone(), version(name))).collect())
}

/// Whether an error concerns the deployment, so that its status should have it. Temporary errors do not, nor do errors of
/// an input that destroys, which may name a deployment that never existed.
fn is_decided(error: &Error, request: &DeploymentInput) -> bool {
    match error.name {
        ErrorName::Throttled | ErrorName::ServiceUnavailable => false,
        ErrorName::InvalidInput => matches!(request.action, Action::Deploy { .. }),
        _ => true,
    }
}

/// The error of a rollback that can't be planned; one that started by itself tells what it was to undo, too.
fn with_the_failure_before(error: Error, after: Option<&After>) -> Error {
    match after {
        Some(after) => Error::new(error.name, after.and_then(&error.message)),
        None => error,
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

fn refused(error: Error) -> Refused {
    Refused {
        error: error.name.as_str(),
        cause: error.message,
    }
}

/// The modules that an input can name.
fn known(groups: &[planner::PlannableGroup], stored: Vec<ModuleRef>) -> Vec<ModuleRef> {
    let modules = groups.iter().flat_map(|group| &group.modules);
    let mut known: Vec<ModuleRef> = modules.map(|module| ModuleRef::from(&module.id)).collect();
    known.extend(stored);
    known
}

/// The list of modules for the answer: without definitions and the values that change if it is too long with them, which the
/// second value says, and none if it is too long even then. The stored plan has everything.
fn listed(plan: &Plan) -> (Option<Value>, bool) {
    let is_short = |modules: &Value| text(modules).len() < MAX_LISTED;
    let whole = json!(plan.modules);
    if is_short(&whole) {
        return (Some(whole), false);
    }
    let mut modules = plan.modules.clone();
    for module in &mut modules {
        module.changes.clear();
        module.definition = None;
    }
    (Some(json!(modules)).filter(is_short), true)
}

/// Keys are strings only, so this can't fail.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
