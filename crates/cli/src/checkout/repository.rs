//! A folder on this machine as the repository of a deployment.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use ignore::WalkBuilder;
use seedflow_core::deployment::manifest::{MAX_FILE, Repository};
use seedflow_core::error::{Error, ErrorName, Result};

use crate::exit::Wrong;

/// The path of a folder, without links.
///
/// # Errors
/// [`Wrong`] if it isn't one.
pub(super) fn root_of(folder: &Path, what: &str) -> anyhow::Result<PathBuf> {
    match folder.canonicalize() {
        Ok(root) if root.is_dir() => Ok(root),
        Ok(_) => bail!(Wrong(format!(
            "{} is a file; give the {what}'s folder",
            folder.display()
        ))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!(Wrong(format!("no such folder: {}", folder.display())))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", folder.display())),
    }
}

/// A folder, with its current files.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            root: root_of(folder, "repository")?,
        })
    }

    /// Where a path leads; `None` where there is nothing, or where a link leads out of the folder.
    fn inside(&self, path: &str) -> Option<PathBuf> {
        let real = self.root.join(path).canonicalize().ok()?;
        real.starts_with(&self.root).then_some(real)
    }
}

impl Repository for Folder {
    fn text(&mut self, path: &str) -> Result<Option<String>> {
        let Some(real) = self.inside(path) else {
            return Ok(None);
        };
        read(&real).map_err(|error| Error::new(ErrorName::InvalidInput, explain(&error)))
    }

    fn has_file(&self, path: &str) -> bool {
        self.inside(path).is_some_and(|real| real.is_file())
    }

    fn has_folder(&self, path: &str) -> bool {
        self.inside(path).is_some_and(|real| real.is_dir())
    }

    /// What git ignores is left out, because it isn't pushed.
    fn files(&self) -> Vec<String> {
        // Hidden files are part of a push.
        let mut walk = WalkBuilder::new(&self.root);
        let walk = walk.require_git(false).hidden(false);
        let entries = walk
            .filter_entry(|entry| entry.file_name() != ".git")
            .build()
            .flatten();
        entries
            .filter(|entry| entry.path().is_file())
            .filter_map(|entry| Some(entry.path().strip_prefix(&self.root).ok()?.to_str()?.to_owned()))
            .collect()
    }

    /// Asks git, because force-added files are pushed. Outside a git repository no file is ignored.
    fn is_ignored(&self, path: &str) -> bool {
        let asked = Command::new("git")
            // A repository may name a program to run here.
            .args(["-c", "core.fsmonitor=false", "-C"])
            .arg(&self.root)
            .args(["check-ignore", "--quiet", "--", path])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    }
}

fn read(path: &Path) -> std::io::Result<Option<String>> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        // Opening a pipe would wait for its writer.
        Ok(_) => return Err(ErrorKind::InvalidInput.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let file = File::open(path)?;
    let mut text = String::new();
    // One byte more than is allowed shows that a file is too long.
    file.take(MAX_FILE as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_FILE {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(Some(text))
}

fn explain(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::InvalidData => "the file is not valid UTF-8".to_owned(),
        ErrorKind::InvalidInput => "expected a file, found a folder, a pipe or a device".to_owned(),
        ErrorKind::FileTooLarge => format!("the file is longer than {MAX_FILE} bytes"),
        _ => format!("the file can't be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_folder_shows_only_its_own_files() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        std::fs::create_dir(folder.path().join("modules")).unwrap();
        write("modules/a", b"text");
        write("bytes", b"\xff");
        write("long", &vec![b'x'; MAX_FILE + 1]);
        write("full", &vec![b'x'; MAX_FILE]);
        std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).unwrap();
        for (path, content) in [(".hidden/a", "a"), (".git/b", "b"), (".gitignore", "full\n")] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());

        let mut repository = Folder::open(folder.path()).unwrap();
        assert_eq!(repository.text("modules/a"), Ok(Some("text".to_owned())));
        assert_eq!(repository.text("modules/b"), Ok(None));
        assert_eq!(repository.text("out/secret"), Ok(None));
        assert!(
            repository
                .text("bytes")
                .unwrap_err()
                .message
                .contains("not valid UTF-8")
        );
        assert!(
            repository
                .text("long")
                .unwrap_err()
                .message
                .contains("longer than")
        );
        assert!(
            repository
                .text("modules")
                .unwrap_err()
                .message
                .contains("expected a file")
        );
        assert!(repository.text("full").unwrap().is_some());
        assert!(repository.text("pipe").unwrap_err().message.contains("a pipe"));
        // As in a push: with hidden files, and without what git ignores.
        let mut files = repository.files();
        files.sort();
        assert_eq!(files, [".gitignore", ".hidden/a", "bytes", "long", "modules/a"]);
        assert!(repository.has_file("modules/a") && !repository.has_file("modules"));
        assert!(
            repository.has_folder("modules")
                && !repository.has_folder("out")
                && !repository.has_file("out/secret")
        );
        assert!(Folder::open(&folder.path().join("bytes")).is_err());
        assert!(Folder::open(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_file_is_ignored_unless_git_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let git = Command::new("git")
                .arg("-C")
                .arg(folder.path())
                .args(arguments)
                .output();
            assert!(git.unwrap().status.success());
        };
        for (name, text) in [
            (".gitignore", "*.json\n"),
            ("a.json", "{}"),
            ("b.json", "{}"),
            ("c", ""),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let repository = Folder::open(folder.path()).unwrap();
        let ignored = || ["a.json", "b.json", "c"].map(|path| repository.is_ignored(path));
        assert_eq!(ignored(), [false; 3], "no repository, so there is no push");
        git(&["init", "--quiet"]);
        git(&["add", "--force", "b.json"]);
        assert_eq!(ignored(), [true, false, false]);
    }
}
