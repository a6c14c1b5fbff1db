//! Paths within a repository: with `/` between the names, without a leading one, and never outside it.

use super::model::Repository;
use crate::error::excerpt;
use crate::formats::file_name;

/// A path without `.` and empty names; `None` if it is absolute, leaves the repository, or cannot be in a zip.
pub(super) fn normal(path: &str) -> Option<String> {
    let strange = |c: char| c.is_control() || c == '\\';
    if path.starts_with('/') || path.len() > 1024 || path.contains(strange) {
        return None;
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// The beginning of a path that is an address.
pub(super) fn elsewhere(path: &str) -> Option<&'static str> {
    const BEGINNINGS: [&str; 8] = [
        "git::",
        "archive::",
        "s3://",
        "https://",
        "http://",
        "ssh://",
        "git@",
        "codecommit::",
    ];
    BEGINNINGS
        .into_iter()
        .find(|beginning| path.starts_with(beginning))
}

/// A file in the same folder that someone may have meant as the file `path`.
pub(super) fn near_miss(repository: &dyn Repository, path: &str) -> Option<String> {
    beside(repository, path, |name, files| {
        file_name::near_miss(name, files.iter().copied())
    })
}

/// A file in the same folder that someone may have meant as the optional file `path`, which is missing.
pub(super) fn misspelt(repository: &dyn Repository, path: &str) -> Option<String> {
    beside(repository, path, |name, files| {
        file_name::misspelt(name, files.iter().copied())
    })
}

/// The end of a message about the missing file `path`, if someone may have meant another one.
pub(super) fn did_you_mean(repository: &dyn Repository, path: &str) -> String {
    let found = near_miss(repository, path);
    found.map_or_else(String::new, |found| {
        format!("; did you mean {}?", excerpt(&found, 120))
    })
}

/// Searches the names of the files in the folder of a path.
fn beside(
    repository: &dyn Repository,
    path: &str,
    search: impl for<'n> Fn(&str, &[&'n str]) -> Option<&'n str>,
) -> Option<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let names = repository.names_in(folder);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = search(name, &names)?;
    Some(match folder {
        "" => found.to_owned(),
        folder => format!("{folder}/{found}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_the_repository() {
        for (path, normalised) in [
            ("modules/vpc", Some("modules/vpc")),
            ("./modules//vpc/", Some("modules/vpc")),
            (".", Some("")),
            ("a b/ü", Some("a b/ü")),
            ("/etc", None),
            ("../x", None),
            ("a/../b", None),
            ("a\\b", None),
            ("a\nb", None),
        ] {
            assert_eq!(normal(path).as_deref(), normalised, "{path}");
        }
        assert_eq!(elsewhere("git::https://x//y?ref=z"), Some("git::"));
        assert_eq!(elsewhere("github/x"), None);
    }
}
