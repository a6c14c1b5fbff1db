//! Packs a module's folder into a bundle: the zip that an execution deploys.
//!
//! It has the files that seed-farmer uploads, so that a module sees the same files with both: no hidden files except
//! `.python-version`, and none of the folders that tools write. In addition, it leaves out what git ignores. Entries
//! are in path order with a fixed timestamp and plain modes, so the same files always make the same bytes.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ignore::WalkBuilder;
use md5::{Digest, Md5};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::repository::{Folder, root_of};
use seedflow_core::deployment::manifest::Repository;

/// Folders that are never part of a module.
const LEFT_BEHIND: [&str; 7] = [
    "build",
    "dist",
    "node_modules",
    "cdk.out",
    "__pycache__",
    "seedfarmer.out",
    ".seedfarmer.out",
];

/// A packed module.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The zip's bytes' MD5, in hex; it names the upload.
    pub md5: String,
    /// How many files it holds.
    pub files: usize,
    /// Its size in bytes.
    pub size: u64,
    pub path: PathBuf,
}

/// Packs a folder into a zip at `target`.
pub fn folder(folder: &Path, target: &Path) -> Result<Bundle> {
    let root = root_of(folder, "module")?;
    let mut files = listing(&root)?;
    if files.is_empty() {
        bail!(
            "{} holds no files to deploy (hidden and git-ignored files don't count)",
            folder.display()
        );
    }
    files.sort();
    pack(&files, target)
}

/// Packs a repository into a zip at `target`: what a push would have, so hidden files too and nothing that git ignores.
pub fn repository(folder: &Path, target: &Path) -> Result<Bundle> {
    let repository = Folder::open(folder)?;
    let root = root_of(folder, "repository")?;
    let mut files = Vec::new();
    for name in repository.files() {
        let path = root.join(&name);
        files.push((name_in_bundle(&root, &path)?, path));
    }
    if files.is_empty() {
        bail!("{} has no files, or git ignores all of them", folder.display());
    }
    files.sort();
    pack(&files, target)
}

fn pack(files: &[(String, PathBuf)], target: &Path) -> Result<Bundle> {
    let file = File::create(target).with_context(|| format!("cannot write {}", target.display()))?;
    let mut zip = ZipWriter::new(file);
    for (name, path) in files {
        let mut content = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        begin(&mut zip, name, executable(&content)?)?;
        std::io::copy(&mut content, &mut zip).with_context(|| format!("cannot pack {}", path.display()))?;
    }
    zip.finish().context("cannot finish the bundle")?;
    Ok(Bundle {
        md5: md5_of(target)?,
        files: files.len(),
        size: target.metadata()?.len(),
        path: target.into(),
    })
}

/// Packs files held in memory: (path, content), in the order given. For tests, which also pack what
/// no folder could hold.
pub fn files<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        begin(&mut zip, name, name.ends_with(".sh"))?;
        zip.write_all(content)
            .with_context(|| format!("cannot pack {name}"))?;
    }
    Ok(zip.finish().context("cannot finish the bundle")?.into_inner())
}

fn begin<W: Write + Seek>(zip: &mut ZipWriter<W>, name: &str, executable: bool) -> Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(if executable { 0o755 } else { 0o644 });
    zip.start_file(name, options)
        .with_context(|| format!("cannot pack {name}"))
}

/// Every file of the module: its name in the bundle and its path.
fn listing(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let walk = WalkBuilder::new(root)
        .standard_filters(false)
        .git_ignore(true)
        .git_exclude(true)
        .parents(true)
        .require_git(false)
        .follow_links(true)
        .filter_entry(|entry| entry.depth() == 0 || wanted(entry.file_name().to_str()))
        .build();
    let mut found = Vec::new();
    for entry in walk {
        let entry = entry.with_context(|| format!("cannot read the files of {}", root.display()))?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            found.push((name_in_bundle(root, entry.path())?, entry.path().to_owned()));
        }
    }
    Ok(found)
}

