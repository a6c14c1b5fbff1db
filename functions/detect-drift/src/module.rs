//! The check of one module, step by step.

use jiff::Timestamp;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::stores::build_folder::new_folder;
use seedflow_core::drift::check::Begun;
use seedflow_core::drift::record::{DriftRecord, StackDrift};
use seedflow_core::error::Result;
use seedflow_core::events::ModuleDrift;
use seedflow_core::ids::{AwsEnvironment, ExecutionArn, ModuleId};
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::{Measurement, Metric};

use crate::handler::Handler;
use crate::{phases, stacks};

impl Handler {
    /// Begins the check of a module; `None` if it is not deployed, or is being deployed.
    pub async fn begin(&self, module: &ModuleId) -> Result<Option<Begun>> {
        let deployed = self.modules.record_at_rest(module).await?;
        if deployed.is_none() {
            tracing::info!(%module, "left out: it is not deployed, or is being deployed");
        }
        Ok(deployed.map(|deployed| Begun::of(&deployed, new_folder())))
    }

    /// Goes one step further with the drift phases of a module; `None` if the module was deployed meanwhile.
    pub async fn advance_phases(
        &self,
        module: &ModuleId,
        mut begun: Begun,
        may_start: bool,
        home: &AwsEnvironment,
    ) -> Result<Option<Begun>> {
        let starts = may_start && begun.needs_a_build();
        let deployed = match starts {
            true => self.modules.record_at_rest(module).await?,
            false => None,
        };
        if starts && !begun.is_of(deployed.as_ref()) {
            tracing::info!(%module, "left out: it was deployed meanwhile");
            return Ok(None);
        }
        begun.phases = match (begun.phases, deployed) {
            (Some(check), Some(deployed)) => Some(phases::start(&self.builds, check, deployed, home).await),
            (Some(check), None) => Some(phases::look(&self.builds, check, home).await),
            (None, _) => None,
        };
        Ok(Some(begun))
    }

    /// Goes one step further with the stacks of a module, by the client that is returned. A target that lets nobody in is a
    /// result, too.
    pub async fn advance_stacks(
        &self,
        begun: &mut Begun,
        home: &AwsEnvironment,
    ) -> Result<Option<CloudFormation>> {
        match self.cloudformation.at(begun.target.as_ref(), home).await {
            Ok(cloudformation) => {
                stacks::step(&cloudformation, begun).await;
                Ok(Some(cloudformation))
            }
            Err(error) if !error.name.passes() => {
                begun.refuse_stacks(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Records what was found in a module, if it was not deployed meanwhile.
    pub async fn record(
        &self,
        execution: &ExecutionArn,
        (module, begun): (&ModuleId, &Begun),
        found: Vec<StackDrift>,
        now: Timestamp,
    ) -> Result<()> {
        if !begun.is_of(self.modules.record_at_rest(module).await?.as_ref()) {
            tracing::info!(%module, "left out: it was deployed meanwhile");
            return Ok(());
        }
        let previous = self.modules.drift(module).await?;
        let record = DriftRecord::new((module, begun), found, previous, execution, now);
        self.modules.write_drift(&record).await?;
        self.publish(&record).await;
        Ok(())
    }

    /// Counts a check, and sends an event if anything is different.
    async fn publish(&self, record: &DriftRecord) {
        let state = record.known.state;
        tracing::info!(module = %record.module, state = state.as_str(), reason = record.reason, "checked");
        let about = LogContext::module(&record.execution, &record.module).in_target(record.target.as_ref());
        self.metrics
            .write(&Measurement::one(Metric::of_drift(state)), &about);
        if record.is_changed() {
            let bucket = self.modules.work.name();
            self.events.send(&ModuleDrift::of(record, bucket)).await;
        }
    }
}
