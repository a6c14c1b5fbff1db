//! `check-md5`: has the module changed since its last success? If it is to be destroyed: what is there to destroy?
//!
//! It parses the execution's input, streams the bundle from S3, computes the fingerprint and reads the stored parameters.
//! It returns the decision with its reasons and the plan for the later states. For a destruction it makes the plan from the
//! module's record; a rollback is a deployment of what an earlier record names.
//!
//! It writes only a plan that is too long to be returned, always at the same key, so it is idempotent.

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::object_reader::{ObjectReader, Opened, blocking};
use seedflow_aws::services::ssm::{ParameterStore, about_references};
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::approvals::Approval;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::{fence, plans, policies};
use seedflow_core::approval::VerdictState;
use seedflow_core::deployment::module_part::ModulePart;
use seedflow_core::deployment::plan_parts::PlanParts;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{AwsEnvironment, DeploymentId, ExecutionArn, ModuleId};
use seedflow_core::module::bundle;
use seedflow_core::module::bundle::Bundle;
use seedflow_core::module::change_detection::{RequestReason, decide};
use seedflow_core::module::deployed_record::DeployedModule;
use seedflow_core::module::deployspec::Deployspec;
use seedflow_core::module::destroy;
use seedflow_core::module::destroy::Destruction;
use seedflow_core::module::fingerprint::{Fingerprint, deployspec_digest};
use seedflow_core::module::former_names::FormerNames;
use seedflow_core::module::input;
use seedflow_core::module::input::{Action, DeployInput, DestroyInput, Limits, ModuleInput, Options};
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::network::{AllowedNetworks, Network};
use seedflow_core::module::plan::{CheckResult, Plan};
use seedflow_core::module::rename;
use seedflow_core::module::role::ModuleStack;
use seedflow_core::module::rollback;
use seedflow_core::module::rollback::Goal;
use seedflow_core::module::source::Source;
use seedflow_core::module::stored_parameters::ModuleParameters;
use seedflow_core::module::stored_state::StoredState;
use seedflow_core::module::taint;
use seedflow_core::module::target_settings::{Home, TargetSettings};
use seedflow_core::policy::{ApprovalRule, Change, Changes};
use seedflow_core::target::{Target, TargetRole, settings_parameter};
use seedflow_core::telemetry::log_context::LogContext;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    /// Null if it is too long to be sent.
    input: Value,
}

struct Handler {
    limits: Limits,
    /// Prefix of the names of all modules' roles and stacks.
    module_prefix: String,
    modules: ModuleStore,
    /// Parameter Store at home and in targets.
    parameters: Placed<ParameterStore>,
    /// The name of Seedflow's stack.
    stack: String,
}

/// Where a module is deployed or destroyed: Parameter Store, and the target's settings. At home there are none.
struct Place {
    parameters: ParameterStore,
    settings: Option<TargetSettings>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let limits = config::limits()?;
    let function = Handler {
        modules: ModuleStore::new(&aws, limits.work_bucket.clone()),
        module_prefix: config::setting("MODULE_PREFIX")?,
        parameters: Placed::new(&aws, TargetRole::Reads, ParameterStore::new)?,
        stack: config::setting("STACK_NAME")?,
        limits,
    };
    handler::run(async |invocation| function.check(invocation).await).await
}

/// The execution, and where it runs.
#[derive(Clone, Copy)]
struct At<'a> {
    execution: &'a ExecutionArn,
    environment: &'a AwsEnvironment,
    /// The execution of a deployment that it says it is part of.
    part_of: Option<&'a ExecutionArn>,
}

