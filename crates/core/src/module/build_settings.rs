//! The settings of a module's build: image, compute type, timeout, runtimes and so on.
//!
//! An input, a bundle's `manifest.yaml` and a deployment's manifest can contain them, by the same rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::{JsonFields, describe};
use crate::module::maximum::{ComputeType, Maxima};
use crate::module::network::NetworkSettings;
use crate::module::registries::Registries;
use crate::module::role::boundary;

/// The environment types whose builds run in Linux containers, which the commands need.
const ENVIRONMENT_TYPES: [&str; 3] = ["LINUX_CONTAINER", "LINUX_GPU_CONTAINER", "ARM_CONTAINER"];

/// Settings of the build. `None` means the deployspec's or the template's value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSettings {
    /// The CodeBuild project.
    pub project_name: Option<String>,
    /// The build image.
    pub image: Option<String>,
    /// The compute type of the build's machine.
    pub compute_type: Option<ComputeType>,
    /// Minutes until CodeBuild ends the build.
    pub timeout_minutes: Option<u64>,
    /// Such as `LINUX_CONTAINER`.
    pub environment_type: Option<String>,
    /// Whether the build may run Docker.
    pub privileged: Option<bool>,
    /// Versions of runtimes by name; they override those of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub runtimes: BTreeMap<String, String>,
    /// The name of the policy that is the permissions boundary of the module's own role, and of the roles that it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<String>,
    /// The network of the build; outside of any VPC if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkSettings>,
    /// Where the build's tools get packages and images.
    #[serde(flatten)]
    pub registries: Registries,
}

impl BuildSettings {
    /// Reads the `build` of an input. `default_project` is the template's CodeBuild project.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub(crate) fn parse(value: &Value, default_project: &str, maxima: &Maxima) -> Result<Self> {
        let mut fields = JsonFields::of("build", value)?;
        let network = fields.any("network");
        let settings = Self {
            network: network
                .map(|value| NetworkSettings::parse("build.network", &value))
                .transpose()?,
            project_name: project_name(fields.text("project_name")?, default_project)?,
            image: image(fields.text("image")?)?,
            compute_type: compute_type(&mut fields, maxima)?,
            timeout_minutes: timeout_minutes(&mut fields, maxima)?,
            environment_type: fields.choice("environment_type", &ENVIRONMENT_TYPES)?,
            privileged: fields.flag("privileged")?,
            runtimes: fields
                .any("runtimes")
                .map_or_else(|| Ok(BTreeMap::new()), |value| runtimes(&value))?,
            permissions_boundary: boundary::parse(
                "build.permissions_boundary",
                fields.text("permissions_boundary")?,
                maxima,
            )?,
            registries: Registries::parse(&mut fields)?,
        };
        fields.finish()?;
        settings.refuse_two_projects()?;
        Ok(settings)
    }

    /// A network has a project of its own.
    fn refuse_two_projects(&self) -> Result<()> {
        match (&self.project_name, &self.network) {
            (Some(name), Some(_)) => Err(Error::field(
                "build.network",
                format!("a network beside the project_name \"{name}\""),
                "one of them: a network has a CodeBuild project of its own, and another project brings its own network",
            )),
            _ => Ok(()),
        }
    }
}

fn compute_type(fields: &mut JsonFields, maxima: &Maxima) -> Result<Option<ComputeType>> {
    let names = ComputeType::ALL.map(ComputeType::as_str);
    let asked = fields.choice("compute_type", &names)?;
    let Some(asked) = asked.as_deref().and_then(ComputeType::parse) else {
        return Ok(None);
    };
    let checked = maxima.compute_type(asked);
    checked
        .map(Some)
        .map_err(|above| above.in_field("build.compute_type"))
}

fn timeout_minutes(fields: &mut JsonFields, maxima: &Maxima) -> Result<Option<u64>> {
    // CodeBuild's own bounds (StartBuild, timeoutInMinutesOverride).
    let Some(asked) = fields.number("timeout_minutes", 5, Maxima::OF_AWS.timeout_minutes)? else {
        return Ok(None);
    };
    let checked = maxima.timeout_minutes(asked);
    checked
        .map(Some)
        .map_err(|above| above.in_field("build.timeout_minutes"))
}

/// The name of a project that the functions may use: the default one, or one that starts with its name. An empty default
/// is one that is not known.
fn project_name(given: Option<String>, default: &str) -> Result<Option<String>> {
    match given {
        None => Ok(None),
        Some(name) => {
            let ours = default.is_empty()
                || name == default
                || name
                    .strip_prefix(default)
                    .is_some_and(|rest| rest.starts_with('-'));
            let valid = name.len() <= 150
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if ours && valid {
                return Ok(Some(name));
            }
            Err(Error::field(
                "build.project_name",
                format!("\"{}\"", excerpt(&name, 80)),
                format!(
                    "{default}, or a name that starts with {default}-, up to 150 letters, digits, hyphens and underscores"
                ),
            ))
        }
    }
}

