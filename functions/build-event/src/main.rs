//! `build-event`: answers the execution that waits for a build that has ended.
//!
//! EventBridge starts it, at least once and in any order. The event of a build without a registration is dropped: either
//! `check-status` has answered already, or it will, because it reads the build after it has registered. The outcome is read
//! from CodeBuild, not from the event. If CodeBuild says that the build still runs, no execution is answered: the function
//! fails, and Lambda calls it again after one and after two minutes. An event that is still not true then goes to the queue
//! of failed events.

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler};
use seedflow_aws::services::codebuild::CodeBuild;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::stores::callbacks::Callbacks;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::workflow::build_outcome::BuildOutcome;
use seedflow_core::workflow::callback::{Deliver, End};
use serde_json::{Value, json};

struct Handler {
    callbacks: Callbacks,
    codebuild: CodeBuild,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let work = Bucket::new(&aws, config::setting("WORK_BUCKET")?);
    let function = Handler {
        callbacks: Callbacks::new(work, StepFunctions::new(&aws)),
        codebuild: CodeBuild::new(&aws),
    };
    handler::run(async |invocation| function.deliver(invocation).await).await
}

impl Handler {
    async fn deliver(&self, Invocation { event, .. }: Invocation<EventBridgeEvent<Value>>) -> Result<Value> {
        let Some(outcome) = BuildOutcome::from_event(&json!({"detail": event.detail}))? else {
            return Ok(json!({"end": "Running"}));
        };
        let build = outcome.build_id;
        let end = self
            .callbacks
            .run(&build, Deliver::start(), async || {
                self.codebuild.read(&build).await
            })
            .await?;
        if end == End::Unconfirmed {
            return Err(Error::new(
                ErrorName::ServiceUnavailable,
                format!(
                    "detail.build-status: found {}, but CodeBuild says that {build} runs; nothing was answered, and the event is tried again",
                    outcome.status.as_str()
                ),
            ));
        }
        tracing::info!(event = event.id, end = ?end, "delivered");
        Ok(json!({"end": format!("{end:?}")}))
    }
}
