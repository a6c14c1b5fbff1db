//! A folder as the repository of a deployment, with the remote sources that its manifest names.

use std::collections::BTreeSet;
use std::fs::File;

use seedflow_core::deployment::manifest::WithSources;
use seedflow_core::deployment::remote_source::RemoteSource;
use seedflow_core::deployment::repository_zip;
use seedflow_core::error::Error;
use seedflow_fetch::Fetcher;

use super::repository::Folder;

/// A folder and the sources that were fetched.
pub type Sources = WithSources<Folder, repository_zip::Repository<File>>;

/// Fetches sources; returns why some of them could not be.
pub fn fetch(into: &mut Sources, sources: BTreeSet<RemoteSource>, fetcher: &Fetcher) -> Vec<Error> {
    let mut failed = Vec::new();
    for source in sources {
        match fetcher.repository(&source) {
            Ok((zip, _)) => into.insert(source, zip),
            Err(error) => failed.push(error),
        }
    }
    failed
}
