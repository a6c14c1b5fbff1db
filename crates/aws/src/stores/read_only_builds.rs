//! Read-only builds at home and in targets (decision 67): each has a folder with a copy of its bundle.
//!
//! A start may be repeated: it writes the same copy and buildspec, and CodeBuild finds the build by its token. Nothing
//! waits here. The caller that starts a build looks again later.

use seedflow_core::error::{Error, Result};
use seedflow_core::ids::{AwsEnvironment, BuildFolder, BuildId};
use seedflow_core::module::codebuild::read_only::{Ending, MESSAGES, Section, compose};
use seedflow_core::module::codebuild::request::Defaults;
use seedflow_core::module::plan::Plan;
use seedflow_core::module::target_settings::{Home, TargetSettings};
use seedflow_core::target::{Target, TargetRole};
use seedflow_core::workflow::build_outcome::BuildOutcome;

use crate::runtime::config::{self, SdkConfig};
use crate::services::codebuild::CodeBuild;
use crate::services::logs::LogGroup;
use crate::services::s3::Bucket;
use crate::services::ssm::ParameterStore;
use crate::services::sts::Placed;
use crate::stores::target_settings;

/// A read-only build that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub ending: Ending,
    /// What its commands printed last.
    pub output: Vec<String>,
    /// Where its log is, and when it ran.
    pub outcome: BuildOutcome,
}

/// Starts read-only builds, and looks at them.
pub struct ReadOnlyBuilds {
    aws: SdkConfig,
    places: Placed<SdkConfig>,
    work: Bucket,
    /// Those of builds at home that ask for nothing else.
    defaults: Defaults,
    /// The name of Seedflow's stack.
    stack: String,
}

impl ReadOnlyBuilds {
    /// Read-only builds by the settings of a function, in whose template they are.
    pub fn new(aws: &SdkConfig) -> Result<Self> {
        Ok(Self {
            aws: aws.clone(),
            places: Placed::new(aws, TargetRole::ReadOnlyBuilds, SdkConfig::clone)?,
            work: Bucket::new(aws, config::setting("WORK_BUCKET")?),
            defaults: config::build_defaults(String::new())?,
            stack: config::setting("STACK_NAME")?,
        })
    }

    /// The settings of a target; `None` at home.
    pub async fn settings(
        &self,
        target: Option<&Target>,
        home: &AwsEnvironment,
    ) -> Result<Option<TargetSettings>> {
        let Some(target) = target else { return Ok(None) };
        let parameters = ParameterStore::new(&self.places.at(Some(target), home).await?);
        let home = Home {
            environment: home,
            stack: &self.stack,
        };
        target_settings::read(&parameters, target, home).await.map(Some)
    }

    /// Starts the build of a plan, which has the [settings](Self::settings) of its target. The folder is the caller's: kept
    /// before this call, it makes a repeated call find the build. `None` if the deployspec has no commands in this section.
    pub async fn start(
        &self,
        plan: &Plan,
        section: Section,
        run: &BuildFolder,
        home: &AwsEnvironment,
    ) -> Result<Option<BuildId>> {
        let defaults = self.defaults.of(plan, &self.stack).read_only();
        let Some(mut request) = compose(plan, section, run, home, &defaults) else {
            return Ok(None);
        };
        let bucket = self.bucket(plan.target());
        bucket
            .copy_from(&plan.source, plan.source_bytes, &run.source_key())
            .await?;
        if let Some(key) = request.buildspec_key() {
            let arn = format!("arn:{}:s3:::{}/{key}", home.partition, defaults.work_bucket);
            bucket
                .put(&key, std::mem::replace(&mut request.buildspec, arn))
                .await?;
        }
        let codebuild = CodeBuild::new(&self.places.at(plan.target(), home).await?);
        let build_id = codebuild.start_in_project(&request).await?;
        Ok(Some(build_id.at(plan.target())))
    }

    /// How a build ended, and the last `lines` that it printed; `None` while it runs.
    pub async fn look(&self, id: &BuildId, lines: usize, home: &AwsEnvironment) -> Result<Option<Ended>> {
        let aws = self.places.at(id.target().as_ref(), home).await?;
        let Some(outcome) = CodeBuild::new(&aws).read(id).await? else {
            return Ok(None);
        };
        let ending = Ending::of(&outcome);
        let output = match log_of(&outcome) {
            Some((group, stream)) => LogGroup::new(&aws, group).last(&stream, MESSAGES).await,
            None => Ok(Vec::new()),
        };
        let output = match output {
            Ok(log) => ending.output(&log, lines),
            // The ending is known all the same.
            Err(error) if !error.name.passes() => not_read(id, &error),
            Err(error) => return Err(error),
        };
        Ok(Some(Ended {
            ending,
            output,
            outcome,
        }))
    }

    /// The bucket with the folders of builds. CodeBuild reads sources only from a bucket of its own region.
    fn bucket(&self, target: Option<&Target>) -> Bucket {
        match target {
            None => self.work.clone(),
            Some(target) => {
                Bucket::in_region(&self.aws, target.bucket(&self.stack), target.region().to_owned())
            }
        }
    }
}

fn log_of(outcome: &BuildOutcome) -> Option<(String, String)> {
    Some((outcome.log_group.clone()?, outcome.log_stream.clone()?))
}

fn not_read(id: &BuildId, error: &Error) -> Vec<String> {
    tracing::warn!(build_id = %id, error = error.name.as_str(), cause = %error.message, "log not read");
    vec![format!("The log can't be read: {}", error.message)]
}
