//! Sources of a real git host on the loopback, in all the ways in which hosts behave.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod archive;
mod git;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::time::Duration;

use seedflow_core::deployment::archives::{Archives, Content};
use seedflow_core::deployment::remote_source::SourcePath;
use seedflow_core::deployment::repository_zip::Repository;
use seedflow_core::error::{Error, ErrorName};
use seedflow_fetch::{Credentials, Fetcher, Limits};
use seedflow_fixtures::git_server::GitServer;

/// Without pauses between attempts.
fn limits() -> Limits {
    Limits {
        pause: Duration::ZERO,
        ..Limits::default()
    }
}

fn fetcher() -> Fetcher {
    Fetcher::new(Credentials::default(), limits())
}

/// A fetcher with a token for a host.
fn with_token(server: &GitServer, token: &str) -> Fetcher {
    let credentials = format!(r#"{{"{}": {{"token": "{token}"}}}}"#, server.host());
    Fetcher::new(Credentials::parse(&credentials).unwrap(), limits())
}

/// The entries of a zip: mode and content by path.
fn entries(zip: &File) -> BTreeMap<String, (u32, String)> {
    let mut archive = zip::ZipArchive::new(rewound(zip)).unwrap();
    let mut entries = BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        let path = file.name().unwrap().into_owned();
        entries.insert(path, (file.unix_mode().unwrap(), content));
    }
    entries
}

fn bytes(zip: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    rewound(zip).read_to_end(&mut bytes).unwrap();
    bytes
}

fn rewound(zip: &File) -> File {
    let mut zip = zip.try_clone().unwrap();
    zip.rewind().unwrap();
    zip
}

/// Reads a module as the planner does.
fn module(zip: &File, folder: &str) -> Result<(), Error> {
    let zip = rewound(zip);
    let size = zip.metadata().unwrap().len();
    let content = Content {
        folder: SourcePath::own(folder),
        data_files: Vec::new(),
    };
    let mut archives = Archives::new(Repository::open(zip, size)?);
    archives.read(&[content]).map(drop)
}

/// An error that names the source and says what is wrong, once.
fn assert_unavailable(error: &Error, parts: &[&str]) {
    assert_eq!(error.name, ErrorName::SourceUnavailable, "{error}");
    for part in parts {
        assert!(error.message.contains(part), "{part}: {error}");
    }
}
