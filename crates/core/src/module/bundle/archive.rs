//! A zip archive whose directory is checked before anything is unpacked.
//!
//! The directory is read with a limit on its length, and checked as a whole: paths, encryption, sizes, and that no two
//! entries share a path or a byte. So code that reads an entry can rely on its path and its stated size.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::error::{Error, ErrorName, Result, excerpt};

/// The maximum number of entries in a bundle.
pub const MAX_ENTRIES: usize = 100_000;
/// The maximum bytes that may be read to find and read the archive's directory. The zip library keeps them in memory at
/// several times their length. It is enough for 100,000 entries with typical paths.
const MAX_DIRECTORY: u64 = 24 << 20;
/// The length of the fixed fields before an entry's data.
const LOCAL_HEADER: u64 = 30;
/// The maximum unpacked size of a bundle. CodeBuild's smallest machine has 50 GB of disk for source, tools and work.
pub const MAX_UNPACKED: u64 = 10 << 30;
/// The beginning of the comment of an entry whose content is missing, before what it is: a submodule, or a file of Git LFS, of
/// a repository that was fetched. Only a module that has such an entry is refused.
pub const NOT_FETCHED: &str = "not fetched: ";
/// Below this size an archive is not a bomb, whatever its ratio.
const UNSUSPICIOUS: u64 = 100 << 20;
/// The maximum ratio of unpacked to packed size of a larger bundle; source code packs 3 to 10 times.
const MAX_RATIO: u64 = 200;

/// An archive with a checked directory, and its entries in the order of their data.
///
/// # Errors
/// `InvalidBundle` for a file that is not a zip, or for a zip that may not be unpacked.
pub fn open<R: Read + Seek>(source: R, archive_size: u64) -> Result<(ZipArchive<Metered<R>>, Vec<Entry>)> {
    // An archive has to begin at the start of its object. To find one behind other bytes, the library would scan
    // gigabytes and remember what it finds.
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    let left = Arc::new(AtomicU64::new(MAX_DIRECTORY));
    let source = Arc::new(Mutex::new(source));
    let metered = Metered {
        source: Arc::clone(&source),
        left: Arc::clone(&left),
    };
    let archive = ZipArchive::with_config(config, metered).map_err(|e| not_a_zip(&source, &e))?;
    left.store(u64::MAX, Ordering::Relaxed);
    let entries = entries(&archive, archive_size)?;
    Ok((archive, entries))
}

/// A source with a limit on the bytes that may be read: the zip library reads the directory's claims before they can be
/// checked.
#[derive(Debug)]
pub struct Metered<R> {
    /// Shared, because the zip library drops its reader when it fails, and the start of the object is read then.
    source: Arc<Mutex<R>>,
    left: Arc<AtomicU64>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left < buffer.len() as u64 {
            // Passes through the zip library inside an I/O error and is unwrapped afterwards.
            return Err(io::Error::other(invalid(format!(
                "the archive's directory is longer than {MAX_DIRECTORY} bytes; pack fewer files or shorter paths"
            ))));
        }
        let read = locked(&self.source).read(buffer)?;
        self.left.store(left - read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        locked(&self.source).seek(to)
    }
}

fn locked<R>(source: &Mutex<R>) -> std::sync::MutexGuard<'_, R> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first bytes of archives that are not zips, with the place of the bytes and the format's name.
const OTHER_FORMATS: [(usize, &[u8], &str); 8] = [
    (0, b"\x1f\x8b", "a gzip file, such as a .tar.gz"),
    (257, b"ustar", "a tar archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\xfd7zXZ\x00", "an xz file, such as a .tar.xz"),
    (0, b"BZh", "a bzip2 file, such as a .tar.bz2"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file, such as a .tar.zst"),
    (0, b"# v2 git bundle", "a git bundle"),
];

/// The error of an object that can't be opened as a zip. It names the object's format if that is another one.
fn not_a_zip<R: Read + Seek>(source: &Mutex<R>, error: &ZipError) -> Error {
    if let Some(ours) = own_error(error) {
        return ours;
    }
    let mut source = locked(source);
    let mut head = [0; 262];
    // If the start can't be read either, the library's error remains.
    let found = source.rewind().and_then(|()| fill(&mut *source, &mut head));
    let head = &head[..found.unwrap_or(0)];
    let format = OTHER_FORMATS
        .iter()
        .find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    match format {
        Some((_, _, name)) => invalid(format!(
            "expected a zip, found {name}; pack the files as a zip, for example by `git archive --format=zip` or `zip -r`"
        )),
        None => broken("the archive", error),
    }
}

/// An entry of the archive's directory.
#[derive(Debug)]
pub struct Entry {
    /// Its place in the directory.
    pub index: usize,
    /// The position of its header.
    pub position: u64,
    /// Its path.
    pub path: String,
    /// Whether it is a folder.
    pub folder: bool,
    /// Whether it is a symbolic link.
    pub link: bool,
    /// What it is, if its content is missing ([`NOT_FETCHED`]).
    pub not_fetched: Option<String>,
    /// Its packed size.
    pub packed: u64,
    /// Its unpacked size.
    pub size: u64,
}

/// The archive's entries in the order of their data.
fn entries<R: Read + Seek>(archive: &ZipArchive<R>, archive_size: u64) -> Result<Vec<Entry>> {
    if archive.len() > MAX_ENTRIES {
        return Err(invalid(format!(
            "the archive has {} entries; at most {MAX_ENTRIES} are allowed",
            archive.len()
        )));
    }
    let mut entries = (0..archive.len())
        .map(|index| entry(archive, index))
        .collect::<Result<Vec<_>>>()?;
    // Which of two equal paths survives depends on the unpacking program, so the hashed and the built content could
    // differ. The library keeps one of two equal names; two names can also be one path in two encodings.
    let paths: HashSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    if archive.has_duplicate_names() || paths.len() < entries.len() {
        return Err(invalid(
            "two entries of the archive have the same path".to_owned(),
        ));
    }
    entries.sort_by_key(|entry| entry.position);
    check_places(&entries, archive_size)?;
    check_sizes(&entries)?;
    Ok(entries)
}

fn entry<R: Read + Seek>(archive: &ZipArchive<R>, index: usize) -> Result<Entry> {
    let file = archive
        .by_index_data(index)
        .map_err(|e| broken("the archive's directory", &e))?;
    let path = file
        .name()
        .map_err(|e| broken("an entry's name", &e))?
        .into_owned();
    check_path(&path)?;
    let method = file.compression();
    if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err(invalid(format!(
            "{}: the entry is compressed by the method {}; pack the zip with the method Deflate, which every unpacking program reads",
            excerpt(&path, 120),
            excerpt(&format!("{method:?}"), 40)
        )));
    }
    if file.encrypted() {
        return Err(invalid(format!(
            "{}: the entry is encrypted; pack the bundle without a password",
            excerpt(&path, 120)
        )));
    }
    Ok(Entry {
        index,
        position: file.header_start(),
        folder: file.is_dir(),
        link: file.is_symlink(),
        not_fetched: file.comment().strip_prefix(NOT_FETCHED).map(str::to_owned),
        packed: file.compressed_size(),
        size: file.size(),
        path,
    })
}

