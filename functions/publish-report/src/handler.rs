//! The clients, and the events of a project.

use seedflow_aws::runtime::config::SdkConfig;
use seedflow_aws::services::logs::LogGroup;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sts::Placed;
use seedflow_core::ids::ModuleId;
use seedflow_core::pages::execution_event::ExecutionState;

/// The clients.
pub(crate) struct Handler {
    pub(crate) work: Bucket,
    pub(crate) build_log: LogGroup,
    /// The configurations of clients in targets.
    pub(crate) places: Placed<SdkConfig>,
}

/// The events of a project, with the messages that they came in.
pub(crate) type Events = Vec<(String, ExecutionState)>;
/// The modules of a project whose drift is different, with the messages that said so.
pub(crate) type Drifts = Vec<(String, ModuleId)>;
