//! A module's bundle: a zip that is checked and hashed while it streams.
//!
//! The archive's directory is read first, with a limit on its length, and checked as a whole: paths, encryption, sizes,
//! and that no two entries share a path or a byte. Then the module's files are inflated one after the other in the
//! order of their data. So a source with expensive seeks (S3) is read once from front to back. Only a digest per file
//! and the three small files that the workflow reads are kept, so memory depends on the number of files and not on
//! their size. Inflating and hashing run in separate threads, connected by a bounded channel of a few buffers.
//!
//! The digest covers every file's path and content in the order of the paths. Timestamps, compression, the order of the
//! entries and empty folders do not count, nor do the files that operating systems and code hosts add to archives. If
//! the module is not at the expected place, and everything is below one top-level folder, as in the archives of code
//! hosts, the module is looked for below that folder; its digest is the same.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use md5::{Digest, Md5};
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::error::{Error, ErrorName, Result, excerpt};
use crate::module::deployspec;
use crate::module::role;

/// The maximum number of entries in a bundle.
const MAX_ENTRIES: usize = 100_000;
/// The maximum bytes that may be read to find and read the archive's directory. The zip library keeps them in memory at
/// several times their length. It is enough for 100,000 entries with typical paths.
const MAX_DIRECTORY: u64 = 24 << 20;
/// The length of the fixed fields before an entry's data.
const LOCAL_HEADER: u64 = 30;
/// The maximum unpacked size of a bundle. CodeBuild's smallest machine has 50 GB of disk for source, tools and work.
const MAX_UNPACKED: u64 = 10 << 30;
/// Below this size an archive is not a bomb, whatever its ratio.
const UNSUSPICIOUS: u64 = 100 << 20;
/// The maximum ratio of unpacked to packed size of a larger bundle; source code packs 3 to 10 times.
const MAX_RATIO: u64 = 200;
/// The longest target of a symbolic link (PATH_MAX of Linux).
const MAX_LINK: u64 = 4096;
/// The size of the buffers between inflating and hashing.
const PIECE: usize = 128 * 1024;
/// The number of hashing threads: two keep up with one that inflates.
const HASHERS: usize = 2;

/// The result of reading a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The module's folder in the zip, `""` for the zip's root. It may have characters that are special in a shell.
    pub root: String,
    /// The MD5 over all paths and contents, in hex.
    pub digest: String,
    /// The content of `deployspec.yaml`.
    pub deployspec: Vec<u8>,
    /// The content of `manifest.yaml`, if there is one.
    pub manifest: Option<Vec<u8>>,
    /// The content of `modulestack.yaml`, if there is one.
    pub module_stack: Option<Vec<u8>>,
    /// The number of files of the module.
    pub files: usize,
    /// Their total size in bytes.
    pub bytes: u64,
}

/// Reads the module in the folder `root` of a zip (`""`: the zip's root), or in that folder below the zip's only
/// top-level folder.
pub fn read<R: Read + Seek>(source: R, root: &str, archive_size: u64) -> Result<Bundle> {
    let (mut archive, entries) = open(source, archive_size)?;
    let root = find_root(&entries, root)?;
    let prefix = prefix_of(&root);
    let is_ours = |e: &&Entry| !e.folder && e.path.starts_with(&prefix);
    let files: Vec<&Entry> = entries.iter().filter(is_ours).collect();
    let reading = hash(&mut archive, &files, &prefix, &is_kept)?;
    for (path, target) in &reading.links {
        check_link(path, target)?;
    }
    let deployspec = reading.kept.get("deployspec.yaml").cloned().unwrap_or_default();
    Ok(Bundle {
        root,
        digest: digest(reading.digests.iter().map(|(path, file)| (path.as_str(), file))),
        deployspec,
        manifest: reading.kept.get("manifest.yaml").cloned(),
        module_stack: reading.kept.get("modulestack.yaml").cloned(),
        files: files.len(),
        bytes: reading.bytes,
    })
}

/// The folder with the module's deployspec: the given one, or the same below the only top-level folder.
fn find_root(entries: &[Entry], given: &str) -> Result<String> {
    let has_deployspec = |root: &String| {
        let path = format!("{}deployspec.yaml", prefix_of(root));
        entries.iter().any(|e| !e.folder && e.path == path)
    };
    let mut roots = vec![given.to_owned()];
    roots.extend(top_folder(entries).map(|top| below(top, given)));
    if let Some(root) = roots.iter().find(|root| has_deployspec(root)) {
        return Ok(root.clone());
    }
    let holds_files = |root: &&String| {
        let prefix = prefix_of(root);
        let mut files = entries.iter().filter(|e| !e.folder && !is_added(&e.path));
        files.any(|e| e.path.starts_with(&prefix))
    };
    // The message names the folder that most likely is the module's: the innermost one.
    match roots.iter().rev().find(holds_files) {
        Some(root) => Err(no_deployspec(entries, root)),
        None => Err(nothing_there(entries, given)),
    }
}

