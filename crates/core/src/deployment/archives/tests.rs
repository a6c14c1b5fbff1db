//! The tests of one zip are here, too: what they are about is which files a module has.

#![allow(clippy::unwrap_used)]
use std::io::Cursor;

use zip::write::{FullFileOptions, SimpleFileOptions};

use super::*;
use crate::deployment::manifest::Repository as _;
use crate::module::bundle::archive::NOT_FETCHED;

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        let options = SimpleFileOptions::default();
        if content.starts_with(NOT_FETCHED) {
            let options: FullFileOptions<'_, '_> = options.into_full_options();
            writer
                .start_file(*path, options.with_file_comment(*content))
                .unwrap();
            continue;
        }
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

fn archives(files: &[(&str, &str)]) -> Archives<Cursor<Vec<u8>>> {
    Archives::new(repository(files))
}

fn content(folder: &str, data_files: &[&str]) -> Content {
    Content {
        folder: SourcePath::own(folder),
        data_files: data_files.iter().map(|path| SourcePath::own(path)).collect(),
    }
}

/// The digest of the bundle that is packed of a module.
fn packed(archives: &mut Archives<Cursor<Vec<u8>>>, module: &Content) -> crate::module::bundle::Bundle {
    let mut packed = Cursor::new(Vec::new());
    archives.pack(module, &mut packed).unwrap();
    let size = packed.get_ref().len() as u64;
    crate::module::bundle::read(packed, "", size).unwrap()
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
    let mut archives = archives(&FILES);
    let read = archives.read(&modules).unwrap();
    for (module, read) in modules.iter().zip(&read) {
        let bundle = packed(&mut archives, module);
        assert_eq!(
            (&bundle.digest, &bundle.deployspec),
            (&read.digest, &read.deployspec)
        );
    }
    assert_ne!(read[0].digest, read[1].digest);
    let names = |data: &str| {
        let mut files = FILES.to_vec();
        files[1].1 = data;
        self::archives(&files).read(&modules).unwrap()
    };
    assert_eq!(names("a b"), read);
    assert_ne!(names("a c")[0], read[0]);
    assert_eq!(names("a c")[1], read[1]);
}

#[test]
fn a_folder_of_a_repository_is_one_too() {
    let mut whole = archives(&FILES);
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
    let below = repository(&files).rooted("live", "deployment.yaml").unwrap();
    let mut below = Archives::new(below);
    let read = below.read(&modules).unwrap();
    assert_eq!(read, whole.read(&modules).unwrap());
    assert_eq!(below.text("deployment.yaml").unwrap().as_deref(), Some("name: d"));
    assert!(!below.has_folder("live") && !below.has_file("live-old/deployment.yaml"));
    assert_eq!(packed(&mut below, &modules[0]).digest, read[0].digest);
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
    let plain = archives(&FILES).read(&modules).unwrap();
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
    let inner = repository(&files).rooted("", "deployment.yaml").unwrap();
    let mut inner = Archives::new(inner);
    assert_eq!(inner.text("deployment.yaml").unwrap().as_deref(), Some("name: d"));
    assert_eq!(inner.read(&modules).unwrap(), plain);
    let bundle = packed(&mut inner, &modules[0]);
    assert_eq!(
        (bundle.root.as_str(), bundle.digest.as_str()),
        ("", plain[0].digest.as_str())
    );

    // A folder that the input names is below it, and a manifest at the root keeps the root.
    let live = repository(&[("x/live/deployment.yaml", "name: l"), ("x/README.md", "")]);
    let mut live = live.rooted("live", "deployment.yaml").unwrap();
    assert_eq!(live.text("deployment.yaml").unwrap().as_deref(), Some("name: l"));
    let own = repository(&[("live/deployment.yaml", "name: l"), ("live/modules/a", "")]);
    let own = own.rooted("", "live/deployment.yaml").unwrap();
    assert!(own.has_file("live/deployment.yaml"));
    // Two folders are a repository of their own.
    let two = repository(&[("a/deployment.yaml", "name: l"), ("b/x", "")]);
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
    let mut archives = archives(&files);
    let message = |module: Content, archives: &mut Archives<_>| archives.read(&[module]).unwrap_err().message;
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
        let message = message(module, &mut archives);
        assert!(message.contains(part), "{message} / {part}");
    }
}

