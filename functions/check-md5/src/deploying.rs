//! The check of a module that is to be deployed.

use seedflow_aws::services::object_reader::{ObjectReader, Opened};
use seedflow_aws::stores::policies;
use seedflow_core::deployment::module_part::ModulePart;
use seedflow_core::error::Result;
use seedflow_core::ids::{DeploymentId, ExecutionArn, ModuleId};
use seedflow_core::module::bundle::Bundle;
use seedflow_core::module::change_detection::{ChangeDecision, RequestReason, decide};
use seedflow_core::module::deployspec::Deployspec;
use seedflow_core::module::destroy;
use seedflow_core::module::fingerprint::{Fingerprint, deployspec_digest};
use seedflow_core::module::former_names::FormerNames;
use seedflow_core::module::input::{DeployInput, ModuleAction, Options};
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::network::Network;
use seedflow_core::module::plan::{CheckResult, Plan};
use seedflow_core::module::rename;
use seedflow_core::module::role::ModuleStack;
use seedflow_core::module::source::Source;
use seedflow_core::module::status::Status;
use seedflow_core::module::stored_parameters::ModuleParameters;
use seedflow_core::module::stored_state::StoredState;
use seedflow_core::policy::Change;
use serde_json::Value;

use crate::handler::{CurrentExecution, Handler, TargetAccess, read_bundle};

/// A module as it is to be deployed, with what is stored of it.
struct Wanted {
    module: ModuleId,
    former_names: FormerNames,
    /// With the values of upstream modules.
    options: Options,
    place: TargetAccess,
    network: Option<Network>,
    fingerprint: Fingerprint,
    stored: ModuleParameters,
    previous_status: Option<Status>,
}

/// What was found before the decision.
struct Found {
    wanted: Wanted,
    part: ModulePart,
    /// The name from which the module is to be renamed before anything else.
    renamed_from: Option<ModuleRef>,
}

impl Handler {
    /// What changed; `reason` is the request's own. An error that concerns a bundle which could
    /// be opened is returned with the bundle's commit, so that the refusal has it.
    pub async fn check_deployment(
        &self,
        request: DeployInput,
        reason: Option<RequestReason>,
        at: CurrentExecution<'_>,
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
        at: CurrentExecution<'_>,
    ) -> Result<CheckResult> {
        let DeployInput {
            module,
            source,
            options,
        } = request;
        let bundle = read_bundle(reader, &source, opened.size).await?;
        let Found {
            wanted,
            part,
            renamed_from,
        } = self.find_wanted(module, options, &bundle, at).await?;
        let (status, target) = (wanted.previous_status.as_ref(), wanted.options.target.as_ref());
        if let Some(from) = destroy::moves_from(status, target) {
            tracing::info!(%from, "moves");
            return self.check_move(wanted.module, &part, at).await;
        }
        let decision = wanted.decide(reason, at.execution);
        tracing::info!(
            changed = decision.changed,
            reasons = ?decision.reasons, files = bundle.files, bytes = bundle.bytes, hash = wanted.fingerprint.hash, "checked"
        );
        if decision.changed {
            self.refuse_by_policy(&wanted.module, Change::Deploy, Some(&part), at)
                .await?;
        }
        let plan = self.plan_to_deploy(wanted, (source, bundle, opened), decision.renews)?;
        if let Some(from) = renamed_from {
            return self.check_rename(&plan.module, from, at).await;
        }
        self.checked(decision.changed, decision.reasons, (plan, Some(&part)), at)
            .await
    }

    /// The options of the request or, without them, of the bundle, and the place that they name.
    async fn options_and_place(
        &self,
        module: &ModuleId,
        options: Option<Options>,
        bundle: &Bundle,
        at: CurrentExecution<'_>,
    ) -> Result<(Options, TargetAccess)> {
        let options = match options {
            Some(options) => options,
            None => bundle.options(module, &self.limits)?,
        };
        options.check_target(at.environment, &self.limits.maxima)?;
        let place = self.place(options.target.as_ref(), at.environment).await?;
        Ok((options, place))
    }

