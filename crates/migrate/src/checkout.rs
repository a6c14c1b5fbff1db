//! A folder as the repository that a deployment of it would get.
//!
//! Of a git checkout these are the files that git tracks, as in a push; of any other folder all files except those that its
//! `.gitignore` files name. The contents are the current ones, because those were deployed from there.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use ignore::WalkBuilder;
use seedflow_core::deployment::repository_zip::Repository;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Packs a folder as a repository.
pub fn repository(folder: &Path) -> Result<Repository<File>> {
    let mut paths = match tracked(folder) {
        Some(paths) => paths,
        None => walked(folder)?,
    };
    paths.sort_unstable();
    let file = tempfile::tempfile().context("cannot make a temporary file")?;
    let file = pack(folder, &paths, file)?;
    let size = file
        .metadata()
        .context("cannot read back the packed files")?
        .len();
    Ok(Repository::open(file, size)?)
}

/// The files that git tracks; `None` where the folder is none of git's.
fn tracked(folder: &Path) -> Option<Vec<String>> {
    let listed = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["ls-files", "-z"])
        .output()
        .ok()
        .filter(|listed| listed.status.success())?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let paths: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
    // A folder that a surrounding repository ignores.
    (!paths.is_empty()).then_some(paths)
}

fn walked(folder: &Path) -> Result<Vec<String>> {
    let walk = WalkBuilder::new(folder)
        .standard_filters(false)
        .git_ignore(true)
        .require_git(false)
        .parents(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    let mut paths = Vec::new();
    for entry in walk {
        let entry = entry.with_context(|| format!("cannot read the files of {}", folder.display()))?;
        if entry.file_type().is_some_and(|kind| !kind.is_dir()) {
            let path = entry
                .path()
                .strip_prefix(folder)
                .context("a file outside the folder")?;
            let path = path
                .to_str()
                .with_context(|| format!("the name {} is not UTF-8", path.display()))?;
            paths.push(path.to_owned());
        }
    }
    Ok(paths)
}

fn pack(folder: &Path, paths: &[String], file: File) -> Result<File> {
    let mut zip = ZipWriter::new(BufWriter::new(file));
    for path in paths {
        let real = folder.join(path);
        add(&mut zip, path, &real).with_context(|| format!("cannot pack {}", real.display()))?;
    }
    let packed = zip.finish().context("cannot finish packing the files")?;
    packed
        .into_inner()
        .map_err(|error| error.into_error())
        .context("cannot finish packing the files")
}

fn add(zip: &mut ZipWriter<BufWriter<File>>, path: &str, real: &PathBuf) -> Result<()> {
    let about = match real.symlink_metadata() {
        Ok(about) => about,
        // Tracked, and removed by hand.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let options = SimpleFileOptions::default().unix_permissions(mode(&about));
    if about.is_symlink() {
        let target = real.read_link()?;
        let Some(target) = target.to_str() else {
            bail!("the target of the link is not UTF-8");
        };
        zip.add_symlink(path, target, options)?;
    } else if about.is_file() {
        zip.start_file(path, options)?;
        io::copy(&mut File::open(real)?, zip)?;
    }
    // A folder in git's list is a submodule, and a push transfers none of its files.
    Ok(())
}

#[cfg(unix)]
fn mode(about: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    if about.permissions().mode() & 0o111 == 0 {
        0o644
    } else {
        0o755
    }
}

#[cfg(not(unix))]
fn mode(_: &std::fs::Metadata) -> u32 {
    0o644
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use seedflow_core::deployment::manifest::Repository as _;

    fn write(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn git(root: &Path, arguments: &[&str]) {
        let ran = Command::new("git")
            .arg("-C")
            .arg(root)
            .args(arguments)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }

    #[test]
    fn a_checkout_has_the_files_that_git_tracks_as_they_are_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "modules/a/deployspec.yaml", "one");
        write(dir.path(), "modules/a/.hidden", "h");
        write(dir.path(), "gone", "g");
        git(dir.path(), &["init", "-q"]);
        git(dir.path(), &["add", "."]);
        write(dir.path(), "untracked", "u");
        write(dir.path(), "modules/a/deployspec.yaml", "two");
        std::fs::remove_file(dir.path().join("gone")).unwrap();
        let mut repository = repository(dir.path()).unwrap();
        assert_eq!(
            repository.text("modules/a/deployspec.yaml").unwrap().as_deref(),
            Some("two")
        );
        assert!(repository.has_file("modules/a/.hidden"));
        assert!(!repository.has_file("untracked") && !repository.has_file("gone"));
        assert!(!repository.has_folder(".git"));
    }

    #[test]
    fn another_folder_has_all_files_but_the_ignored() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/file", "a/.hidden", "a/x.log", ".git/config"] {
            write(dir.path(), path, "x");
        }
        write(dir.path(), ".gitignore", "*.log\n");
        let repository = repository(dir.path()).unwrap();
        assert!(repository.has_file("a/file") && repository.has_file("a/.hidden"));
        assert!(!repository.has_file("a/x.log") && !repository.has_folder(".git"));
    }
}
