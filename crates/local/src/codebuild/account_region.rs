//! An account and a region: each has projects, builds and places for builds of its own, and knows nothing of the others'.

use seedflow_core::target::Target;
use serde_json::Value;

use crate::aws_api::Credentials;

/// The account and region of a caller, as the AWS emulator answers it (`stack/corrections`); it knows the accounts of keys.
pub fn of_answer(answer: &[u8]) -> Option<Target> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    serde_json::from_value(answer).ok()
}

/// The keys of an account's root: its number, and the one secret of the emulator.
pub fn root(at: &Target, secret: &str) -> Credentials {
    Credentials {
        access_key_id: at.account().to_owned(),
        secret_access_key: secret.to_owned(),
        session_token: None,
        region: at.region().to_owned(),
    }
}

/// An ARN of CodeBuild.
pub fn arn(at: &Target, resource: &str) -> String {
    format!("arn:aws:codebuild:{}:{}:{resource}", at.region(), at.account())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_read_from_the_emulators_answer() {
        let of = |text: &str| of_answer(text.as_bytes());
        let found = of(r#"{"account":"222222222222","region":"eu-west-1"}"#).map(|at| arn(&at, "build/p:1"));
        assert_eq!(
            found.as_deref(),
            Some("arn:aws:codebuild:eu-west-1:222222222222:build/p:1")
        );
        assert_eq!(of("{}"), None);
        assert_eq!(of(""), None);
    }
}
