//! All zips of a deployment: its repository's, and those of the remote sources that its manifest names.
//!
//! The files of all modules are inflated and hashed in one pass from front to back over each zip, each file once however
//! many modules share it. Every module's digest is computed from the digests of its files, whichever zips they are in. The
//! module workflow finds the same digest in the bundle that [`Archives::pack`] makes of the same files, so both compute the
//! same fingerprint.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Seek, Write};

use zip::{ZipArchive, ZipWriter};

use super::remote_source::{RemoteSource, SourcePath};
use super::repository_zip::{Directory, Repository};
use crate::deployment::manifest::WithSources;
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::formats::file_name::misspelt;
use crate::module::bundle::archive::{Entry, Metered, broken, invalid};
use crate::module::bundle::{Reading, check_link, digest, hash, renamed};

/// The maximum number of entries of all zips: their directories are in memory at the same time.
const MAX_ENTRIES: usize = 300_000;

/// The zips of a deployment.
pub type Archives<R> = WithSources<Repository<R>, Repository<R>>;

/// The files of a module: its folder, and further files that are added to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The module's folder.
    pub folder: SourcePath,
    /// Files that are added to the module's root under their paths within their sources.
    pub data_files: Vec<SourcePath>,
}

/// The digest of a module's files, and the files that planning needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleDigest {
    /// The digest of their bundle.
    pub digest: String,
    /// The content of `deployspec.yaml`.
    pub deployspec: Vec<u8>,
    /// The content of `modulestack.yaml`, if there is one.
    pub module_stack: Option<Vec<u8>>,
}

/// A file of a module.
#[derive(Clone, Copy)]
struct File<'a> {
    source: Option<&'a RemoteSource>,
    entry: &'a Entry,
}

/// The files of a module by their paths in its bundle.
type ModuleFiles<'a> = BTreeMap<&'a str, File<'a>>;

/// A part of each zip; `None` is the deployment's own.
type BySource<'a, T> = BTreeMap<Option<&'a RemoteSource>, T>;

/// The files to read from one zip.
#[derive(Default)]
struct Wanted<'a> {
    entries: HashSet<usize>,
    /// Those whose content planning needs.
    kept: HashSet<&'a str>,
}

impl<R: Read + Seek> Archives<R> {
    /// Adds the zip of a remote source.
    ///
    /// # Errors
    /// `InvalidBundle` if all zips have too many entries together.
    pub fn add(&mut self, source: RemoteSource, zip: Repository<R>) -> Result<()> {
        self.fetched.insert(source, zip);
        let zips = self.fetched.values().chain([&self.own]);
        let entries: usize = zips.map(|zip| zip.directory.entries.len()).sum();
        if entries > MAX_ENTRIES {
            return Err(invalid(format!(
                "the repository and the sources that its manifest names have {entries} files; at most {MAX_ENTRIES} are allowed together, so split the deployment"
            )));
        }
        Ok(())
    }

    /// Whether the zip of a remote source was added.
    #[must_use]
    pub fn has(&self, source: &RemoteSource) -> bool {
        self.fetched.contains_key(source)
    }

    /// The zips and their directories, so that entries can be looked up while files are read.
    fn split(
        &mut self,
    ) -> (
        BySource<'_, &mut ZipArchive<Metered<R>>>,
        BySource<'_, &Directory>,
    ) {
        let fetched = self.fetched.iter_mut().map(|(source, zip)| (Some(source), zip));
        let all = fetched.chain([(None, &mut self.own)]);
        all.map(|(source, zip)| ((source, &mut zip.archive), (source, &zip.directory)))
            .unzip()
    }

    /// Reads the files of modules, in the order of the modules.
    ///
    /// # Errors
    /// `InvalidBundle`, `InvalidDeployspec` or `InvalidModuleStack` with the file.
    pub fn read(&mut self, modules: &[Content]) -> Result<Vec<ModuleDigest>> {
        let (zips, directories) = self.split();
        let modules: Vec<ModuleFiles<'_>> = modules
            .iter()
            .map(|module| files(&directories, module))
            .collect::<Result<_>>()?;
        let wanted = wanted(&modules);
        let mut readings: BySource<'_, Reading> = BTreeMap::new();
        for (source, zip) in zips {
            let (Some(directory), Some(wanted)) = (directories.get(&source), wanted.get(&source)) else {
                continue;
            };
            let entries = directory.entries.iter();
            let in_order: Vec<&Entry> = entries
                .filter(|entry| wanted.entries.contains(&entry.index))
                .collect();
            let reading = hash(zip, &in_order, "", &|path| wanted.kept.contains(path));
            readings.insert(source, reading.map_err(|e| of_source(source, e))?);
        }
        modules.iter().map(|files| module(files, &readings)).collect()
    }

