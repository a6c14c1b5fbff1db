//! The objects of a commit, and its files as a zip.

use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use gix_hash::{Kind, ObjectId, oid};
use gix_object::tree::EntryKind;
use gix_object::{CommitRefIter, TreeRefIter};
use gix_pack::Bundle;
use gix_pack::bundle::write::Options;
use gix_pack::cache::Never;
use gix_utils::progress::Discard;
use seedflow_core::error::{Error, Result, excerpt};
use seedflow_core::module::bundle::archive::{MAX_ENTRIES, MAX_UNPACKED, check_path};
use tempfile::TempDir;

use super::packet;
use crate::failure::{Failure, disk, invalid};
use crate::source_zip::SourceZip;

/// The size of an object: four sources are fetched at once, with an object each in the function's 1.7 GB of memory.
const MAX_OBJECT: usize = 256 << 20;

/// The objects that a host sent.
pub(super) struct Pack {
    bundle: Bundle,
    /// Removed with this value.
    _folder: TempDir,
}

impl Pack {
    /// Reads the answer to a fetch, and checks each object against its id.
    pub(super) fn receive(answer: impl Read) -> Result<Self, Failure> {
        let mut lines = packet::lines(answer);
        skip_to_pack(&mut lines)?;
        let mut said = Vec::new();
        let data = lines.as_read_with_sidebands(|is_error, text| {
            if !is_error {
                return ControlFlow::Continue(());
            }
            said = text.to_vec();
            ControlFlow::Break(())
        });
        let mut data = Watched {
            inner: data,
            left: MAX_UNPACKED,
            broken: None,
        };
        let received = index(&mut data);
        let broken = data.broken.take();
        drop(data);
        match (received, broken) {
            (Ok(pack), _) => Ok(pack),
            _ if !said.is_empty() => Err(packet::refused(&said)),
            (Err(_), Some(error)) => Err(packet::failure(&error)),
            (Err(failure), None) => Err(failure),
        }
    }

    /// Writes the files of a commit.
    pub(super) fn write(&self, commit: &str, zip: &mut SourceZip<'_>) -> Result<()> {
        let mut buffer = Vec::new();
        let commit = ObjectId::from_hex(commit.as_bytes()).map_err(|e| damaged(commit, &e))?;
        let data = self.object(&commit, &mut buffer)?;
        let root = CommitRefIter::from_bytes(data, Kind::Sha1).tree_id();
        let root = root.map_err(|e| damaged("the commit", &e))?;
        // A tree that contains itself many times is small, and has more paths than any disk could hold.
        let mut visited = 0;
        let mut todo = vec![(String::new(), EntryKind::Tree, root)];
        while let Some((path, kind, id)) = todo.pop() {
            visited += 1;
            if visited > 2 * MAX_ENTRIES {
                return Err(invalid(format!(
                    "expected at most {MAX_ENTRIES} files, found more"
                )));
            }
            if kind == EntryKind::Commit {
                zip.not_fetched(&path, "a git submodule")?;
                continue;
            }
            let data = self.object(&id, &mut buffer)?;
            match kind {
                EntryKind::Tree => {
                    let entries = entries(&path, data)?;
                    todo.extend(entries.into_iter().rev());
                }
                EntryKind::Link => zip.link(&path, data)?,
                _ => {
                    let executable = kind == EntryKind::BlobExecutable;
                    zip.file(&path, executable, data.len() as u64, &mut &*data)?;
                }
            }
        }
        Ok(())
    }

    fn object<'a>(&self, id: &oid, buffer: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        let found = self.bundle.find(id, buffer, &mut Default::default(), &mut Never);
        match found.map_err(|e| damaged(&id.to_hex().to_string(), &e))? {
            Some((object, _)) => Ok(object.data),
            None => Err(invalid(format!("the host did not send the object {id}"))),
        }
    }
}

/// The entries of a folder, in git's order.
fn entries(folder: &str, tree: &[u8]) -> Result<Vec<(String, EntryKind, ObjectId)>> {
    let entries = TreeRefIter::from_bytes(tree, Kind::Sha1).map(|entry| {
        let entry = entry.map_err(|e| damaged(folder, &e))?;
        let name = std::str::from_utf8(entry.filename).map_err(|_| {
            invalid(format!(
                "{}: a name in this folder is not UTF-8: {}",
                excerpt(folder, 120),
                excerpt(&entry.filename.to_string(), 120)
            ))
        })?;
        let path = match folder {
            "" => name.to_owned(),
            folder => format!("{folder}/{name}"),
        };
        check_path(&path)?;
        Ok((path, entry.mode.kind(), entry.oid.to_owned()))
    });
    entries.collect()
}

/// Skips what comes before the pack: in version 2 the sections before `packfile`, in version 0 the shallow commits up to a
/// flush, and the acknowledgement.
fn skip_to_pack<R: Read>(lines: &mut packet::Lines<R>) -> Result<(), Failure> {
    let mut parts = 0;
    loop {
        match packet::next(lines)? {
            Some(b"packfile" | b"NAK") => return Ok(()),
            Some(_) => {}
            None if parts == 0 => {
                parts += 1;
                lines.reset();
            }
            None => return Err(Failure::passing("the host's answer has no files")),
        }
    }
}

/// Stores a pack with its index.
fn index(data: &mut Watched<impl Read>) -> Result<Pack, Failure> {
    let folder = tempfile::tempdir().map_err(|e| disk(&e))?;
    let options = Options {
        thread_limit: Some(1),
        alloc_limit_bytes: Some(MAX_OBJECT),
        ..Options::default()
    };
    let written = Bundle::write_to_directory(
        &mut BufReader::new(data),
        Some(folder.path()),
        &mut Discard,
        &AtomicBool::new(false),
        None::<gix_object::find::Never>,
        Kind::Sha1,
        options,
    );
    let bundle = written
        .map_err(|e| damaged("the host's answer", &e))?
        .to_bundle()
        .ok_or_else(|| Failure::passing("the host sent no files"))?
        .map_err(|e| damaged("the host's answer", &e))?;
    Ok(Pack {
        bundle,
        _folder: folder,
    })
}

fn damaged(what: &str, error: &dyn std::fmt::Display) -> Error {
    invalid(format!("{}: {error}", excerpt(what, 120)))
}

/// A reader that remembers why it failed, and that ends at a limit.
struct Watched<R> {
    inner: R,
    left: u64,
    broken: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(length) => {
                self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
                    io::Error::other(format!("expected at most {MAX_UNPACKED} bytes, found more"))
                })?;
                Ok(length)
            }
            Err(error) => {
                let seen = io::Error::new(error.kind(), error.to_string());
                self.broken = Some(error);
                Err(seen)
            }
        }
    }
}
