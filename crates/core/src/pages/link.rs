//! Links of a page lead to AWS's console ([`crate::console`]), to another file next to the page, or to a commit on a known
//! code host. Nothing else in a report becomes a link.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ids::AwsEnvironment;

/// Characters that a URL does not encode (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// An object in the S3 console, where "Open" shows it.
#[must_use]
pub fn object(environment: &AwsEnvironment, bucket: &str, key: &str) -> String {
    format!(
        "{}/s3/object/{}?region={}&prefix={}",
        environment.console(),
        encoded(bucket),
        encoded(&environment.region),
        encoded(key)
    )
}

/// The part of a link that names a row of an index.
#[must_use]
pub fn fragment(name: &str) -> String {
    name.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

/// A relative link between two objects of a bucket. It also works in a copy of both, as `aws s3 sync` makes it.
#[must_use]
pub fn relative(from: &str, to: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.split('/').collect(), to.split('/').collect());
    let folders = from.len() - 1;
    let common = (0..folders.min(to.len() - 1))
        .take_while(|i| from[*i] == to[*i])
        .count();
    let up = "../".repeat(folders - common);
    let down: Vec<String> = to[common..].iter().map(|part| encoded(part)).collect();
    format!("{up}{}", down.join("/"))
}

/// The code hosts, and the path of a commit below a repository there.
const CODE_HOSTS: [(&str, &str); 3] = [
    ("github.com", "commit"),
    ("gitlab.com", "-/commit"),
    ("bitbucket.org", "commits"),
];

/// A commit on its code host, if the repository's address has the shape `https://{code host}/{names}` and the commit is a
/// hexadecimal id. Addresses come from the metadata of uploads, which anybody with the right to upload writes.
#[must_use]
pub fn commit(repository: &str, commit: &str) -> Option<String> {
    let rest = repository.strip_prefix("https://")?;
    let (host, path) = rest.trim_end_matches('/').split_once('/')?;
    let (_, commits) = CODE_HOSTS.iter().find(|(known, _)| *known == host)?;
    let path = path.strip_suffix(".git").unwrap_or(path);
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let is_id = (7..=64).contains(&commit.len()) && commit.bytes().all(|b| b.is_ascii_hexdigit());
    let is_repository = path.contains('/') && path.split('/').all(is_name);
    (is_id && is_repository).then(|| format!("https://{host}/{path}/{commits}/{commit}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::console::to_console;
    use crate::ids::ExecutionArn;

    fn environment() -> AwsEnvironment {
        AwsEnvironment::from_arn("arn:aws:lambda:eu-west-1:123456789012:function:f").unwrap()
    }

    #[test]
    fn composed_links_pass_with_any_text() {
        let url = object(&environment(), "b\"", "reports/<x> \u{202e}'");
        assert_eq!(to_console(&url), Some(url.as_str()));
        assert!(!url.contains(['"', '<', '>', '\'', ' ']), "{url}");
        let url = environment().execution_url(&ExecutionArn::new("arn:aws:states:eu-west-1:1:execution:m:e"));
        assert_eq!(to_console(&url), Some(url.as_str()));
    }

    #[test]
    fn a_relative_link_goes_up_to_what_both_share() {
        let report = "reports/p/d/g/m/e.html";
        assert_eq!(relative(report, "reports/p/d/g/m/e.json"), "e.json");
        assert_eq!(relative(report, "index/p.html"), "../../../../../index/p.html");
        assert_eq!(relative("reports/p/d/e.html", report), "g/m/e.html");
        assert_eq!(
            relative("index/p.html", "reports/p/d/a:b.html"),
            "../reports/p/d/a%3Ab.html"
        );
    }

    #[test]
    fn a_commit_is_linked_on_a_known_host_only() {
        let id = "0a4d55a8d778e5022fab701977c5d840bbc486d0";
        for (repository, link) in [
            (
                "https://github.com/org/infra.git",
                "https://github.com/org/infra/commit/",
            ),
            ("https://gitlab.com/a/b/c/", "https://gitlab.com/a/b/c/-/commit/"),
            ("https://bitbucket.org/a/b", "https://bitbucket.org/a/b/commits/"),
        ] {
            assert_eq!(commit(repository, id), Some(format!("{link}{id}")));
        }
        for repository in [
            "http://github.com/org/infra",
            "https://github.com.evil.example/org/infra",
            "https://token@github.com/org/infra",
            "https://github.com/org/../x",
            "https://github.com/org/a\"onclick=",
            "https://github.com/org",
            "git@github.com:org/infra.git",
        ] {
            assert_eq!(commit(repository, id), None, "{repository}");
        }
        assert_eq!(commit("https://github.com/org/infra", "main/../.."), None);
    }
}
