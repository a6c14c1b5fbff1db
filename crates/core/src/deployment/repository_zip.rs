//! A repository's zip: the manifests and all modules of a deployment in one archive.
//!
//! The directory is read and checked like a bundle's. Manifests are read by their paths. Then the files of all modules
//! are inflated and hashed in one pass from front to back, each file once however many modules share it. Every module's
//! digest is computed from the digests of its files. The module workflow finds the same digest in the bundle that
//! [`Repository::pack`] makes of the same files, so both compute the same fingerprint.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Seek, Write};

use zip::{ZipArchive, ZipWriter};

use crate::deployment::manifest;
use crate::deployment::manifest::MAX_FILE;
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::module::bundle::archive::{Entry, Metered, broken, invalid, open};
use crate::module::bundle::{Reading, below, check_link, digest, hash, nothing_there, top_folder};

/// An open repository.
pub struct Repository<R> {
    archive: ZipArchive<Metered<R>>,
    directory: Directory,
}

/// Its directory.
struct Directory {
    /// The entries in the order of their data.
    entries: Vec<Entry>,
    /// The index in `entries` of each path. The entries of a folder are adjacent, so a module's files are found without
    /// a search through all others.
    places: BTreeMap<String, usize>,
}

/// The files of a module: its folder, and further files of the repository that are added to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The module's folder, `""` for the whole repository.
    pub folder: String,
    /// Paths of files that are added to the module's root under the same path.
    pub data_files: Vec<String>,
}

