//! The function's clients and settings. Each of its files adds methods to them.

use jiff::SignedDuration;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::stores::locks::Locks;
use seedflow_core::module::input::Limits;

/// The clients and the settings.
pub(crate) struct Handler {
    pub(crate) limits: Limits,
    /// Time that `end-execution` has to release the lock of an ended holder, before a claimant takes it over.
    pub(crate) take_over: SignedDuration,
    pub(crate) work: Bucket,
    pub(crate) step_functions: StepFunctions,
    pub(crate) locks: Locks,
    pub(crate) metrics: Metrics,
}
