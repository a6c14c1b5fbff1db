//! Recording a success: bundle, record, outputs, metadata, md5, report, and the status last. Then it is told.

use jiff::Timestamp;
use seedflow_aws::fence;
use seedflow_aws::s3::Bucket;
use seedflow_core::build::environment::SEEDFARMER_VERSION;
use seedflow_core::build::outcome::Outcome;
use seedflow_core::commit;
use seedflow_core::error::{Error, ErrorName, Result};
use seedflow_core::fields::{MAX_DEPTH, is_too_deep};
use seedflow_core::ids::{Place, Slot};
use seedflow_core::lock::Held;
use seedflow_core::metric::{Measurement, Metric};
use seedflow_core::module_stack;
use seedflow_core::plan::Plan;
use seedflow_core::record::{Kept, Record};
use seedflow_core::report::Report;
use seedflow_core::request::Source;
use seedflow_core::status::Status;
use seedflow_core::subject::Subject;
use seedflow_core::timeline::Timeline;
use serde_json::{Map, Value, json};

use crate::{Built, Function};

/// The most that a module may hand back. What doesn't fit into Parameter Store goes to S3; the next build gets
/// it as a variable, and on its way there it travels in the plan, whose room is limited.
const MAX_METADATA: u64 = 32 * 1024;

/// The longest outputs that the execution's own output repeats: a stack may have 200 of 4 KB each, which is more than a
/// state can hand on.
const MAX_REPEATED: usize = 32 * 1024;

impl Function {
    pub(crate) async fn succeed(&self, done: Built<'_>, place: &Place, now: Timestamp) -> Result<Value> {
        let Built {
            execution,
            lock,
            plan,
            build,
        } = done;
        let module = &plan.module;
        let metadata = with_workflow_keys(self.handed_back(lock).await?, plan, build, place);
        let outputs = self.cloudformation.outputs(&plan.options.stack_name).await?;
        let stored = self.records.parameters.stored(module, &Slot::ALL).await?;
        let before = stored.status_of(module)?;
        // The last look before the first write.
        fence::check(&self.records.work, lock, execution).await?;
        let kept = self.keep_bundle(plan).await?;
        // Before all else: whatever happens from here on, the record is of what runs. That it says more than md5 and
        // status, if they aren't written any more, does no harm: the module is deployed again then.
        self.records
            .write_record(&Record::new(plan, execution, kept, now))
            .await?;
        let status = Status::succeed(before.as_ref(), module, execution, build, now);
        let timeline = Timeline::new(lock, &status, Some(build));
        let mut spilled = 0;
        let deployed = stored.fingerprint();
        for write in commit::success(module, &stored, &outputs, &metadata, &plan.fingerprint, &status) {
            spilled += u32::from(write.laid.spilled.is_some());
            if write.slot == Slot::Status {
                // The report before the status: who sees SUCCEEDED finds it.
                self.records
                    .write_report(&Report::of_success(
                        plan,
                        deployed.as_ref(),
                        &status,
                        &timeline,
                        build,
                        &outputs,
                    ))
                    .await?;
            }
            self.records.write(module, write).await?;
        }
        let spilled = Measurement::default().and_count(Some(Metric::SpilledValues), spilled);
        self.metrics.write(&spilled, &Subject::module(execution, module));
        if !status.repeats(before.as_ref()) {
            self.measure(module, &status, &timeline);
        }
        self.tell(lock, &status, &timeline).await;
        tracing::info!("recorded a success");
        let repeated = serde_json::to_string(&outputs).is_ok_and(|text| text.len() <= MAX_REPEATED);
        Ok(json!({
            "state": status.state, "module": module, "execution": execution, "build_id": build.build_id,
            "origin": status.origin,
            "outputs": if repeated { json!(outputs) } else { json!(format!("see {}", module.parameter(Slot::Outputs))) },
        }))
    }

    /// Keeps the bundle where that is wanted: a copy beside the record, which is the module's alone, and the published
    /// one. Both at once, because a copy of gigabytes takes most of the time that the function has.
    async fn keep_bundle(&self, plan: &Plan) -> Result<Option<Kept>> {
        if !plan.options.bundle {
            return Ok(None);
        }
        let copy = async |bucket: &Bucket, key: String| -> Result<Source> {
            Ok(Source {
                version_id: bucket.copy_from(&plan.source, plan.source_bytes, &key).await?,
                bucket: bucket.name().to_owned(),
                key,
                path: plan.source.path.clone(),
            })
        };
        let (bundle, published) = tokio::try_join!(
            copy(&self.records.work, plan.module.kept_bundle_key()),
            copy(&self.bundles, plan.module.bundle_key()),
        )?;
        Ok(Some(Kept { bundle, published }))
    }

    /// The metadata that the build left as its artifact.
    async fn handed_back(&self, lock: &Held) -> Result<Map<String, Value>> {
        let key = lock.run.metadata_key();
        let missing = || {
            Error::new(
                ErrorName::SourceNotFound,
                format!("{key}: the build succeeded but handed no metadata back; was its artifact removed?"),
            )
        };
        let (bytes, _) = self
            .records
            .work
            .get(&key, MAX_METADATA)
            .await?
            .ok_or_else(missing)?;
        let refused =
            |what: String| Error::new(ErrorName::Refused, format!("{key}: the build's metadata {what}"));
        let metadata: Map<String, Value> =
            serde_json::from_slice(&bytes).map_err(|e| refused(format!("is no JSON object: {e}")))?;
        if metadata.values().any(is_too_deep) {
            return Err(refused(format!("nests more than {MAX_DEPTH} deep")));
        }
        Ok(metadata)
    }
}

/// The module's own metadata plus what the workflow knows, under seed-farmer's names where it has one. The
/// workflow's keys win: they say which build this was.
fn with_workflow_keys(
    mut metadata: Map<String, Value>,
    plan: &Plan,
    build: &Outcome,
    place: &Place,
) -> Map<String, Value> {
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            metadata.insert(key.to_owned(), Value::String(value));
        }
    };
    set("CodeBuildBuildId", Some(build.build_id.to_string()));
    set("CodeBuildBuildUrl", Some(place.build_url(&build.build_id)));
    set("CloudWatchLogGroup", build.log_group.clone());
    set("CloudWatchLogStream", build.log_stream.clone());
    let known = |value: Option<&str>| value.map(str::to_owned);
    set("CommitHash", known(plan.origin.commit()));
    set("CommitAuthor", known(plan.origin.author()));
    set("CommitBranch", known(plan.origin.branch()));
    let role = plan.module_stack.as_ref().map(|stack| stack.names.role.clone());
    set(module_stack::ROLE_KEY, role);
    set("SeedFarmerDeployed", Some(SEEDFARMER_VERSION.to_owned()));
    set("SeedflowDeployed", Some(env!("CARGO_PKG_VERSION").to_owned()));
    metadata
}