impl Handler {
    async fn check(&self, Invocation { event, environment }: Invocation<Event>) -> Result<CheckResult> {
        let input = plans::input(&self.modules.work, event.input, &event.execution).await?;
        let part_of = input::part_of(&input)?;
        let at = At {
            execution: &event.execution,
            environment: &environment,
            part_of: part_of.as_ref(),
        };
        match ModuleInput::parse(&input, &self.limits)? {
            ModuleInput::Deploy(request) => {
                log::add_log_context(&LogContext::module(&event.execution, &request.module));
                self.check_deployment(*request, None, at).await
            }
            ModuleInput::Rollback(asked) => {
                log::add_log_context(&LogContext::module(&event.execution, &asked.module));
                let goal = Goal::from(asked.to.clone());
                let record = self.modules.record_to_roll_back_to(&asked.module, goal).await?;
                let (request, reason) = rollback::request(record, &asked)?;
                self.check_deployment(request, Some(reason), at).await
            }
            ModuleInput::Taint(module) => {
                log::add_log_context(&LogContext::module(&event.execution, &module));
                self.taint(&module, at).await
            }
            ModuleInput::Destroy(request) => self.check_destruction(request, at).await,
        }
    }

    /// Marks a module, which isn't deployed now ([`taint`]).
    async fn taint(&self, module: &ModuleId, at: At<'_>) -> Result<CheckResult> {
        let record = self.modules.record(module).await?;
        let stored = self.modules.stored(module).await?;
        rename::refuse_taken(module, &stored, None)?;
        let plan = taint::plan(module, record, &stored, Timestamp::now())?;
        let reasons = vec![taint::REASON.to_owned()];
        self.checked(false, reasons, (plan, None), at).await
    }

    /// What changed; `reason` is the request's own. An error that concerns a bundle which could
    /// be opened is returned with the bundle's commit, so that the refusal has it.
    async fn check_deployment(
        &self,
        request: DeployInput,
        reason: Option<RequestReason>,
        at: At<'_>,
    ) -> Result<CheckResult> {
        let (reader, opened) = ObjectReader::open(&self.modules.work, &request.source).await?;
        let commit_info = opened.commit_info.clone();
        match self.check_bundle(request, (reader, opened), reason, at).await {
            Err(error) => CheckResult::refuse(error, commit_info),
            checked => checked,
        }
    }

