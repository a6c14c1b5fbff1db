//! `check-md5`: has the module changed since its last success? If it is to be destroyed: what is there to destroy?
//!
//! It parses the execution's input, streams the bundle from S3, computes the fingerprint and reads the stored parameters.
//! It returns the decision with its reasons and the plan for the later states. For a destruction it makes the plan from the
//! module's record.
//!
//! It writes only a plan that is too long to be returned, always at the same key, so it is idempotent.

use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::object_reader::{ObjectReader, Opened};
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::ssm::{ParameterStore, about_references, stored_in};
use seedflow_aws::stores::{module_store, plans, spilled_values};
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::formats::yaml;
use seedflow_core::ids::{ExecutionArn, ModuleId, ParameterKind};
use seedflow_core::module::bundle;
use seedflow_core::module::bundle::Bundle;
use seedflow_core::module::change_detection::decide;
use seedflow_core::module::deployspec::Deployspec;
use seedflow_core::module::destroy;
use seedflow_core::module::destroy::Destruction;
use seedflow_core::module::fingerprint::{Fingerprint, Versions};
use seedflow_core::module::input::{Action, DeployInput, Limits, ModuleInput, Options, Source};
use seedflow_core::module::metadata_reference::{ModuleRef, UpstreamMetadata};
use seedflow_core::module::plan::{CheckResult, Plan};
use seedflow_core::module::role::{ModuleStack, RoleAndStackName};
use seedflow_core::module::stored_parameters::ModuleParameters;
use seedflow_core::telemetry::log_context::LogContext;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    /// Null if it is too long to be sent.
    input: Value,
}

/// The parameters that matter to a module.
struct StoredState {
    stored: ModuleParameters,
    versions: Versions,
    siblings: UpstreamMetadata,
}

struct Handler {
    limits: Limits,
    /// Prefix of the names of all modules' roles and stacks.
    module_prefix: String,
    work: Bucket,
    parameters: ParameterStore,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let limits = config::limits()?;
    let function = Handler {
        work: Bucket::new(&aws, limits.work_bucket.clone()),
        parameters: ParameterStore::new(&aws),
        module_prefix: config::setting("MODULE_PREFIX")?,
        limits,
    };
    handler::run(async |invocation| function.check(invocation).await).await
}

impl Handler {
    async fn check(&self, Invocation { event, .. }: Invocation<Event>) -> Result<CheckResult> {
        let input = plans::input(&self.work, event.input, &event.execution).await?;
        match ModuleInput::parse(&input, &self.limits)? {
            ModuleInput::Deploy(request) => {
                log::add_log_context(&LogContext::module(&event.execution, &request.module));
                self.check_deployment(*request, &event.execution).await
            }
            ModuleInput::Destroy(module) => self.check_destruction(module, &event.execution).await,
        }
    }

    async fn check_deployment(&self, request: DeployInput, execution: &ExecutionArn) -> Result<CheckResult> {
        let (bundle, opened) = self.read_bundle(&request.source).await?;
        let options = match request.options {
            Some(options) => options,
            None => self.manifest_options(&bundle, &request.module)?,
        };
        let StoredState {
            stored,
            versions,
            siblings,
        } = self.read_parameters(&request.module, &options).await?;
        let options = options.resolve(&request.module, &siblings)?;
        let fingerprint = Fingerprint::new(&bundle.digest, &bundle.deployspec, &options, &versions);
        let previous_status = stored.status_of(&request.module)?;
        let decision = decide(
            &fingerprint,
            stored.fingerprint().as_ref(),
            previous_status.as_ref(),
            options.force_update,
        );
        tracing::info!(
            changed = decision.changed,
            reasons = ?decision.reasons, files = bundle.files, bytes = bundle.bytes, hash = fingerprint.hash, "checked"
        );
        let module_stack = self.module_stack(&bundle, &request.module, &options)?;
        let plan = Plan {
            action: Action::Deploy,
            module_stack,
            module: request.module,
            source: Source {
                version_id: opened.version_id,
                path: bundle.root,
                ..request.source
            },
            source_bytes: Some(opened.size),
            origin: opened.origin,
            deployspec: Deployspec::parse(&bundle.deployspec, &self.limits.maxima)?,
            options,
            fingerprint,
            renews: decision.renews,
            previous_status,
            previous_metadata: stored.metadata_object().map(Value::Object),
        };
        self.checked(decision.changed, decision.reasons, plan, execution)
            .await
    }

    /// What there is to destroy of a module.
    async fn check_destruction(&self, module: ModuleId, execution: &ExecutionArn) -> Result<CheckResult> {
        let record = module_store::read(&self.work, &module).await?;
        let stored = self.read_stored(&module).await?;
        match destroy::decide(&module, record, &stored)? {
            Destruction::Build(plan) => {
                tracing::info!("to be destroyed");
                let reasons = vec![destroy::REASON.to_owned()];
                self.checked(true, reasons, *plan, execution).await
            }
            Destruction::Forget => {
                tracing::info!("isn't deployed");
                Ok(CheckResult {
                    changed: false,
                    forget: true,
                    reasons: vec!["nothing is deployed".to_owned()],
                    build_project: self.limits.codebuild_project.clone(),
                    module_stack: false,
                    // A deployment that never succeeded may have created it.
                    remove_role: true,
                    plan: None,
                })
            }
        }
    }

