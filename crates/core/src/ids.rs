//! Names and ids, parsed once: a value of one of these types is valid, so the rest of the code never checks it.
//!
//! Project, deployment, group and module are seed-farmer's terms. Together they identify one deployed module
//! ([`ModuleId`]). Every path and key of the module follows from them: its parameters (seed.md), its bundle and reports in
//! S3, and its stack.

mod build;

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, excerpt};
use crate::target::Target;

pub use build::{BuildFolder, BuildId, in_target, split_target};

/// What a project's name may be. Variables and stacks begin with it.
pub const PROJECT_RULE: &str = "1 to 64 letters in lower case, digits and hyphens, which start with a letter and don't end with a hyphen";
/// The rule for names, as messages quote it.
const NAME_RULE: &str =
    "1 to 64 letters, digits and - _ . characters, starting and ending with a letter or digit";

/// Whether a text is valid as one of the four names. Names become parts of parameter names and S3 keys, so only characters
/// that both allow are allowed. Names of stacks and roles allow less ([`ModuleId::stack_name`]).
fn is_name(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let is_end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    (1..=64).contains(&text.len())
        && text.bytes().all(is_allowed)
        && is_end(text.bytes().next())
        && is_end(text.bytes().last())
}

/// A project, a deployment, a group or a module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// Parses a name; `field` is the name of the field in messages.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        if is_name(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::field(
            field,
            format!("\"{}\"", excerpt(text, 80)),
            NAME_RULE,
        ))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse("name", &text).map_err(serde::de::Error::custom)
    }
}

/// Project, deployment, group and module: the identity of one deployed module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModuleId {
    /// The project. Its name starts with a letter, because the stack's name starts with it.
    #[serde(deserialize_with = "project")]
    pub project: Name,
    /// The deployment, such as `prod`.
    pub deployment: Name,
    /// The group of modules.
    pub group: Name,
    /// The module within its group.
    pub module: Name,
}

impl ModuleId {
    /// Parses project, deployment, group and module.
    pub fn parse(project: &str, deployment: &str, group: &str, module: &str) -> Result<Self> {
        Ok(Self {
            project: Self::project(project)?,
            deployment: Name::parse("deployment", deployment)?,
            group: Name::parse("group", group)?,
            module: Name::parse("module", module)?,
        })
    }

    /// Parses a project's name.
    ///
    /// Upper case is refused, not lower-cased as in seed-farmer: a policy that denies `sources/shop/` doesn't match
    /// `sources/SHOP/`, so both would be one project to Seedflow and two to IAM.
    ///
    /// # Errors
    /// `InvalidInput` with the name to write, if only upper case is wrong.
    pub fn project(text: &str) -> Result<Name> {
        let lower = text.to_ascii_lowercase();
        let is_plain = |text: &str| {
            is_name(text) && text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains(['_', '.'])
        };
        let advice = match (is_plain(text), lower == text) {
            (true, true) => return Ok(Name(text.to_owned())),
            (true, false) => format!("; write {lower}, under which seed-farmer stores the project too"),
            (false, _) => String::new(),
        };
        Err(Error::field(
            "project",
            format!("\"{}\"", excerpt(text, 80)),
            format!("{PROJECT_RULE}{advice}"),
        ))
    }

    /// `{group}-{module}`: the module's name inside a build, as seed-farmer defines it.
    #[must_use]
    pub fn module_name(&self) -> String {
        format!("{}-{}", self.group, self.module)
    }

    /// `{project}-{deployment}-{group}-{module}`: what `metadata depmod` prints.
    #[must_use]
    pub fn dashed(&self) -> String {
        format!("{}-{}-{}", self.project, self.deployment, self.module_name())
    }

    /// The default stack's name: [`Self::dashed`]. A stack's name has no `_` and no `.`; for a module whose name has, they
    /// become hyphens, and a hash keeps modules apart whose names would then be the same.
    #[must_use]
    pub fn stack_name(&self) -> String {
        let dashed = self.dashed();
        let hyphens = hyphens(&dashed);
        if hyphens == dashed {
            return dashed;
        }
        format!("{hyphens}-{}", self.short_hash())
    }

    /// Eight digits that distinguish modules whose names become the same when they are joined, cut or transformed.
    #[must_use]
    pub fn short_hash(&self) -> String {
        hex::encode(&Sha256::digest(self.to_string().as_bytes())[..4])
    }
}

