//! Whether a module's files are those that seed-farmer deployed.
//!
//! For a folder of the repository, seed-farmer's MD5 of the files shows it. For a `git::` module the commit does: seed-farmer
//! takes the MD5 of its clone below the repository, which most projects ignore, and then no file counts.

use seedflow_core::deployment::manifest::place_of;
use seedflow_core::deployment::remote_source::RemoteSource;
use serde_json::Value;

use super::StoredModule;

/// What is known of a module's files.
#[derive(Debug)]
pub enum Files {
    /// The MD5 that seed-farmer takes of them.
    Md5(String),
    /// The commit and the folder of a git repository.
    Commit { commit: String, folder: String },
    /// They are from an archive.
    Archive,
}

/// The difference between the files here and those that seed-farmer deployed.
#[must_use]
pub fn difference(stored: &StoredModule, here: &Files) -> Option<String> {
    match here {
        Files::Md5(md5) if stored.bundle.as_ref() == Some(md5) => None,
        Files::Md5(_) => Some("its files changed".to_owned()),
        Files::Commit { commit, folder } => {
            let manifest = stored.manifest.as_ref().unwrap_or(&Value::Null);
            let place = manifest["path"].as_str().and_then(place_of);
            let of_git = place.filter(|place| matches!(place.source, Some(RemoteSource::Git { .. })));
            match (of_git, manifest["commit_hash"].as_str()) {
                (Some(place), Some(then)) if place.path == *folder => (then != commit)
                    .then(|| format!("its source has commit {commit}, and commit {then} was deployed")),
                _ => Some("its path changed".to_owned()),
            }
        }
        Files::Archive => Some("its files are from an archive, whose former content isn't known".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What seed-farmer stores of a module from git whose clone the project ignores: the MD5 of nothing.
    fn stored(path: &str) -> StoredModule {
        StoredModule {
            bundle: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
            manifest: Some(json!({"path": path, "commit_hash": "c0ffee"})),
            ..StoredModule::default()
        }
    }

    #[test]
    fn a_git_module_is_the_same_at_the_same_commit() {
        let here = |commit: &str, folder: &str| Files::Commit {
            commit: commit.to_owned(),
            folder: folder.to_owned(),
        };
        let from_git = stored("git::https://h/r.git//modules/eks/?ref=release/1.2");
        assert_eq!(difference(&from_git, &here("c0ffee", "modules/eks")), None);
        assert_eq!(
            difference(&from_git, &here("decaf", "modules/eks")).as_deref(),
            Some("its source has commit decaf, and commit c0ffee was deployed")
        );
        for other in [difference(&from_git, &here("c0ffee", "modules/rds"))]
            .into_iter()
            .chain([difference(&stored("modules/eks"), &here("c0ffee", "modules/eks"))])
        {
            assert_eq!(other.as_deref(), Some("its path changed"));
        }
        // A local copy: the MD5 of nothing is that of no copy.
        let copied = difference(&from_git, &Files::Md5("0".repeat(32)));
        assert_eq!(copied.as_deref(), Some("its files changed"));
    }
}
