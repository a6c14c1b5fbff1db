//! `plan-deployment`: what has to be done to bring a deployment to what its repository says, or to destroy it.
//!
//! Called twice. First it reads the deployment's name, whose lock the execution then takes; it stores that name, and an
//! input that is too long for a payload, for the functions that come after. Then it plans: it reads the manifests and the modules' files in one pass over the repository's zip, reads what is stored of the deployment
//! by its path in Parameter Store, and has the core decide. It changes nothing of the deployment: it stores the plan, and
//! for every module that has a turn the bundle that is deployed, each always in the same place, so it may run any number of
//! times.

mod bundles;
mod repository;

use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::services::ssm::{ParameterStore, about_references};
use seedflow_aws::stores::{plans, spilled_values};
use seedflow_core::deployment::input::{Action, DeploymentInput, Forced};
use seedflow_core::deployment::plan;
use seedflow_core::deployment::plan::{Plan, Planning, Wave};
use seedflow_core::deployment::repository::Found;
use seedflow_core::deployment::state::State;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::{AwsEnvironment, ExecutionArn};
use seedflow_core::module::fingerprint::Versions;
use seedflow_core::module::input::Limits;
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::telemetry::log_context::LogContext;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::repository::{Asked, Read};

/// How long the list of modules may be that is answered with a plan; a longer one lies where the plan does.
const MAX_LISTED: usize = 150 * 1024;

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    /// Null where it is too long to be sent.
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
        /// Its name as it was read before: the execution has its lock.
        deployment: DeploymentId,
    },
}

/// What the state machine hears of the name.
#[derive(Serialize)]
struct Named {
    deployment: DeploymentId,
    /// Whether everything is deployed: such an execution may wait for others.
    whole: bool,
    /// Whether nothing is to be changed: such an execution needs no lock.
    plan_only: bool,
}

/// What the state machine hears of the plan.
#[derive(Serialize)]
struct Planned {
    /// The deployment.
    deployment: DeploymentId,
    /// What is to be started, wave by wave.
    waves: Vec<Wave>,
    /// Where the whole plan lies.
    plan_key: String,
    /// How many modules have which action.
    counts: Value,
    /// The modules with their actions and reasons, where there is room for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    modules: Option<Value>,
    /// Why nothing is started.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

/// A deployment that is known by its name and can't be planned.
#[derive(Serialize)]
struct Refused {
    error: &'static str,
    cause: String,
}

struct Handler {
    limits: Limits,
    work: Bucket,
    parameters: ParameterStore,
    step_functions: StepFunctions,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let limits = config::limits()?;
    let function = Handler {
        work: Bucket::new(&aws, limits.work_bucket.clone()),
        parameters: ParameterStore::new(&aws),
        step_functions: StepFunctions::new(&aws),
        limits,
    };
    handler::run(async |invocation| function.handle(invocation).await).await
}

impl Handler {
    async fn handle(&self, Invocation { event, place }: Invocation<Event>) -> Result<Value> {
        let Event {
            execution,
            input,
            action,
        } = event;
        Ok(match action {
            Step::Name => json!(self.name(input, &execution, &place).await?),
            Step::Plan { deployment } => json!(self.plan(deployment, input, &execution, &place).await?),
        })
    }

    async fn name(&self, input: Value, execution: &ExecutionArn, place: &AwsEnvironment) -> Result<Named> {
        let input = plans::first_input(&self.work, &self.step_functions, input, execution).await?;
        let request = DeploymentInput::parse(&input, &self.limits)?;
        let deployment = match &request.action {
            Action::Destroy { deployment } => DeploymentId {
                project: request.project.clone(),
                deployment: deployment.clone(),
            },
            Action::Deploy { source, env, .. } => {
                let asked = Asked {
                    request: &request,
                    source,
                    env,
                    place,
                    maxima: self.limits.maxima,
                };
                repository::name(&self.work, &asked).await?
            }
        };
        log::add_log_context(&LogContext::deployment(execution, &deployment));
        plans::store_name(&self.work, execution, &deployment).await?;
        Ok(Named {
            deployment,
            whole: request.is_whole(),
            plan_only: request.plan_only,
        })
    }

    async fn plan(
        &self,
        deployment: DeploymentId,
        input: Value,
        execution: &ExecutionArn,
        place: &AwsEnvironment,
    ) -> Result<Planned> {
        let input = plans::input(&self.work, input, execution).await?;
        let request = DeploymentInput::parse(&input, &self.limits)?;
        let made = match &request.action {
            Action::Destroy { .. } => self.destroy(&deployment, &request, execution).await,
            Action::Deploy { source, env, force } => {
                let asked = Asked {
                    request: &request,
                    source,
                    env,
                    place,
                    maxima: self.limits.maxima,
                };
                match repository::read(&self.work, &asked).await? {
                    found if *found.deployment() != deployment => {
                        Err(renamed(found.deployment(), &deployment))
                    }
                    Found::Refused { error, .. } => Err(error),
                    Found::Read(read) => self.deploy(*read, force, &request, execution).await,
                }
            }
        };
        let planned = self.answer(deployment, made, &request, execution).await?;
        tracing::info!(
            counts = %planned.counts,
            refused = planned.refused.as_ref().map(|refused| refused.error), "planned"
        );
        Ok(planned)
    }

