//! The MD5 that seed-farmer has of a module's files (its `checksum.py`).
//!
//! It is the MD5 of the contents' MD5s, sorted: names, paths and modes don't count. Hidden folders, what the
//! `.gitignore` files from the module's folder up to the repository's root name, and a few files by their names are left
//! out. Data files should count and never do: their path is joined to itself, and no such file exists.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use md5::{Digest, Md5};

/// What doesn't count, in any folder (`_deployment_commands.py`, `md5_excluded_module_files`).
const LEFT_OUT: [&str; 6] = [
    "README.md",
    "modulestack.template",
    "setup.cfg",
    "requirements-dev.txt",
    "requirements-dev.in",
    ".gitignore",
];

/// More levels of folders than any module has; a link may lead back up.
const MAX_DEPTH: usize = 64;

/// The MD5 of the module in a folder of a repository, `""` for the whole of it.
pub fn of_module(repository: &Path, folder: &str) -> Result<String> {
    let ignored = rules(repository, folder)?;
    let mut digests = Vec::new();
    files(&repository.join(folder), &ignored, 0, &mut digests)?;
    digests.sort_unstable();
    Ok(md5_hex(digests.concat().as_bytes()))
}

/// The MD5 of bytes, in hex.
#[must_use]
pub fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// The rules of each folder from the module's up to the root; what one of them names is left out, whatever the others contain.
fn rules(repository: &Path, folder: &str) -> Result<Vec<Gitignore>> {
    let module = repository.join(folder);
    let folders = module
        .ancestors()
        .take_while(|above| above.starts_with(repository));
    let mut rules = Vec::new();
    for folder in folders {
        let file = folder.join(".gitignore");
        if !file.is_file() {
            continue;
        }
        let mut builder = GitignoreBuilder::new(folder);
        if let Some(error) = builder.add(&file) {
            return Err(error).with_context(|| format!("cannot read {}", file.display()));
        }
        rules.push(
            builder
                .build()
                .with_context(|| format!("cannot read {}", file.display()))?,
        );
    }
    Ok(rules)
}

fn files(folder: &Path, rules: &[Gitignore], depth: usize, digests: &mut Vec<String>) -> Result<()> {
    if depth > MAX_DEPTH {
        bail!(
            "{}: more than {MAX_DEPTH} folders within each other",
            folder.display()
        );
    }
    let unreadable = || format!("cannot read {}", folder.display());
    for entry in folder.read_dir().with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // Links are followed, as Python's `is_file` and `is_dir` do.
        if path.is_file() && !LEFT_OUT.contains(&name.as_str()) && !is_ignored(&path, false, rules) {
            digests.push(file_md5(&path)?);
        } else if path.is_dir() && !name.starts_with('.') && !is_ignored(&path, true, rules) {
            files(&path, rules, depth + 1, digests)?;
        }
    }
    Ok(())
}

fn is_ignored(path: &Path, is_folder: bool, rules: &[Gitignore]) -> bool {
    rules
        .iter()
        .any(|rules| rules.matched(path, is_folder).is_ignore())
}

fn file_md5(path: &Path) -> Result<String> {
    let unreadable = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(unreadable)?;
    let mut md5 = Md5::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer).with_context(unreadable)?;
        if read == 0 {
            return Ok(hex::encode(md5.finalize()));
        }
        md5.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn write(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in [
            (".gitignore", "*.log\n/modules/vpc/out/\n"),
            ("modules/vpc/.gitignore", "*.tmp\nnode_modules/\n"),
            ("modules/vpc/deployspec.yaml", "deploy: {}\n"),
            ("modules/vpc/stack.py", "print(1)\n"),
            ("modules/vpc/.python-version", "3.11\n"),
            ("modules/vpc/.hidden/x", "hidden\n"),
            ("modules/vpc/README.md", "readme\n"),
            ("modules/vpc/src/README.md", "readme below\n"),
            ("modules/vpc/src/app.py", "print(2)\n"),
            ("modules/vpc/src/debug.log", "log\n"),
            ("modules/vpc/src/a.tmp", "tmp\n"),
            ("modules/vpc/node_modules/a/index.js", "js\n"),
            ("modules/vpc/out/x", "out\n"),
        ] {
            write(dir.path(), path, content);
        }
        dir
    }

    /// What seed-farmer 8.0.9 answers for the same files (`checksum.get_module_md5`).
    #[test]
    fn the_checksum_is_seed_farmers() {
        let dir = repository();
        assert_eq!(
            of_module(dir.path(), "modules/vpc").unwrap(),
            "144be33a98081b82da6d89aae2199669"
        );
    }

    #[test]
    fn contents_count_and_what_is_left_out_does_not() {
        let dir = repository();
        let of = || of_module(dir.path(), "modules/vpc").unwrap();
        let before = of();
        for path in ["src/README.md", "out/y", "src/b.tmp", ".hidden/y"] {
            write(dir.path(), &format!("modules/vpc/{path}"), "other\n");
        }
        assert_eq!(of(), before);
        write(dir.path(), "modules/vpc/src/app.py", "print(3)\n");
        assert_ne!(of(), before);
    }
}