fn git(reference: &str) -> RemoteSource {
    RemoteSource::Git {
        url: "https://h/r".to_owned(),
        reference: Some(reference.to_owned()),
    }
}

fn at(source: RemoteSource, path: &str) -> SourcePath {
    SourcePath {
        source: Some(source),
        path: path.to_owned(),
    }
}

/// The own repository, and one source at two references.
fn several(of_v1: &[(&str, &str)], of_v2: &[(&str, &str)]) -> Archives<Cursor<Vec<u8>>> {
    let mut archives = archives(&FILES);
    archives.add(git("v1"), repository(of_v1)).unwrap();
    archives.add(git("v2"), repository(of_v2)).unwrap();
    archives
}

const V1: [(&str, &str); 3] = [
    ("net/vpc/deployspec.yaml", "deploy: {}"),
    ("net/vpc/main.tf", "one"),
    ("data/eks/1.29.yaml", "images"),
];
const V2: [(&str, &str); 2] = [
    ("net/vpc/deployspec.yaml", "deploy: {two}"),
    ("net/vpc/main.tf", "two"),
];

#[test]
fn a_module_has_files_of_several_sources_and_one_digest() {
    let remote = Content {
        folder: at(git("v1"), "net/vpc"),
        data_files: vec![
            SourcePath::own("data/names.txt"),
            at(git("v1"), "data/eks/1.29.yaml"),
        ],
    };
    let modules = [
        remote.clone(),
        Content {
            folder: at(git("v2"), "net/vpc"),
            data_files: Vec::new(),
        },
        Content {
            folder: SourcePath::own("modules/vpc"),
            data_files: vec![at(git("v1"), "data/eks/1.29.yaml")],
        },
    ];
    let mut several = several(&V1, &V2);
    let read = several.read(&modules).unwrap();
    for (module, read) in modules.iter().zip(&read) {
        let bundle = packed(&mut several, module);
        assert_eq!(
            (&bundle.digest, &bundle.deployspec),
            (&read.digest, &read.deployspec)
        );
    }
    assert_eq!(read[1].deployspec, b"deploy: {two}");
    // The same files of one repository are the same module: their origin is not a change.
    let local = [
        ("any/deployspec.yaml", "deploy: {}"),
        ("any/main.tf", "one"),
        ("data/names.txt", "a b"),
        ("data/eks/1.29.yaml", "images"),
    ];
    let moved = content("any", &["data/names.txt", "data/eks/1.29.yaml"]);
    assert_eq!(archives(&local).read(&[moved]).unwrap()[0], read[0]);
    // Of a branch that moved, only what the module has counts.
    let mut moved = V1.to_vec();
    moved.push(("net/other/main.tf", "new"));
    assert_eq!(self::several(&moved, &V2).read(&modules).unwrap(), read);
    moved[2].1 = "new images";
    let changed = self::several(&moved, &V2).read(&modules).unwrap();
    assert_eq!(
        [0, 1, 2].map(|i| changed[i].digest == read[i].digest),
        [false, true, false]
    );
}

#[test]
fn what_was_not_fetched_is_refused_in_a_used_folder_only() {
    let module = |name: &str| Content {
        folder: at(git("v1"), name),
        data_files: Vec::new(),
    };
    let files = [
        ("net/vpc/deployspec.yaml", "deploy: {}"),
        ("net/vpc/lib", "not fetched: a git submodule"),
        ("net/dns/deployspec.yaml", "deploy: {}"),
    ];
    let mut archives = several(&files, &V2);
    let error = archives.read(&[module("net/vpc")]).unwrap_err();
    for part in [
        "https://h/r@v1: ",
        "net/vpc/lib: a git submodule, whose content is not fetched",
    ] {
        assert!(error.message.contains(part), "{error}");
    }
    assert!(archives.read(&[module("net/dns")]).is_ok());
}
