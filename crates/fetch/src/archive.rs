//! Archives: a `.zip` or a `.tar.gz`, by its content.

use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};

use flate2::read::MultiGzDecoder;
use seedflow_core::error::{Error, Result, excerpt};
use seedflow_core::module::bundle::archive::{self, Entry, MAX_ENTRIES, MAX_UNPACKED};
use seedflow_core::module::bundle::top_folder;
use sha2::{Digest, Sha256};
use tar::EntryType;

use crate::failure::{Failure, disk, invalid};
use crate::http::Client;
use crate::source_zip::SourceZip;
use crate::url::RemoteUrl;

/// The longest target of a symbolic link (PATH_MAX of Linux).
const MAX_LINK: u64 = 4096;

/// Fetches an archive, writes its files as a zip, and returns the archive's SHA-256. If everything is in one folder, its
/// content is the source.
pub(crate) fn fetch(client: &Client, url: &RemoteUrl, zip: &mut File) -> Result<String> {
    let source = url.to_string();
    let (archive, digest) = client.attempts(&source, || download(client, url))?;
    repack(&archive, zip).map_err(|e| Error::new(e.name, format!("{source}: {}", e.message)))?;
    Ok(digest)
}

fn download(client: &Client, url: &RemoteUrl) -> Result<(File, String), Failure> {
    let mut body = client.get(url, &[])?.body;
    let mut file = tempfile::tempfile().map_err(|e| disk(&e))?;
    let (mut digest, mut total) = (Sha256::new(), 0);
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = body.read(&mut piece).map_err(|e| Failure::broke_off(&e))?;
        if length == 0 {
            return Ok((file, hex::encode(digest.finalize())));
        }
        total += length as u64;
        if total > MAX_UNPACKED {
            return Err(invalid(format!("expected at most {MAX_UNPACKED} bytes, found more")).into());
        }
        digest.update(&piece[..length]);
        file.write_all(&piece[..length]).map_err(|e| disk(&e))?;
    }
}

fn repack(archive: &File, zip: &mut File) -> Result<()> {
    let mut head = [0; 2];
    // A shorter file has neither beginning.
    let _ = rewound(archive)?.read_exact(&mut head);
    match &head {
        b"PK" => repack_zip(archive, zip),
        b"\x1f\x8b" => repack_tar(archive, zip),
        _ => Err(invalid(
            "expected a .zip or a .tar.gz, found another content; \
             check whether the address is that of a file, not of a web page",
        )),
    }
}

fn rewound(mut file: &File) -> Result<BufReader<&File>> {
    file.rewind().map_err(|e| disk(&e))?;
    Ok(BufReader::new(file))
}

fn repack_zip(source: &File, zip: &mut File) -> Result<()> {
    let size = source.metadata().map_err(|e| disk(&e))?.len();
    let (mut source, entries) = archive::open(rewound(source)?, size)?;
    let prefix = prefix_of(entries.iter().map(|entry| entry.path.as_str()));
    let mut zip = SourceZip::new(zip);
    for entry in entries.iter().filter(|entry| !entry.folder) {
        let Some(path) = entry.path.strip_prefix(&prefix) else {
            continue;
        };
        let mut file = source
            .by_index(entry.index)
            .map_err(|e| archive::broken(&entry.path, &e))?;
        if entry.link {
            zip.link(path, &link_target(entry, &mut file)?)?;
        } else {
            let executable = file.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
            zip.file(path, executable, entry.size, &mut file)?;
        }
    }
    zip.finish()
}

fn link_target(entry: &Entry, file: &mut impl Read) -> Result<Vec<u8>> {
    let mut target = Vec::new();
    // One byte too many is refused where the module is read.
    let read = file.take(MAX_LINK + 1).read_to_end(&mut target);
    read.map_err(|e| invalid(format!("{}: {e}", excerpt(&entry.path, 120))))?;
    Ok(target)
}

/// Reads the archive twice: only all paths together show whether they have one folder.
fn repack_tar(source: &File, zip: &mut File) -> Result<()> {
    let prefix = top_folder_of_tar(source)?;
    let mut archive = tar::Archive::new(MultiGzDecoder::new(rewound(source)?));
    let mut zip = SourceZip::new(zip);
    for entry in archive.entries().map_err(|e| no_tar(&e))? {
        let mut entry = entry.map_err(|e| no_tar(&e))?;
        let Some(path) = path_of(&entry)? else {
            continue;
        };
        let Some(path) = path.strip_prefix(&prefix) else {
            continue;
        };
        match entry.header().entry_type() {
            EntryType::Symlink => zip.link(path, &entry.link_name_bytes().unwrap_or_default())?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
                zip.file(path, executable, entry.size(), &mut entry)?;
            }
            kind => {
                return Err(invalid(format!(
                    "{}: expected a file, a folder or a symbolic link, found {kind:?}; pack the archive without it",
                    excerpt(path, 120)
                )));
            }
        }
    }
    zip.finish()
}

fn top_folder_of_tar(source: &File) -> Result<String> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(rewound(source)?).take(MAX_UNPACKED));
    let mut paths = Vec::new();
    for entry in archive.entries().map_err(|e| no_tar(&e))? {
        let entry = entry.map_err(|e| no_tar(&e))?;
        paths.extend(path_of(&entry)?);
        if paths.len() > MAX_ENTRIES {
            return Err(invalid(format!(
                "expected at most {MAX_ENTRIES} files, found more"
            )));
        }
    }
    Ok(prefix_of(paths.iter().map(String::as_str)))
}

/// The folder in which everything is, with a slash; nothing if there is none.
fn prefix_of<'a>(paths: impl Iterator<Item = &'a str>) -> String {
    top_folder(paths).map(|top| format!("{top}/")).unwrap_or_default()
}

/// The path of an entry that has one: folders follow from their files.
fn path_of(entry: &tar::Entry<'_, impl Read>) -> Result<Option<String>> {
    let kind = entry.header().entry_type();
    if kind.is_dir() || kind.is_pax_global_extensions() {
        return Ok(None);
    }
    let bytes = entry.path_bytes();
    let path = std::str::from_utf8(&bytes).map_err(|_| {
        invalid(format!(
            "{}: the path is not UTF-8",
            excerpt(&String::from_utf8_lossy(&bytes), 120)
        ))
    })?;
    // `tar -c .` makes paths like ./a.
    let parts: Vec<&str> = path.split('/').filter(|part| *part != ".").collect();
    let path = parts.join("/");
    archive::check_path(&path)?;
    Ok(Some(path))
}

fn no_tar(error: &std::io::Error) -> Error {
    invalid(format!(
        "expected a whole, undamaged .tar.gz, found something else: {error}"
    ))
}