/// A name without the characters that only parameter names and S3 keys allow.
#[must_use]
pub fn hyphens(name: &str) -> String {
    name.replace(['_', '.'], "-")
}

impl fmt::Display for ModuleId {
    /// `{project}/{deployment}/{group}/{module}`, for people and for S3 keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}/{}",
            self.project, self.deployment, self.group, self.module
        )
    }
}

fn project<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    let text = String::deserialize(deserializer)?;
    ModuleId::project(&text).map_err(serde::de::Error::custom)
}

/// A deployment of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentId {
    /// The project.
    pub project: Name,
    /// The deployment.
    pub deployment: Name,
}

impl DeploymentId {
    /// A module of this deployment.
    #[must_use]
    pub fn module(&self, group: Name, module: Name) -> ModuleId {
        ModuleId {
            project: self.project.clone(),
            deployment: self.deployment.clone(),
            group,
            module,
        }
    }
}

impl From<&ModuleId> for DeploymentId {
    fn from(module: &ModuleId) -> Self {
        Self {
            project: module.project.clone(),
            deployment: module.deployment.clone(),
        }
    }
}

impl fmt::Display for DeploymentId {
    /// `{project}/{deployment}`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.deployment)
    }
}

/// The four parameters of a module (seed.md), and the mark of one that was renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParameterKind {
    /// The fingerprint of the last success.
    Md5,
    /// The metadata that the module published.
    Metadata,
    /// The outputs of its CloudFormation stack.
    Outputs,
    /// The state of the last execution.
    Status,
    /// To which module this one was renamed, or is being renamed; its other parameters are the other module's then.
    Renamed,
}

impl ParameterKind {
    /// All four of a module that has its name.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Metadata, Self::Outputs, Self::Status];
}

impl fmt::Display for ParameterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Md5 => "md5",
            Self::Metadata => "metadata",
            Self::Outputs => "outputs",
            Self::Status => "status",
            Self::Renamed => "renamed",
        })
    }
}

/// The ARN of an execution of a state machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecutionArn(String);

impl ExecutionArn {
    /// Takes an ARN from Step Functions' context object.
    pub fn new(arn: impl Into<String>) -> Self {
        Self(arn.into())
    }

    /// The execution of this name of a state machine with this ARN.
    #[must_use]
    pub fn of(state_machine: &str, name: &str) -> Self {
        Self(format!(
            "{}:{name}",
            state_machine.replacen(":stateMachine:", ":execution:", 1)
        ))
    }

    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The execution's name: the last part of the ARN.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit(':').next().unwrap_or(&self.0)
    }

    /// Whether the execution is one of the state machine with this ARN.
    #[must_use]
    pub fn is_of(&self, state_machine: &str) -> bool {
        let machine = state_machine.rsplit(':').next().unwrap_or_default();
        self.0.rsplit(':').nth(1) == Some(machine)
    }
}

/// The name of an execution, the last part of its ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionName(String);

