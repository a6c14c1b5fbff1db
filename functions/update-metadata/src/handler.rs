//! What all actions share: the clients, the removal of a rename's mark, and the steps after a status was written.

use seedflow_aws::runtime::config::SdkConfig;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::eventbridge::Events;
use seedflow_aws::services::logs::LogGroup;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_core::error::Result;
use seedflow_core::events::ModuleStateChange;
use seedflow_core::ids::{AwsEnvironment, ExecutionArn, ModuleId, ParameterKind};
use seedflow_core::module::plan::Plan;
use seedflow_core::module::status::Status;
use seedflow_core::module::timeline::Timeline;
use seedflow_core::target::Target;
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
    /// The configurations of clients in targets.
    pub(crate) places: Placed<SdkConfig>,
    /// The configuration of this function's own clients.
    pub(crate) aws: SdkConfig,
    /// The name of Seedflow's stack.
    pub(crate) stack: String,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
}

impl Handler {
    /// CloudFormation where a module is.
    pub(crate) async fn cloudformation(
        &self,
        target: Option<&Target>,
        home: &AwsEnvironment,
    ) -> Result<CloudFormation> {
        Ok(match target {
            None => self.cloudformation.clone(),
            Some(_) => CloudFormation::new(&self.places.at(target, home).await?),
        })
    }

    /// The bucket with the folders of the builds of a target, or of those at home.
    pub(crate) fn builds(&self, target: Option<&Target>) -> Bucket {
        match target {
            None => self.modules.work.clone(),
            Some(target) => {
                Bucket::in_region(&self.aws, target.bucket(&self.stack), target.region().to_owned())
            }
        }
    }

    /// Removes the mark of a rename from a name.
    pub(crate) async fn unmark(&self, module: &ModuleId) -> Result<()> {
        let mark = [ParameterKind::Renamed];
        self.modules.parameters.delete(module, &mark).await
    }

    /// Measures an execution whose final state was just written; nothing if the state isn't final.
    pub(crate) fn measure(&self, module: &ModuleId, status: &Status, timeline: &Timeline) {
        let about = LogContext::module(&status.execution, module)
            .in_target(status.target.as_ref())
            .with_build(status.build_id.as_ref());
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
