//! What a target says of itself: the settings that `template-target.yaml` stores in the target's Parameter Store.
//!
//! They are read once for each build and are part of its plan. An administrator of the target controls them, so they must
//! have no effect outside the target. Names and ARNs are used with the target's credentials only, and the bucket's name
//! is not among them.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorName, Result};
use crate::ids::AwsEnvironment;
use crate::module::input::Options;
use crate::module::maximum::Maxima;
use crate::module::network::AllowedNetworks;
use crate::module::role::boundary;
use crate::target::Target;

/// Seedflow's own stack, which its targets trust.
#[derive(Debug, Clone, Copy)]
pub struct Home<'a> {
    /// Its account and region.
    pub environment: &'a AwsEnvironment,
    /// Its name, from which the names in targets derive.
    pub stack: &'a str,
}

impl Home<'_> {
    /// The command that makes a target, or changes it.
    #[must_use]
    pub fn bootstrap_command(&self, target: &Target) -> String {
        format!(
            "seedflow bootstrap target --home {}/{} --stack {} --region {} --account {}",
            self.environment.account,
            self.environment.region,
            self.stack,
            target.region(),
            target.account()
        )
    }
}

/// The settings of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSettings {
    /// The version of the stack's template, for messages.
    pub version: u32,
    /// The CodeBuild project of builds.
    pub project: String,
    /// The ARN of the role of all builds.
    pub build_role: String,
    /// The log group of all builds.
    pub log_group: String,
    /// The ARNs of the policies of modules' roles, with commas between them.
    pub policies: String,
    /// The ARN of the role with which CloudFormation deploys the stacks of modules.
    pub service_role: String,
    /// The path of modules' roles.
    pub role_path: String,
    /// The ARN of the permissions boundary of modules' roles, or nothing.
    #[serde(default)]
    pub boundary: String,
    /// The subnets that builds may run in, with commas between them.
    #[serde(default)]
    pub subnets: String,
    /// The security groups that these builds may have.
    #[serde(default)]
    pub security_groups: String,
}

/// The version of the settings that this code knows.
const VERSION: u32 = 1;

impl TargetSettings {
    /// Reads the parameter's text; `None` if the target has none.
    ///
    /// # Errors
    /// `Refused` with the command that helps.
    pub fn parse(target: &Target, home: Home<'_>, text: Option<&str>) -> Result<Self> {
        let text = text.ok_or_else(|| not_ready(target, home, "it has no stack of template-target.yaml"))?;
        let settings: Self = serde_json::from_str(text).map_err(|_| {
            not_ready(
                target,
                home,
                "the stack of template-target.yaml has another version",
            )
        })?;
        match settings.version {
            VERSION => Ok(settings),
            other => Err(not_ready(
                target,
                home,
                &format!(
                    "the stack of template-target.yaml has version {other} of the settings, and this Seedflow knows {VERSION}"
                ),
            )),
        }
    }

    /// Checks what a module's options ask of the target.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub fn check(&self, options: &Options) -> Result<()> {
        let maxima = Maxima {
            permissions_boundary: self.boundary().map(str::to_owned),
            ..Maxima::OF_AWS
        };
        let asked = options.build.permissions_boundary.clone();
        boundary::parse("build.permissions_boundary", asked, &maxima).map(drop)
    }

    /// Checks a path of the roles of builds that a manifest names at `at`.
    ///
    /// # Errors
    /// `InvalidInput` with the field, and what to do.
    pub fn check_role_path(&self, target: &Target, home: Home<'_>, path: &str, at: &str) -> Result<()> {
        let maxima = Maxima {
            role_path: Some(self.role_path.clone()),
            ..Maxima::OF_AWS
        };
        maxima.role_path(path).map_err(|other| {
            let message = format!(
                "{at}: {other}; the path is set in target {target}; use that path, or change it there: `{} --parameter BuildRolePath={path}`",
                home.bootstrap_command(target)
            );
            Error::new(ErrorName::InvalidInput, message)
        })
    }

    /// The boundary of modules' roles.
    #[must_use]
    pub fn boundary(&self) -> Option<&str> {
        Some(self.boundary.as_str()).filter(|boundary| !boundary.is_empty())
    }

    /// The networks that builds may use.
    #[must_use]
    pub fn networks(&self) -> AllowedNetworks {
        AllowedNetworks::new(&self.subnets, &self.security_groups)
    }
}

/// A target in which nothing can be deployed, and what to do.
#[must_use]
pub fn not_ready(target: &Target, home: Home<'_>, why: &str) -> Error {
    Error::new(
        ErrorName::Refused,
        format!(
            "the target {target} is not ready: {why}. With credentials of account {}, run `{}`, and let the template parameter TargetAccounts name the account, or TargetOrganization its organization",
            target.account(),
            home.bootstrap_command(target)
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn home() -> AwsEnvironment {
        AwsEnvironment::from_arn("arn:aws:lambda:us-east-1:111111111111:function:f").unwrap()
    }

    fn settings() -> Value {
        json!({"version": 1, "project": "seedflow", "build_role": "arn:r", "log_group": "/g",
            "policies": "arn:p", "service_role": "arn:s", "role_path": "/", "boundary": ""})
    }

    #[test]
    fn a_target_without_settings_names_the_command_that_makes_them_for_this_home() {
        let target: Target = "222222222222/eu-west-1".parse().unwrap();
        let environment = home();
        let home = Home {
            environment: &environment,
            stack: "seedflow-team",
        };
        for text in [None, Some("{}"), Some("no JSON")] {
            let error = TargetSettings::parse(&target, home, text).unwrap_err();
            assert_eq!(error.name, ErrorName::Refused);
            for part in [
                "the target 222222222222/eu-west-1 is not ready",
                "`seedflow bootstrap target --home 111111111111/us-east-1 --stack seedflow-team --region eu-west-1 --account 222222222222`",
                "TargetAccounts name the account, or TargetOrganization its organization",
            ] {
                assert!(error.message.contains(part), "{part}: {error}");
            }
        }
        let read = TargetSettings::parse(&target, home, Some(&settings().to_string())).unwrap();
        assert_eq!((read.boundary(), read.project.as_str()), (None, "seedflow"));
        let newer = settings().to_string().replace("\"version\":1", "\"version\":2");
        let error = TargetSettings::parse(&target, home, Some(&newer)).unwrap_err();
        assert!(error.message.contains("version 2"), "{error}");
    }

    #[test]
    fn another_path_of_roles_than_the_targets_is_refused_with_what_to_do() {
        let target: Target = "222222222222/eu-west-1".parse().unwrap();
        let environment = home();
        let home = Home {
            environment: &environment,
            stack: "seedflow",
        };
        let mut stored = settings();
        stored["role_path"] = json!("/theirs/");
        let settings = TargetSettings::parse(&target, home, Some(&stored.to_string())).unwrap();
        let at = "deployment.yaml:9: targetAccountMappings[1].rolePrefix";
        let check = |path: &str| settings.check_role_path(&target, home, path, at);
        assert_eq!(check("/theirs/"), Ok(()));
        let error = check("/").unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidInput);
        assert_eq!(
            error.message,
            "deployment.yaml:9: targetAccountMappings[1].rolePrefix: expected \"/theirs/\" (template parameter BuildRolePath), found \"/\"; the path is set in target 222222222222/eu-west-1; use that path, or change it there: `seedflow bootstrap target --home 111111111111/us-east-1 --stack seedflow --region eu-west-1 --account 222222222222 --parameter BuildRolePath=/`"
        );
    }
}