    async fn check_bundle(
        &self,
        request: DeployInput,
        (reader, opened): (ObjectReader, Opened),
        reason: Option<RequestReason>,
        at: At<'_>,
    ) -> Result<CheckResult> {
        let bundle = read_bundle(reader, &request.source, opened.size).await?;
        let options = match request.options {
            Some(options) => options,
            None => bundle.options(&request.module, &self.limits)?,
        };
        options.check_target(at.environment, &self.limits.maxima)?;
        let place = self.place(options.target.as_ref(), at.environment).await?;
        let elsewhere = options.target.as_ref().map(|_| &place.parameters);
        let StoredState {
            stored,
            versions,
            upstreams,
        } = self
            .modules
            .state(&request.module, &options.parameters, elsewhere)
            .await?;
        let previous_status = stored.status_of(&request.module)?;
        let renaming = self.renaming(&request.module, &stored, &options).await?;
        let former_names = match &renaming {
            Some((_, names)) => names.clone(),
            None => rename::names_to_keep(previous_status.as_ref(), options.target.as_ref()),
        };
        let options = options.named_after(&former_names, &request.module);
        let referring = options.clone();
        let options = options.resolve(&request.module, &upstreams)?;
        let part = ModulePart::deploying(
            &bundle.digest,
            &deployspec_digest(&bundle.deployspec),
            &referring,
            &options.parameters,
            &versions,
        );
        if let Some(settings) = &place.settings {
            settings.check(&options)?;
        }
        let network = self.network(&options, &place).await?;
        let fingerprint = Fingerprint::new(&bundle.digest, &bundle.deployspec, &options, &versions);
        if let Some(from) = destroy::moves_from(previous_status.as_ref(), options.target.as_ref()) {
            tracing::info!(%from, "moves");
            self.refuse_alone_by_rules(&request.module, "moves", at).await?;
            // Both are asked before anything runs; the destruction by the check of it.
            self.refuse_by_policy(&request.module, Change::Deploy, Some(&part), at)
                .await?;
            let moving = self.check_destruction_of(request.module, None, at).await?;
            return Ok(CheckResult {
                moves: true,
                ..moving
            });
        }
        // After a rename by this execution: what it found, and that it was renamed.
        let was_renamed = previous_status
            .as_ref()
            .zip(options.renamed_from.as_ref())
            .and_then(|(status, from)| rename::before(status, from, at.execution));
        let decision = decide(
            &fingerprint,
            stored.fingerprint().as_ref(),
            was_renamed
                .as_ref()
                .map_or(previous_status.as_ref(), |(before, _)| Some(before)),
            options.force_update,
        );
        let decision = match reason.or(was_renamed.map(|(_, reason)| reason)) {
            Some(reason) => decision.because(reason),
            None => decision,
        };
        tracing::info!(
            changed = decision.changed,
            reasons = ?decision.reasons, files = bundle.files, bytes = bundle.bytes, hash = fingerprint.hash, "checked"
        );
        if decision.changed {
            self.refuse_by_policy(&request.module, Change::Deploy, Some(&part), at)
                .await?;
        }
        let module_stack = bundle.module_stack.as_deref().map(|template| {
            ModuleStack::parse(
                template,
                &self.module_prefix,
                &former_names.of_resources(&request.module),
                &options.parameters,
            )
        });
        let plan = Plan {
            action: Action::Deploy,
            module_stack: module_stack.transpose()?,
            module: request.module,
            former_names,
            source: Source {
                version_id: opened.version_id,
                path: bundle.root,
                ..request.source
            },
            source_bytes: Some(opened.size),
            commit_info: opened.commit_info,
            deployspec: Deployspec::parse(&bundle.deployspec, &self.limits.maxima)?,
            network,
            target_settings: place.settings,
            options: Options {
                renamed_from: None,
                ..options
            },
            fingerprint,
            renews: decision.renews,
            keeps: destroy::is_never_deployed(&stored, previous_status.as_ref()),
            previous_status,
            previous_metadata: stored.metadata_object().map(Value::Object),
        };
        if let Some((from, _)) = renaming {
            tracing::info!(%from, "to be renamed");
            self.refuse_alone_by_rules(&plan.module, "is renamed", at).await?;
            if let Some(policy) = policies::of(&self.modules.work, &DeploymentId::from(&plan.module)).await? {
                policy.refuse_rename(&from, &ModuleRef::from(&plan.module))?;
            }
            return Ok(CheckResult::renaming(from, &self.limits.codebuild_project));
        }
        self.checked(decision.changed, decision.reasons, (plan, Some(&part)), at)
            .await
    }

    /// The name from which a module is to be renamed before anything else, and the names that it then had.
    async fn renaming(
        &self,
        module: &ModuleId,
        own: &ModuleParameters,
        options: &Options,
    ) -> Result<Option<(ModuleRef, FormerNames)>> {
        let Some(from) = &options.renamed_from else {
            rename::refuse_taken(module, own, None)?;
            return Ok(None);
        };
        let old = self.modules.stored(&from.id(module)).await?;
        let is_due = rename::is_due(module, own, from, &old)?;
        rename::refuse_taken(module, own, is_due.then_some((from, &old)))?;
        if !is_due {
            return Ok(None);
        }
        let status = old.status_of(&from.id(module))?;
        rename::refuse_move(from, status.as_ref(), options.target.as_ref())?;
        let names = status.map(|status| status.former_names).unwrap_or_default();
        Ok(Some((from.clone(), names.and(from.clone()))))
    }

    /// What there is to destroy of a module.
    async fn check_destruction(&self, request: DestroyInput, at: At<'_>) -> Result<CheckResult> {
        let DestroyInput { module, source } = request;
        self.check_destruction_of(module, source, at).await
    }

