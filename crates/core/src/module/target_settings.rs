//! What a target says of itself: the settings that `template-target.yaml` stores in the target's Parameter Store.
//!
//! They are read once for each build and travel in its plan. An administrator of a target controls them, so nothing of them
//! may reach beyond the target: names and ARNs are used with the target's credentials only, and the bucket's name is not
//! among them.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorName, Result};
use crate::ids::AwsEnvironment;
use crate::module::input::Options;
use crate::module::maximum::Maxima;
use crate::module::network::AllowedNetworks;
use crate::module::role::boundary;
use crate::target::Target;

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
    pub fn parse(target: &Target, home: &AwsEnvironment, text: Option<&str>) -> Result<Self> {
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

/// The errors of all targets of a deployment as one.
///
/// # Errors
/// `InvalidManifest` with a line for each.
pub fn all_not_ready(errors: &[Error]) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let lines: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    Err(Error::new(ErrorName::InvalidManifest, lines.join("\n")))
}

/// A target in which nothing can be deployed, and what to do.
#[must_use]
pub fn not_ready(target: &Target, home: &AwsEnvironment, why: &str) -> Error {
    Error::new(
        ErrorName::Refused,
        format!(
            "the target {target} is not ready: {why}. With credentials of account {}, run `seedflow bootstrap target --home {}/{} --region {} --account {}`, and name the account in the template parameter TargetAccounts",
            target.account(),
            home.account,
            home.region,
            target.region(),
            target.account()
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn home() -> AwsEnvironment {
        AwsEnvironment::from_arn("arn:aws:lambda:us-east-1:111111111111:function:f").unwrap()
    }

    #[test]
    fn a_target_without_settings_names_the_command_that_makes_them() {
        let target: Target = "222222222222/eu-west-1".parse().unwrap();
        for text in [None, Some("{}"), Some("no JSON")] {
            let error = TargetSettings::parse(&target, &home(), text).unwrap_err();
            assert_eq!(error.name, ErrorName::Refused);
            assert!(error.message.contains("222222222222/eu-west-1"), "{error}");
            assert!(
                error
                    .message
                    .contains("seedflow bootstrap target --home 111111111111/us-east-1 --region eu-west-1"),
                "{error}"
            );
        }
        let settings = json!({"version": 1, "project": "seedflow", "build_role": "arn:r", "log_group": "/g",
            "policies": "arn:p", "service_role": "arn:s", "role_path": "/", "boundary": ""});
        let read = TargetSettings::parse(&target, &home(), Some(&settings.to_string())).unwrap();
        assert_eq!((read.boundary(), read.project.as_str()), (None, "seedflow"));
        let errors = [not_ready(&target, &home(), "a"), not_ready(&target, &home(), "b")];
        let all = all_not_ready(&errors).unwrap_err();
        assert!(
            all.message.contains("not ready: a.") && all.message.contains("not ready: b."),
            "{all}"
        );
        assert!(all_not_ready(&[]).is_ok());
        let newer = settings.to_string().replace("\"version\":1", "\"version\":2");
        let error = TargetSettings::parse(&target, &home(), Some(&newer)).unwrap_err();
        assert!(error.message.contains("version 2"), "{error}");
    }
}
