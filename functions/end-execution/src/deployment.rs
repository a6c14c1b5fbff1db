//! The end of an execution that deployed a whole deployment.
//!
//! Step Functions stops the executions that a stopped one waits for, as far as it can (Step Functions Developer Guide, "Run a
//! Job (.sync)"); the local emulator doesn't. So whatever still runs of the plan is stopped here, and each of those is
//! cleaned up after by its own event.

use jiff::Timestamp;
use seedflow_aws::plans;
use seedflow_aws::sfn::Described;
use seedflow_core::deployment::plan::Plan;
use seedflow_core::deployment::request::Scope;
use seedflow_core::deployment::status::Status;
use seedflow_core::error::Result;
use seedflow_core::event::DeploymentStateChange;
use seedflow_core::history::trace;
use seedflow_core::ids::ExecutionArn;
use seedflow_core::lock::{Turn, Want};
use seedflow_core::metric::Measurement;
use seedflow_core::status::State;
use seedflow_core::subject::Subject;

use crate::{Function, Next, state_of, wait, wait_for};

impl Function {
    pub(crate) async fn end_of_deployment(
        &self,
        scope: &Scope,
        execution: &ExecutionArn,
        described: Option<Described>,
        now: Timestamp,
    ) -> Result<Next> {
        // An execution that Step Functions has forgotten left nothing but its lock, if that.
        if let Some(described) = described.filter(|described| state_of(described).is_some()) {
            let wait = match self.locks.settle(scope, &Want::Stop(execution.clone())).await? {
                Some(Turn::Acquired(_)) => {
                    let plan = plans::find_deployment(&self.records.work, execution).await?;
                    let stopping = match &plan {
                        Some(plan) => self.stop_modules(plan).await?,
                        None => false,
                    };
                    if let Some(plan) = &plan {
                        self.record_end(plan, execution, &described, now).await?;
                    }
                    let trace = trace(&self.step_functions.history(execution).await?);
                    wait(
                        stopping,
                        trace.working,
                        described.stopped_at,
                        self.longest_write,
                        now,
                    )
                }
                _ => self.still_claiming(execution, &described, now).await?,
            };
            if let Some(wait) = wait {
                return Ok(wait_for(wait));
            }
        }
        self.release(scope, execution).await
    }

    /// Stops the executions of modules that still run; whether there were any.
    async fn stop_modules(&self, plan: &Plan) -> Result<bool> {
        let running = self.step_functions.running(&self.deploy_module).await?;
        let ours = |execution: &&ExecutionArn| {
            let name = Some(execution.name());
            plan.modules
                .iter()
                .any(|planned| planned.execution.as_deref() == name)
        };
        let mut found = false;
        for execution in running.iter().filter(ours) {
            found = true;
            self.step_functions
                .stop(
                    execution,
                    "DeploymentAborted",
                    "the deployment that this execution belongs to was ended",
                )
                .await?;
        }
        Ok(found)
    }

    /// Writes how the deployment ended, if it hasn't said so itself.
    async fn record_end(
        &self,
        plan: &Plan,
        execution: &ExecutionArn,
        described: &Described,
        now: Timestamp,
    ) -> Result<()> {
        let before = self.records.deployment_status(&plan.deployment).await?;
        let ours =
            before.filter(|before| before.execution == *execution && before.state == State::InProgress);
        let (Some(state), Some(before)) = (state_of(described), ours) else {
            return Ok(());
        };
        let failure = crate::module::failure(described, None);
        let status = Status {
            state,
            updated_at: now,
            ..before
        };
        let status = status.failed(&failure.error, &failure.reason);
        // Before the status, as for a module.
        let event = DeploymentStateChange::of(&plan.deployment, &status, None);
        self.events.send(&event).await;
        self.records
            .write_deployment_status(&plan.deployment, &status)
            .await?;
        let took = described.stopped_at.zip(status.started_at);
        let took = took.map(|(stopped, started)| stopped.duration_since(started));
        let about = Subject::deployment(execution, &plan.deployment);
        self.metrics
            .write(&Measurement::end_of_deployment(state, took), &about);
        Ok(())
    }
}
