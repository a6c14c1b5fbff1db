//! A target: the account and region in which a module is deployed, if it is not Seedflow's own (decision 55).
//!
//! Seedflow runs at home, in one account and region. A target has the stack of `template-target.yaml`: CodeBuild project,
//! roles, bucket. Their names derive from that of the stack at home, so home configures nothing of a target except its
//! account. Settings without a derived name are in a parameter of the target ([`settings_parameter`]).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, excerpt};

/// The longest name of a region that is accepted; AWS's longest today has 14 characters.
const MAX_REGION: usize = 25;

/// An account and a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Target {
    account: String,
    region: String,
}

/// A target as it is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    account: String,
    region: String,
}

impl TryFrom<Unchecked> for Target {
    type Error = Error;

    fn try_from(Unchecked { account, region }: Unchecked) -> Result<Self> {
        Self::parse("target", &account, &region)
    }
}

impl Target {
    /// Checks both parts; `field` is where they are.
    ///
    /// # Errors
    /// `InvalidInput` with the part.
    pub fn parse(field: &str, account: &str, region: &str) -> Result<Self> {
        if !is_account(account) {
            return Err(Error::field(
                &format!("{field}.account"),
                format!("\"{}\"", excerpt(account, 40)),
                "the 12 digits of an account",
            ));
        }
        if !is_region(region) {
            return Err(Error::field(
                &format!("{field}.region"),
                format!("\"{}\"", excerpt(region, 40)),
                "the name of a region, such as eu-west-1",
            ));
        }
        Ok(Self {
            account: account.to_owned(),
            region: region.to_owned(),
        })
    }

    /// The 12 digits of the account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The name of a role of the target. Roles are global in their account, so the name has the region.
    #[must_use]
    pub fn role_name(&self, stack: &str, role: TargetRole) -> String {
        format!("{stack}-target-{}-{}", self.region, role.as_str())
    }

    /// The bucket of the target's builds: CodeBuild reads sources only from a bucket of its own region.
    #[must_use]
    pub fn bucket(&self, stack: &str) -> String {
        format!("{stack}-target-{}-{}", self.account, self.region)
    }
}

/// A role that Seedflow's functions assume in a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetRole {
    /// Reads settings, parameters, stacks, and logs of builds.
    Reads,
    /// Starts, reads and stops builds.
    Builds,
    /// Makes and removes the roles of modules.
    Roles,
    /// Reads the logs of builds for pages, and nothing else.
    Logs,
    /// Detects the drift of modules' stacks, and reads their resources for it.
    Drift,
    /// Starts and reads read-only builds.
    ReadOnlyBuilds,
}

impl TargetRole {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Builds => "builds",
            Self::Roles => "roles",
            Self::Logs => "logs",
            Self::Drift => "drift",
            Self::ReadOnlyBuilds => "read-only",
        }
    }
}

/// The external id with which the roles of targets are assumed. It says which Seedflow calls, so that a target takes none
/// for another; it is not a secret (IAM user guide, "The confused deputy problem").
#[must_use]
pub fn external_id(account: &str, region: &str, stack: &str) -> String {
    format!("seedflow:{account}:{region}:{stack}")
}

/// The parameter of a target that says what has no derived name.
#[must_use]
pub fn settings_parameter(stack: &str) -> String {
    format!("/seedflow-targets/{stack}")
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The name becomes part of the address that is called, so it has no other characters.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let (number, words) = parts.split_last().unwrap_or((&"", &[]));
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    text.len() <= MAX_REGION
        && words.len() >= 2
        && words.iter().all(is_word)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for Target {
    /// `{account}/{region}`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('/') {
            Some((account, region)) => Self::parse("target", account, region),
            None => Err(Error::field(
                "target",
                format!("\"{}\"", excerpt(text, 80)),
                "an account and a region, such as 222222222222/eu-west-1",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_target_is_an_account_and_a_region() {
        let target: Target = "222222222222/eu-west-1".parse().unwrap();
        assert_eq!((target.account(), target.region()), ("222222222222", "eu-west-1"));
        assert_eq!(target.to_string(), "222222222222/eu-west-1");
        let stored = serde_json::to_string(&target).unwrap();
        assert_eq!(stored, r#"{"account":"222222222222","region":"eu-west-1"}"#);
        assert_eq!(serde_json::from_str::<Target>(&stored).unwrap(), target);
        assert!("222222222222/us-gov-east-1".parse::<Target>().is_ok());
        for bad in [
            "222222222222",
            "22222222222/eu-west-1",
            "222222222222/",
            "222222222222/eu-west",
            "222222222222/eu-west-1.example.com",
            "222222222222/Eu-west-1",
            "222222222222/eu--1",
            "222222222222/eu-west-1/x",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Target>(r#"{"account":"1","region":"eu-west-1"}"#).is_err());
    }

    #[test]
    fn names_in_a_target_fit_iam_and_s3() {
        let target: Target = "222222222222/ap-southeast-4".parse().unwrap();
        let stack = "s".repeat(24);
        for role in [
            TargetRole::Reads,
            TargetRole::Builds,
            TargetRole::Roles,
            TargetRole::ReadOnlyBuilds,
        ] {
            assert!(target.role_name(&stack, role).len() <= 64);
        }
        assert!(target.bucket(&stack).len() <= 63);
    }
}