/// The only top-level folder of an archive, if everything is below it.
pub(crate) fn top_folder(entries: &[Entry]) -> Option<&str> {
    let mut own = entries.iter().filter(|e| !is_added(&e.path));
    let (top, _) = own.next()?.path.split_once('/')?;
    own.all(|e| e.path.split_once('/').is_some_and(|(other, _)| other == top))
        .then_some(top)
}

/// A path within a folder.
pub(crate) fn below(folder: &str, path: &str) -> String {
    if path.is_empty() {
        folder.to_owned()
    } else {
        format!("{folder}/{path}")
    }
}

fn prefix_of(root: &str) -> String {
    if root.is_empty() {
        String::new()
    } else {
        format!("{root}/")
    }
}

/// Whether a file is one that macOS, Windows or git add to folders and archives. The builds get these files, but they
/// never count as a change.
fn is_added(path: &str) -> bool {
    let mut parts = path.split('/');
    let name = parts.next_back().unwrap_or_default();
    parts.any(|part| part == "__MACOSX")
        || name.starts_with("._")
        || matches!(name, ".DS_Store" | "pax_global_header")
        || ["Thumbs.db", "desktop.ini"]
            .iter()
            .any(|added| added.eq_ignore_ascii_case(name))
}

/// Whether the workflow reads a module's file itself.
fn is_kept(path: &str) -> bool {
    matches!(path, "deployspec.yaml" | "manifest.yaml" | "modulestack.yaml")
}

/// An archive with a checked directory, and its entries in the order of their data.
pub(crate) fn open<R: Read + Seek>(
    source: R,
    archive_size: u64,
) -> Result<(ZipArchive<Metered<R>>, Vec<Entry>)> {
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
pub(crate) struct Metered<R> {
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
pub(crate) struct Entry {
    pub(crate) index: usize,
    pub(crate) position: u64,
    pub(crate) path: String,
    pub(crate) folder: bool,
    pub(crate) link: bool,
    pub(crate) packed: u64,
    pub(crate) size: u64,
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
        packed: file.compressed_size(),
        size: file.size(),
        path,
    })
}

/// Refuses a path that leaves the target folder, or that systems read differently.
fn check_path(path: &str) -> Result<()> {
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

/// The result of reading files.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) digests: BTreeMap<String, FileDigest>,
    pub(crate) kept: BTreeMap<String, Vec<u8>>,
    pub(crate) links: BTreeMap<String, Vec<u8>>,
    pub(crate) bytes: u64,
}

pub(crate) type FileDigest = (Kind, [u8; 16]);

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    File = b'f' as isize,
    Link = b'l' as isize,
}

/// The digest of files in the order of their paths, without those that operating systems and code hosts add. Each file
/// is one line: kind, MD5 of the content, and the path after its length, so that no two bundles have the same text.
pub(crate) fn digest<'a>(files: impl Iterator<Item = (&'a str, &'a FileDigest)>) -> String {
    let mut all = Md5::new();
    for (path, (kind, digest)) in files.filter(|(path, _)| !is_added(path)) {
        all.update([*kind as u8]);
        all.update(digest);
        all.update((path.len() as u64).to_le_bytes());
        all.update(path.as_bytes());
    }
    hex::encode(all.finalize())
}

/// A message from the inflating thread to a hashing one.
enum Message {
    Piece(Vec<u8>),
    End(String, Kind),
}

pub(crate) fn hash<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    files: &[&Entry],
    prefix: &str,
    is_kept: &dyn Fn(&str) -> bool,
) -> Result<Reading> {
    thread::scope(|scope| {
        let (senders, hashers): (Vec<_>, Vec<_>) = (0..HASHERS)
            .map(|_| {
                let (sender, receiver) = sync_channel(4);
                (sender, scope.spawn(move || hasher(&receiver)))
            })
            .unzip();
        let mut reading = Reading::default();
        let inflated = files.iter().enumerate().try_for_each(|(i, entry)| {
            let path = &entry.path[prefix.len()..];
            let keep = is_kept(path) || entry.link;
            inflate(archive, entry, path, keep, &senders[i % HASHERS], &mut reading)
        });
        drop(senders);
        for hasher in hashers {
            match hasher.join() {
                Ok(digests) => reading.digests.extend(digests),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        inflated.map(|()| reading)
    })
}

fn hasher(messages: &Receiver<Message>) -> Vec<(String, FileDigest)> {
    let mut digests = Vec::new();
    let mut current = Md5::new();
    for message in messages {
        match message {
            Message::Piece(piece) => current.update(&piece),
            Message::End(path, kind) => digests.push((path, (kind, current.finalize_reset().into()))),
        }
    }
    digests
}

fn inflate<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    entry: &Entry,
    path: &str,
    keep: bool,
    hasher: &SyncSender<Message>,
    reading: &mut Reading,
) -> Result<()> {
    if keep {
        check_kept_size(entry, path)?;
    }
    let mut file = archive
        .by_index(entry.index)
        .map_err(|e| broken(&entry.path, &e))?;
    let mut kept = Vec::new();
    let mut total = 0u64;
    loop {
        let piece = read_piece(&mut file).map_err(|e| broken(&entry.path, &ZipError::Io(e)))?;
        if piece.is_empty() {
            break;
        }
        total += piece.len() as u64;
        if keep {
            kept.extend_from_slice(&piece);
        }
        send(hasher, Message::Piece(piece));
    }
    let kind = if entry.link { Kind::Link } else { Kind::File };
    if entry.link {
        reading.links.insert(path.to_owned(), kept);
    } else if keep {
        reading.kept.insert(path.to_owned(), kept);
    }
    reading.bytes += total;
    send(hasher, Message::End(path.to_owned(), kind));
    Ok(())
}

/// A hasher ends only when its channel is closed, so the message always arrives. If the thread panicked, the join
/// reports it.
fn send(hasher: &SyncSender<Message>, message: Message) {
    let _ = hasher.send(message);
}

fn read_piece(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; PIECE];
    let filled = fill(file, &mut piece)?;
    piece.truncate(filled);
    Ok(piece)
}

