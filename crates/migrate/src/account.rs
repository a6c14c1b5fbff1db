//! The account on both sides: what seed-farmer and Seedflow store, and the writes of a take-over.

use std::path::Path;

use anyhow::{Context, Result, bail};
use seedflow_aws::runtime::config;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::ssm::Found;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::{fence, spilled_values};
use seedflow_core::deployment::state::State;
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::{AwsEnvironment, ExecutionArn, ModuleId, ParameterKind};
use seedflow_core::module::deployed_record::{DeployedModule, Kept};
use seedflow_core::module::fingerprint::Versions;
use seedflow_core::module::source::Source;
use seedflow_core::module::success::ParameterWrite;
use seedflow_core::workflow::lock::Lockable;
use serde_json::{Map, Value};

/// Clients for the account that the environment names, and what Seedflow's stack has there.
pub struct Account {
    /// Account and region.
    pub environment: AwsEnvironment,
    /// What the names of all modules' roles and stacks begin with.
    pub module_prefix: String,
    /// The bucket of the bundles.
    pub bundles: Bucket,
    modules: ModuleStore,
    cloudformation: CloudFormation,
}

impl Account {
    /// Finds Seedflow's stack.
    pub async fn of_stack(stack: &str) -> Result<Self> {
        let aws = config::load_for_people(None, None).await;
        let cloudformation = CloudFormation::new(&aws);
        let outputs = cloudformation.outputs(stack).await.context(
            "cannot ask AWS; credentials and region come from the environment or from a profile (AWS_PROFILE, AWS_REGION)",
        )?;
        if outputs.is_empty() {
            let region = aws.region().map_or("no region", |region| region.as_ref());
            bail!(
                "found no stack \"{stack}\" with outputs in {region}; name the one that Seedflow was installed as by --stack-name, and its region by AWS_REGION"
            );
        }
        let output = |name: &str| {
            let value = outputs.get(name).and_then(Value::as_str).map(str::to_owned);
            value.with_context(|| {
                format!("the stack \"{stack}\" has no output {name}; is it Seedflow's, and up to date?")
            })
        };
        Ok(Self {
            environment: AwsEnvironment::from_arn(&output("StateMachineArn")?)?,
            module_prefix: format!("{stack}-module-"),
            bundles: Bucket::new(&aws, output("BundleBucketName")?),
            modules: ModuleStore::new(&aws, output("WorkBucketName")?),
            cloudformation,
        })
    }

    /// The name of the work bucket.
    pub fn work_bucket(&self) -> &str {
        self.modules.work.name()
    }

    /// The parameters below a path.
    pub async fn below(&self, path: &str) -> Result<Vec<Found>> {
        Ok(self.modules.parameters.below_dated(path).await?)
    }

    /// The text that a parameter had at a time.
    pub async fn text_at(&self, name: &str, time: jiff::Timestamp) -> Result<Option<String>> {
        Ok(self.modules.parameters.text_at(name, time).await?)
    }

    /// What Seedflow has stored of a deployment.
    pub async fn state(&self, deployment: &DeploymentId) -> Result<State> {
        let mut whole = Vec::new();
        for (name, text) in self.modules.parameters.below(&deployment.path()).await? {
            whole.push((name, spilled_values::resolve(&self.modules.work, text).await?));
        }
        Ok(State::of(deployment, whole))
    }

    /// The versions of parameters by their names.
    pub async fn versions(&self, mut names: Vec<String>) -> Result<Versions> {
        names.sort_unstable();
        names.dedup();
        let found = self.modules.parameters.get(&names).await?;
        let version = |name: &String| found.get(name).map(|(_, version)| *version);
        Ok(names.iter().map(|name| (name.clone(), version(name))).collect())
    }

    /// Who holds a lock.
    pub async fn holder<S: Lockable>(&self, of: &S) -> Result<Option<ExecutionArn>> {
        let found = fence::read(&self.modules.work, &of.lock_key()).await?;
        Ok(found.map(|(lock, _)| lock.holder.execution))
    }

    /// The record of a module.
    pub async fn record(&self, module: &ModuleId) -> Result<Option<DeployedModule>> {
        Ok(self.modules.record(module).await?)
    }

    /// The outputs of a module's stack.
    pub async fn outputs(&self, stack: &str) -> Result<Map<String, Value>> {
        Ok(self.cloudformation.outputs(stack).await?)
    }

    /// Keeps a bundle as a success of Seedflow does: beside the record, and under the published key.
    pub async fn keep(&self, module: &ModuleId, bundle: &Path) -> Result<Kept> {
        let put = async |bucket: &Bucket, key: String| -> Result<Source> {
            Ok(Source {
                version_id: bucket.put_file(&key, bundle).await?,
                bucket: bucket.name().to_owned(),
                key,
                path: String::new(),
            })
        };
        Ok(Kept {
            bundle: put(&self.modules.work, module.kept_bundle_key()).await?,
            published: put(&self.bundles, module.bundle_key()).await?,
        })
    }

    pub async fn write_record(&self, record: &DeployedModule) -> Result<()> {
        Ok(self.modules.write_record(record).await?)
    }

    pub async fn write(&self, module: &ModuleId, write: ParameterWrite) -> Result<()> {
        Ok(self.modules.write(module, write).await?)
    }

    /// Removes the record, and what marks a module as deployed by Seedflow.
    pub async fn remove_record(&self, module: &ModuleId) -> Result<()> {
        self.modules
            .parameters
            .delete(module, &[ParameterKind::Md5])
            .await?;
        self.modules.work.delete(&module.kept_bundle_key()).await?;
        Ok(self.modules.work.delete(&module.record_key()).await?)
    }
}
