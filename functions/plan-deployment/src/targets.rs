//! The targets of a plan: whether they are ready, and the versions of parameters there.

use std::collections::BTreeSet;

use seedflow_aws::runtime::config::{SdkConfig, setting};
use seedflow_aws::services::ssm::{ParameterStore, about_references};
use seedflow_aws::services::sts::Placed;
use seedflow_aws::stores::target_settings;
use seedflow_core::deployment::plan::Plan;
use seedflow_core::deployment::planner;
use seedflow_core::deployment::state::DeploymentState;
use seedflow_core::deployment::targets;
use seedflow_core::deployment::targets::{TargetProblems, TargetsAsked};
use seedflow_core::error::{ErrorName, Result, excerpt};
use seedflow_core::ids::AwsEnvironment;
use seedflow_core::module::fingerprint::{Versions, VersionsByTarget};
use seedflow_core::module::metadata_reference::ModuleRef;
use seedflow_core::module::target_settings::{Home, TargetSettings};
use seedflow_core::target::{Target, TargetRole};

/// Parameter Store at home and in targets.
pub(crate) struct Targets {
    places: Placed<ParameterStore>,
    /// The name of Seedflow's stack.
    stack: String,
}

impl Targets {
    pub(crate) fn new(aws: &SdkConfig) -> Result<Self> {
        Ok(Self {
            places: Placed::new(aws, TargetRole::Reads, ParameterStore::new)?,
            stack: setting("STACK_NAME")?,
        })
    }

    /// Finds what is wrong with the targets that modules go to.
    pub(crate) async fn check(
        &self,
        groups: &[planner::PlannableGroup],
        asked: &TargetsAsked,
        home: &AwsEnvironment,
    ) -> Result<TargetProblems> {
        let mut problems = TargetProblems::of(asked);
        for target in planner::targets(groups).into_iter().flatten() {
            if problems.is_unready(target) {
                continue;
            }
            match self.settings(target, home).await? {
                Ok(settings) => {
                    problems.add_ready(target);
                    for problem in self.disallowed(&settings, (target, groups), asked, home) {
                        problems.add(problem);
                    }
                }
                Err(unready) => problems.add_unready(target, unready.message),
            }
        }
        Ok(problems)
    }

    /// What the manifest and its modules ask of a target that it doesn't allow.
    fn disallowed(
        &self,
        settings: &TargetSettings,
        (target, groups): (&Target, &[planner::PlannableGroup]),
        asked: &TargetsAsked,
        home: &AwsEnvironment,
    ) -> Vec<String> {
        let home = self.home(home);
        let named = asked.role_paths.iter().filter(|named| named.target == *target);
        let paths = named.filter_map(|named| {
            let checked = settings.check_role_path(target, home, &named.path, &named.at);
            checked.err().map(|error| error.message)
        });
        let modules = groups.iter().flat_map(|group| &group.modules);
        let there = modules.filter(|module| module.options.target.as_ref() == Some(target));
        let options = there.filter_map(|module| {
            let error = settings.check(&module.options).err()?;
            let module = ModuleRef::from(&module.id);
            Some(format!("{module}, in the target {target}: {}", error.message))
        });
        paths.chain(options).collect()
    }

    /// Refuses a plan for what is wrong with its targets, also with those where it destroys modules.
    pub(crate) async fn refuse(
        &self,
        mut problems: TargetProblems,
        (plan, state): (&Plan, &DeploymentState),
        name: ErrorName,
        home: &AwsEnvironment,
    ) -> Result<()> {
        for (target, modules) in targets::left(plan, state) {
            if problems.is_checked(&target) {
                continue;
            }
            if let Err(unready) = self.settings(&target, home).await? {
                let modules: Vec<String> = modules.iter().map(ToString::to_string).collect();
                let modules = excerpt(&modules.join(", "), 200);
                let message = format!("{modules} can't be destroyed: {}", unready.message);
                problems.add_unready(&target, message);
            }
        }
        problems.refuse(name)
    }

    /// The settings of a target, or why nothing can be done there.
    async fn settings(&self, target: &Target, home: &AwsEnvironment) -> Result<Result<TargetSettings>> {
        match self.read_settings(target, home).await {
            Err(error) if error.name != ErrorName::Refused => Err(error),
            read => Ok(read),
        }
    }

    async fn read_settings(&self, target: &Target, home: &AwsEnvironment) -> Result<TargetSettings> {
        let parameters = self.places.at(Some(target), home).await?;
        target_settings::read(&parameters, target, self.home(home)).await
    }

    fn home<'a>(&'a self, environment: &'a AwsEnvironment) -> Home<'a> {
        Home {
            environment,
            stack: &self.stack,
        }
    }

    /// The versions of all parameters that modules reference, each in the module's own target. What is in a target that isn't
    /// ready is not known.
    pub(crate) async fn versions(
        &self,
        groups: &[planner::PlannableGroup],
        problems: &TargetProblems,
        home: &AwsEnvironment,
    ) -> Result<VersionsByTarget> {
        let is_ready = |target: &Option<&Target>| target.is_none_or(|target| !problems.is_unready(target));
        let mut versions = VersionsByTarget::new();
        for target in planner::targets(groups).into_iter().filter(is_ready) {
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