    async fn destroy(
        &self,
        deployment: &DeploymentId,
        request: &DeploymentInput,
        execution: &ExecutionArn,
    ) -> Result<(Plan, Vec<Wave>)> {
        let state = self.state(deployment).await?;
        request.refuse_unknown(&known(&[], &state))?;
        Ok(plan::destroying(&Planning {
            deployment,
            execution,
            state: &state,
            versions: &Versions::new(),
            only: &request.only,
            concurrency: self.limits.maxima.concurrency,
        }))
    }

    async fn deploy(
        &self,
        mut read: Read,
        force: &Forced,
        request: &DeploymentInput,
        execution: &ExecutionArn,
    ) -> Result<(Plan, Vec<Wave>)> {
        let groups = read.groups(force, &self.limits)?;
        let state = self.state(&read.deployment).await?;
        request.refuse_unknown(&known(&groups, &state))?;
        let planning = Planning {
            deployment: &read.deployment,
            execution,
            state: &state,
            versions: &self.versions(&groups).await?,
            only: &request.only,
            concurrency: self.limits.maxima.concurrency,
        };
        let (mut plan, waves) = plan::deploying(&planning, &groups, force, read.origin.clone());
        plan.warnings.append(&mut read.warnings);
        if !request.plan_only && plan.refuse_blocked().is_ok() {
            bundles::store(&self.work, read, &plan).await?;
        }
        Ok((plan, waves))
    }

    /// What is stored of a deployment.
    async fn state(&self, deployment: &DeploymentId) -> Result<State> {
        let mut whole = Vec::new();
        for (name, text) in self.parameters.below(&deployment.path()).await? {
            if State::plans_by(&name) {
                whole.push((name, spilled_values::resolve(&self.work, text).await?));
            }
        }
        Ok(State::of(deployment, whole))
    }

    /// The versions of the parameters that any module refers to.
    async fn versions(&self, groups: &[plan::PlannableGroup]) -> Result<Versions> {
        let modules = groups.iter().flat_map(|group| &group.modules);
        let mut names: Vec<String> = modules
            .flat_map(|module| module.options.parameters.parameter_store_names())
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names.dedup();
        let found = self.parameters.get(&names).await.map_err(about_references)?;
        let version = |name: &String| found.get(name).map(|(_, version)| *version);
        Ok(names.iter().map(|name| (name.clone(), version(name))).collect())
    }

    /// Stores the plan and says what is to be started; what can't be planned is said with the name of its deployment, so
    /// that its status can say so too.
    async fn answer(
        &self,
        deployment: DeploymentId,
        made: Result<(Plan, Vec<Wave>)>,
        request: &DeploymentInput,
        execution: &ExecutionArn,
    ) -> Result<Planned> {
        let mut answer = Planned {
            deployment,
            waves: Vec::new(),
            plan_key: execution.deployment_key(),
            counts: Value::Null,
            modules: None,
            refused: None,
        };
        let (plan, waves) = match made {
            Ok(made) => made,
            Err(error) if is_decided(&error) => {
                answer.refused = Some(refused(error));
                return Ok(answer);
            }
            Err(error) => return Err(error),
        };
        self.work.put(&answer.plan_key, text(&plan)).await?;
        answer.counts = json!(plan.counts());
        answer.modules = Some(json!(plan.modules)).filter(|modules| text(modules).len() < MAX_LISTED);
        if request.plan_only {
            return Ok(answer);
        }
        let laid_out = plan
            .refuse_blocked()
            .and_then(|()| plan::laid_out(waves, execution));
        match laid_out {
            Err(error) => answer.refused = Some(refused(error)),
            Ok((waves, stored)) => {
                for (key, text) in stored {
                    self.work.put(&key, text).await?;
                }
                answer.modules = None;
                answer.waves = waves;
            }
        }
        Ok(answer)
    }
}

/// Whether an error says something about the deployment, which its status should say too, and not about the moment or about
/// an input, which may name a deployment that never was.
fn is_decided(error: &Error) -> bool {
    !matches!(
        error.name,
        ErrorName::InvalidInput | ErrorName::Throttled | ErrorName::ServiceUnavailable
    )
}

fn refused(error: Error) -> Refused {
    Refused {
        error: error.name.as_str(),
        cause: error.message,
    }
}

/// Refuses a repository that was replaced since the name was read, by one of another deployment.
fn renamed(found: &DeploymentId, locked: &DeploymentId) -> Error {
    Error::new(
        ErrorName::InvalidManifest,
        format!(
            "the manifest: found the deployment {found}, expected {locked}, which it described when this execution began; the repository was replaced meanwhile, so start a new execution"
        ),
    )
}

/// The modules that somebody can mean.
fn known(groups: &[plan::PlannableGroup], state: &State) -> Vec<ModuleRef> {
    let modules = groups.iter().flat_map(|group| &group.modules);
    let mut known: Vec<ModuleRef> = modules.map(|module| ModuleRef::from(&module.id)).collect();
    known.extend(state.modules());
    known
}

/// What is stored has text keys only, which always serialise.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
