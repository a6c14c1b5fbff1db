//! A folder as the repository of a deployment, with the remote sources that its manifest names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use seedflow_core::deployment::manifest::Repository;
use seedflow_core::deployment::remote_source::RemoteSource;
use seedflow_core::deployment::repository_zip;
use seedflow_core::error::{Error, Result};
use seedflow_fetch::Fetcher;

use super::repository::Folder;

/// A folder and the sources that were fetched.
pub struct WithSources {
    folder: Folder,
    fetched: BTreeMap<RemoteSource, repository_zip::Repository<File>>,
}

impl WithSources {
    pub fn new(folder: Folder) -> Self {
        Self {
            folder,
            fetched: BTreeMap::new(),
        }
    }

    /// Fetches sources; returns why some of them could not be.
    pub fn fetch(&mut self, sources: BTreeSet<RemoteSource>, fetcher: &Fetcher) -> Vec<Error> {
        let mut failed = Vec::new();
        for source in sources {
            match fetcher.repository(&source) {
                Ok((zip, _)) => drop(self.fetched.insert(source, zip)),
                Err(error) => failed.push(error),
            }
        }
        failed
    }
}

impl Repository for WithSources {
    fn text(&mut self, path: &str) -> Result<Option<String>> {
        self.folder.text(path)
    }

    fn has_file(&self, path: &str) -> bool {
        self.folder.has_file(path)
    }

    fn has_folder(&self, path: &str) -> bool {
        self.folder.has_folder(path)
    }

    fn files(&self) -> Vec<String> {
        self.folder.files()
    }

    fn fetched(&mut self, source: &RemoteSource) -> Option<&mut dyn Repository> {
        let zip = self.fetched.get_mut(source)?;
        Some(zip)
    }
}
