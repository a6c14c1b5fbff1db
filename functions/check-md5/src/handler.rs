//! What all checks share: the clients, the place of a module with its network, and its bundle.

use seedflow_aws::services::object_reader::{ObjectReader, blocking};
use seedflow_aws::services::ssm::{ParameterStore, about_references};
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::target_settings;
use seedflow_core::error::Result;
use seedflow_core::ids::{AwsEnvironment, ExecutionArn};
use seedflow_core::module::bundle;
use seedflow_core::module::bundle::Bundle;
use seedflow_core::module::input::{Limits, Options};
use seedflow_core::module::network::{AllowedNetworks, Network};
use seedflow_core::module::source::Source;
use seedflow_core::module::target_settings::{Home, TargetSettings};
use seedflow_core::target::Target;

/// The clients and the settings.
pub(crate) struct Handler {
    pub(crate) limits: Limits,
    /// Prefix of the names of all modules' roles and stacks.
    pub(crate) module_prefix: String,
    pub(crate) modules: ModuleStore,
    /// Parameter Store at home and in targets.
    pub(crate) parameters: Placed<ParameterStore>,
    /// The name of Seedflow's stack.
    pub(crate) stack: String,
}

/// The execution, and where it runs.
#[derive(Clone, Copy)]
pub(crate) struct CurrentExecution<'a> {
    pub(crate) execution: &'a ExecutionArn,
    pub(crate) environment: &'a AwsEnvironment,
    /// The execution of a deployment that it says it is part of.
    pub(crate) part_of: Option<&'a ExecutionArn>,
}

/// Where a module is deployed or destroyed: Parameter Store, and the target's settings. At home there are none.
pub(crate) struct TargetAccess {
    pub(crate) parameters: ParameterStore,
    pub(crate) settings: Option<TargetSettings>,
}

impl Handler {
    /// What is known of a target; of home without one.
    pub(crate) async fn place(&self, target: Option<&Target>, home: &AwsEnvironment) -> Result<TargetAccess> {
        let parameters = self.parameters.at(target, home).await?;
        let settings = match target {
            None => None,
            Some(target) => {
                let home = Home {
                    environment: home,
                    stack: &self.stack,
                };
                Some(target_settings::read(&parameters, target, home).await?)
            }
        };
        Ok(TargetAccess { parameters, settings })
    }

    /// The network of a build with these options.
    pub(crate) async fn network(&self, options: &Options, place: &TargetAccess) -> Result<Option<Network>> {
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

/// Reads a bundle, on a thread that may block.
pub(crate) async fn read_bundle(reader: ObjectReader, source: &Source, size: u64) -> Result<Bundle> {
    let root = source.path.clone();
    blocking("bundle", move || bundle::read(reader, &root, size)).await
}
