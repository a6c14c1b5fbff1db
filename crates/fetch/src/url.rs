//! The address of a source.

use std::fmt;

use seedflow_core::error::{Error, Result, excerpt};
use ureq::http::Uri;
use ureq::http::uri::Scheme;

/// The address of a source: https, or plain http of this machine. Its text has no query, which may be a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteUrl {
    uri: Uri,
    /// The host with its port, in lower case.
    host: String,
}

impl RemoteUrl {
    /// Parses the address of a manifest.
    ///
    /// # Errors
    /// `InvalidInput`, without what may be a secret.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (shown, _) = text.split_once(['?', '#']).unwrap_or((text, ""));
        // What precedes an @ may be a password.
        let shown = excerpt(shown.rsplit_once('@').map_or(shown, |(_, rest)| rest), 200);
        let refuse = |found: &str, allowed: &str| Err(Error::field(&shown, found, allowed));
        let Ok(uri) = text.parse::<Uri>() else {
            return refuse(
                "something else",
                "the address of a source, like https://host/path; write special characters as %XX",
            );
        };
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return refuse("no host", "the address of a source, like https://host/path");
        };
        if authority.as_str().contains('@') {
            return refuse(
                "credentials in the address",
                "an address without them; put them into the secret that GitCredentialsSecret names",
            );
        }
        let is_ours = is_this_machine(authority.host());
        if *scheme != Scheme::HTTPS && !(*scheme == Scheme::HTTP && is_ours) {
            return refuse(&format!("{scheme}://"), "https://");
        }
        let host = authority.as_str().to_ascii_lowercase();
        Ok(Self { uri, host })
    }

    /// The host with its port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// This address with another path and query.
    pub(crate) fn with_path(&self, path: &str) -> Result<Self> {
        Self::parse(&format!("{}://{}{path}", self.scheme(), self.host))
    }

    fn scheme(&self) -> &str {
        self.uri.scheme_str().unwrap_or_default()
    }

    /// The path without slashes at its end.
    pub(crate) fn path(&self) -> &str {
        self.uri.path().trim_end_matches('/')
    }

    /// Where a redirect leads (RFC 3986, 4.2).
    ///
    /// # Errors
    /// `InvalidInput` for another scheme, or an address that may not be asked.
    pub(crate) fn redirected(&self, location: &str) -> Result<Self> {
        let (path, _) = location.split_once(['?', '#']).unwrap_or((location, ""));
        let target = if path.contains("://") {
            Self::parse(location)?
        } else if location.starts_with("//") {
            Self::parse(&format!("{}:{location}", self.scheme()))?
        } else if location.starts_with('/') {
            self.with_path(location)?
        } else {
            let (folder, _) = self.uri.path().rsplit_once('/').unwrap_or_default();
            self.with_path(&format!("{folder}/{location}"))?
        };
        if target.scheme() != self.scheme() {
            return Err(Error::field(
                &target.to_string(),
                format!("{}://", target.scheme()),
                format!("{}://, as before the redirect", self.scheme()),
            ));
        }
        Ok(target)
    }
}

/// Whether a host's name can only be this machine. The addresses of `localhost` are checked, too.
fn is_this_machine(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || literal
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.host, self.uri.path())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_https_or_this_machine_and_has_no_credentials() {
        for (text, expected) in [
            ("https://git.example/a/b.git", Ok("https://git.example/a/b.git")),
            ("https://Git.example:8443/a", Ok("https://git.example:8443/a")),
            ("https://h/a.zip?X-Amz-Signature=s3cret", Ok("https://h/a.zip")),
            ("http://127.0.0.1:8080/a", Ok("http://127.0.0.1:8080/a")),
            ("http://localhost/a", Ok("http://localhost/a")),
            ("http://git.example/a", Err("expected https://, found http://")),
            (
                "http://127.0.0.1.example/a",
                Err("expected https://, found http://"),
            ),
            ("ssh://git.example/a", Err("expected https://, found ssh://")),
            (
                "https://u:s3cret@git.example/a",
                Err("found credentials in the address"),
            ),
            (
                "http://u:s3cret@127.0.0.1/a",
                Err("found credentials in the address"),
            ),
            ("git.example/a b", Err("expected the address of a source")),
            ("/a", Err("found no host")),
        ] {
            let parsed = RemoteUrl::parse(text).map(|url| url.to_string());
            match (&parsed, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(error), Err(expected)) => {
                    assert!(error.message.contains(expected), "{error}");
                    assert!(!error.message.contains("s3cret"), "{error}");
                }
                (found, expected) => panic!("{text}: expected {expected:?}, found {found:?}"),
            }
        }
    }

    #[test]
    fn a_redirect_keeps_the_scheme() {
        let url = RemoteUrl::parse("https://git.example/a/b?c=d").unwrap();
        for (location, expected) in [
            ("/e/f?g", Some("https://git.example/e/f")),
            ("e", Some("https://git.example/a/e")),
            ("?next=https://x/", Some("https://git.example/a/")),
            ("//other.example/e", Some("https://other.example/e")),
            ("https://other.example/e", Some("https://other.example/e")),
            ("http://git.example/a/b", None),
            ("http://127.0.0.1/", None),
            ("https://u:p@git.example/", None),
            ("file:///etc/passwd", None),
        ] {
            let target = url.redirected(location).ok().map(|url| url.to_string());
            assert_eq!(target.as_deref(), expected, "{location}");
        }
    }
}
