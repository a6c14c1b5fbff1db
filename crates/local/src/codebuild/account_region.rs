//! An account and a region: each has projects, builds and places for builds of its own, and knows nothing of the others'.

use serde_json::Value;

use crate::aws_api::Credentials;

/// An account and a region.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountRegion {
    /// The 12 digits of the account.
    pub account: String,
    /// The region.
    pub region: String,
}

/// `ACCOUNT/REGION`
impl std::str::FromStr for AccountRegion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected ACCOUNT/REGION such as 222222222222/eu-west-1, found {text}");
        let (account, region) = text.split_once('/').ok_or_else(expected)?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_region = region.matches('-').count() >= 2
            && region
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        (is_account && is_region)
            .then(|| Self {
                account: account.to_owned(),
                region: region.to_owned(),
            })
            .ok_or_else(expected)
    }
}

impl std::fmt::Display for AccountRegion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

impl AccountRegion {
    /// The caller's, as the AWS emulator answers it (`emulator.py`); it knows the accounts of keys.
    pub(crate) fn of_answer(answer: &[u8]) -> Option<Self> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        Some(Self {
            account: text("account")?,
            region: text("region")?,
        })
    }

    /// The keys of the account's root: its number, and the one secret of the emulator.
    pub(crate) fn root(&self, secret: &str) -> Credentials {
        Credentials {
            access_key_id: self.account.clone(),
            secret_access_key: secret.to_owned(),
            session_token: None,
            region: self.region.clone(),
        }
    }

    /// An ARN of CodeBuild.
    pub(crate) fn arn(&self, resource: &str) -> String {
        let Self { account, region } = self;
        format!("arn:aws:codebuild:{region}:{account}:{resource}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_read_from_the_emulators_answer() {
        let of = |text: &str| AccountRegion::of_answer(text.as_bytes());
        let found = of(r#"{"account":"222222222222","region":"eu-west-1"}"#).map(|at| at.arn("build/p:1"));
        assert_eq!(
            found.as_deref(),
            Some("arn:aws:codebuild:eu-west-1:222222222222:build/p:1")
        );
        assert_eq!(of("{}"), None);
        assert_eq!(of(""), None);
    }
}
