//! Records a success: bundle, record, outputs, metadata, md5, report, and the status last. Then the event is published.

use jiff::Timestamp;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::stores::stored_lock;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::ids::{AwsEnvironment, ExecutionArn, ParameterKind};
use seedflow_core::module::deployed_record::{DeployedModule, Kept};
use seedflow_core::module::input::ModuleAction;
use seedflow_core::module::plan::Plan;
use seedflow_core::module::report::Report;
use seedflow_core::module::source::Source;
use seedflow_core::module::status::Status;
use seedflow_core::module::success;
use seedflow_core::module::success::SuccessStep;
use seedflow_core::module::timeline::Timeline;
use seedflow_core::module::workflow_metadata;
use seedflow_core::module::workflow_metadata::WorkflowMetadata;
use seedflow_core::telemetry::log_context::LogContext;
use seedflow_core::telemetry::metric::{Measurement, Metric};
use seedflow_core::workflow::lock::Lease;
use serde_json::{Map, Value, json};

use crate::handler::{Handler, SucceededBuild};

/// Maximum length of a module's metadata. A value that is too long for Parameter Store is stored in S3. The next build gets
/// it as a variable, and until then it travels in the plan, which has limited room.
const MAX_METADATA: u64 = 32 * 1024;

impl Handler {
    pub(crate) async fn succeed(
        &self,
        done: SucceededBuild<'_>,
        environment: &AwsEnvironment,
        now: Timestamp,
    ) -> Result<Value> {
        let SucceededBuild {
            execution,
            lock,
            plan,
            build,
        } = done;
        let module = &plan.module;
        let place = environment.of(plan.target());
        let known = WorkflowMetadata {
            build,
            environment: &place,
            commit: &plan.commit_info,
            role: plan.module_stack.as_ref().map(|stack| stack.names.role.as_str()),
            version: env!("CARGO_PKG_VERSION"),
        };
        let metadata = known.added_to(self.read_build_metadata(plan, lock).await?);
        let cloudformation = self.cloudformation(plan.target(), environment).await?;
        let outputs = cloudformation.outputs(&plan.options.stack_name).await?;
        let stored = self
            .modules
            .parameters
            .stored(module, &ParameterKind::ALL)
            .await?;
        let before = stored.status_of(module)?;
        // The last check before the first write.
        stored_lock::ensure_held(&self.modules.work, lock, execution).await?;
        let status = Status::succeed(before.as_ref(), module, execution, build, now)
            .started_by(lock.started_by.as_ref());
        let timeline = Timeline::new(lock, &status, Some(build));
        let deployed = stored.fingerprint();
        let (mut kept, mut spilled) = (None, 0);
        for step in success::steps(plan, &stored, &outputs, &metadata, &status) {
            match step {
                SuccessStep::KeepBundle => kept = Some(self.keep_bundle(plan).await?),
                SuccessStep::Record => {
                    let record = DeployedModule::new(plan, execution, kept.take(), now);
                    self.modules.write_record(&record).await?;
                }
                SuccessStep::Report => {
                    let report =
                        Report::of_success(plan, deployed.as_ref(), &status, &timeline, build, &outputs);
                    self.modules.write_report(&report).await?;
                }
                SuccessStep::Parameter(write) => {
                    spilled += u32::from(write.encoded.spilled.is_some());
                    self.modules.write(module, write).await?;
                }
            }
        }
        let spilled = Measurement::default().and_count(Some(Metric::SpilledValues), spilled);
        self.metrics
            .write(&spilled, &LogContext::module(execution, module));
        if !status.repeats(before.as_ref()) {
            self.measure(module, &status, &timeline);
        }
        self.publish(lock, &status, &timeline).await;
        tracing::info!("recorded a success");
        Ok(json!({
            "state": status.state, "module": module, "execution": execution, "build_id": build.build_id,
            "origin": status.commit_info,
            "outputs": success::repeated_outputs(module, outputs),
        }))
    }

    /// Keeps the bundle: a copy next to the record, which belongs to the module alone, and the published copy (decision
    /// 28). Both run concurrently, because a copy of gigabytes takes most of the function's time.
    async fn keep_bundle(&self, plan: &Plan) -> Result<Kept> {
        let (bundle, published) = tokio::try_join!(
            copy(plan, &self.modules.work, plan.module.kept_bundle_key()),
            copy(plan, &self.bundles, plan.module.bundle_key()),
        )?;
        Ok(Kept { bundle, published })
    }

    /// Keeps the bundle and its record before the build, so that a build that fails leaves what can destroy it. The record
    /// comes last: it names the copy.
    pub(crate) async fn keep_before_build(
        &self,
        plan: &Plan,
        execution: &ExecutionArn,
        now: Timestamp,
    ) -> Result<()> {
        let stored = match plan.action {
            ModuleAction::Destroy => self.modules.record(&plan.module).await?,
            ModuleAction::Deploy => None,
        };
        let is_kept = plan.options.bundle || plan.action == ModuleAction::Destroy;
        let bundle = match is_kept {
            true => Some(copy(plan, &self.modules.work, plan.module.kept_bundle_key()).await?),
            false => None,
        };
        let record = DeployedModule::before_build(plan, execution, stored, bundle, now);
        self.modules.write_record(&record).await
    }

    /// The metadata that the build wrote as its artifact (decision 18).
    async fn read_build_metadata(&self, plan: &Plan, lock: &Lease) -> Result<Map<String, Value>> {
        let key = lock.run.metadata_key();
        let missing = || {
            Error::new(
                ErrorName::SourceNotFound,
                format!("{key}: the build succeeded but returned no metadata; was its artifact removed?"),
            )
        };
        let read = self.builds(plan.target()).get(&key, MAX_METADATA).await;
        // Too much metadata is the module's mistake, so the message says what is too long.
        let of_metadata = |e: Error| Error::new(e.name, format!("the build's metadata: {}", e.message));
        let (bytes, _) = read.map_err(of_metadata)?.ok_or_else(missing)?;
        workflow_metadata::parse_own(&bytes)
            .map_err(|what| Error::new(ErrorName::Refused, format!("{key}: the build's metadata {what}")))
    }
}

async fn copy(plan: &Plan, bucket: &Bucket, key: String) -> Result<Source> {
    Ok(Source {
        version_id: bucket.copy_from(&plan.source, plan.source_bytes, &key).await?,
        bucket: bucket.name().to_owned(),
        key,
        path: plan.source.path.clone(),
    })
}