/// Refuses a path that leaves the target folder, or that systems read differently.
///
/// # Errors
/// `InvalidBundle` with the path.
pub fn check_path(path: &str) -> Result<()> {
    let shown = excerpt(path, 120);
    if path.starts_with('/') {
        return Err(invalid(format!(
            "{shown}: the entry's path is absolute; pack paths relative to the module's folder"
        )));
    }
    if path.split('/').any(|part| part == "..") {
        return Err(invalid(format!(
            "{shown}: the entry's path climbs out of the bundle (..)"
        )));
    }
    if path.contains(['\\', '\0']) || path.contains(char::is_control) {
        return Err(invalid(format!(
            "{shown:?}: the entry's path has a backslash or a control character; separate folders by /"
        )));
    }
    let folder_or_file = path.strip_suffix('/').unwrap_or(path);
    if folder_or_file.split('/').any(|part| matches!(part, "" | ".")) {
        return Err(invalid(format!(
            "{shown}: the entry's path has a . or an empty part; pack paths like modules/vpc/main.tf"
        )));
    }
    Ok(())
}

/// Refuses entries that share their data: they unpack to much more than the archive contains, and make a reader seek
/// back repeatedly. The entries are in the order of their data.
fn check_places(entries: &[Entry], archive_size: u64) -> Result<()> {
    let next = entries.iter().skip(1).map(|entry| entry.position);
    for (entry, next) in entries.iter().zip(next.chain([archive_size])) {
        let end = entry
            .position
            .saturating_add(LOCAL_HEADER)
            .saturating_add(entry.packed);
        if end > next {
            return Err(invalid(format!(
                "{}: the entry overlaps the next one, or reaches beyond the archive's end (a zip bomb, or damage)",
                excerpt(&entry.path, 120)
            )));
        }
    }
    Ok(())
}

/// Refuses zip bombs by their stated sizes. They are reliable, because the zip library refuses to read an entry that
/// unpacks to more than it states.
fn check_sizes(entries: &[Entry]) -> Result<()> {
    let sum = |size: fn(&Entry) -> u64| entries.iter().map(size).fold(0u64, u64::saturating_add);
    let (packed, unpacked) = (sum(|e| e.packed), sum(|e| e.size));
    if unpacked > MAX_UNPACKED {
        return Err(invalid(format!(
            "the bundle unpacks to {unpacked} bytes; at most {MAX_UNPACKED} are allowed"
        )));
    }
    if unpacked > UNSUSPICIOUS && unpacked / MAX_RATIO > packed {
        return Err(invalid(format!(
            "the bundle unpacks to {unpacked} bytes, more than {MAX_RATIO} times its size (a zip bomb)"
        )));
    }
    Ok(())
}

pub(crate) fn invalid(message: String) -> Error {
    Error::new(ErrorName::InvalidBundle, format!("bundle: {message}"))
}

/// Our own error that an error of the zip library carries.
fn own_error(error: &ZipError) -> Option<Error> {
    let ZipError::Io(io) = error else {
        return None;
    };
    io.get_ref()?.downcast_ref::<Error>().cloned()
}

/// Describes an error of the zip library. An I/O error that carries one of our own errors (the source failed, not the
/// archive) is unwrapped to that error.
#[must_use]
pub fn broken(what: &str, error: &ZipError) -> Error {
    if let Some(ours) = own_error(error) {
        return ours;
    }
    invalid(format!(
        "{}: {error}; the object has to be a whole, undamaged zip file",
        excerpt(what, 120)
    ))
}

/// Fills a buffer as far as the file goes.
pub(super) fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
