//! `start-build`: starts the build of a changed module, exactly one however often it is called.
//!
//! It builds the buildspec and the environment from the plan, creates the CodeBuild project if it is missing, and starts
//! the build. A network has a project of its own. The build has the role of all builds or the module's own role, whichever
//! project the input names. A buildspec that is too long for the request is stored in the build's folder, and the request
//! has its ARN.
//!
//! CodeBuild recognises a repeated request by its idempotency token for five minutes. So a retry first looks for the build
//! that an earlier try may have started, and retries may go on for longer.

use seedflow_aws::runtime::handler::Invocation;
use seedflow_aws::runtime::{config, handler, log};
use seedflow_aws::services::codebuild::CodeBuild;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::plans;
use seedflow_core::error::Result;
use seedflow_core::ids::{AwsEnvironment, BuildId, ExecutionArn};
use seedflow_core::module::codebuild::request;
use seedflow_core::module::codebuild::request::{BuildRequest, Defaults};
use seedflow_core::module::plan::{Plan, PlanHandle};
use seedflow_core::target::TargetRole;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::workflow::lock::Lease;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Event {
    execution: ExecutionArn,
    lock: Lease,
    plan: PlanHandle,
    /// The ARN of the module's own role; null if it has none.
    service_role: Option<String>,
    /// Number of earlier tries of the state.
    attempt: u32,
}

#[derive(Serialize)]
struct Started {
    build_id: BuildId,
    build_url: String,
}

/// A build to request.
struct Asked<'a> {
    plan: &'a Plan,
    request: BuildRequest,
    defaults: &'a Defaults,
}

struct Handler {
    aws: config::SdkConfig,
    codebuild: Placed<CodeBuild>,
    work: Bucket,
    defaults: Defaults,
    /// The name of Seedflow's stack.
    stack: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), lambda_runtime::Error> {
    let aws = config::load();
    let function = Handler {
        codebuild: Placed::new(&aws, TargetRole::Builds, CodeBuild::new)?,
        stack: config::setting("STACK_NAME")?,
        work: Bucket::new(&aws, config::setting("WORK_BUCKET")?),
        defaults: config::build_defaults(config::setting("BUILD_ROLE_ARN")?)?,
        aws,
    };
    handler::run(async |invocation| function.start(invocation).await).await
}

impl Handler {
    async fn start(
        &self,
        Invocation {
            event:
                Event {
                    execution,
                    lock,
                    plan,
                    service_role,
                    attempt,
                },
            environment,
        }: Invocation<Event>,
    ) -> Result<Started> {
        let plan = plans::load(&self.work, plan).await?;
        let defaults = self.defaults.of(&plan, &self.stack);
        let request = request::compose(
            &plan,
            &execution,
            &lock.run,
            &environment,
            service_role,
            &defaults,
        );
        let codebuild = self.codebuild.at(plan.target(), &environment).await?;
        let found = match attempt {
            0 => None,
            _ => codebuild.find(&request.project, &lock.run).await?,
        };
        let build_id = match found {
            Some(build_id) => build_id,
            None => {
                let asked = Asked {
                    plan: &plan,
                    request,
                    defaults: &defaults,
                };
                self.request(&codebuild, asked, &environment).await?
            }
        };
        let build_id = build_id.at(plan.target());
        log::add_log_context(&LogContext::module(&execution, &plan.module).with_build(Some(&build_id)));
        tracing::info!("started");
        Ok(Started {
            build_url: environment.build_url(&build_id),
            build_id,
        })
    }

    async fn request(
        &self,
        codebuild: &CodeBuild,
        Asked {
            plan,
            mut request,
            defaults,
        }: Asked<'_>,
        environment: &AwsEnvironment,
    ) -> Result<BuildId> {
        let build_role = &defaults.service_role;
        if request.project != defaults.project
            && let Some(named) = codebuild.project(&request.project).await?
        {
            named.check(build_role, request.network.as_ref())?;
        }
        if let Some(key) = request.buildspec_key() {
            let arn = format!(
                "arn:{}:s3:::{}/{key}",
                environment.partition, defaults.work_bucket
            );
            self.bucket(plan)
                .put(&key, std::mem::replace(&mut request.buildspec, arn))
                .await?;
        }
        codebuild.start(&request, build_role).await
    }

    /// The bucket with the build's folder.
    fn bucket(&self, plan: &Plan) -> Bucket {
        match plan.target() {
            None => self.work.clone(),
            Some(target) => {
                Bucket::in_region(&self.aws, target.bucket(&self.stack), target.region().to_owned())
            }
        }
    }
}
