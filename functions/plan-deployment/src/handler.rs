//! The function's clients and settings. Each of its files adds methods to them.

use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_core::module::definition::DefinedBuild;
use seedflow_core::module::input::Limits;

use crate::repository::Stores;
use crate::targets::Targets;

/// The clients and the settings.
pub(crate) struct Handler {
    pub(crate) limits: Limits,
    pub(crate) modules: ModuleStore,
    pub(crate) targets: Targets,
    /// The container of builds that ask for nothing else.
    pub(crate) build: DefinedBuild,
    pub(crate) step_functions: StepFunctions,
}

impl Handler {
    /// What repositories and their variables are read from.
    pub(crate) fn stores(&self) -> Stores<'_> {
        Stores {
            work: &self.modules.work,
            parameters: &self.modules.parameters,
        }
    }
}
