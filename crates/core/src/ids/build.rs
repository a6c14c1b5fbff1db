//! What identifies a build: the id that CodeBuild gives it, with the target that it is in, and the name of its folder.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, excerpt};
use crate::target::Target;

/// Maximum length of a build id: a project's name of 150 characters, a UUID, and a margin. The id is part of S3 keys.
const MAX_BUILD_ID: usize = 255;

/// A CodeBuild build id, `{project}:{uuid}`; for a build in a target `{account}/{region}/{project}:{uuid}`. So whatever
/// stores or passes on the id of a build also says where the build is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct BuildId(String);

impl BuildId {
    /// Parses an id, or the ARN in CodeBuild's events (`…:build/{project}:{uuid}`), which says nothing about a target:
    /// [`Self::at`] adds it.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.rsplit_once(":build/").map_or(text, |(_, id)| id);
        let (_, id) = split_target(text);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_:".contains(&b);
        match id.split_once(':') {
            Some((project, uuid))
                if !project.is_empty()
                    && !uuid.is_empty()
                    && id.len() <= MAX_BUILD_ID
                    && id.bytes().all(allowed) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Error::field(
                "build_id",
                format!("\"{}\"", excerpt(text, 120)),
                format!("a CodeBuild build id, project:uuid, of at most {MAX_BUILD_ID} characters"),
            )),
        }
    }

    /// The id as text, with the target.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as CodeBuild knows it, without the target.
    #[must_use]
    pub fn in_codebuild(&self) -> &str {
        split_target(&self.0).1
    }

    /// Where the build is; `None` at home.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        split_target(&self.0).0
    }

    /// The same build of a target.
    #[must_use]
    pub fn at(&self, target: Option<&Target>) -> Self {
        Self(in_target(target, self.in_codebuild()))
    }

    /// The CodeBuild project, without the target.
    #[must_use]
    pub fn project(&self) -> &str {
        self.in_codebuild()
            .split_once(':')
            .map_or("", |(project, _)| project)
    }
}

/// A build or a project of CodeBuild with the target in which it is.
#[must_use]
pub fn in_target(target: Option<&Target>, name: &str) -> String {
    target.map_or_else(|| name.to_owned(), |target| format!("{target}/{name}"))
}

/// The reverse of [`in_target`].
#[must_use]
pub fn split_target(text: &str) -> (Option<Target>, &str) {
    let found = text.rsplit_once('/');
    match found.and_then(|(target, name)| Some((target.parse().ok()?, name))) {
        Some((target, name)) => (Some(target), name),
        None => (None, text),
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BuildId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The name of one build's folder in the work bucket: a random UUID (122 random bits) in hex, so it can't be guessed.
///
/// All builds have one role. It may read and write below `builds/` but not list, so a build reaches its own folder and no
/// other. For the same reason the name appears in no log (decision 22).
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct BuildFolder(String);

impl BuildFolder {
    /// Makes a name from random bits.
    #[must_use]
    pub fn from_random(bits: [u8; 16]) -> Self {
        Self(hex::encode(bits))
    }

    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() == 32
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::field(
            "run",
            format!("\"{}\"", excerpt(text, 80)),
            "32 hexadecimal digits",
        ))
    }

    /// The name as text. Only keys and the input of a build may contain it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BuildFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Run(…)")
    }
}

impl<'de> Deserialize<'de> for BuildFolder {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_run_is_random_bits_and_nothing_else() {
        let run = BuildFolder::from_random([0xab; 16]);
        assert_eq!(
            run.metadata_key(),
            format!("builds/{}/metadata.json", "ab".repeat(16))
        );
        assert_eq!(BuildFolder::parse(&"ab".repeat(16)).unwrap(), run);
        assert!(!format!("{run:?}").contains("ab"));
        for bad in [
            "",
            "ab",
            "../../sources/x",
            &"AB".repeat(16),
            &"ab/".repeat(11)[..32],
        ] {
            assert!(BuildFolder::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_build_id_is_read_from_an_id_and_from_an_events_arn() {
        let arn = "arn:aws:codebuild:us-west-2:123456789012:build/my-sample-project:8745a7a9-c340";
        let id = BuildId::parse(arn).unwrap();
        assert_eq!(id.as_str(), "my-sample-project:8745a7a9-c340");
        assert_eq!(id.project(), "my-sample-project");
        for bad in ["", "x", ":u", "p:", "p/../:u", &format!("p:{}", "u".repeat(254))] {
            assert!(BuildId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_id_of_a_build_says_where_the_build_is() {
        let target: Target = "222222222222/eu-west-1".parse().unwrap();
        let id = BuildId::parse("seedflow:1-2").unwrap();
        assert_eq!((id.target(), id.in_codebuild()), (None, "seedflow:1-2"));
        let there = id.at(Some(&target));
        assert_eq!(there.as_str(), "222222222222/eu-west-1/seedflow:1-2");
        assert_eq!(BuildId::parse(there.as_str()).unwrap(), there);
        assert_eq!((there.target(), there.project()), (Some(target), "seedflow"));
        assert_eq!(there.at(None), id);
        for bad in ["2/eu-west-1/p:u", "222222222222/p:u", "222222222222/../p:u"] {
            assert!(BuildId::parse(bad).is_err(), "{bad}");
        }
    }
}
