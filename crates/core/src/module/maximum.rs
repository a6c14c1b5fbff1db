//! The maxima for modules and manifests (decision 38).
//!
//! Without maxima, a person with only the right to upload a bundle could use the largest machine for 36 hours, or let
//! one deployment take all builds of the account. The maxima are parameters of the template. A greater value is refused
//! when it is parsed, with the parameter's name; it is not lowered silently. The template's own defaults are the
//! administrator's choice, so the maxima do not apply to them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorName, excerpt};
use crate::module::network::AllowedNetworks;

/// The compute type of a build's machine, smallest first: CodeBuild's compute types for containers (CodeBuild user
/// guide, "Build environment compute modes and types").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ComputeType {
    /// 2 vCPUs, 4 GB.
    #[serde(rename = "BUILD_GENERAL1_SMALL")]
    Small,
    /// 4 vCPUs, 8 GB.
    #[serde(rename = "BUILD_GENERAL1_MEDIUM")]
    Medium,
    /// 8 vCPUs, 16 GB.
    #[serde(rename = "BUILD_GENERAL1_LARGE")]
    Large,
    /// 36 vCPUs, 72 GB.
    #[serde(rename = "BUILD_GENERAL1_XLARGE")]
    XLarge,
    /// 72 vCPUs, 144 GB.
    #[serde(rename = "BUILD_GENERAL1_2XLARGE")]
    TwoXLarge,
}

impl ComputeType {
    /// All compute types, smallest first.
    pub const ALL: [Self; 5] = [
        Self::Small,
        Self::Medium,
        Self::Large,
        Self::XLarge,
        Self::TwoXLarge,
    ];

    /// CodeBuild's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Small => "BUILD_GENERAL1_SMALL",
            Self::Medium => "BUILD_GENERAL1_MEDIUM",
            Self::Large => "BUILD_GENERAL1_LARGE",
            Self::XLarge => "BUILD_GENERAL1_XLARGE",
            Self::TwoXLarge => "BUILD_GENERAL1_2XLARGE",
        }
    }

    /// Parses CodeBuild's name; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

impl fmt::Display for ComputeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The template's maximum parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maxima {
    /// Maximum minutes of a build (`MaxBuildTimeoutMinutes`).
    pub timeout_minutes: u64,
    /// Largest machine of a build (`MaxBuildComputeType`).
    pub compute_type: ComputeType,
    /// Maximum number of a deployment's modules that run at once (`MaxConcurrentModules`).
    pub concurrency: u32,
    /// The ARN of the permissions boundary of all modules' roles (`PermissionsBoundaryArn`), if there is one.
    pub permissions_boundary: Option<String>,
    /// The path of the roles of builds (`BuildRolePath`), if it is known.
    pub role_path: Option<String>,
    /// The networks that builds may use (`BuildSubnetIds`, `BuildSecurityGroupIds`), if they are known.
    pub networks: Option<AllowedNetworks>,
    /// The accounts with targets (`TargetAccounts`), if they are known and no organization (`TargetOrganization`) decides.
    pub target_accounts: Option<Vec<String>>,
}

impl Maxima {
    /// AWS's own maxima: `timeoutInMinutesOverride` of StartBuild; the largest machine; the iterations that an inline
    /// Map runs at once (Step Functions Developer Guide, "Map state").
    pub const OF_AWS: Self = Self {
        timeout_minutes: 2160,
        compute_type: ComputeType::TwoXLarge,
        concurrency: 40,
        permissions_boundary: None,
        role_path: None,
        networks: None,
        target_accounts: None,
    };

    /// The maxima for a module in a target: what an administrator allows at home (boundary, path, networks) has no meaning
    /// there. The target's own settings are compared while planning, and before a build.
    #[must_use]
    pub fn of_a_target(&self) -> Self {
        Self {
            permissions_boundary: None,
            role_path: None,
            networks: None,
            ..self.clone()
        }
    }

    /// Whether modules may be deployed in targets of this account.
    #[must_use]
    pub fn may_target(&self, account: &str) -> bool {
        let known = self.target_accounts.as_ref();
        known.is_none_or(|accounts| accounts.iter().any(|known| known == account))
    }

    /// The accounts with targets, for people.
    #[must_use]
    pub fn targets_shown(&self) -> String {
        let accounts = self.target_accounts.as_deref().unwrap_or_default();
        match accounts {
            [] => "none".to_owned(),
            accounts => excerpt(&accounts.join(", "), 200),
        }
    }

    /// Checks the requested minutes of a build.
    ///
    /// # Errors
    /// If they exceed `MaxBuildTimeoutMinutes`.
    pub fn timeout_minutes(&self, asked: u64) -> Result<u64, Above> {
        at_most(self.timeout_minutes, "MaxBuildTimeoutMinutes", asked)
    }

    /// Checks a requested machine.
    ///
    /// # Errors
    /// If it is larger than `MaxBuildComputeType`.
    pub fn compute_type(&self, asked: ComputeType) -> Result<ComputeType, Above> {
        at_most(self.compute_type, "MaxBuildComputeType", asked)
    }

    /// Checks the requested number of a group's modules that run at once.
    ///
    /// # Errors
    /// If it exceeds `MaxConcurrentModules`.
    pub fn concurrency(&self, asked: u32) -> Result<u32, Above> {
        at_most(self.concurrency, "MaxConcurrentModules", asked)
    }

    /// Checks the name of the policy that is to be a permissions boundary.
    ///
    /// # Errors
    /// If `PermissionsBoundaryArn` is another policy.
    pub fn permissions_boundary(&self, name: &str) -> Result<(), Above> {
        let ours = self.permissions_boundary.as_deref();
        only(ours, "PermissionsBoundaryArn", name, |arn| {
            arn.split_once(":policy/").is_some_and(|(_, own)| own == name)
        })
    }

