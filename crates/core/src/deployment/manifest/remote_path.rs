//! `git::` and `archive::` paths, split by seed-farmer's rules (`git_support.py` and `archive_support.py` of 8.0.9).
//!
//! Only addresses that a function can ask are accepted: https, and plain http of this machine for the local stack. No
//! message shows what may be a password or a signature.

use percent_encoding::percent_decode_str;

use crate::deployment::remote_source::{RemoteSource, SourcePath};
use crate::error::{did_you_mean, excerpt, expected};

/// The longest address.
const MAX_ADDRESS: usize = 2048;
/// The form of a path to a git repository.
const EXAMPLE_GIT: &str = "git::https://host/repository.git//folder?ref=main";
/// The longest reference.
const MAX_REFERENCE: usize = 255;

/// A path to a remote source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemotePath {
    /// The source and the path within it, as it is written.
    pub place: SourcePath,
    /// What has no effect.
    pub warnings: Vec<String>,
}

/// Parses a path of a manifest; `None` if it names no remote source. The error is a message.
pub(super) fn parse(path: &str) -> Option<Result<RemotePath, String>> {
    if let Some(address) = path.strip_prefix("git::") {
        return Some(git(address));
    }
    path.strip_prefix("archive::").map(archive)
}

/// `https://host/repository.git//folder?ref=main&depth=1`. Without `.git//` the repository's root is meant.
fn git(given: &str) -> Result<RemotePath, String> {
    let (address, query) = given.split_once('?').unwrap_or((given, ""));
    if query.contains('?') {
        return Err("expected one ? before the query, found several".to_owned());
    }
    let (url, folder) = address.split_once(".git//").unwrap_or((address, ""));
    if folder.contains(".git//") {
        return Err("expected one .git// before the folder, found several".to_owned());
    }
    let mut warnings = Vec::new();
    // As it is written, for a form to copy.
    let written = query.split('&').find(|pair| pair.starts_with("ref="));
    let written = written.map_or_else(String::new, |pair| format!("?{pair}"));
    let reference = reference(&decoded(query), &mut warnings)?;
    if let Some(https) = over_https(url) {
        let right = format!("{https}{}{written}", &address[url.len()..]);
        return Err(format!(
            "a repository is fetched over https; write {}",
            form(&right)
        ));
    }
    check_address(url, EXAMPLE_GIT)?;
    refuse_page(url)?;
    refuse_misplaced_folder(url, &written)?;
    Ok(RemotePath {
        place: SourcePath {
            source: Some(RemoteSource::Git {
                url: url.trim_end_matches('/').to_owned(),
                reference,
            }),
            path: folder.to_owned(),
        },
        warnings,
    })
}

/// The right form of a path; an example if it has an `@`, before which may be a password.
fn form(right: &str) -> String {
    match right.contains('@') {
        true => EXAMPLE_GIT.to_owned(),
        false => format!("git::{}", excerpt(right, 300)),
    }
}

/// `ref` of a query, with warnings of what has no effect.
fn reference(query: &[(String, String)], warnings: &mut Vec<String>) -> Result<Option<String>, String> {
    for (key, value) in query {
        match key.as_str() {
            "ref" if value.is_empty() => {
                warnings.push("ref has no value, so the repository's default branch is meant".to_owned());
            }
            "depth" if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) => {
                warnings.push(format!(
                    "depth: {}",
                    expected(
                        format!("\"{}\"", excerpt(value, 40)),
                        "a number; it has no effect"
                    )
                ));
            }
            "ref" | "depth" => {}
            other => warnings.push(format!(
                "\"{}\" of the query has no effect; only ref and depth are known{}",
                excerpt(other, 40),
                did_you_mean(other, &["ref", "depth"])
            )),
        }
    }
    let reference = first(query, "ref");
    if let Some(reference) = reference
        && !is_reference(reference)
    {
        return Err(format!(
            "ref: {}",
            expected(
                format!("\"{}\"", excerpt(reference, 80)),
                "the name of a branch or a tag, or a commit"
            )
        ));
    }
    Ok(reference.map(str::to_owned))
}