/// The digest of a module's files, and the files that planning needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleDigest {
    /// The digest of their bundle.
    pub digest: String,
    /// The content of `deployspec.yaml`.
    pub deployspec: Vec<u8>,
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
        let folder = self.find_root(folder, manifest);
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

    fn find_root(&self, folder: &str, manifest: &str) -> String {
        let has_manifest = |folder: &str| {
            let path = if folder.is_empty() {
                manifest.to_owned()
            } else {
                below(folder, manifest)
            };
            self.directory.file(&path).is_some()
        };
        let inner = top_folder(self.directory.entries.iter().map(|entry| entry.path.as_str()))
            .filter(|_| !has_manifest(folder))
            .map(|top| below(top, folder));
        // Without a manifest in either, nothing but the folder is in the root, and messages are about the files in it.
        inner
            .filter(|inner| folder.is_empty() || has_manifest(inner))
            .unwrap_or_else(|| folder.to_owned())
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

    /// Reads the files of modules, in the order of the modules.
    ///
    /// # Errors
    /// `InvalidBundle` or `InvalidDeployspec` with the file.
    pub fn read(&mut self, modules: &[Content]) -> Result<Vec<ModuleDigest>> {
        let shared: Vec<BTreeMap<&str, &Entry>> = modules
            .iter()
            .map(|module| self.directory.files(module))
            .collect::<Result<_>>()?;
        let wanted: HashSet<usize> = shared
            .iter()
            .flat_map(|files| files.values().map(|e| e.index))
            .collect();
        let deployspecs: HashSet<&str> = shared
            .iter()
            .filter_map(|files| files.get("deployspec.yaml").map(|entry| entry.path.as_str()))
            .collect();
        let in_order: Vec<&Entry> = self
            .directory
            .entries
            .iter()
            .filter(|entry| wanted.contains(&entry.index))
            .collect();
        let reading = hash(&mut self.archive, &in_order, "", &|path| {
            deployspecs.contains(path)
        })?;
        shared.iter().map(|files| module(files, &reading)).collect()
    }

    /// Writes the bundle of a module. Packed files are copied without unpacking.
    ///
    /// # Errors
    /// `InvalidBundle` for a damaged file, and for a file that cannot be written.
    pub fn pack(&mut self, module: &Content, to: impl Write + Seek) -> Result<()> {
        let files: Vec<(String, usize)> = self
            .directory
            .files(module)?
            .into_iter()
            .map(|(path, entry)| (path.to_owned(), entry.index))
            .collect();
        let mut writer = ZipWriter::new(to);
        let failed = |path: &str, e: &zip::result::ZipError| {
            Error::new(
                ErrorName::InvalidBundle,
                format!(
                    "{}: packing the file into the bundle of its module failed: {e}",
                    excerpt(path, 120)
                ),
            )
        };
        for (path, index) in files {
            let file = self.archive.by_index_raw(index).map_err(|e| broken(&path, &e))?;
            writer
                .raw_copy_file_rename(file, path.as_str())
                .map_err(|e| failed(&path, &e))?;
        }
        writer.finish().map(drop).map_err(|e| failed("the bundle", &e))
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
}

impl Directory {
    fn new(entries: Vec<Entry>) -> Self {
        let numbered = entries.iter().enumerate();
        let places = numbered.map(|(i, entry)| (entry.path.clone(), i)).collect();
        Self { entries, places }
    }

    fn file(&self, path: &str) -> Option<&Entry> {
        let entry = self.places.get(path).map(|i| &self.entries[*i]);
        entry.filter(|entry| !entry.folder)
    }

    /// The contents of a folder, `""` for the root, by their paths within it.
    fn below(&self, folder: &str) -> impl Iterator<Item = (&str, &Entry)> {
        let prefix = match folder {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let from = self.places.range(prefix.clone()..);
        from.map_while(move |(path, i)| Some((path.strip_prefix(prefix.as_str())?, &self.entries[*i])))
    }

    /// The entries of a module by their paths in its bundle.
    fn files(&self, module: &Content) -> Result<BTreeMap<&str, &Entry>> {
        let own = self.below(&module.folder);
        let mut files: BTreeMap<&str, &Entry> = own.filter(|(_, entry)| !entry.folder).collect();
        for path in &module.data_files {
            let Some(entry) = self.file(path) else {
                return Err(invalid(format!(
                    "{}: the file doesn't exist; add it to the repository, or remove it from the module's dataFiles",
                    excerpt(path, 120)
                )));
            };
            if files
                .insert(&entry.path, entry)
                .is_some_and(|other| other.index != entry.index)
            {
                return Err(invalid(format!(
                    "{}: the data file has the path of a file of the module {}; rename one of them",
                    excerpt(path, 120),
                    module.folder
                )));
            }
        }
        Ok(files)
    }
}

fn module(files: &BTreeMap<&str, &Entry>, reading: &Reading) -> Result<ModuleDigest> {
    for (place, entry) in files {
        if let Some(target) = reading.links.get(&entry.path) {
            check_link(place, target)?;
        }
    }
    let deployspec = files
        .get("deployspec.yaml")
        .and_then(|entry| reading.kept.get(&entry.path));
    let digests = files
        .iter()
        .filter_map(|(place, entry)| Some((*place, reading.digests.get(&entry.path)?)));
    Ok(ModuleDigest {
        digest: digest(digests),
        deployspec: deployspec.cloned().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Cursor;

    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::deployment::manifest::Repository as _;

    fn zip(files: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, content) in files {
            let options = SimpleFileOptions::default();
            match content.strip_prefix("-> ") {
                Some(target) => writer.add_symlink(*path, target, options).unwrap(),
                None => {
                    writer.start_file(*path, options).unwrap();
                    writer.write_all(content.as_bytes()).unwrap();
                }
            }
        }
        writer.finish().unwrap().into_inner()
    }

    fn repository(files: &[(&str, &str)]) -> Repository<Cursor<Vec<u8>>> {
        let zip = zip(files);
        let size = zip.len() as u64;
        Repository::open(Cursor::new(zip), size).unwrap()
    }

    fn content(folder: &str, data_files: &[&str]) -> Content {
        Content {
            folder: folder.to_owned(),
            data_files: data_files.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    const FILES: [(&str, &str); 7] = [
        ("deployment.yaml", "name: d"),
        ("data/names.txt", "a b"),
        ("modules/vpc/deployspec.yaml", "deploy: {}"),
        ("modules/vpc/src/main.py", "print()"),
        ("modules/vpc/link", "-> src/main.py"),
        ("modules/vpc-peer/deployspec.yaml", "deploy: {x}"),
        ("modules/README.md", "r"),
    ];

    #[test]
    fn a_module_has_the_digest_of_the_bundle_that_is_packed_of_it() {
        let modules = [
            content("modules/vpc", &["data/names.txt"]),
            content("modules/vpc-peer", &[]),
        ];
        let mut repository = repository(&FILES);
        let read = repository.read(&modules).unwrap();
        for (module, read) in modules.iter().zip(&read) {
            let mut packed = Cursor::new(Vec::new());
            repository.pack(module, &mut packed).unwrap();
            let size = packed.get_ref().len() as u64;
            let bundle = crate::module::bundle::read(packed, "", size).unwrap();
            assert_eq!(
                (&bundle.digest, &bundle.deployspec),
                (&read.digest, &read.deployspec)
            );
        }
        assert_ne!(read[0].digest, read[1].digest);
        let names = |data: &str| {
            let mut files = FILES.to_vec();
            files[1].1 = data;
            let zip = zip(&files);
            let size = zip.len() as u64;
            let mut other = Repository::open(Cursor::new(zip), size).unwrap();
            other.read(&modules).unwrap()
        };
        assert_eq!(names("a b"), read);
        assert_ne!(names("a c")[0], read[0]);
        assert_eq!(names("a c")[1], read[1]);
    }

    #[test]
    fn a_folder_of_a_repository_is_one_too() {
        let whole = repository(&FILES.map(|(path, content)| (path, content)));
        let inner = FILES.map(|(path, content)| (format!("live/{path}"), content));
        let mut files: Vec<(&str, &str)> = inner.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        files.extend([
            ("deployment.yaml", "name: other"),
            ("live-old/deployment.yaml", "name: old"),
        ]);
        let modules = [
            content("modules/vpc", &["data/names.txt"]),
            content("modules/vpc-peer", &[]),
        ];
        let mut below = repository(&files).rooted("live", "deployment.yaml").unwrap();
        let read = below.read(&modules).unwrap();
        assert_eq!(read, { whole }.read(&modules).unwrap());
        assert_eq!(below.text("deployment.yaml").unwrap().as_deref(), Some("name: d"));
        assert!(!below.has_folder("live") && !below.has_file("live-old/deployment.yaml"));
        let mut packed = Cursor::new(Vec::new());
        below.pack(&modules[0], &mut packed).unwrap();
        let size = packed.get_ref().len() as u64;
        assert_eq!(
            crate::module::bundle::read(packed, "", size).unwrap().digest,
            read[0].digest
        );
        let error = repository(&files).rooted("liv", "deployment.yaml").err().unwrap();
        assert!(
            error
                .message
                .contains("source.path \"liv\" is not a folder of the archive"),
            "{error}"
        );
    }

    #[test]
    fn an_archive_of_a_code_host_has_everything_in_one_folder() {
        let modules = [
            content("modules/vpc", &["data/names.txt"]),
            content("modules/vpc-peer", &[]),
        ];
        let plain = repository(&FILES).read(&modules).unwrap();
        let inner = FILES.map(|(path, text)| (format!("shop-4f2a91c/{path}"), text));
        let mut files: Vec<(&str, &str)> = inner.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        files.extend([
            ("shop-4f2a91c/", ""),
            ("__MACOSX/shop-4f2a91c/._deployment.yaml", "x"),
            (".DS_Store", "x"),
            ("pax_global_header", "x"),
            ("shop-4f2a91c/modules/vpc/src/._main.py", "x"),
            ("shop-4f2a91c/modules/vpc/Thumbs.db", "x"),
        ]);
        let mut repository = self::repository(&files).rooted("", "deployment.yaml").unwrap();
        assert_eq!(
            repository.text("deployment.yaml").unwrap().as_deref(),
            Some("name: d")
        );
        assert_eq!(repository.read(&modules).unwrap(), plain);
        let mut packed = Cursor::new(Vec::new());
        repository.pack(&modules[0], &mut packed).unwrap();
        let size = packed.get_ref().len() as u64;
        let bundle = crate::module::bundle::read(packed, "", size).unwrap();
        assert_eq!(
            (bundle.root.as_str(), bundle.digest.as_str()),
            ("", plain[0].digest.as_str())
        );

        // A folder that the input names is below it, and a manifest at the root keeps the root.
        let live = self::repository(&[("x/live/deployment.yaml", "name: l"), ("x/README.md", "")]);
        let mut live = live.rooted("live", "deployment.yaml").unwrap();
        assert_eq!(live.text("deployment.yaml").unwrap().as_deref(), Some("name: l"));
        let own = self::repository(&[("live/deployment.yaml", "name: l"), ("live/modules/a", "")]);
        let own = own.rooted("", "live/deployment.yaml").unwrap();
        assert!(own.has_file("live/deployment.yaml"));
        // Two folders are a repository of their own.
        let two = self::repository(&[("a/deployment.yaml", "name: l"), ("b/x", "")]);
        assert!(
            !two.rooted("", "deployment.yaml")
                .unwrap()
                .has_file("deployment.yaml")
        );
    }

    #[test]
    fn manifests_are_found_by_their_paths() {
        let mut repository = repository(&FILES);
        assert_eq!(
            repository.text("deployment.yaml").unwrap().as_deref(),
            Some("name: d")
        );
        assert_eq!(repository.text("other.yaml").unwrap(), None);
        assert!(repository.has_folder("modules/vpc") && !repository.has_folder("modules/v"));
        assert!(repository.has_file("modules/README.md") && !repository.has_file("modules"));
    }

    #[test]
    fn what_a_module_may_not_have_is_named() {
        let mut files = FILES.to_vec();
        files.push(("modules/vpc/data/names.txt", "other"));
        files.push(("modules/vpc-peer/out", "-> ../vpc/deployspec.yaml"));
        let mut repository = repository(&files);
        let message =
            |module: Content, repository: &mut Repository<_>| repository.read(&[module]).unwrap_err().message;
        for (module, part) in [
            (
                content("modules/vpc", &["data/names.txt"]),
                "data/names.txt: the data file has the path of a file of the module modules/vpc",
            ),
            (
                content("modules/vpc", &["data/other.txt"]),
                "data/other.txt: the file doesn't exist; add it",
            ),
            (content("modules/vpc-peer", &[]), "out"),
        ] {
            let message = message(module, &mut repository);
            assert!(message.contains(part), "{message} / {part}");
        }
    }
}
