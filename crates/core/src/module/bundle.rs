//! A module's bundle: a zip that is checked and hashed while it streams.
//!
//! The archive's directory is read and checked first (`archive`). Then the module's files are inflated one after the other
//! in the order of their data. So a source with expensive seeks (S3) is read once from front to back. Only a digest per
//! file and the three small files that the workflow reads are kept, so memory depends on the number of files and not on
//! their size. Inflating and hashing run in separate threads, connected by a bounded channel of a few buffers.
//!
//! The digest covers every file's path and content in the order of the paths. Timestamps, compression, the order of the
//! entries and empty folders do not count, nor do the files that operating systems and code hosts add to archives. If
//! the module is not at the expected place, and everything is below one top-level folder, as in the archives of code
//! hosts, the module is looked for below that folder; its digest is the same.

pub mod archive;

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use md5::{Digest, Md5};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::{Error, ErrorName, Result, excerpt};
use crate::formats::file_name::{misspelt, near_miss};
use crate::formats::yaml;
use crate::ids::ModuleId;
use crate::module::deployspec;
use crate::module::input::{Limits, Options};
use crate::module::role;
use archive::{Entry, broken, fill, invalid};

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
    /// The name of a file that is probably meant as `manifest.yaml`.
    pub misspelt_manifest: Option<String>,
    /// The content of `modulestack.yaml`, if there is one.
    pub module_stack: Option<Vec<u8>>,
    /// The number of files of the module.
    pub files: usize,
    /// Their total size in bytes.
    pub bytes: u64,
}

impl Bundle {
    /// The options of an uploaded bundle: those of its `manifest.yaml`, or the defaults if it has none.
    ///
    /// # Errors
    /// `InvalidInput` if the file is not valid, or has another name: its options would have no effect.
    pub fn options(&self, module: &ModuleId, limits: &Limits) -> Result<Options> {
        if let Some(found) = &self.misspelt_manifest {
            return Err(renamed(ErrorName::InvalidInput, "manifest.yaml", found));
        }
        let invalid = |what: String| Error::new(ErrorName::InvalidInput, format!("manifest.yaml {what}"));
        let text = std::str::from_utf8(self.manifest.as_deref().unwrap_or_default());
        let text = text.map_err(|_| invalid("is not valid UTF-8".to_owned()))?;
        let manifest = yaml::parse(text).map_err(|e| invalid(e.to_string()))?;
        Options::from_manifest(&manifest.to_json(), module, limits)
            .map_err(|e| Error::new(e.name, format!("manifest.yaml: {}", e.message)))
    }
}

/// Reads the module in the folder `root` of a zip (`""`: the zip's root), or in that folder below the zip's only
/// top-level folder.
pub fn read<R: Read + Seek>(source: R, root: &str, archive_size: u64) -> Result<Bundle> {
    let (mut archive, entries) = archive::open(source, archive_size)?;
    let root = module_root(&entries, root)?;
    let prefix = prefix_of(&root);
    let is_ours = |e: &&Entry| !e.folder && e.path.starts_with(&prefix);
    let files: Vec<&Entry> = entries.iter().filter(is_ours).collect();
    let reading = hash(&mut archive, &files, &prefix, &is_kept)?;
    for (path, target) in &reading.links {
        check_link(path, target)?;
    }
    let names = files.iter().map(|entry| &entry.path[prefix.len()..]);
    if let Some(found) = misspelt("modulestack.yaml", names.clone()) {
        return Err(renamed(ErrorName::InvalidModuleStack, "modulestack.yaml", found));
    }
    let deployspec = reading.kept.get("deployspec.yaml").cloned().unwrap_or_default();
    Ok(Bundle {
        root,
        digest: digest(reading.digests.iter().map(|(path, file)| (path.as_str(), file))),
        deployspec,
        manifest: reading.kept.get("manifest.yaml").cloned(),
        misspelt_manifest: misspelt("manifest.yaml", names).map(str::to_owned),
        module_stack: reading.kept.get("modulestack.yaml").cloned(),
        files: files.len(),
        bytes: reading.bytes,
    })
}

/// Refuses a file that would have no effect because of its name.
pub(crate) fn renamed(error: ErrorName, expected: &str, found: &str) -> Error {
    let found = excerpt(found, 120);
    Error::new(
        error,
        format!(
            "{expected}: not in the module's folder, but {found}, which has no effect; rename it to {expected}"
        ),
    )
}

/// The folder with the module's deployspec.
fn module_root(entries: &[Entry], given: &str) -> Result<String> {
    let has_deployspec = |root: &str| {
        let path = format!("{}deployspec.yaml", prefix_of(root));
        entries.iter().any(|e| !e.folder && e.path == path)
    };
    let roots = match find_root(entries.iter().map(|e| e.path.as_str()), given, has_deployspec) {
        Ok(root) => return Ok(root),
        Err(roots) => roots,
    };
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

/// The folder of an archive that has what is looked for: the given one, or the same below the only top-level folder, as in
/// the archives of code hosts.
///
/// # Errors
/// The folders in which it was looked for.
pub(crate) fn find_root<'a>(
    paths: impl IntoIterator<Item = &'a str>,
    given: &str,
    has: impl Fn(&str) -> bool,
) -> Result<String, Vec<String>> {
    if has(given) {
        return Ok(given.to_owned());
    }
    match top_folder(paths).map(|top| below(top, given)) {
        Some(inner) if has(&inner) => Ok(inner),
        inner => Err(std::iter::once(given.to_owned()).chain(inner).collect()),
    }
}

/// The only top-level folder of an archive's paths, if everything is below it.
#[must_use]
pub fn top_folder<'a>(paths: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut own = paths.into_iter().filter(|path| !is_added(path));
    let (top, _) = own.next()?.split_once('/')?;
    own.all(|path| path.split_once('/').is_some_and(|(other, _)| other == top))
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
    if let Some(what) = &entry.not_fetched {
        return Err(invalid(format!(
            "{}: {what}, whose content is not fetched; copy it into the repository",
            excerpt(&entry.path, 120)
        )));
    }
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

#[cfg(test)]
mod tests;
