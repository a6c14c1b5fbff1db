//! `build-event`: hands the end of a build, as CodeBuild's event tells it, to the execution that waits for it.
//!
//! Started by EventBridge, which delivers at least once and in any order. A build that nobody waits for (no
//! registration under its id) is dropped: either `check-status` has answered already, or it will, because it
//! reads the build after it has registered.

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use seedflow_aws::callback::Callbacks;
use seedflow_aws::lambda::Invocation;
use seedflow_aws::s3::Bucket;
use seedflow_aws::sfn::StepFunctions;
use seedflow_aws::{config, lambda};
use seedflow_core::build::outcome::Outcome;
use seedflow_core::callback::Deliver;
use seedflow_core::error::Result;
use serde_json::{Value, json};

struct Function {
    callbacks: Callbacks,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load().await;
    let work = Bucket::new(&aws, config::setting("WORK_BUCKET")?);
    let function = Function {
        callbacks: Callbacks::new(work, StepFunctions::new(&aws)),
    };
    lambda::run(async |invocation| function.deliver(invocation).await).await
}

impl Function {
    async fn deliver(&self, Invocation { event, .. }: Invocation<EventBridgeEvent<Value>>) -> Result<Value> {
        let Some(outcome) = Outcome::from_event(&json!({"detail": event.detail}))? else {
            return Ok(json!({"end": "Running"}));
        };
        let build_id = outcome.build_id.clone();
        let end = self
            .callbacks
            .run(&build_id, Deliver::start(outcome), async || Ok(None))
            .await?;
        tracing::info!(event = event.id, end = ?end, "delivered");
        Ok(json!({"end": format!("{end:?}")}))
    }
}