/// Fills a buffer as far as the file goes.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
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

/// Files that are kept in memory must be small; reading enforces their stated size.
fn check_kept_size(entry: &Entry, path: &str) -> Result<()> {
    // A repository's files have their full paths here.
    let name = path.rsplit('/').next().unwrap_or_default();
    let (limit, name) = match name {
        _ if entry.link => (MAX_LINK, ErrorName::InvalidBundle),
        "deployspec.yaml" => (deployspec::MAX_BYTES as u64, ErrorName::InvalidDeployspec),
        "modulestack.yaml" => (role::MAX_BYTES as u64, ErrorName::InvalidModuleStack),
        _ => (deployspec::MAX_BYTES as u64, ErrorName::InvalidBundle),
    };
    if entry.size > limit {
        return Err(Error::new(
            name,
            format!(
                "{}: {} bytes; at most {limit} are allowed",
                excerpt(path, 120),
                entry.size
            ),
        ));
    }
    Ok(())
}

/// A link may point anywhere within the module's folder, but not outside it.
pub(crate) fn check_link(path: &str, target: &[u8]) -> Result<()> {
    let target = String::from_utf8_lossy(target);
    let mut depth: i64 = path.matches('/').count() as i64;
    let mut outside = target.starts_with('/') || target.is_empty();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        outside |= depth < 0;
    }
    if outside {
        return Err(invalid(format!(
            "{}: the symbolic link points to \"{}\", outside the module's folder",
            excerpt(path, 120),
            excerpt(&target, 120)
        )));
    }
    Ok(())
}

pub(crate) fn nothing_there(entries: &[Entry], root: &str) -> Error {
    if root.is_empty() {
        return invalid("the archive holds no files".to_owned());
    }
    let mut folders: Vec<&str> = entries
        .iter()
        .filter_map(|e| e.path.split_once('/').map(|(top, _)| top))
        .collect();
    folders.sort_unstable();
    folders.dedup();
    folders.truncate(8);
    invalid(format!(
        "source.path \"{}\" is not a folder of the archive, whose top folders are: {}",
        excerpt(root, 120),
        excerpt(&folders.join(", "), 400)
    ))
}

fn no_deployspec(entries: &[Entry], root: &str) -> Error {
    let place = if root.is_empty() {
        "the root of the archive".to_owned()
    } else {
        format!("{}/ of the archive", excerpt(root, 120))
    };
    let elsewhere: Vec<&str> = entries
        .iter()
        .filter_map(|e| e.path.strip_suffix("/deployspec.yaml"))
        .take(3)
        .collect();
    let prefix = prefix_of(root);
    let here = entries.iter().filter_map(|e| e.path.strip_prefix(&prefix));
    let hint = if let Some(name) = near_miss("deployspec.yaml", here) {
        format!("there is {}: rename it to deployspec.yaml", excerpt(name, 120))
    } else if elsewhere.is_empty() {
        "a module needs one with its deploy phases".to_owned()
    } else {
        format!(
            "there is one in {}: name that folder in source.path",
            excerpt(&elsewhere.join(", "), 400)
        )
    };
    Error::new(
        ErrorName::InvalidDeployspec,
        format!("deployspec.yaml: not in {place}; {hint}"),
    )
}

/// The first of these names that someone may have meant as the file `name`: another extension for YAML, other upper case,
/// or other separators.
pub(crate) fn near_miss<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let plain = |name: &str| {
        let mut plain = name.to_lowercase();
        while let Some((stem, "yaml" | "yml" | "json" | "txt")) = plain.rsplit_once('.') {
            plain = stem.to_owned();
        }
        plain.replace(['-', '_', ' '], "")
    };
    let meant = plain(name);
    let mut similar = names.filter(|other| *other != name && !other.contains('/') && plain(other) == meant);
    similar.next()
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
pub(crate) fn broken(what: &str, error: &ZipError) -> Error {
    if let Some(ours) = own_error(error) {
        return ours;
    }
    invalid(format!(
        "{}: {error}; the object has to be a whole, undamaged zip file",
        excerpt(what, 120)
    ))
}

#[cfg(test)]
mod tests;