/// Whether git accepts a reference's name (git-check-ref-format), or nearly so: the host has the last word.
fn is_reference(name: &str) -> bool {
    let strange = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    name.len() <= MAX_REFERENCE
        && !name.contains(strange)
        && !name.contains("..")
        && !name.contains("//")
        && !name.starts_with(['-', '/'])
        && !name.ends_with(['/', '.'])
}

/// The https form of an address that a function has no keys or no encryption for; `None` for other addresses.
fn over_https(url: &str) -> Option<String> {
    if let Some(repository) = url.strip_prefix("codecommit::") {
        let (region, name) = repository.split_once("://")?;
        let name = name.rsplit_once('@').map_or(name, |(_, name)| name);
        let domain = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        return Some(format!(
            "https://git-codecommit.{region}.{domain}/v1/repos/{name}"
        ));
    }
    let (host, path) = match url.split_once("://") {
        Some(("https", _)) => return None,
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = without_user(authority);
            match scheme {
                "http" if is_this_machine(authority) => return None,
                "http" => (host, path),
                // The port is that of another protocol.
                "ssh" | "git" | "git+ssh" => (without_port(host), path),
                _ => return None,
            }
        }
        // As ssh has it: user@host:path.
        None => {
            let (authority, path) = url.split_once(':')?;
            (without_user(authority), path.trim_start_matches('/'))
        }
    };
    (!host.is_empty() && !host.contains('/')).then(|| format!("https://{host}/{path}"))
}

fn without_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// What follows the colon of a host.
fn port(host: &str) -> Option<&str> {
    // An IPv6 address has colons of its own, within brackets.
    let after = host.rsplit_once(']').map_or(host, |(_, after)| after);
    after.split_once(':').map(|(_, port)| port)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether the host of an address is this machine. The function that fetches checks the addresses of the name, too.
fn is_this_machine(authority: &str) -> bool {
    let name = without_port(authority);
    let literal = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || literal
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Refuses an address that can't be fetched; `example` is a whole path.
fn check_address(url: &str, example: &str) -> Result<(), String> {
    let refuse = |found: &str| Err(expected(found, format!("an address like {example}")));
    let strange = |c: char| c.is_control() || c.is_whitespace() || c == '\\' || c == '#';
    if url.len() > MAX_ADDRESS {
        return refuse(&format!("one of {} characters", url.len()));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return refuse("no https://");
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(
            "expected an address without credentials, found some before the @; put them into the secret that the template's GitCredentialsSecret names".to_owned(),
        );
    }
    if scheme != "https" && !(scheme == "http" && is_this_machine(authority)) {
        return refuse(&format!("{}://", excerpt(scheme, 40)));
    }
    if authority.is_empty() || path.is_empty() {
        return refuse("no host, or nothing after it");
    }
    // Not shown: in `user:pass/word@host` a part of a password is at its place.
    if port(authority).is_some_and(|port| port.parse::<u16>().is_err()) {
        return refuse("something else than a number from 0 to 65535 after the host's colon");
    }
    if url.contains(strange) {
        return refuse("a space, a backslash, a # or a control character");
    }
    Ok(())
}

/// Refuses the address of a page that GitHub or GitLab shows of a folder, where no repository can be. Elsewhere the host
/// has the last word.
fn refuse_page(url: &str) -> Result<(), String> {
    let on_github = |(repository, _): &(&str, &str)| {
        repository.starts_with("https://github.com/") && repository.matches('/').count() == 4
    };
    let page = ["tree", "blob"].iter().find_map(|kind| {
        let on_gitlab = url.split_once(&format!("/-/{kind}/"));
        on_gitlab.or_else(|| url.split_once(&format!("/{kind}/")).filter(on_github))
    });
    match page {
        Some((repository, shown)) => Err(format!(
            "expected a repository's address, found the address of a page that shows {}; write git::{}.git//FOLDER?ref=REF",
            excerpt(shown, 200),
            excerpt(repository, 300)
        )),
        None => Ok(()),
    }
}

/// Refuses a folder that seed-farmer would take for a part of the address, because `.git//` is not before it.
fn refuse_misplaced_folder(url: &str, query: &str) -> Result<(), String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let rest = rest.trim_end_matches('/');
    let parts = rest.split_once(".git/").or_else(|| rest.split_once("//"));
    match parts {
        Some((repository, folder)) => Err(format!(
            "expected .git// between repository and folder; write {}",
            form(&format!("{scheme}://{repository}.git//{folder}{query}"))
        )),
        None => Ok(()),
    }
}

/// `https://host/archive.zip?module=folder`. What else the query has belongs to the address, such as a signature.
fn archive(given: &str) -> Result<RemotePath, String> {
    const EXAMPLE: &str = "archive::https://host/archive.zip?module=folder";
    let (given, _) = given.split_once('#').unwrap_or((given, ""));
    let (address, query) = given.split_once('?').unwrap_or((given, ""));
    let is_module = |pair: &&str| pair.split_once('=').is_some_and(|(key, _)| key == "module");
    let rest: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !is_module(pair))
        .collect();
    let url = match rest.join("&") {
        none if none.is_empty() => address.to_owned(),
        rest => format!("{address}?{rest}"),
    };
    if let Some(rest) = address.strip_prefix("http://")
        && !is_this_machine(rest.split('/').next().unwrap_or_default())
    {
        return Err(expected(
            "http://",
            format!("an address like {EXAMPLE}: archives are fetched over https"),
        ));
    }
    check_address(&url, EXAMPLE)?;
    let query = decoded(query);
    let Some(module) = first(&query, "module") else {
        let similar = query
            .iter()
            .map(|(key, _)| did_you_mean(key, &["module"]))
            .find(|similar| !similar.is_empty())
            .unwrap_or_default();
        return Err(format!(
            "expected module=… in the query, the path within the archive, as in {EXAMPLE}{similar}"
        ));
    };
    Ok(RemotePath {
        place: SourcePath {
            path: module.to_owned(),
            source: Some(RemoteSource::Archive { url }),
        },
        warnings: Vec::new(),
    })
}

