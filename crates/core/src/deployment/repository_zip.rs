//! The zip of a repository or of a remote source.
//!
//! The directory is read and checked like a bundle's. Manifests are read by their paths; the files of modules all at once
//! ([`super::archives`]).

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use zip::ZipArchive;

use crate::deployment::manifest;
use crate::deployment::manifest::MAX_FILE;
use crate::error::{Result, excerpt};
use crate::module::bundle::archive::{Entry, Metered, broken, invalid, open};
use crate::module::bundle::{below, find_root, nothing_there};

/// An open repository.
pub struct Repository<R> {
    pub(super) archive: ZipArchive<Metered<R>>,
    pub(super) directory: Directory,
}

/// Its directory.
pub(super) struct Directory {
    /// The entries in the order of their data.
    pub(super) entries: Vec<Entry>,
    /// The index in `entries` of each path. The entries of a folder are adjacent, so a module's files are found without
    /// a search through all others.
    places: BTreeMap<String, usize>,
}

impl<R: Read + Seek> Repository<R> {
    /// Opens a zip and checks its directory.
    ///
    /// # Errors
    /// `InvalidBundle` for a file that is not a zip, or for a zip that may not be unpacked.
    pub fn open(source: R, size: u64) -> Result<Self> {
        let (archive, entries) = open(source, size)?;
        Ok(Self {
            archive,
            directory: Directory::new(entries),
        })
    }

    /// The repository rooted at a folder of this one, `""` for its own root. Files elsewhere are left out.
    ///
    /// If the manifest is not there, and everything is below one top-level folder, as in the archives of code hosts, the
    /// folder is looked for below that one.
    ///
    /// # Errors
    /// `InvalidBundle` if the folder doesn't exist.
    pub fn rooted(mut self, folder: &str, manifest: &str) -> Result<Self> {
        let folder = self.root(folder, manifest);
        if folder.is_empty() {
            return Ok(self);
        }
        let prefix = format!("{folder}/");
        let all = std::mem::take(&mut self.directory.entries);
        if !all.iter().any(|entry| entry.path.starts_with(&prefix)) {
            return Err(nothing_there(&all, &folder));
        }
        let inside = all.into_iter().filter_map(|entry| {
            let path = entry.path.strip_prefix(&prefix)?.to_owned();
            Some(Entry { path, ..entry })
        });
        self.directory = Directory::new(inside.collect());
        Ok(self)
    }

    fn root(&self, folder: &str, manifest: &str) -> String {
        let has_manifest = |folder: &str| {
            let path = if folder.is_empty() {
                manifest.to_owned()
            } else {
                below(folder, manifest)
            };
            self.directory.file(&path).is_some()
        };
        let paths = self.directory.entries.iter().map(|entry| entry.path.as_str());
        match find_root(paths, folder, has_manifest) {
            Ok(root) => root,
            // Without a manifest in either, nothing but the folder is in the root, and messages are about the files in it.
            Err(mut roots) if folder.is_empty() => roots.pop().unwrap_or_default(),
            Err(_) => folder.to_owned(),
        }
    }

    fn text_of(&mut self, path: &str) -> Result<Option<String>> {
        let Some(entry) = self.directory.file(path) else {
            return Ok(None);
        };
        if entry.size > MAX_FILE as u64 {
            return Err(invalid(format!(
                "{}: {} bytes; at most {MAX_FILE} are read",
                excerpt(path, 120),
                entry.size
            )));
        }
        let mut text = String::new();
        let mut file = self.archive.by_index(entry.index).map_err(|e| broken(path, &e))?;
        file.read_to_string(&mut text).map_err(|e| {
            invalid(format!(
                "{}: the file can't be read as UTF-8: {e}",
                excerpt(path, 120)
            ))
        })?;
        Ok(Some(text))
    }
}

impl<R: Read + Seek> manifest::Repository for Repository<R> {
    fn text(&mut self, path: &str) -> Result<Option<String>> {
        self.text_of(path)
    }

    fn has_file(&self, path: &str) -> bool {
        self.directory.file(path).is_some()
    }

    fn has_folder(&self, path: &str) -> bool {
        path.is_empty() || self.directory.below(path).next().is_some()
    }

    fn files(&self) -> Vec<String> {
        let files = self.directory.entries.iter().filter(|entry| !entry.folder);
        files.map(|entry| entry.path.clone()).collect()
    }

    fn names_in(&self, folder: &str) -> Vec<String> {
        let below = self.directory.below(folder);
        let files = below.filter(|(name, entry)| !entry.folder && !name.contains('/'));
        files.map(|(name, _)| name.to_owned()).collect()
    }
}

impl Directory {
    fn new(entries: Vec<Entry>) -> Self {
        let numbered = entries.iter().enumerate();
        let places = numbered.map(|(i, entry)| (entry.path.clone(), i)).collect();
        Self { entries, places }
    }

    pub(super) fn file(&self, path: &str) -> Option<&Entry> {
        let entry = self.places.get(path).map(|i| &self.entries[*i]);
        entry.filter(|entry| !entry.folder)
    }

    /// The contents of a folder, `""` for the root, by their paths within it.
    pub(super) fn below(&self, folder: &str) -> impl Iterator<Item = (&str, &Entry)> {
        let prefix = match folder {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let from = self.places.range(prefix.clone()..);
        from.map_while(move |(path, i)| Some((path.strip_prefix(prefix.as_str())?, &self.entries[*i])))
    }
}
