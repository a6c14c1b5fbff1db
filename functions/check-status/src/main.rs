//! `check-status`: registers the waiting execution's task token under the build's id, then reads the build once.
//!
//! If the build has ended already, it answers the token at once; else CodeBuild's event will, through
//! `build-event`. The core's callback protocol says why every order ends in exactly one answer.

use seedflow_aws::callback::Callbacks;
use seedflow_aws::codebuild::CodeBuild;
use seedflow_aws::lambda::Invocation;
use seedflow_aws::s3::Bucket;
use seedflow_aws::sfn::StepFunctions;
use seedflow_aws::{config, lambda};
use seedflow_core::callback::{End, Register, Registration, Token};
use seedflow_core::error::Result;
use seedflow_core::ids::BuildId;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Event {
    token: Token,
    build_id: BuildId,
    entered_at: String,
    attempt: u32,
}

struct Function {
    callbacks: Callbacks,
    codebuild: CodeBuild,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load().await;
    let work = Bucket::new(&aws, config::setting("WORK_BUCKET")?);
    let function = Function {
        callbacks: Callbacks::new(work, StepFunctions::new(&aws)),
        codebuild: CodeBuild::new(&aws),
    };
    lambda::run(async |invocation| function.check(invocation).await).await
}

impl Function {
    async fn check(&self, Invocation { event, .. }: Invocation<Event>) -> Result<Value> {
        let Event {
            token,
            build_id,
            entered_at,
            attempt,
        } = event;
        let register = Register::start(Registration {
            token,
            entered_at,
            attempt,
        });
        let end: End = self
            .callbacks
            .run(&build_id, register, async || self.codebuild.read(&build_id).await)
            .await?;
        tracing::info!(build = %build_id, end = ?end, "registered");
        // The state machine waits for the token and ignores this.
        Ok(json!({"end": format!("{end:?}")}))
    }
}
