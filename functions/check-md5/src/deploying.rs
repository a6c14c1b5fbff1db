//! The check of a module that is to be deployed.

use seedflow_aws::services::object_reader::{ObjectReader, Opened};
use seedflow_aws::stores::policies;
use seedflow_core::deployment::module_part::ModulePart;
use seedflow_core::error::Result;
use seedflow_core::ids::{DeploymentId, ModuleId};
use seedflow_core::module::change_detection::{ChangeDecision, RequestReason, decide};
use seedflow_core::module::deployspec::Deployspec;
use seedflow_core::module::destroy;
use seedflow_core::module::fingerprint::{Fingerprint, deployspec_digest};
use seedflow_core::module::former_names::FormerNames;
use seedflow_core::module::input::{Action, DeployInput, Options};
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::plan::{CheckResult, Plan};
use seedflow_core::module::rename;
use seedflow_core::module::role::ModuleStack;
use seedflow_core::module::source::Source;
use seedflow_core::module::status::Status;
use seedflow_core::module::stored_parameters::ModuleParameters;
use seedflow_core::module::stored_state::StoredState;
use seedflow_core::policy::Change;
use serde_json::Value;

use crate::handler::{At, Handler, read_bundle};

impl Handler {
    /// What changed; `reason` is the request's own. An error that concerns a bundle which could
    /// be opened is returned with the bundle's commit, so that the refusal has it.
    pub async fn check_deployment(
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
            return self.check_move(request.module, &part, at).await;
        }
        let decision = decision(
            &fingerprint,
            &stored,
            previous_status.as_ref(),
            &options,
            reason,
            at,
        );
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
            return self.check_rename(&plan.module, from, at).await;
        }
        self.checked(decision.changed, decision.reasons, (plan, Some(&part)), at)
            .await
    }

    /// The check of a module that is elsewhere: it is destroyed there first, and then checked again. Both are asked before anything
    /// runs; the destruction by the check of it.
    async fn check_move(&self, module: ModuleId, part: &ModulePart, at: At<'_>) -> Result<CheckResult> {
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
    async fn check_rename(&self, module: &ModuleId, from: ModuleRef, at: At<'_>) -> Result<CheckResult> {
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

/// What changed. After a rename by this execution that is decided by what the rename found, and a reason is that it was renamed.
fn decision(
    fingerprint: &Fingerprint,
    stored: &ModuleParameters,
    status: Option<&Status>,
    options: &Options,
    reason: Option<RequestReason>,
    at: At<'_>,
) -> ChangeDecision {
    let was_renamed = status
        .zip(options.renamed_from.as_ref())
        .and_then(|(status, from)| rename::before(status, from, at.execution));
    let before = was_renamed.as_ref().map_or(status, |(before, _)| Some(before));
    let decision = decide(
        fingerprint,
        stored.fingerprint().as_ref(),
        before,
        options.force_update,
    );
    match reason.or(was_renamed.map(|(_, reason)| reason)) {
        Some(reason) => decision.because(reason),
        None => decision,
    }
}