fn wanted(name: Option<&str>) -> bool {
    // A name that isn't UTF-8 is let through here, so that it is reported and not dropped silently.
    name.is_none_or(|name| {
        let hidden = name.starts_with('.') && name != ".python-version";
        !hidden && !LEFT_BEHIND.contains(&name) && !name.ends_with(".egg-info")
    })
}

fn name_in_bundle(root: &Path, path: &Path) -> Result<String> {
    // Links are followed; one that leads out of the module would carry a stranger's file along.
    let real = path
        .canonicalize()
        .with_context(|| format!("cannot read {}", path.display()))?;
    if !real.starts_with(root) {
        bail!(
            "{} leads out of the module, to {}",
            path.display(),
            real.display()
        );
    }
    let relative = path
        .strip_prefix(root)
        .context("a file outside the folder that was walked")?;
    let name = relative
        .to_str()
        .with_context(|| format!("the name {} is not UTF-8", path.display()))?;
    Ok(name.to_owned())
}

#[cfg(unix)]
fn executable(file: &File) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file
        .metadata()
        .context("cannot read a file's mode")?
        .permissions()
        .mode()
        & 0o111
        != 0)
}

fn md5_of(path: &Path) -> Result<String> {
    struct Sink(Md5);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut file = File::open(path).context("cannot read the bundle back")?;
    let mut sink = Sink(Md5::new());
    std::io::copy(&mut file, &mut sink).context("cannot read the bundle back")?;
    Ok(hex::encode(sink.0.finalize()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn write(root: &Path, name: &str, content: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn names(bundle: &Bundle) -> Vec<String> {
        let zip = zip::ZipArchive::new(File::open(&bundle.path).unwrap()).unwrap();
        zip.file_names().map(|name| name.unwrap().into_owned()).collect()
    }

    #[test]
    fn only_the_module_s_own_files_go_in() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("module");
        for name in ["deployspec.yaml", "src/app.py", ".python-version", "target/keep"] {
            write(&root, name, "x");
        }
        for name in [
            ".git/config",
            ".env",
            "node_modules/a/b.js",
            "cdk.out/x",
            "src/__pycache__/a.pyc",
        ] {
            write(&root, name, "x");
        }
        write(&root, ".gitignore", "*.log\n");
        write(&root, "src/debug.log", "x");
        let bundle = folder(&root, &dir.path().join("b.zip")).unwrap();
        assert_eq!(
            names(&bundle),
            [".python-version", "deployspec.yaml", "src/app.py", "target/keep"]
        );
        assert_eq!(bundle.files, 4);
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("module");
        write(&root, "b.sh", "b");
        write(&root, "a", "a");
        let first = folder(&root, &dir.path().join("1.zip")).unwrap();
        write(&root, "a", "a"); // touched
        let second = folder(&root, &dir.path().join("2.zip")).unwrap();
        assert_eq!(first.md5, second.md5);
        let script = root.join("b.sh");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(folder(&root, &dir.path().join("3.zip")).unwrap().md5, first.md5);
    }

    #[test]
    fn links_inside_are_followed_and_links_outside_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("module");
        write(&root, "a", "a");
        symlink("a", root.join("link")).unwrap();
        assert_eq!(folder(&root, &dir.path().join("1.zip")).unwrap().files, 2);
        write(dir.path(), "secret", "s");
        symlink("../secret", root.join("out")).unwrap();
        let error = folder(&root, &dir.path().join("2.zip")).unwrap_err().to_string();
        assert!(error.contains("leads out of the module"), "{error}");
    }

    #[test]
    fn an_empty_folder_and_a_missing_one_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let zip = dir.path().join("b.zip");
        let empty = dir.path().join("module");
        std::fs::create_dir(&empty).unwrap();
        assert!(folder(&empty, &zip).unwrap_err().to_string().contains("no files"));
        assert!(
            folder(&dir.path().join("no"), &zip)
                .unwrap_err()
                .to_string()
                .contains("no such folder")
        );
    }
}
