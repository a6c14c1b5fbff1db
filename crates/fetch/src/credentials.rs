//! Credentials by host. They are sent to their host and shown nowhere.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use seedflow_core::error::{Error, Result};
use serde::Deserialize;
use ureq::http::HeaderValue;

/// The credentials of hosts. A host is a name, with its port if that is not the scheme's own.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub struct Credentials(BTreeMap<String, Credential>);

/// What a host accepts.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Credential {
    Token { token: String },
    Password { username: String, password: String },
}

impl Credentials {
    /// Parses `{"host": {"token": "…"}}` and `{"host": {"username": "…", "password": "…"}}`.
    ///
    /// # Errors
    /// `InvalidInput`, without any of the text.
    pub fn parse(text: &str) -> Result<Self> {
        let parsed: Result<Self, _> = serde_json::from_str(text);
        let Self(by_host) = parsed.map_err(|_| {
            Error::field(
                "GitCredentialsSecret",
                "something else",
                r#"JSON like {"host": {"token": "…"}} or {"host": {"username": "…", "password": "…"}}"#,
            )
        })?;
        // The names of hosts have no case.
        let lower = by_host
            .into_iter()
            .map(|(host, credential)| (host.to_ascii_lowercase(), credential));
        Ok(Self(lower.collect()))
    }

    /// Reads them from a file of this machine, for commands; none without a file.
    ///
    /// # Errors
    /// `InvalidInput` if the file can't be read, and those of [`Self::parse`].
    pub fn of_file(file: Option<&Path>) -> Result<Self> {
        let Some(file) = file else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(file).map_err(|e| {
            Error::field(
                &file.display().to_string(),
                format!("a file that can't be read ({e})"),
                "a file with the credentials of hosts",
            )
        })?;
        Self::parse(&text)
    }

    /// The value of the header `Authorization` for a host.
    pub(crate) fn authorization(&self, host: &str) -> Option<HeaderValue> {
        let (user, password) = match self.0.get(host)? {
            // GitHub, GitLab, Bitbucket and Gitea take a token as a password, each with any name of a user but for GitLab's
            // deploy tokens, which have one of their own and so are a user and a password here.
            Credential::Token { token } => ("x-access-token", token),
            Credential::Password { username, password } => (username.as_str(), password),
        };
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let mut value = HeaderValue::from_str(&basic).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_and_a_password_are_sent_to_their_host_only() {
        let text = r#"{"Git.example": {"token": "t"}, "other:8443": {"username": "u", "password": "p"}}"#;
        let credentials = Credentials::parse(text).unwrap();
        let sent = |host: &str| credentials.authorization(host);
        assert_eq!(sent("git.example").unwrap(), "Basic eC1hY2Nlc3MtdG9rZW46dA==");
        assert_eq!(sent("other:8443").unwrap(), "Basic dTpw");
        assert_eq!(sent("other"), None);
        assert_eq!(sent("sub.git.example"), None);
    }

    #[test]
    fn no_message_shows_any_of_it() {
        let credentials = Credentials::parse(r#"{"h": {"token": "s3cret"}}"#).unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials(…)");
        for wrong in [
            r#"{"h": {"token": s3cret}}"#,
            r#"{"h": "s3cret"}"#,
            r#"{"h": {"tokne": "s3cret"}}"#,
            r#"{"h": {"username": "s3cret"}}"#,
            r#"["s3cret"]"#,
        ] {
            let message = Credentials::parse(wrong).unwrap_err().message;
            assert!(
                message.starts_with("GitCredentialsSecret: expected JSON"),
                "{message}"
            );
            assert!(!message.contains("s3cret"), "{message}");
        }
    }
}
