//! The function's clients and settings. Each of its files adds methods to them.

use jiff::SignedDuration;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::services::codebuild::CodeBuild;
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::locks::Locks;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_core::module::input::Limits;

/// The clients and the settings.
pub(crate) struct Handler {
    pub(crate) limits: Limits,
    /// The state machine of modules; a deployment starts executions of it.
    pub(crate) deploy_module: String,
    /// Maximum duration of a function that writes.
    pub(crate) longest_write: SignedDuration,
    pub(crate) step_functions: StepFunctions,
    pub(crate) locks: Locks,
    pub(crate) codebuild: Placed<CodeBuild>,
    pub(crate) modules: ModuleStore,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
}
