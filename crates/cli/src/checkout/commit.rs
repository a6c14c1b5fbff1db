//! The commit of a folder, for people who read a status or a report.

use std::path::Path;
use std::process::Command;

use seedflow_core::module::commit_info::CommitInfo;

/// The commit of a folder's files, its author and its branch, as an upload's metadata have them. Nothing for a folder that git does not
/// know; `+changes` follows a commit whose files were changed since.
#[must_use]
pub fn of_folder(folder: &Path) -> CommitInfo {
    let Some(commit) = git(folder, &["rev-parse", "HEAD"]) else {
        return CommitInfo::default();
    };
    let changed = git(folder, &["status", "--porcelain", "--", "."]).is_some();
    let commit = format!("{commit}{}", if changed { "+changes" } else { "" });
    let author = git(folder, &["log", "-1", "--format=%an <%ae>"]);
    let branch = git(folder, &["symbolic-ref", "--short", "HEAD"]);
    CommitInfo::from_metadata(|name| match name {
        "commit" => Some(&commit),
        "author" => author.as_deref(),
        "branch" => branch.as_deref(),
        _ => None,
    })
}

/// The output of a git command; `None` if it fails or prints nothing.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_has_its_commit_and_says_if_it_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of_folder(folder.path()), CommitInfo::default());
        let run = |arguments: &[&str]| {
            let name = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
            let arguments: Vec<&str> = name.iter().chain(arguments).copied().collect();
            git(folder.path(), &arguments)
        };
        run(&["init", "--quiet", "--initial-branch", "trunk"]);
        std::fs::write(folder.path().join("a"), "1").unwrap();
        run(&["add", "a"]);
        run(&["commit", "--quiet", "-m", "a"]);
        let clean = of_folder(folder.path());
        assert_eq!(clean.branch(), Some("trunk"));
        assert_eq!(clean.author(), Some("a <a@example.com>"));
        assert_eq!(clean.commit().unwrap().len(), 40);
        std::fs::write(folder.path().join("a"), "2").unwrap();
        let changed = of_folder(folder.path());
        assert_eq!(
            changed.commit().unwrap(),
            format!("{}+changes", clean.commit().unwrap())
        );
    }
}
