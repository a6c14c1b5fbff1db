//! The accounts on both sides: what seed-farmer and Seedflow store, and the writes of a take-over.
//!
//! Seedflow stores everything at home. seed-farmer stores what it knows of a module in the account and region of the module, so that
//! is read there, and so are the stacks of modules and the parameters that they refer to. Nothing is written there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use seedflow_aws::runtime::config;
use seedflow_aws::services::cloudformation::CloudFormation;
use seedflow_aws::services::s3::Bucket;
use seedflow_aws::services::ssm::{Found, ParameterStore};
use seedflow_aws::services::sts;
use seedflow_aws::stores::module_store::ModuleStore;
use seedflow_aws::stores::{spilled_values, stored_lock};
use seedflow_core::deployment::state::DeploymentState;
use seedflow_core::ids::DeploymentId;
use seedflow_core::ids::{AwsEnvironment, ExecutionArn, ModuleId, Name, ParameterKind};
use seedflow_core::module::deployed_record::{DeployedModule, Kept};
use seedflow_core::module::fingerprint::Versions;
use seedflow_core::module::source::Source;
use seedflow_core::module::success::ParameterWrite;
use seedflow_core::target::Target;
use seedflow_core::workflow::lock::Lockable;
use serde_json::{Map, Value};

use crate::cli::Cli;
use crate::seedfarmer::roles::RoleNames;

/// Clients for the account that the environment names, and what Seedflow's stack has there.
pub struct Account {
    /// Account and region.
    pub environment: AwsEnvironment,
    /// What the names of all modules' roles and stacks begin with.
    pub module_prefix: String,
    /// The bucket of the bundles.
    pub bundles: Bucket,
    modules: ModuleStore,
    /// The credentials of the person.
    config: config::SdkConfig,
    /// Home is `None`.
    places: BTreeMap<Option<Target>, TargetClients>,
}

/// What is read in an account and region.
struct TargetClients {
    parameters: ParameterStore,
    cloudformation: CloudFormation,
}

impl TargetClients {
    fn new(config: &config::SdkConfig) -> Self {
        Self {
            parameters: ParameterStore::new(config),
            cloudformation: CloudFormation::new(config),
        }
    }
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
                "found no stack \"{stack}\" with outputs in {region}; give the name of Seedflow's stack by --stack-name, and its region by AWS_REGION"
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
            places: [(None, TargetClients::new(&aws))].into(),
            config: aws,
        })
    }

    /// Reads in a target from now on: with a profile for its account, or as seed-farmer does.
    pub async fn enter(&mut self, target: &Target, project: &Name, cli: &Cli) -> Result<()> {
        let mut profiles = cli.account_profiles.iter();
        let profile = profiles.find(|(account, _)| account == target.account());
        let config = match profile {
            Some((_, profile)) => {
                config::load_for_people(Some(profile), Some(target.region().to_owned())).await
            }
            None => {
                let names = RoleNames {
                    qualifier: cli.qualifier.clone(),
                    path: cli.role_prefix.clone(),
                };
                let roles = names.to(&self.environment, project, target.account());
                let assumed = sts::assuming(&self.config, &roles, target.region()).await;
                assumed.with_context(|| format!(
                    "cannot read the state of {target} with seed-farmer's roles; name a profile for the account by --account-profile {}=PROFILE, or give --qualifier and --role-prefix as for seed-farmer",
                    target.account()
                ))?
            }
        };
        self.places
            .insert(Some(target.clone()), TargetClients::new(&config));
        Ok(())
    }

    fn place(&self, target: Option<&Target>) -> Result<&TargetClients> {
        let place = self.places.get(&target.cloned());
        place.with_context(|| {
            format!(
                "{} was not entered",
                target.map_or("home".to_owned(), Target::to_string)
            )
        })
    }

    /// The name of the work bucket.
    pub fn work_bucket(&self) -> &str {
        self.modules.work.name()
    }

    /// The parameters below a path.
    pub async fn below(&self, target: Option<&Target>, path: &str) -> Result<Vec<Found>> {
        Ok(self.place(target)?.parameters.below_dated(path).await?)
    }

    /// The text that a parameter had at a time.
    pub async fn text_at(
        &self,
        target: Option<&Target>,
        name: &str,
        time: jiff::Timestamp,
    ) -> Result<Option<String>> {
        Ok(self.place(target)?.parameters.text_at(name, time).await?)
    }

    /// What Seedflow has stored of a deployment.
    pub async fn state(&self, deployment: &DeploymentId) -> Result<DeploymentState> {
        let mut whole = Vec::new();
        for (name, text) in self.modules.parameters.below(&deployment.path()).await? {
            whole.push((name, spilled_values::resolve(&self.modules.work, text).await?));
        }
        Ok(DeploymentState::of(deployment, whole))
    }

    /// The versions of parameters by their names.
    pub async fn versions(&self, target: Option<&Target>, names: BTreeSet<&str>) -> Result<Versions> {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let found = self.place(target)?.parameters.get(&names).await?;
        let version = |name: &String| found.get(name).map(|(_, version)| *version);
        Ok(names.iter().map(|name| (name.clone(), version(name))).collect())
    }

    /// Who holds a lock.
    pub async fn holder<S: Lockable>(&self, of: &S) -> Result<Option<ExecutionArn>> {
        let found = stored_lock::read(&self.modules.work, &of.lock_key()).await?;
        Ok(found.map(|(lock, _)| lock.holder.execution))
    }

    /// The record of a module.
    pub async fn record(&self, module: &ModuleId) -> Result<Option<DeployedModule>> {
        Ok(self.modules.record(module).await?)
    }

    /// The outputs of a module's stack.
    pub async fn outputs(&self, target: Option<&Target>, stack: &str) -> Result<Map<String, Value>> {
        Ok(self.place(target)?.cloudformation.outputs(stack).await?)
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