    async fn check_destruction_of(
        &self,
        module: ModuleId,
        source: Option<Source>,
        at: At<'_>,
    ) -> Result<CheckResult> {
        self.refuse_by_policy(&module, Change::Destroy, None, at).await?;
        let keeps = source.is_some();
        let record = match (self.modules.record(&module).await?, source) {
            (Some(record), Some(source)) => Some(self.repaired(record, source).await?),
            (record, _) => record,
        };
        let stored = self.modules.stored(&module).await?;
        if !stored.is_refused_only() {
            rename::refuse_taken(&module, &stored, None)?;
        }
        match destroy::decide(&module, record, &stored)? {
            Destruction::Build(plan) => {
                tracing::info!(repaired = keeps, "to be destroyed");
                let reasons = vec![destroy::REASON.to_owned()];
                let place = self.place(plan.target(), at.environment).await?;
                let network = self.network(&plan.options, &place).await?;
                let plan = Plan {
                    keeps,
                    network,
                    target_settings: place.settings,
                    ..*plan
                };
                self.checked(true, reasons, (plan, None), at).await
            }
            Destruction::Forget => {
                tracing::info!("isn't deployed");
                let status = stored.status_of(&module)?;
                let first_name = status
                    .as_ref()
                    .and_then(|status| status.former_names.iter().next());
                Ok(CheckResult {
                    first_name: first_name.cloned(),
                    target: status.and_then(|status| status.target),
                    ..CheckResult::nothing_deployed(&self.limits.codebuild_project)
                })
            }
        }
    }

