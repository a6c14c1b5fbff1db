//! The registries of a build: mirrors of package registries, and secrets with the credentials of registries.
//!
//! They say where a build gets its tools, not what it deploys, so they are not part of a fingerprint (decision 45).
//! Credentials themselves are never here: a build reads the secrets when it starts.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, excerpt, without_credentials};
use crate::formats::json_fields::JsonFields;

/// The longest URL of a mirror.
const MAX_URL: usize = 1024;
/// The longest name or ARN of a secret, with the key after it.
const MAX_SECRET: usize = 2048;

/// The registries of a build. A secret without its mirror has no effect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registries {
    /// The secret with the credentials of Docker registries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_credentials_secret: Option<String>,
    /// The URL from which pip and uv take packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pypi_mirror: Option<String>,
    /// Its credentials: a secret, and `::` with a key of the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pypi_mirror_secret: Option<String>,
    /// The URL from which npm takes packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub npm_mirror: Option<String>,
    /// Its credentials: a secret, and `::` with a key of the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub npm_mirror_secret: Option<String>,
}

impl Registries {
    /// Takes the fields of an input's `build`.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub(crate) fn parse(fields: &mut JsonFields) -> Result<Self> {
        Ok(Self {
            docker_credentials_secret: secret(fields, "docker_credentials_secret")?,
            pypi_mirror: mirror(fields, "pypi_mirror")?,
            pypi_mirror_secret: secret(fields, "pypi_mirror_secret")?,
            npm_mirror: mirror(fields, "npm_mirror")?,
            npm_mirror_secret: secret(fields, "npm_mirror_secret")?,
        })
    }

    /// The registries for a build that may read no secrets.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        Self {
            pypi_mirror: self.pypi_mirror.clone(),
            npm_mirror: self.npm_mirror.clone(),
            ..Self::default()
        }
    }

    /// Whether a build has anything to do for them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.docker_credentials_secret.is_none() && self.pypi_mirror.is_none() && self.npm_mirror.is_none()
    }
}

fn mirror(fields: &mut JsonFields, key: &'static str) -> Result<Option<String>> {
    let path = fields.path(key);
    let refuse = |found: String| {
        Err(Error::field(
            &path,
            found,
            "a URL such as https://packages.example.com/simple, without user and password, which belong into the mirror's secret",
        ))
    };
    match fields.text(key)? {
        Some(url) if has_credentials(&url) => refuse("a URL with credentials".to_owned()),
        Some(url) if !is_url(&url) => refuse(format!("\"{}\"", excerpt(&without_credentials(&url), 80))),
        url => Ok(url),
    }
}

fn host(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())
}

fn has_credentials(url: &str) -> bool {
    host(url).is_some_and(|host| host.contains('@'))
}

fn is_url(url: &str) -> bool {
    url.len() <= MAX_URL && url.bytes().all(|b| b.is_ascii_graphic()) && host(url).is_some()
}

fn secret(fields: &mut JsonFields, key: &'static str) -> Result<Option<String>> {
    let named = fields.text(key)?;
    // The characters of names and ARNs (Secrets Manager, CreateSecret, `Name`).
    let valid = |name: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-:".contains(&b);
        name.len() <= MAX_SECRET && !name.starts_with('-') && name.bytes().all(plain)
    };
    match named {
        Some(name) if !valid(&name) => Err(Error::field(
            &fields.path(key),
            // Not shown: it may be the secret itself.
            "another text",
            "the name of a secret: letters, digits and / _ + = . @ -; for a mirror, :: and a key may follow",
        )),
        named => Ok(named),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn parse(build: &Value) -> Result<Registries> {
        let mut fields = JsonFields::of("build", build)?;
        let registries = Registries::parse(&mut fields)?;
        fields.finish()?;
        Ok(registries)
    }

    #[test]
    fn mirrors_are_urls_without_credentials_and_secrets_have_names() {
        let good = parse(&json!({
            "docker_credentials_secret": "my-docker-credentials", "pypi_mirror": "https://a.example/simple",
            "pypi_mirror_secret": "m-mirror-credentials::key", "npm_mirror": "http://[::1]:8081/npm/",
        }));
        assert!(!good.unwrap().is_empty());
        for (build, part) in [
            (
                json!({"pypi_mirror": "ftp://a"}),
                "build.pypi_mirror: expected a URL",
            ),
            (json!({"npm_mirror": "https://"}), "found \"https://\""),
            (json!({"npm_mirror": "https://a b"}), "build.npm_mirror"),
            (
                json!({"npm_mirror_secret": "a'b"}),
                "build.npm_mirror_secret: expected the name of a secret",
            ),
            (
                json!({"docker_credentials_secret": "--x"}),
                "build.docker_credentials_secret",
            ),
        ] {
            let error = parse(&build).unwrap_err();
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_not_repeated() {
        let error = parse(&json!({"pypi_mirror": "https://me:hunter2@a.example/simple"})).unwrap_err();
        assert!(error.message.contains("a URL with credentials"), "{error}");
        for build in [
            json!({"pypi_mirror": "https://me:hunter2@a.example/simple"}),
            json!({"pypi_mirror": "ftp://me:hunter2@a.example"}),
            json!({"npm_mirror": "https:/me:hunter2@a.example"}),
            json!({"npm_mirror": "me:hunter2@a.example/simple"}),
            json!({"npm_mirror_secret": "{\"username\":\"me\",\"password\":\"hunter2\"}"}),
        ] {
            let error = parse(&build).unwrap_err();
            assert!(!error.message.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_secret_alone_is_nothing_to_do() {
        assert!(parse(&json!({"npm_mirror_secret": "s"})).unwrap().is_empty());
    }
}
