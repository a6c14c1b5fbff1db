//! Archives, which have any name.

use std::fs::File;
use std::io::{Cursor, Write};

use seedflow_core::error::{Error, ErrorName};
use seedflow_fixtures::git_server::{GitServer, TOKEN};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{assert_unavailable, bytes, entries, fetcher, with_token};

const MODULE: [(&str, &str); 3] = [
    ("vpc/deployspec.yaml", "deploy: {}"),
    ("vpc/run.sh", "echo"),
    ("vpc/link", "-> run.sh"),
];

/// The files in a folder; executable scripts, and links written as `-> TARGET`.
fn zip(folder: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        let path = format!("{folder}{path}");
        let mode = if path.ends_with(".sh") { 0o755 } else { 0o600 };
        let options = SimpleFileOptions::default().unix_permissions(mode);
        match content.strip_prefix("-> ") {
            Some(target) => zip.add_symlink(path, target, options).unwrap(),
            None => {
                zip.start_file(path, options).unwrap();
                zip.write_all(content.as_bytes()).unwrap();
            }
        }
    }
    zip.finish().unwrap().into_inner()
}

fn tar(folder: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut global = tar::Header::new_ustar();
    global.set_entry_type(tar::EntryType::XGlobalHeader);
    global.set_size(0);
    global.set_cksum();
    tar.append(&global, std::io::empty()).unwrap();
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(if path.ends_with(".sh") { 0o755 } else { 0o600 });
        let path = format!("{folder}{path}");
        // Past the library's own check of paths.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        match content.strip_prefix("-> ") {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_link_name_literal(target).unwrap();
                header.set_size(0);
                header.set_cksum();
                tar.append(&header, std::io::empty()).unwrap();
            }
            None => {
                header.set_size(content.len() as u64);
                header.set_cksum();
                tar.append(&header, content.as_bytes()).unwrap();
            }
        }
    }
    gzip(&tar.into_inner().unwrap())
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content).unwrap();
    gzip.finish().unwrap()
}

fn fetch(url: &str) -> Result<(String, File), Error> {
    let mut zip = tempfile::tempfile().unwrap();
    let digest = fetcher().archive(url, &mut zip)?;
    Ok((digest, zip))
}

#[test]
fn the_content_decides_what_an_archive_is_and_a_single_folder_is_left_out() {
    let server = GitServer::start();
    let expected = [
        ("vpc/deployspec.yaml", 0o100_644, "deploy: {}"),
        ("vpc/link", 0o120_777, "run.sh"),
        ("vpc/run.sh", 0o100_755, "echo"),
    ];
    let expected = expected.map(|(path, mode, content)| (path.to_owned(), (mode, content.to_owned())));
    let readme = [&MODULE[..], &[("README.md", "Modules")]].concat();
    for (number, archive) in [
        zip("modules-1.0/", &readme),
        zip("", &readme),
        tar("modules-1.0/", &readme),
        tar("./", &readme),
        tar("./modules-1.0/", &readme),
    ]
    .into_iter()
    .enumerate()
    {
        // A name that says nothing.
        let name = format!("download-{number}");
        server.file(&name, &archive);
        let (digest, zip) = fetch(&server.url(&format!("public/{name}"))).unwrap();
        let mut found = entries(&zip);
        assert_eq!(found.remove("README.md").unwrap().1, "Modules");
        assert_eq!(found, expected.clone().into(), "{name}");
        let (again, same) = fetch(&server.url(&format!("moved/public/{name}"))).unwrap();
        assert_eq!((again, bytes(&same)), (digest, bytes(&zip)));
    }
}

#[test]
fn an_archive_is_read_with_the_signature_of_its_address_or_the_token_of_its_host() {
    let server = GitServer::start();
    server.file("modules.zip", &zip("", &MODULE));
    let url = server.url("private/modules.zip");
    fetch(&format!("{url}?X-Amz-Expires=60&X-Amz-Signature={TOKEN}")).unwrap();
    let mut zip = tempfile::tempfile().unwrap();
    with_token(&server, TOKEN).archive(&url, &mut zip).unwrap();
    let refused = fetch(&format!("{url}?X-Amz-Expires=60&X-Amz-Signature=s3cret")).unwrap_err();
    assert_unavailable(&refused, &[&url, "HTTP 401"]);
    assert!(!refused.message.contains("s3cret"), "{refused}");
}

#[test]
fn what_may_not_be_unpacked_is_refused_with_the_address() {
    let server = GitServer::start();
    let mut cut = tar("", &MODULE);
    cut.truncate(40);
    for (name, archive, part) in [
        ("page.zip", b"<html>".to_vec(), "expected a .zip or a .tar.gz"),
        ("empty.zip", Vec::new(), "expected a .zip or a .tar.gz"),
        ("climbs.zip", zip("", &[("../a", "x")]), "climbs out"),
        ("climbs.tar.gz", tar("", &[("a/../../b", "x")]), "climbs out"),
        ("absolute.tar.gz", tar("", &[("/etc/passwd", "x")]), "is absolute"),
        ("twice.tar.gz", tar("", &[("a", "x"), ("a", "y")]), "a: "),
        ("cut.tar.gz", cut, "undamaged .tar.gz"),
        ("text.gz", gzip(b"text"), "undamaged .tar.gz"),
    ] {
        server.file(name, &archive);
        let error = fetch(&server.url(&format!("public/{name}"))).unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidBundle, "{error}");
        assert!(
            error.message.starts_with(&server.url(&format!("public/{name}"))),
            "{error}"
        );
        assert!(error.message.contains(part), "{part}: {error}");
    }
}
