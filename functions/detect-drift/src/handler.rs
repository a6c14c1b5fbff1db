//! The function's clients. Each of its files adds methods to them.

use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::read_only_builds::ReadOnlyBuilds;

/// The clients.
pub(crate) struct Handler {
    pub(crate) modules: ModuleStore,
    pub(crate) cloudformation: Placed<CloudFormation>,
    pub(crate) builds: ReadOnlyBuilds,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
}
