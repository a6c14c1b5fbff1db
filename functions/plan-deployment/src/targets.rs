//! The targets of a plan: whether they are ready, and the versions of parameters there.

use std::collections::BTreeSet;

use seedflow_aws::runtime::config::{SdkConfig, setting};
use seedflow_aws::services::ssm::{ParameterStore, about_references};
use seedflow_aws::services::sts::Placed;
use seedflow_core::deployment::planner;
use seedflow_core::error::{ErrorName, Result};
use seedflow_core::ids::AwsEnvironment;
use seedflow_core::module::fingerprint::{Versions, VersionsByTarget};
use seedflow_core::module::target_settings::{TargetSettings, all_not_ready};
use seedflow_core::target::{Target, TargetRole, settings_parameter};

/// Parameter Store at home and in targets.
pub(crate) struct Targets {
    places: Placed<ParameterStore>,
    /// The parameter with the settings of a target.
    settings: String,
}

impl Targets {
    pub(crate) fn new(aws: &SdkConfig) -> Result<Self> {
        Ok(Self {
            places: Placed::new(aws, TargetRole::Reads, ParameterStore::new)?,
            settings: settings_parameter(&setting("STACK_NAME")?),
        })
    }

    /// Refuses targets in which nothing can be deployed, all at once.
    pub(crate) async fn check(
        &self,
        groups: &[planner::PlannableGroup],
        home: &AwsEnvironment,
    ) -> Result<()> {
        let mut errors = Vec::new();
        for target in planner::targets(groups).into_iter().flatten() {
            match self.check_one(target, home).await {
                Err(error) if error.name == ErrorName::Refused => errors.push(error),
                checked => checked?,
            }
        }
        all_not_ready(&errors)
    }

    async fn check_one(&self, target: &Target, home: &AwsEnvironment) -> Result<()> {
        let parameters = self.places.at(Some(target), home).await?;
        let found = parameters.get(std::slice::from_ref(&self.settings)).await?;
        let text = found.get(&self.settings).map(|(text, _)| text.as_str());
        TargetSettings::parse(target, home, text).map(drop)
    }

    /// The versions of all parameters that modules reference, each in the module's own target.
    pub(crate) async fn versions(
        &self,
        groups: &[planner::PlannableGroup],
        home: &AwsEnvironment,
    ) -> Result<VersionsByTarget> {
        let mut versions = VersionsByTarget::new();
        for target in planner::targets(groups) {
            let parameters = self.places.at(target, home).await?;
            let found = versions_of(&parameters, planner::references(groups, target)).await?;
            versions.insert(target.cloned(), found);
        }
        Ok(versions)
    }
}

async fn versions_of(parameters: &ParameterStore, names: BTreeSet<&str>) -> Result<Versions> {
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let found = parameters.get(&names).await.map_err(about_references)?;
    let version = |name: &String| found.get(name).map(|(_, version)| *version);
    Ok(names.iter().map(|name| (name.clone(), version(name))).collect())
}