    /// Finds what is stored of a module, and what that makes of its options. `options` are the request's own.
    async fn find_wanted(
        &self,
        module: ModuleId,
        options: Option<Options>,
        bundle: &Bundle,
        at: CurrentExecution<'_>,
    ) -> Result<Found> {
        let (options, place) = self.options_and_place(&module, options, bundle, at).await?;
        let elsewhere = options.target.as_ref().map(|_| &place.parameters);
        let state = self.modules.state(&module, &options.parameters, elsewhere);
        let StoredState {
            stored,
            versions,
            upstreams,
        } = state.await?;
        let previous_status = stored.status_of(&module)?;
        let (renamed_from, former_names) = match self.renaming(&module, &stored, &options).await? {
            Some((from, names)) => (Some(from), names),
            None => {
                let names = rename::names_to_keep(previous_status.as_ref(), options.target.as_ref());
                (None, names)
            }
        };
        let referring = options.named_after(&former_names, &module);
        let options = referring.clone().resolve(&module, &upstreams)?;
        let digest = deployspec_digest(&bundle.deployspec);
        let part = ModulePart::deploying(
            &bundle.digest,
            &digest,
            &referring,
            &options.parameters,
            &versions,
        );
        if let Some(settings) = &place.settings {
            settings.check(&options)?;
        }
        let wanted = Wanted {
            network: self.network(&options, &place).await?,
            fingerprint: Fingerprint::new(&bundle.digest, &bundle.deployspec, &options, &versions),
            module,
            former_names,
            options,
            place,
            stored,
            previous_status,
        };
        Ok(Found {
            wanted,
            part,
            renamed_from,
        })
    }

    fn plan_to_deploy(
        &self,
        wanted: Wanted,
        (source, bundle, opened): (Source, Bundle, Opened),
        renews: bool,
    ) -> Result<Plan> {
        let resources = wanted.former_names.of_resources(&wanted.module);
        let parameters = &wanted.options.parameters;
        let module_stack = bundle
            .module_stack
            .as_deref()
            .map(|template| ModuleStack::parse(template, &self.module_prefix, &resources, parameters));
        Ok(Plan {
            action: ModuleAction::Deploy,
            module_stack: module_stack.transpose()?,
            module: wanted.module,
            former_names: wanted.former_names,
            source: Source {
                version_id: opened.version_id,
                path: bundle.root,
                ..source
            },
            source_bytes: Some(opened.size),
            commit_info: opened.commit_info,
            deployspec: Deployspec::parse(&bundle.deployspec, &self.limits.maxima)?,
            network: wanted.network,
            target_settings: wanted.place.settings,
            options: Options {
                renamed_from: None,
                ..wanted.options
            },
            fingerprint: wanted.fingerprint,
            renews,
            keeps: destroy::is_never_deployed(&wanted.stored, wanted.previous_status.as_ref()),
            previous_status: wanted.previous_status,
            previous_metadata: wanted.stored.metadata_object().map(Value::Object),
        })
    }

    /// The check of a module that is elsewhere: it is destroyed there first, and then checked again. Both are asked before anything
    /// runs; the destruction by the check of it.
    async fn check_move(
        &self,
        module: ModuleId,
        part: &ModulePart,
        at: CurrentExecution<'_>,
    ) -> Result<CheckResult> {
        self.refuse_alone_by_rules(&module, "moves", at).await?;
        self.refuse_by_policy(&module, Change::Deploy, Some(part), at)
            .await?;
        let moving = self.check_destruction_of(module, None, at).await?;
        Ok(CheckResult {
            moves: true,
            ..moving
        })
    }

    /// The check of a module that is renamed first, and then checked again.
    async fn check_rename(
        &self,
        module: &ModuleId,
        from: ModuleRef,
        at: CurrentExecution<'_>,
    ) -> Result<CheckResult> {
        tracing::info!(%from, "to be renamed");
        self.refuse_alone_by_rules(module, "is renamed", at).await?;
        if let Some(policy) = policies::of(&self.modules.work, &DeploymentId::from(module)).await? {
            policy.refuse_rename(&from, &ModuleRef::from(module))?;
        }
        Ok(CheckResult::renaming(from, &self.limits.codebuild_project))
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
}

impl Wanted {
    /// What changed. After a rename by this execution that is decided by what the rename found, and a reason is that it was
    /// renamed. `reason` is the request's own.
    fn decide(&self, reason: Option<RequestReason>, execution: &ExecutionArn) -> ChangeDecision {
        let status = self.previous_status.as_ref();
        let was_renamed = status
            .zip(self.options.renamed_from.as_ref())
            .and_then(|(status, from)| rename::before(status, from, execution));
        let before = was_renamed.as_ref().map_or(status, |(before, _)| Some(before));
        let decision = decide(
            &self.fingerprint,
            self.stored.fingerprint().as_ref(),
            before,
            self.options.force_update,
        );
        match reason.or(was_renamed.map(|(_, reason)| reason)) {
            Some(reason) => decision.because(reason),
            None => decision,
        }
    }
}
