//! `start-build`: starts the build of a changed module, once however often it is asked.
//!
//! Composes buildspec and environment from the plan, copies the bundle into the build's own folder, and starts the
//! build; where the CodeBuild project is missing, makes it. A buildspec that is too long for the request goes into
//! the folder too, and its ARN into the request. CodeBuild knows a repeated request by its idempotency token and
//! answers with the build that runs already.

use seedflow_aws::codebuild::CodeBuild;
use seedflow_aws::lambda::Invocation;
use seedflow_aws::s3::Bucket;
use seedflow_aws::{config, lambda, plans};
use seedflow_core::build::{self, Defaults};
use seedflow_core::error::Result;
use seedflow_core::ids::{BuildId, ExecutionArn};
use seedflow_core::lock::Held;
use seedflow_core::plan::Travelling;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    lock: Held,
    plan: Travelling,
}

#[derive(Serialize)]
struct Started {
    build_id: BuildId,
    build_url: String,
}

struct Function {
    codebuild: CodeBuild,
    work: Bucket,
    defaults: Defaults,
    build_role: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load().await;
    let function = Function {
        codebuild: CodeBuild::new(&aws),
        work: Bucket::new(&aws, config::setting("WORK_BUCKET")?),
        defaults: Defaults {
            project: config::setting("CODEBUILD_PROJECT")?,
            image: config::setting("BUILD_IMAGE")?,
            compute_type: config::setting("BUILD_COMPUTE_TYPE")?,
            environment_type: config::setting("BUILD_ENVIRONMENT_TYPE")?,
            timeout_minutes: config::number_setting("BUILD_TIMEOUT_MINUTES")?,
            queued_timeout_minutes: config::number_setting("BUILD_QUEUED_TIMEOUT_MINUTES")?,
            log_group: config::setting("BUILD_LOG_GROUP")?,
            work_bucket: config::setting("WORK_BUCKET")?,
        },
        build_role: config::setting("BUILD_ROLE_ARN")?,
    };
    lambda::run(async |invocation| function.start(invocation).await).await
}

impl Function {
    async fn start(
        &self,
        Invocation {
            event:
                Event {
                    execution,
                    lock,
                    plan,
                },
            place,
        }: Invocation<Event>,
    ) -> Result<Started> {
        let plan = plans::unpack(&self.work, plan).await?;
        let mut request = build::compose(&plan, &execution, &lock.run, &place, &self.defaults);
        self.work.copy_from(&plan.source, &lock.run.source_key()).await?;
        if let Some(key) = request.buildspec_key() {
            let arn = format!("arn:{}:s3:::{}/{key}", place.partition, self.defaults.work_bucket);
            self.work
                .put(&key, std::mem::replace(&mut request.buildspec, arn))
                .await?;
        }
        let build_id = self.codebuild.start(&request, &self.build_role).await?;
        tracing::info!(execution = execution.as_str(), module = %plan.module, build = %build_id, "started");
        Ok(Started {
            build_url: place.build_url(&build_id),
            build_id,
        })
    }
}