/// CodeBuild's `runtime-versions` (CodeBuild user guide, "Build specification reference"). CodeBuild knows the valid
/// names and versions, and refuses others when the build starts.
fn runtimes(value: &Value) -> Result<BTreeMap<String, String>> {
    const PATH: &str = "build.runtimes";
    let Value::Object(map) = value else {
        return Err(Error::field(
            PATH,
            describe(value),
            "an object from a runtime's name to its version",
        ));
    };
    let plain = |text: &str| {
        (1..=40).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let one = |(name, version): (&String, &Value)| match version {
        Value::String(text) if plain(name) && plain(text) => Ok((name.clone(), text.clone())),
        other => Err(Error::field(
            &format!("{PATH}.{}", excerpt(name, 40)),
            describe(other),
            "a name such as python with a text such as \"3.12\"; up to 40 letters, digits and . _ - each",
        )),
    };
    map.iter().map(one).collect()
}

fn image(given: Option<String>) -> Result<Option<String>> {
    match given {
        Some(image) if image.len() > 512 || image.contains(char::is_whitespace) => Err(Error::field(
            "build.image",
            format!("\"{}\"", excerpt(&image, 80)),
            "an image such as aws/codebuild/standard:7.0, without spaces",
        )),
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;
    use serde_json::json;

    fn parse(build: &Value) -> Result<BuildSettings> {
        let maxima = Maxima {
            timeout_minutes: 480,
            compute_type: ComputeType::Large,
            ..Maxima::OF_AWS
        };
        BuildSettings::parse(build, "seedflow", &maxima)
    }

    #[test]
    fn each_bad_setting_is_named_with_what_is_allowed() {
        for (build, part) in [
            (
                json!({"compute_type": "HUGE"}),
                "build.compute_type: expected BUILD_GENERAL1_SMALL…found \"HUGE\"",
            ),
            (
                json!({"timeout_minutes": 4}),
                "build.timeout_minutes: expected a whole number from 5 to 2160, found 4",
            ),
            (
                json!({"timeout_minutes": 5.5}),
                "build.timeout_minutes: expected …found 5.5",
            ),
            (
                json!({"timeout_minutes": 481}),
                "build.timeout_minutes: expected at most 480 (template parameter MaxBuildTimeoutMinutes), found 481",
            ),
            (
                json!({"compute_type": "BUILD_GENERAL1_XLARGE"}),
                "build.compute_type: expected at most BUILD_GENERAL1_LARGE (template parameter MaxBuildComputeType), found BUILD_GENERAL1_XLARGE",
            ),
            (
                json!({"project_name": "other"}),
                "build.project_name: expected seedflow…found \"other\"",
            ),
            (json!({"image": "a b"}), "build.image"),
            (json!({"privileged": "no"}), "build.privileged"),
            (
                json!({"environment_type": "WINDOWS_CONTAINER"}),
                "build.environment_type",
            ),
            (
                json!({"runtimes": {"python": 3.1}}),
                "build.runtimes.python: expected a name such as python with a text…found 3.1",
            ),
            (
                json!({"runtimes": ["python"]}),
                "build.runtimes: expected …found a list",
            ),
        ] {
            let error = parse(&build).unwrap_err();
            assert!(says(&error.message, part), "{} / {part}", error.message);
        }
    }

    #[test]
    fn the_maxima_themselves_are_allowed() {
        let build = parse(&json!({"compute_type": "BUILD_GENERAL1_LARGE", "timeout_minutes": 480})).unwrap();
        assert_eq!(
            (build.compute_type, build.timeout_minutes),
            (Some(ComputeType::Large), Some(480))
        );
    }

    #[test]
    fn projects_that_start_with_the_default_projects_name_are_allowed() {
        for name in ["seedflow", "seedflow-arm"] {
            let build = parse(&json!({"project_name": name})).unwrap();
            assert_eq!(build.project_name.as_deref(), Some(name));
        }
        assert!(parse(&json!({"project_name": "seedflowx"})).is_err());
    }

    #[test]
    fn a_network_chooses_the_project_by_itself() {
        let network = json!({"vpc_id": "vpc-1", "subnet_ids": ["subnet-1"], "security_group_ids": ["sg-1"]});
        let build = parse(&json!({"network": network})).unwrap();
        assert!(build.network.is_some());
        let error = parse(&json!({"network": network, "project_name": "seedflow-arm"})).unwrap_err();
        assert!(
            says(
                &error.message,
                "build.network: expected one of them…found a network beside the project_name \"seedflow-arm\""
            ),
            "{error}"
        );
    }

    #[test]
    fn no_setting_is_required() {
        assert_eq!(parse(&json!({})), Ok(BuildSettings::default()));
    }
}