/// The keys and values of a query, as Python's `parse_qs` decodes them.
fn decoded(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaces = text.replace('+', " ");
        percent_decode_str(&spaces).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(key, value)| (decode(key), decode(value))).collect()
}

/// The first value of a key; one without a value does not count.
fn first<'q>(query: &'q [(String, String)], key: &str) -> Option<&'q str> {
    let mut values = query
        .iter()
        .filter(|(name, value)| name == key && !value.is_empty());
    values.next().map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// URL or address, reference and folder.
    fn split(path: &str) -> (String, Option<String>, String) {
        let RemotePath { place, warnings } = parse(path).unwrap().unwrap();
        assert_eq!(warnings, [""; 0], "{path}");
        match place.source.unwrap() {
            RemoteSource::Git { url, reference } => (url, reference, place.path),
            RemoteSource::Archive { url } => (url, None, place.path),
        }
    }

    #[test]
    fn a_git_path_is_split_as_seed_farmer_splits_it() {
        for (path, url, reference, folder) in [
            (
                "git::https://h/o/r.git//a/b?ref=release/1.2&depth=1",
                "https://h/o/r",
                Some("release/1.2"),
                "a/b",
            ),
            (
                "git::https://h/o/r.git//a/b/?depth=1&ref=v1",
                "https://h/o/r",
                Some("v1"),
                "a/b/",
            ),
            // Without .git// the root is the module, and .git stays in the address.
            (
                "git::https://h/o/r.git?ref=main",
                "https://h/o/r.git",
                Some("main"),
                "",
            ),
            ("git::https://h/o/r", "https://h/o/r", None, ""),
            ("git::https://h/o/r.git//", "https://h/o/r", None, ""),
            // Only GitHub's and GitLab's pages are known: elsewhere a repository may have such a name.
            ("git::https://h/o/tree/r.git//a", "https://h/o/tree/r", None, "a"),
            (
                "git::https://github.com/tree/r.git//blob/a",
                "https://github.com/tree/r",
                None,
                "blob/a",
            ),
            // Groups within groups, and a folder whose name has a double slash.
            (
                "git::https://h:8443/a/b/c/r.git//x//y",
                "https://h:8443/a/b/c/r",
                None,
                "x//y",
            ),
            (
                "git::https://h/r.git//a?ref=feature%2Fx",
                "https://h/r",
                Some("feature/x"),
                "a",
            ),
            (
                "git::https://h/r.git//a?ref=one&ref=two",
                "https://h/r",
                Some("one"),
                "a",
            ),
            ("git::https://h/r.git//a?", "https://h/r", None, "a"),
            (
                "git::http://127.0.0.1:8080/r.git//a",
                "http://127.0.0.1:8080/r",
                None,
                "a",
            ),
            ("git::http://localhost/r.git//a", "http://localhost/r", None, "a"),
            ("git::http://[::1]:80/r.git//a", "http://[::1]:80/r", None, "a"),
        ] {
            let expected = (url.to_owned(), reference.map(str::to_owned), folder.to_owned());
            assert_eq!(split(path), expected, "{path}");
        }
        assert_eq!(parse("modules/git::x"), None);
    }

    #[test]
    fn an_archives_query_belongs_to_its_address_but_for_module() {
        for (path, url, folder) in [
            (
                "archive::https://h/a.zip?module=modules/vpc",
                "https://h/a.zip",
                "modules/vpc",
            ),
            (
                "archive::https://h/a.tar.gz?module=a%2Fb#part",
                "https://h/a.tar.gz",
                "a/b",
            ),
            (
                "archive::https://h/download?X-Amz-Date=1&module=a&X-Amz-Signature=%2B0",
                "https://h/download?X-Amz-Date=1&X-Amz-Signature=%2B0",
                "a",
            ),
        ] {
            assert_eq!(split(path), (url.to_owned(), None, folder.to_owned()), "{path}");
        }
    }

    #[test]
    fn an_address_that_needs_keys_is_shown_over_https() {
        for (path, written) in [
            (
                "git::git@github.com:o/r.git//a/b?ref=main",
                "git::https://github.com/o/r.git//a/b?ref=main",
            ),
            (
                "git::git@github.com:o/r.git?ref=main",
                "git::https://github.com/o/r.git?ref=main",
            ),
            ("git::ssh://git@h:22/o/r.git//a", "git::https://h/o/r.git//a"),
            ("git::http://h:8080/o/r.git//a", "git::https://h:8080/o/r.git//a"),
            (
                "git::http://127.0.0.1.example/r.git//a",
                "git::https://127.0.0.1.example/r.git//a",
            ),
            (
                "git::codecommit::eu-west-1://profile@r.git//a?ref=v1",
                "git::https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/r.git//a?ref=v1",
            ),
        ] {
            let error = parse(path).unwrap().unwrap_err();
            assert_eq!(
                error,
                format!("a repository is fetched over https; write {written}")
            );
        }
    }

    #[test]
    fn what_is_no_address_of_a_source_is_named() {
        for (path, message) in [
            (
                "git::https://h/r.git//a?ref=x?depth=1",
                "expected one ? before the query",
            ),
            (
                "git::https://h/r.git//a.git//b",
                "expected one .git// before the folder",
            ),
            ("git::https://h/o/r//a?ref=x", "write git::https://h/o/r.git//a"),
            ("git::https://h/o/r.git/a/b", "write git::https://h/o/r.git//a/b"),
            (
                "git::https://u:s3cret@h/r.git//a",
                "put them into the secret that the template's GitCredentialsSecret names",
            ),
            (
                "git::https://s3cret@h/r.git//a",
                "expected an address without credentials",
            ),
            (
                "git::file:///etc/r.git//a",
                "expected an address like git::https://host/repository.git//folder?ref=main, found file://",
            ),
            ("git::../r.git//a", "found no https://"),
            ("git::https://h:99999/r", "after the host's colon"),
            (
                "git::https://h/x/y//m?ref=v1%2Brc&depth=1",
                "write git::https://h/x/y.git//m?ref=v1%2Brc",
            ),
            (
                "git::codecommit::cn-north-1://r",
                "write git::https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/r",
            ),
            ("git::https://h", "found no host, or nothing after it"),
            (
                "git::https://github.com/o/r/tree/release/1.2.0/modules/a",
                "found the address of a page that shows release/1.2.0/modules/a; write git::https://github.com/o/r.git//FOLDER?ref=REF",
            ),
            (
                "git::https://gitlab.example/a/b/r/-/blob/main/a?ref_type=heads",
                "that shows main/a; write git::https://gitlab.example/a/b/r.git//FOLDER?ref=REF",
            ),
            ("git::https://h/a b.git//c", "found a space"),
            (
                "git::https://h/r.git//a?ref=a:b",
                "ref: expected the name of a branch or a tag, or a commit, found \"a:b\"",
            ),
            ("git::https://h/r.git//a?ref=--upload-pack", "ref: expected"),
            ("archive::https://h/a.zip", "expected module=… in the query"),
            ("archive::https://h/a.zip?modul=x", "did you mean module?"),
            (
                "archive::https://h/a.zip?module=",
                "expected module=… in the query",
            ),
            (
                "archive::s3://bucket/a.zip?module=x",
                "expected an address like archive::https://host/archive.zip?module=folder, found s3://",
            ),
            ("archive::http://h/a.zip?module=x", "found http://"),
            (
                "archive::https://u:s3cret@h/a.zip?module=x",
                "expected an address without credentials",
            ),
        ] {
            let error = parse(path).unwrap().unwrap_err();
            assert!(error.contains(message), "{path}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_password_is_left_out_of_the_https_form() {
        let error = parse("git::http://u:s3cret@h/r.git//a").unwrap().unwrap_err();
        assert_eq!(
            error,
            "a repository is fetched over https; write git::https://h/r.git//a"
        );
    }

    #[test]
    fn what_has_no_effect_is_a_warning() {
        let warnings = |query: &str| {
            let read = parse(&format!("git::https://h/r.git//a?{query}"));
            read.unwrap().unwrap().warnings
        };
        assert_eq!(
            warnings("Ref=v1"),
            ["\"Ref\" of the query has no effect; only ref and depth are known; did you mean ref?"]
        );
        assert_eq!(
            warnings("tag=v1&ref=x"),
            ["\"tag\" of the query has no effect; only ref and depth are known"]
        );
        assert_eq!(
            warnings("ref="),
            ["ref has no value, so the repository's default branch is meant"]
        );
        assert_eq!(
            warnings("depth=all"),
            ["depth: expected a number, found \"all\"; it has no effect"]
        );
    }

    #[test]
    fn no_message_shows_a_password() {
        for path in [
            "git::https://user:S3CRET@github.com/x/y.git//m",
            "git::user:S3CRET@github.com/x/y.git//m",
            "git::https:/user:S3CRET@github.com/x/y.git//m",
            "git::https:user:S3CRET@github.com/x/y.git//m",
            "git::ssh://user:S3/CRET@github.com/x/y.git//m",
            "git::https://user:S3/CRET@github.com/x/y//m",
            "git::https://user:S3/CRET@github.com/x/y.git//m",
            "archive::https://user:S3/CRET@github.com/x.zip?module=m",
        ] {
            let message = parse(path).unwrap().unwrap_err();
            assert!(
                !message.contains("S3") && !message.contains("CRET"),
                "{path}: {message}"
            );
        }
    }
}
