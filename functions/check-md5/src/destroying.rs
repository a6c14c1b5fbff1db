//! The check of a module that is to be destroyed.

use seedflow_aws::services::object_reader::ObjectReader;
use seedflow_core::error::Result;
use seedflow_core::ids::ModuleId;
use seedflow_core::module::deployed_record::DeployedModule;
use seedflow_core::module::deployspec::Deployspec;
use seedflow_core::module::destroy;
use seedflow_core::module::destroy::Destruction;
use seedflow_core::module::input::DestroyInput;
use seedflow_core::module::plan::{CheckResult, Plan};
use seedflow_core::module::rename;
use seedflow_core::module::role::ModuleStack;
use seedflow_core::module::source::Source;
use seedflow_core::policy::Change;

use crate::handler::{CurrentExecution, Handler, read_bundle};

impl Handler {
    /// What there is to destroy of a module.
    pub async fn check_destruction(
        &self,
        request: DestroyInput,
        at: CurrentExecution<'_>,
    ) -> Result<CheckResult> {
        let DestroyInput { module, source } = request;
        self.check_destruction_of(module, source, at).await
    }

    pub async fn check_destruction_of(
        &self,
        module: ModuleId,
        source: Option<Source>,
        at: CurrentExecution<'_>,
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
            Destruction::Purge => {
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
}