    /// Writes the bundle of a module. Packed files are copied without unpacking.
    ///
    /// # Errors
    /// `InvalidBundle` for a damaged file, and for a file that cannot be written.
    pub fn pack(&mut self, module: &Content, to: impl Write + Seek) -> Result<()> {
        let (mut zips, directories) = self.split();
        let mut writer = ZipWriter::new(to);
        let failed = |path: &str, e: &zip::result::ZipError| {
            Error::new(
                ErrorName::InvalidBundle,
                format!(
                    "{}: cannot pack the file into its module's bundle: {e}",
                    excerpt(path, 120)
                ),
            )
        };
        for (path, File { source, entry }) in files(&directories, module)? {
            let zip = zips.get_mut(&source).ok_or_else(|| not_fetched(source))?;
            let file = zip.by_index_raw(entry.index).map_err(|e| broken(path, &e))?;
            writer
                .raw_copy_file_rename(file, path)
                .map_err(|e| failed(path, &e))?;
        }
        writer.finish().map(drop).map_err(|e| failed("the bundle", &e))
    }
}

/// The files of a module.
fn files<'a>(directories: &BySource<'a, &'a Directory>, module: &'a Content) -> Result<ModuleFiles<'a>> {
    let directory = |place: &'a SourcePath| {
        let source = place.source.as_ref();
        let directory = directories.get(&source).copied();
        directory
            .map(|directory| (source, directory))
            .ok_or_else(|| not_fetched(source))
    };
    let (source, folder) = directory(&module.folder)?;
    let own = folder.below(&module.folder.path);
    let mut files: ModuleFiles<'a> = own
        .filter(|(_, entry)| !entry.folder)
        .map(|(path, entry)| (path, File { source, entry }))
        .collect();
    for place in &module.data_files {
        let (source, directory) = directory(place)?;
        let shown = || excerpt(&place.to_string(), 240);
        let Some(entry) = directory.file(&place.path) else {
            return Err(invalid(format!(
                "{}: the file doesn't exist; add it to its repository, or remove it from the module's dataFiles",
                shown()
            )));
        };
        let other = files.insert(&place.path, File { source, entry });
        if other.is_some_and(|other| (other.source, other.entry.index) != (source, entry.index)) {
            return Err(invalid(format!(
                "{}: the data file has the path of a file of the module {}; rename one of them",
                shown(),
                module.folder
            )));
        }
    }
    Ok(files)
}

/// The manifest's sources are fetched before modules are read.
fn not_fetched(source: Option<&RemoteSource>) -> Error {
    let source = source.map(ToString::to_string).unwrap_or_default();
    invalid(format!("{}: the source is not fetched", excerpt(&source, 240)))
}

/// An error of a file, with the remote source that has it.
fn of_source(source: Option<&RemoteSource>, error: Error) -> Error {
    match source {
        None => error,
        Some(source) => Error::new(
            error.name,
            format!("{}: {}", excerpt(&source.to_string(), 240), error.message),
        ),
    }
}

/// The files of a module whose content planning needs.
const KEPT: [&str; 2] = ["deployspec.yaml", "modulestack.yaml"];

fn wanted<'a>(modules: &[ModuleFiles<'a>]) -> BySource<'a, Wanted<'a>> {
    let mut wanted: BySource<'a, Wanted<'a>> = BTreeMap::new();
    for (path, file) in modules.iter().flatten() {
        let of_source = wanted.entry(file.source).or_default();
        of_source.entries.insert(file.entry.index);
        if KEPT.contains(path) {
            of_source.kept.insert(&file.entry.path);
        }
    }
    wanted
}

fn module(files: &ModuleFiles<'_>, readings: &BySource<'_, Reading>) -> Result<ModuleDigest> {
    refuse_misspelt(files)?;
    let mut digests = Vec::new();
    let mut kept = KEPT.map(|_| None);
    for (place, File { source, entry }) in files {
        let Some(reading) = readings.get(source) else {
            continue;
        };
        if let Some(target) = reading.links.get(&entry.path) {
            check_link(place, target)?;
        }
        if let Some(i) = KEPT.iter().position(|name| name == place) {
            kept[i] = reading.kept.get(&entry.path).cloned();
        }
        digests.extend(reading.digests.get(&entry.path).map(|digest| (*place, digest)));
    }
    let [deployspec, module_stack] = kept;
    Ok(ModuleDigest {
        digest: digest(digests.into_iter()),
        deployspec: deployspec.unwrap_or_default(),
        module_stack,
    })
}

/// Refuses a file that would have no effect because of its name, by its path in its source.
fn refuse_misspelt(files: &ModuleFiles<'_>) -> Result<()> {
    let Some(found) = misspelt("modulestack.yaml", files.keys().copied()) else {
        return Ok(());
    };
    let file = files.get(found);
    let path = file.map_or(found, |file| file.entry.path.as_str());
    let renamed = renamed(ErrorName::InvalidModuleStack, "modulestack.yaml", path);
    Err(of_source(file.and_then(|file| file.source), renamed))
}

#[cfg(test)]
mod tests;