impl ExecutionName {
    /// Parses a name, or the ARN that ends with it. Names have 1 to 80 characters (Step Functions, StartExecution,
    /// `name`).
    ///
    /// # Errors
    /// `InvalidInput` with the field `to`, the only one that has a name.
    pub fn parse(text: &str) -> Result<Self> {
        let name = text.rsplit(':').next().unwrap_or(text);
        let is_name = (1..=80).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        match is_name {
            true => Ok(Self(name.to_owned())),
            false => Err(Error::field(
                "to",
                format!("\"{}\"", excerpt(text, 120)),
                "the name or the ARN of an execution that succeeded",
            )),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExecutionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Partition, region and account in which a function runs, parsed from its ARN
/// (`arn:{partition}:lambda:{region}:{account}:function:{name}`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsEnvironment {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// The region, such as `eu-central-1`.
    pub region: String,
    /// The 12 digits of the account.
    pub account: String,
}

impl AwsEnvironment {
    /// Parses an ARN.
    pub fn from_arn(arn: &str) -> Result<Self> {
        match arn.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", partition, _, region, account, ..] if !account.is_empty() => Ok(Self {
                partition: (*partition).to_owned(),
                region: (*region).to_owned(),
                account: (*account).to_owned(),
            }),
            _ => Err(Error::field(
                "function ARN",
                format!("\"{}\"", excerpt(arn, 120)),
                "an ARN with an account",
            )),
        }
    }

    /// That of a target; this one without a target.
    #[must_use]
    pub fn of(&self, target: Option<&Target>) -> Self {
        target.map_or_else(
            || self.clone(),
            |target| Self {
                partition: self.partition.clone(),
                region: target.region().to_owned(),
                account: target.account().to_owned(),
            },
        )
    }

    /// Whether this is what `target` names.
    #[must_use]
    pub fn is(&self, target: &Target) -> bool {
        self.account == target.account() && self.region == target.region()
    }

    /// The URL of a build in the CodeBuild console.
    #[must_use]
    pub fn build_url(&self, build: &BuildId) -> String {
        let place = self.of(build.target().as_ref());
        let (console, region, account) = (place.console(), &place.region, &place.account);
        let project = build.project();
        let id = build.in_codebuild().replace(':', "%3A");
        format!("{console}/codesuite/codebuild/{account}/projects/{project}/build/{id}/?region={region}")
    }

    /// The URL of an execution in the Step Functions console.
    #[must_use]
    pub fn execution_url(&self, execution: &ExecutionArn) -> String {
        let (console, region) = (self.console(), &self.region);
        format!(
            "{console}/states/home?region={region}#/v2/executions/details/{}",
            execution.as_str()
        )
    }

    /// The URL of an object in the S3 console. Keys of ours need no encoding.
    #[must_use]
    pub fn object_url(&self, bucket: &str, key: &str) -> String {
        let (console, region) = (self.console(), &self.region);
        format!("{console}/s3/object/{bucket}?region={region}&prefix={key}")
    }

    /// The base URL of AWS's console in this region.
    #[must_use]
    pub fn console(&self) -> String {
        let domain = crate::console::domain(&self.partition);
        format!("https://{}.{domain}", self.region)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;

    #[test]
    fn a_project_in_upper_case_is_refused_with_the_name_to_write() {
        let refused = ModuleId::project("PROJB").unwrap_err();
        assert_eq!(
            refused.message,
            "project: expected 1 to 64 letters in lower case, digits and hyphens, which start with a letter and don't end with a hyphen, found \"PROJB\"; write projb, under which seed-farmer stores the project too"
        );
        let upload = ModuleId::from_upload_key("sources/PROJB/d/g/m.zip").unwrap_err();
        assert!(
            says(
                &upload.message,
                "source.key \"sources/PROJB/d/g/m.zip\": project: expected …found \"PROJB\""
            ),
            "{upload}"
        );
        let stored = r#"{"project": "Projb", "deployment": "d", "group": "g", "module": "m"}"#;
        assert!(serde_json::from_str::<ModuleId>(stored).is_err());
    }

    #[test]
    fn a_bad_name_is_refused_with_the_field_and_the_rule() {
        for bad in [
            "",
            "a/b",
            "-a",
            "a-",
            "_a",
            "a.",
            ".",
            "a b",
            "ä",
            &"a".repeat(65),
        ] {
            let error = ModuleId::parse("p", "d", bad, "m").unwrap_err();
            assert!(error.message.starts_with("group: expected "), "{error}");
            let found = format!("found \"{}\"", excerpt(bad, 80));
            assert!(error.message.ends_with(&found), "{error}");
            assert!(error.message.contains("letters, digits and - _ ."), "{error}");
        }
        assert!(ModuleId::parse("1p", "d", "g", "m").is_err());
        assert!(ModuleId::parse("p_p", "d", "g", "m").is_err());
    }

    #[test]
    fn names_with_underscores_and_dots_get_stacks_of_their_own() {
        let stack = |module: &str| ModuleId::parse("p", "d_1", "g", module).unwrap().stack_name();
        let stacks = ["m-1", "m_1", "m.1"].map(stack);
        for (i, name) in stacks.iter().enumerate() {
            assert!(name.starts_with("p-d-1-g-m-1-"), "{name}");
            assert!(
                !name.contains(['_', '.']) && !stacks[..i].contains(name),
                "{stacks:?}"
            );
        }
        let plain = ModuleId::parse("p", "d", "g", "m").unwrap();
        assert_eq!(plain.stack_name(), plain.dashed());
    }

    #[test]
    fn the_page_of_a_build_is_in_its_target() {
        let home = AwsEnvironment::from_arn("arn:aws:lambda:us-east-1:111111111111:function:f").unwrap();
        let build = BuildId::parse("222222222222/eu-west-1/seedflow:1-2").unwrap();
        assert_eq!(
            home.build_url(&build),
            "https://eu-west-1.console.aws.amazon.com/codesuite/codebuild/222222222222/projects/seedflow/build/seedflow%3A1-2/?region=eu-west-1"
        );
    }
}
