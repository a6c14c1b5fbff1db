//! Paths within a repository: with `/` between the names, without a leading one, and never outside it.

use super::model::Repository;
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
    let (folder, name) = path
        .rfind('/')
        .map_or(("", path), |slash| path.split_at(slash + 1));
    let files = repository.files();
    let beside = files.iter().filter_map(|file| file.strip_prefix(folder));
    file_name::near_miss(name, beside).map(|found| format!("{folder}{found}"))
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
