//! `build-event`: answers the execution that waits for a build that has ended.
//!
//! EventBridge starts it, at least once and in any order. The event of a build without a registration is dropped: either
//! `check-status` has answered already, or it will, because it reads the build after it has registered. The outcome is read
//! from CodeBuild, not from the event, and from that of the account and region that the event comes from. If CodeBuild says
//! that the build still runs, no execution is answered: the function fails, and Lambda calls it again after one and after two
//! minutes. An event that is still not true then goes to the queue of failed events.
//!
//! What a target sends and nothing is done about is counted: an event about a build elsewhere, and one about a build for which
//! no execution waits. An event that CodeBuild doesn't confirm isn't counted, because it isn't dropped: it ends in the queue.

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::runtime::{config, handler};
use seedflow_aws::services::codebuild::CodeBuild;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::callbacks::Callbacks;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::AwsEnvironment;
use seedflow_core::target::{Target, TargetRole};
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::{Measurement, Metric};
use seedflow_core::workflow::build_origin::{Origin, origin};
use seedflow_core::workflow::build_outcome::BuildOutcome;
use seedflow_core::workflow::callback::{Deliver, End};
use serde_json::{Value, json};

struct Handler {
    callbacks: Callbacks,
    codebuild: Placed<CodeBuild>,
    metrics: Metrics,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let work = Bucket::new(&aws, config::setting("WORK_BUCKET")?);
    let function = Handler {
        callbacks: Callbacks::new(work, StepFunctions::new(&aws)),
        codebuild: Placed::new(&aws, TargetRole::Builds, CodeBuild::new)?,
        metrics: Metrics::of_stack()?,
    };
    handler::run(async |invocation| function.deliver(invocation).await).await
}

impl Handler {
    async fn deliver(
        &self,
        Invocation { event, environment }: Invocation<EventBridgeEvent<Value>>,
    ) -> Result<Value> {
        let Some(outcome) = BuildOutcome::from_event(&json!({"detail": event.detail}))? else {
            return Ok(json!({"end": "Running"}));
        };
        let Some(target) = self.target(&event, &environment) else {
            return Ok(json!({"end": "Foreign"}));
        };
        let build = outcome.build_id.at(target.as_ref());
        let read = async || {
            let codebuild = self.codebuild.at(target.as_ref(), &environment).await?;
            codebuild.read(&build).await
        };
        let end = self.callbacks.run(&build, Deliver::start(), read).await?;
        if end == End::Unconfirmed {
            return Err(Error::new(
                ErrorName::ServiceUnavailable,
                format!(
                    "detail.build-status: found {}, but CodeBuild says that {build} runs; nothing was answered, and the event is tried again",
                    outcome.status.as_str()
                ),
            ));
        }
        if let (End::Dropped, Some(target)) = (end, target) {
            self.count_dropped(Some(target));
        }
        tracing::info!(event = event.id, end = ?end, "delivered");
        Ok(json!({"end": format!("{end:?}")}))
    }

    /// Where the build is: `Some(None)` at home, and `None` if the event is dropped.
    fn target(&self, event: &EventBridgeEvent<Value>, home: &AwsEnvironment) -> Option<Option<Target>> {
        let account = event.account.as_deref().unwrap_or_default();
        let region = event.region.as_deref().unwrap_or_default();
        let build = event.detail["build-id"].as_str().unwrap_or_default();
        match origin(account, region, build, home) {
            Origin::Home => Some(None),
            Origin::Target(target) => Some(Some(target)),
            Origin::Foreign(why) => {
                tracing::warn!(event = event.id, why, "dropped");
                self.count_dropped(None);
                None
            }
        }
    }

    /// Counts an event of another account or region that nothing is done about. `target` is where its build is, if that is known.
    fn count_dropped(&self, target: Option<Target>) {
        let about = LogContext {
            target,
            ..LogContext::default()
        };
        self.metrics
            .write(&Measurement::one(Metric::EventsDropped), &about);
    }
}