    async fn checked(
        &self,
        changed: bool,
        reasons: Vec<String>,
        plan: Plan,
        execution: &ExecutionArn,
    ) -> Result<CheckResult> {
        Ok(CheckResult {
            changed,
            forget: false,
            reasons,
            build_project: self.build_project(&plan),
            module_stack: plan.module_stack.is_some(),
            remove_role: self.removes_role(&plan),
            plan: Some(plans::store(&self.work, plan, execution).await?),
        })
    }

    /// The stack of the module's own role, if the bundle contains one.
    fn module_stack(
        &self,
        bundle: &Bundle,
        module: &ModuleId,
        options: &Options,
    ) -> Result<Option<ModuleStack>> {
        let Some(template) = &bundle.module_stack else {
            return Ok(None);
        };
        let names = RoleAndStackName::new(&self.module_prefix, module)?;
        ModuleStack::parse(template, names, module, &options.parameters).map(Some)
    }

    /// Whether this build is followed by the removal of the module's own role. If the module's name is too long for a
    /// role's name, the role never existed.
    fn removes_role(&self, plan: &Plan) -> bool {
        RoleAndStackName::new(&self.module_prefix, &plan.module).is_ok_and(|own| plan.removes_role(&own))
    }

    fn build_project(&self, plan: &Plan) -> String {
        let asked = plan.options.build.project_name.clone();
        asked.unwrap_or_else(|| self.limits.codebuild_project.clone())
    }

    async fn read_bundle(&self, source: &Source) -> Result<(Bundle, Opened)> {
        let (reader, opened) = ObjectReader::open(&self.work, source).await?;
        let (root, size) = (source.path.clone(), opened.size);
        // The zip library blocks; on a thread of its own it leaves this one to move the bytes.
        let read = tokio::task::spawn_blocking(move || bundle::read(reader, &root, size)).await;
        let bundle = read.map_err(|e| {
            Error::new(
                ErrorName::InvalidBundle,
                format!("bundle: reading it ended in a panic: {e}"),
            )
        })??;
        Ok((bundle, opened))
    }

    /// The options of an uploaded bundle: those of its `manifest.yaml`, or the defaults if it has none.
    fn manifest_options(&self, bundle: &Bundle, module: &ModuleId) -> Result<Options> {
        let invalid = |what: String| Error::new(ErrorName::InvalidInput, format!("manifest.yaml {what}"));
        let text = std::str::from_utf8(bundle.manifest.as_deref().unwrap_or_default());
        let text = text.map_err(|_| invalid("is not valid UTF-8".to_owned()))?;
        let manifest = yaml::parse(text).map_err(|e| invalid(e.to_string()))?;
        Options::from_manifest(&manifest.to_json(), module, &self.limits)
            .map_err(|e| Error::new(e.name, format!("manifest.yaml: {}", e.message)))
    }

    /// The parameters of the module and of its upstream modules, and the versions of the parameters that it references, in
    /// calls of up to ten names.
    async fn read_parameters(&self, module: &ModuleId, options: &Options) -> Result<StoredState> {
        let slots = [ParameterKind::Md5, ParameterKind::Metadata, ParameterKind::Status];
        let siblings = options.parameters.siblings();
        let mut names: Vec<String> = slots.iter().map(|slot| module.parameter(*slot)).collect();
        names.extend(siblings.iter().map(|sibling| published(sibling, module)));
        let references = options.parameters.parameter_store_names();
        names.extend(references.iter().map(|name| (*name).to_owned()));
        let found = self.parameters.get(&names).await;
        let mut found = found.map_err(|e| {
            if references.is_empty() {
                e
            } else {
                about_references(e)
            }
        })?;
        let versions = references
            .iter()
            .map(|name| ((*name).to_owned(), found.get(*name).map(|(_, version)| *version)))
            .collect();
        let mut known = Vec::new();
        for sibling in siblings {
            if let Some((text, _)) = found.get(&published(&sibling, module)) {
                let metadata = ModuleParameters {
                    metadata: Some(spilled_values::resolve(&self.work, text.clone()).await?),
                    ..ModuleParameters::default()
                };
                known.extend(metadata.metadata_object().map(|metadata| (sibling, metadata)));
            }
        }
        Ok(StoredState {
            stored: self.whole(stored_in(&mut found, module), &slots).await?,
            versions,
            siblings: known.into_iter().collect(),
        })
    }

    /// All parameters of the module.
    async fn read_stored(&self, module: &ModuleId) -> Result<ModuleParameters> {
        let stored = self.parameters.stored(module, &ParameterKind::ALL).await?;
        self.whole(stored, &[ParameterKind::Metadata, ParameterKind::Status])
            .await
    }

    /// The same, with the values that are stored in S3.
    async fn whole(&self, mut stored: ModuleParameters, slots: &[ParameterKind]) -> Result<ModuleParameters> {
        for &slot in slots {
            if let Some(text) = stored.text(slot).map(str::to_owned) {
                stored.set(slot, spilled_values::resolve(&self.work, text).await?);
            }
        }
        Ok(stored)
    }
}

/// The metadata parameter of an upstream module of `module`.
fn published(sibling: &ModuleRef, module: &ModuleId) -> String {
    sibling.id(module).parameter(ParameterKind::Metadata)
}
