//! The metadata keys that Seedflow adds, under seed-farmer's names if it has one.
//!
//! One list serves for writing the keys after a success and for recognising them when another module consumes all
//! metadata. The keys change with every deployment, so a written key that is not recognised would redeploy every
//! consumer in every execution.

use serde_json::{Map, Value};

use crate::formats::json_fields::{MAX_DEPTH, is_too_deep};
use crate::ids::AwsEnvironment;
use crate::module::commit_info::CommitInfo;
use crate::workflow::build_outcome::BuildOutcome;

/// The version of seed-farmer whose modules run unmodified; modules can read it as SEEDFARMER_VERSION.
pub const SEEDFARMER_VERSION: &str = "8.0.9";

/// A key that Seedflow adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The build that published the metadata.
    BuildId,
    /// The URL of that build in the AWS console.
    BuildUrl,
    /// The log group of the build.
    LogGroup,
    /// The log stream of the build.
    LogStream,
    /// The commit that was deployed.
    CommitHash,
    /// The same, by the name that seed-farmer gives to the commit of a `git::` module.
    ModuleCommitHash,
    /// The commit's author.
    CommitAuthor,
    /// The commit's branch.
    CommitBranch,
    /// The module's own role, if it has one.
    Role,
    /// The version of seed-farmer that the build emulates.
    SeedFarmerVersion,
    /// The version of Seedflow that deployed the module.
    SeedflowVersion,
}

impl Key {
    /// All keys.
    pub const ALL: [Self; 11] = [
        Self::BuildId,
        Self::BuildUrl,
        Self::LogGroup,
        Self::LogStream,
        Self::CommitHash,
        Self::ModuleCommitHash,
        Self::CommitAuthor,
        Self::CommitBranch,
        Self::Role,
        Self::SeedFarmerVersion,
        Self::SeedflowVersion,
    ];

    /// The key in the metadata.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuildId => "CodeBuildBuildId",
            Self::BuildUrl => "CodeBuildBuildUrl",
            Self::LogGroup => "CloudWatchLogGroup",
            Self::LogStream => "CloudWatchLogStream",
            Self::CommitHash => "CommitHash",
            Self::ModuleCommitHash => "SeedFarmerModuleCommitHash",
            Self::CommitAuthor => "CommitAuthor",
            Self::CommitBranch => "CommitBranch",
            Self::Role => "ModuleDeploymentRoleName",
            Self::SeedFarmerVersion => "SeedFarmerDeployed",
            Self::SeedflowVersion => "SeedflowDeployed",
        }
    }

    /// The key's value in metadata, if it exists and is a text.
    #[must_use]
    pub fn of(self, metadata: &Map<String, Value>) -> Option<&str> {
        metadata.get(self.as_str())?.as_str()
    }
}

/// Whether Seedflow adds this key.
#[must_use]
pub fn is_added(key: &str) -> bool {
    Key::ALL.iter().any(|known| known.as_str() == key)
}

/// Parses the metadata that a build has written.
///
/// # Errors
/// What is wrong with it.
pub fn parse_own(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let metadata: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|e| format!("is not a JSON object: {e}"))?;
    if metadata.values().any(is_too_deep) {
        return Err(format!("nests more than {MAX_DEPTH} deep"));
    }
    Ok(metadata)
}

/// The workflow's facts about a success.
#[derive(Debug, Clone, Copy)]
pub struct WorkflowMetadata<'a> {
    /// The build.
    pub build: &'a BuildOutcome,
    /// The account and region of the build.
    pub environment: &'a AwsEnvironment,
    /// The commit that was deployed.
    pub commit: &'a CommitInfo,
    /// The module's own role.
    pub role: Option<&'a str>,
    /// The version of Seedflow.
    pub version: &'a str,
}

impl WorkflowMetadata<'_> {
    /// The module's own metadata and the workflow's keys. The workflow's keys override the module's, because they
    /// identify the build.
    #[must_use]
    pub fn added_to(&self, mut metadata: Map<String, Value>) -> Map<String, Value> {
        for key in Key::ALL {
            if let Some(value) = self.value(key) {
                metadata.insert(key.as_str().to_owned(), Value::String(value));
            }
        }
        metadata
    }

    fn value(&self, key: Key) -> Option<String> {
        let known = |value: Option<&str>| value.map(str::to_owned);
        match key {
            Key::BuildId => Some(self.build.build_id.to_string()),
            Key::BuildUrl => Some(self.environment.build_url(&self.build.build_id)),
            Key::LogGroup => self.build.log_group.clone(),
            Key::LogStream => self.build.log_stream.clone(),
            Key::CommitHash | Key::ModuleCommitHash => known(self.commit.commit()),
            Key::CommitAuthor => known(self.commit.author()),
            Key::CommitBranch => known(self.commit.branch()),
            Key::Role => known(self.role),
            Key::SeedFarmerVersion => Some(SEEDFARMER_VERSION.to_owned()),
            Key::SeedflowVersion => Some(self.version.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::BuildId;
    use crate::workflow::build_outcome::BuildStatus;
    use serde_json::json;

    #[test]
    fn what_is_added_wins_and_is_recognised() {
        let mut build = BuildOutcome::ended(BuildId::parse("p:u").unwrap(), BuildStatus::Succeeded);
        build.log_group = Some("group".into());
        build.log_stream = Some("stream".into());
        let commit = json!({"commit": "c", "author": "a", "branch": "b"});
        let known = WorkflowMetadata {
            build: &build,
            environment: &AwsEnvironment::from_arn("arn:aws:lambda:r:1:f").unwrap(),
            commit: &serde_json::from_value(commit).unwrap(),
            role: Some("role"),
            version: "0",
        };
        let own = json!({"VpcId": "vpc-1", "CodeBuildBuildId": "the module's own"});
        let all = known.added_to(own.as_object().unwrap().clone());
        assert_eq!(Key::BuildId.of(&all), Some("p:u"));
        let own: Vec<&String> = all.keys().filter(|key| !is_added(key)).collect();
        assert_eq!(own, ["VpcId"]);
        assert_eq!(all.len(), 1 + Key::ALL.len());
    }

    #[test]
    fn a_builds_metadata_is_an_object_that_does_not_nest_too_deep() {
        let nested = |depth: usize| format!("{{\"a\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(parse_own(b"{\"a\": 1}").unwrap()["a"], 1);
        assert!(parse_own(nested(MAX_DEPTH).as_bytes()).is_ok());
        let refused = |text: &str| parse_own(text.as_bytes()).unwrap_err();
        assert!(refused("[1]").starts_with("is not a JSON object: "));
        assert_eq!(refused(&nested(MAX_DEPTH + 1)), "nests more than 64 deep");
    }
}
