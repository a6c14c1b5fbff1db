//! What all actions share: the clients, and the steps after a status was written.

use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::logs::LogGroup;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_core::events::ModuleStateChange;
use seedflow_core::ids::{ExecutionArn, ModuleId};
use seedflow_core::module::plan::Plan;
use seedflow_core::module::status::Status;
use seedflow_core::module::timeline::Timeline;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::Measurement;
use seedflow_core::workflow::build_outcome::BuildOutcome;
use seedflow_core::workflow::lock::Lease;

/// A plan whose build has succeeded.
pub(crate) struct SucceededBuild<'a> {
    pub(crate) execution: &'a ExecutionArn,
    pub(crate) lock: &'a Lease,
    pub(crate) plan: &'a Plan,
    pub(crate) build: &'a BuildOutcome,
}

/// The clients.
pub(crate) struct Handler {
    pub(crate) modules: ModuleStore,
    pub(crate) bundles: Bucket,
    pub(crate) cloudformation: CloudFormation,
    pub(crate) build_log: LogGroup,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
}

impl Handler {
    /// Measures an execution whose final state was just written; nothing if the state isn't final.
    pub(crate) fn measure(&self, module: &ModuleId, status: &Status, timeline: &Timeline) {
        let about = LogContext::module(&status.execution, module).with_build(status.build_id.as_ref());
        self.metrics
            .write(&Measurement::end_of_module(status.state, timeline), &about);
    }

    /// Publishes the event of a status that was written. It is sent after the write, so that its receiver finds the status.
    /// A function that crashes in between is called again, and publishes then. A failed PutEvents does not fail the
    /// deployment.
    pub(crate) async fn publish(&self, lock: &Lease, status: &Status, timeline: &Timeline) {
        let bucket = self.modules.work.name();
        let event = ModuleStateChange::of(&lock.of, status, timeline, lock.part_of.as_ref(), bucket);
        self.events.send(&event).await;
    }
}