    /// Checks the path of the roles of builds.
    ///
    /// # Errors
    /// If `BuildRolePath` is another one, or can never be this one.
    pub fn role_path(&self, asked: &str) -> Result<(), Above> {
        if !is_role_path(asked) {
            return Err(Above(format!(
                "expected a path that the template parameter BuildRolePath can have, such as /team/, found \"{}\"; it has a slash at both ends, names of letters, digits and _ + = , . @ - between them, and up to {MAX_ROLE_PATH} characters",
                excerpt(asked, 80)
            )));
        }
        let ours = self.role_path.as_deref();
        only(ours, "BuildRolePath", asked, |path| path == asked)
    }
}

/// The longest `BuildRolePath`.
const MAX_ROLE_PATH: usize = 64;

/// Whether a path matches the pattern and the length of the template's `BuildRolePath`.
fn is_role_path(path: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
    };
    let inside = path.strip_prefix('/').map(|rest| rest.strip_suffix('/'));
    path.len() <= MAX_ROLE_PATH
        && match inside {
            Some(Some(names)) => names.split('/').all(is_name),
            _ => path == "/",
        }
}

/// A value above a maximum, or other than the only one: the expected and the found value, for a message that begins with the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Above(String);

impl Above {
    /// The error for an input's field.
    #[must_use]
    pub fn in_field(self, field: &str) -> Error {
        Error::new(ErrorName::InvalidInput, format!("{field}: {self}"))
    }
}

impl fmt::Display for Above {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Refuses what the template has another value for.
fn only(ours: Option<&str>, parameter: &str, asked: &str, same: impl Fn(&str) -> bool) -> Result<(), Above> {
    match ours {
        Some(ours) if !same(ours) => Err(Above(format!(
            "expected \"{ours}\" (template parameter {parameter}), found \"{}\"",
            excerpt(asked, 80)
        ))),
        _ => Ok(()),
    }
}

fn at_most<T: PartialOrd + fmt::Display>(most: T, parameter: &str, asked: T) -> Result<T, Above> {
    if asked <= most {
        return Ok(asked);
    }
    Err(Above(format!(
        "expected at most {most} (template parameter {parameter}), found {asked}"
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_of_roles_that_the_template_cannot_have_is_refused_with_the_reason() {
        for valid in ["/", "/team/", "/a/b_+=,.@-/"] {
            assert_eq!(Maxima::OF_AWS.role_path(valid), Ok(()), "{valid}");
        }
        let long = format!("/{}/", "x".repeat(MAX_ROLE_PATH - 1));
        for invalid in [
            "team",
            "/team",
            "team/",
            "//",
            "/a//b/",
            "/a b/",
            "/ü/",
            long.as_str(),
        ] {
            let refused = Maxima::OF_AWS.role_path(invalid).unwrap_err().to_string();
            assert!(
                refused.contains("BuildRolePath can have") && refused.contains("a slash at both ends"),
                "{invalid}: {refused}"
            );
        }
        let template = include_str!("../../../../template.yaml");
        let parameter = template.split_once("  BuildRolePath:").unwrap().1;
        assert!(
            parameter
                .split_once("Description")
                .unwrap()
                .0
                .contains("AllowedPattern: \"/([A-Za-z0-9_+=,.@-]+/)*\"")
        );
    }

    #[test]
    fn compute_types_are_stored_by_codebuilds_names_and_ordered_by_size() {
        for (smaller, larger) in ComputeType::ALL.iter().zip(&ComputeType::ALL[1..]) {
            assert!(smaller < larger);
        }
        for known in ComputeType::ALL {
            assert_eq!(serde_json::to_value(known).unwrap(), known.as_str());
            assert_eq!(ComputeType::parse(known.as_str()), Some(known));
        }
        assert_eq!(ComputeType::parse("BUILD_LAMBDA_1GB"), None);
    }

    #[test]
    fn what_is_above_a_maximum_is_refused_with_the_parameter_that_sets_it() {
        let maxima = Maxima {
            timeout_minutes: 480,
            compute_type: ComputeType::Large,
            concurrency: 10,
            permissions_boundary: Some("arn:aws:iam::111111111111:policy/team/b".into()),
            role_path: Some("/team/".into()),
            ..Maxima::OF_AWS
        };
        assert_eq!(maxima.permissions_boundary("team/b"), Ok(()));
        assert_eq!(maxima.role_path("/team/"), Ok(()));
        assert_eq!(Maxima::OF_AWS.permissions_boundary("b"), Ok(()));
        assert_eq!(maxima.timeout_minutes(480), Ok(480));
        assert_eq!(maxima.compute_type(ComputeType::Large), Ok(ComputeType::Large));
        assert_eq!(maxima.concurrency(10), Ok(10));
        for (refused, message) in [
            (
                maxima.timeout_minutes(481).map(drop),
                "expected at most 480 (template parameter MaxBuildTimeoutMinutes), found 481",
            ),
            (
                maxima.compute_type(ComputeType::XLarge).map(drop),
                "expected at most BUILD_GENERAL1_LARGE (template parameter MaxBuildComputeType), found BUILD_GENERAL1_XLARGE",
            ),
            (
                maxima.concurrency(11).map(drop),
                "expected at most 10 (template parameter MaxConcurrentModules), found 11",
            ),
            (
                maxima.permissions_boundary("b"),
                "expected \"arn:aws:iam::111111111111:policy/team/b\" (template parameter PermissionsBoundaryArn), found \"b\"",
            ),
            (
                maxima.role_path("/"),
                "expected \"/team/\" (template parameter BuildRolePath), found \"/\"",
            ),
        ] {
            assert_eq!(refused.unwrap_err().to_string(), message);
        }
    }
}