    /// Refuses a change of a module that breaks the policy of its deployment, or that nobody has approved, however the
    /// execution was started.
    async fn refuse_by_policy(
        &self,
        module: &ModuleId,
        change: Change,
        part: Option<&ModulePart>,
        at: At<'_>,
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
    async fn is_approved(&self, plan: &Plan, part: Option<&ModulePart>, at: At<'_>) -> Result<bool> {
        let change = match plan.action {
            Action::Deploy => Change::Deploy,
            Action::Destroy => Change::Destroy,
        };
        let policy = policies::of(&self.modules.work, &DeploymentId::from(&plan.module)).await?;
        let is_pinned = ApprovalRule::of(policy.as_ref()).approve_values;
        let of = ModuleRef::from(&plan.module);
        let parts = self.approved(&plan.module, at.part_of).await;
        match parts.and_then(|parts| parts.check_module(&of, change, part, is_pinned)) {
            Ok(()) => Ok(true),
            // Only rules that ask for an approval refuse it.
            Err(error) if matches!(error.name, ErrorName::ApprovalRequired | ErrorName::ApprovalVoid) => {
                tracing::info!(cause = %error.message, "not approved");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses to move or rename a module by a request of its own where rules have to be evaluated: they see what comes first
    /// (the destruction, the rename) and the deployment one after the other, and would refuse the second when the first is
    /// done. The plan of a deployment has both.
    async fn refuse_alone_by_rules(&self, module: &ModuleId, what: &str, at: At<'_>) -> Result<()> {
        let deployment = DeploymentId::from(module);
        let has_rules = policies::has_rego(&self.modules.work, &deployment).await?;
        if !has_rules || self.is_admitted(&deployment, at).await? {
            return Ok(());
        }
        Err(Error::new(
            ErrorName::DeniedByPolicy,
            format!(
                "{module}: expected a module that {what} to be part of a plan of its deployment, which the rules {} are evaluated on, found a request of its own; start the whole deployment, with \"only\" for one module",
                deployment.rego_key()
            ),
        ))
    }

    /// The plan that somebody has approved for the execution that this one says to be part of. An approval counts as long as
    /// its execution holds the deployment's lock, so nobody can use it again.
    async fn approved(&self, module: &ModuleId, part_of: Option<&ExecutionArn>) -> Result<PlanParts> {
        let deployment = DeploymentId::from(module);
        let required = || {
            let message = format!(
                "{module}: the policy {} wants an approval, and this execution is not part of a plan of {deployment} that was approved and still runs; start the whole deployment, with \"only\" for one module",
                deployment.policy_key()
            );
            Error::new(ErrorName::ApprovalRequired, message)
        };
        let whole = part_of.ok_or_else(required)?;
        let lock = fence::read(&self.modules.work, &deployment.lock_key()).await?;
        let holds = lock.is_some_and(|(lock, _)| lock.is_held_by(whole));
        let approval = Approval {
            bucket: &self.modules.work,
            deployment: &deployment,
            execution: whole,
        };
        let verdict = approval.verdict().await?;
        let verdict = verdict.filter(|verdict| holds && verdict.state == VerdictState::Approved);
        let verdict = verdict.ok_or_else(required)?;
        plans::approved_parts(&self.modules.work, whole, &verdict.plan).await
    }

    /// Whether the execution belongs to a deployment that was admitted when it was planned, and that still runs. What its input
    /// says is only where to look: the deployment has to hold its lock, and its plan has to have this execution.
    async fn is_admitted(&self, deployment: &DeploymentId, at: At<'_>) -> Result<bool> {
        let Some(part_of) = at.part_of else {
            return Ok(false);
        };
        let lock = fence::read(&self.modules.work, &deployment.lock_key()).await?;
        if !lock.is_some_and(|(lock, _)| lock.is_held_by(part_of)) {
            return Ok(false);
        }
        let plan = plans::find_deployment(&self.modules.work, part_of).await?;
        Ok(plan.is_some_and(|plan| plan.deployment == *deployment && plan.admits(at.execution)))
    }

    /// A record with the destroy phases of a newer source.
    async fn repaired(&self, record: DeployedModule, source: Source) -> Result<DeployedModule> {
        let (reader, opened) = ObjectReader::open(&self.modules.work, &source).await?;
        let bundle = read_bundle(reader, &source, opened.size).await?;
        let parameters = &record.options.parameters;
        let resources = record.former_names.of_resources(&record.module);
        let module_stack = bundle
            .module_stack
            .as_deref()
            .map(|template| ModuleStack::parse(template, &self.module_prefix, &resources, parameters));
        let module_stack = module_stack.transpose()?;
        let source = Source {
            version_id: opened.version_id,
            path: bundle.root,
            ..source
        };
        let deployspec = Deployspec::parse(&bundle.deployspec, &self.limits.maxima)?;
        Ok(record.repaired(source, Some(opened.size), deployspec, module_stack))
    }

    async fn checked(
        &self,
        changed: bool,
        reasons: Vec<String>,
        (plan, part): (Plan, Option<&ModulePart>),
        at: At<'_>,
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

    /// What is known of a target; of home without one.
    async fn place(&self, target: Option<&Target>, home: &AwsEnvironment) -> Result<Place> {
        let parameters = self.parameters.at(target, home).await?;
        let settings = match target {
            None => None,
            Some(target) => {
                let name = settings_parameter(&self.stack);
                let found = parameters.get(std::slice::from_ref(&name)).await?;
                let text = found.get(&name).map(|(text, _)| text.as_str());
                let home = Home {
                    environment: home,
                    stack: &self.stack,
                };
                Some(TargetSettings::parse(target, home, text)?)
            }
        };
        Ok(Place { parameters, settings })
    }

    /// The network of a build with these options.
    async fn network(&self, options: &Options, place: &Place) -> Result<Option<Network>> {
        let Some(asked) = &options.build.network else {
            return Ok(None);
        };
        let found = place.parameters.get(&asked.parameter_store_names()).await;
        let found = found.map_err(about_references)?;
        let text = |name: &str| found.get(name).map(|(text, _)| text.clone());
        let of_target = place.settings.as_ref().map(TargetSettings::networks);
        let allowed: Option<&AllowedNetworks> = match &of_target {
            Some(allowed) => Some(allowed),
            None => self.limits.maxima.networks.as_ref(),
        };
        asked.resolve(text, allowed).map(Some)
    }
}

async fn read_bundle(reader: ObjectReader, source: &Source, size: u64) -> Result<Bundle> {
    let root = source.path.clone();
    blocking("bundle", move || bundle::read(reader, &root, size)).await
}
