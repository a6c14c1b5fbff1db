//! The zip of a source's files, as the readers of repositories and bundles expect it.
//!
//! The same files make the same bytes: fixed times, plain modes, and the order of the source. The limits of bundles hold
//! while it is written, so that a source can't fill the disk.

use std::fs::File;
use std::io::{Read, Write};

use seedflow_core::error::{Result, excerpt};
use seedflow_core::module::bundle::archive::{MAX_ENTRIES, MAX_UNPACKED, NOT_FETCHED};
use zip::result::ZipError;
use zip::write::{FullFileOptions, SimpleFileOptions};
use zip::{CompressionMethod, ZipWriter};

use crate::failure::{disk, invalid};

/// The beginning of a file that Git LFS put in place of the real one (git-lfs, docs/spec.md, "The Pointer").
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
/// A pointer is shorter ("Pointer files must be less than 1024 bytes", the same page).
const MAX_LFS_POINTER: u64 = 1024;

/// A zip that is being written.
pub(crate) struct SourceZip<'a> {
    zip: ZipWriter<&'a mut File>,
    entries: usize,
    unpacked: u64,
}

impl<'a> SourceZip<'a> {
    pub(crate) fn new(file: &'a mut File) -> Self {
        Self {
            zip: ZipWriter::new(file),
            entries: 0,
            unpacked: 0,
        }
    }

    /// Adds a file. A pointer of Git LFS is added as a file that is missing.
    pub(crate) fn file(
        &mut self,
        path: &str,
        executable: bool,
        size: u64,
        content: &mut impl Read,
    ) -> Result<()> {
        let mut head = Vec::new();
        if size < MAX_LFS_POINTER {
            content.read_to_end(&mut head).map_err(|e| damaged(path, &e))?;
        }
        if head.starts_with(LFS_POINTER) {
            return self.not_fetched(path, "a file of Git LFS");
        }
        self.count(size)?;
        let options = options(executable).large_file(size > u64::from(u32::MAX));
        self.zip
            .start_file(path, options)
            .map_err(|e| unpackable(path, e))?;
        self.zip.write_all(&head).map_err(|e| disk(&e))?;
        copy(path, content, &mut self.zip)
    }

    /// Adds a symbolic link; whether its target is in a module's folder is checked where the module is read.
    pub(crate) fn link(&mut self, path: &str, target: &[u8]) -> Result<()> {
        self.count(target.len() as u64)?;
        let target = std::str::from_utf8(target).map_err(|_| {
            invalid(format!(
                "{}: the target of the symbolic link is not UTF-8",
                excerpt(path, 120)
            ))
        })?;
        let added = self
            .zip
            .add_symlink(path, target, options(false).unix_permissions(0o777));
        added.map_err(|e| unpackable(path, e))
    }

    /// Adds a path whose content was not fetched: a module that has it is refused.
    pub(crate) fn not_fetched(&mut self, path: &str, what: &str) -> Result<()> {
        self.count(0)?;
        let options: FullFileOptions<'_, '_> = options(false).into_full_options();
        let options = options.with_file_comment(format!("{NOT_FETCHED}{what}"));
        let started = self.zip.start_file(path, options);
        started.map_err(|e| unpackable(path, e))
    }

    pub(crate) fn finish(self) -> Result<()> {
        self.zip.finish().map(drop).map_err(|e| unpackable("the zip", e))
    }

    fn count(&mut self, size: u64) -> Result<()> {
        self.entries += 1;
        self.unpacked = self.unpacked.saturating_add(size);
        if self.entries > MAX_ENTRIES {
            return Err(invalid(format!(
                "expected at most {MAX_ENTRIES} files, found more"
            )));
        }
        if self.unpacked > MAX_UNPACKED {
            return Err(invalid(format!(
                "expected at most {MAX_UNPACKED} bytes of files, found more"
            )));
        }
        Ok(())
    }
}

fn options(executable: bool) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(if executable { 0o755 } else { 0o644 })
}

/// Copies a file's content, and distinguishes a source that can't be read from a disk that can't be written.
fn copy(path: &str, content: &mut impl Read, zip: &mut impl Write) -> Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = content.read(&mut piece).map_err(|e| damaged(path, &e))?;
        if length == 0 {
            return Ok(());
        }
        zip.write_all(&piece[..length]).map_err(|e| disk(&e))?;
    }
}

fn damaged(path: &str, error: &std::io::Error) -> seedflow_core::error::Error {
    invalid(format!("{}: the file can't be read: {error}", excerpt(path, 120)))
}

fn unpackable(path: &str, error: ZipError) -> seedflow_core::error::Error {
    match error {
        ZipError::Io(error) => disk(&error),
        error => invalid(format!("{}: {error}", excerpt(path, 120))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_source_has_the_limits_of_a_bundle() {
        let mut file = tempfile::tempfile().unwrap();
        let mut zip = SourceZip::new(&mut file);
        zip.count(MAX_UNPACKED).unwrap();
        // Before anything of it is written.
        let too_long = zip.file("a", false, 1, &mut &b"a"[..]).unwrap_err();
        assert!(
            too_long
                .message
                .contains(&format!("at most {MAX_UNPACKED} bytes")),
            "{too_long}"
        );
        zip.unpacked = 0;
        zip.entries = MAX_ENTRIES;
        let too_many = zip.link("b", b"a").unwrap_err();
        assert!(
            too_many.message.contains(&format!("at most {MAX_ENTRIES} files")),
            "{too_many}"
        );
        let too_many = zip.not_fetched("c", "a git submodule").unwrap_err();
        assert!(too_many.message.contains("files"), "{too_many}");
        zip.finish().unwrap();
        assert_eq!(zip::ZipArchive::new(file).unwrap().len(), 0);
    }
}
