//! `check-status`: registers the task token of the waiting execution under the build's id, then reads the build once.
//!
//! If the build has ended already, the function answers the token at once; otherwise `build-event` answers it when
//! CodeBuild's event arrives. The core's callback protocol explains why every order leads to exactly one answer (decision
//! 9). Each call measures how long the execution has been running. A call after a timeout that finds the build ended has
//! detected a lost event.

use jiff::Timestamp;
use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::metrics::Metrics;
use seedflow_aws::runtime::{config, handler};
use seedflow_aws::services::codebuild::CodeBuild;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sfn::StepFunctions;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::callbacks::Callbacks;
use seedflow_core::error::Result;
use seedflow_core::ids::{BuildId, ExecutionArn};
use seedflow_core::target::TargetRole;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::{Measurement, Metric};
use seedflow_core::workflow::callback::{End, Register, Registration, Token};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Event {
    token: Token,
    build_id: BuildId,
    entered_at: String,
    attempt: u32,
    /// This and the two fields below are missing if the execution was started before the upgrade that added them.
    execution: Option<ExecutionArn>,
    started_at: Option<Timestamp>,
    /// Number of timeouts of the state, each without an answer.
    #[serde(default)]
    timeouts: u32,
}

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
    handler::run(async |invocation| function.check(invocation, Timestamp::now()).await).await
}

impl Handler {
    async fn check(
        &self,
        Invocation { event, environment }: Invocation<Event>,
        now: Timestamp,
    ) -> Result<Value> {
        let Event {
            token,
            build_id,
            entered_at,
            attempt,
            execution,
            started_at,
            timeouts,
        } = event;
        let register = Register::start(Registration {
            token,
            entered_at,
            attempt,
        });
        let read = async || {
            let target = build_id.target();
            let codebuild = self.codebuild.at(target.as_ref(), &environment).await?;
            codebuild.read(&build_id).await
        };
        let end: End = self.callbacks.run(&build_id, register, read).await?;
        let lost = u32::from(timeouts > 0 && end == End::Answered);
        tracing::info!(end = ?end, timeouts, lost = lost > 0, "registered");
        let about = execution.map(|execution| LogContext::execution(&execution));
        self.metrics.write(
            &Measurement::default()
                .and_seconds(
                    Metric::InProgressSeconds,
                    started_at.map(|started| now.duration_since(started)),
                )
                .and_count(Some(Metric::LostEvents), lost),
            &about.unwrap_or_default().with_build(Some(&build_id)),
        );
        // The state machine waits for the token and ignores this.
        Ok(json!({"end": format!("{end:?}")}))
    }
}
