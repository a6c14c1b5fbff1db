//! Which bundles are accepted, and what changes a bundle's digest.

#![allow(clippy::unwrap_used)]
use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::*;

const SPEC: (&str, &[u8]) = ("deployspec.yaml", b"deploy: {phases: {}}");

fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
    pack_as(files, SimpleFileOptions::default())
}

fn pack_as(files: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        zip.start_file(*path, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn read_zip(zip: &[u8], root: &str) -> Result<Bundle> {
    read(Cursor::new(zip), root, zip.len() as u64)
}

fn digest(files: &[(&str, &[u8])]) -> String {
    read_zip(&pack(files), "").unwrap().digest
}

#[test]
fn an_upload_has_its_options_in_its_manifest() {
    let module = ModuleId::parse("p", "d", "g", "m").unwrap();
    let options = |manifest: Option<&[u8]>| {
        let files = manifest.map(|manifest| ("manifest.yaml", manifest));
        let files: Vec<_> = [SPEC].into_iter().chain(files).collect();
        let bundle = read_zip(&pack(&files), "").unwrap();
        bundle.options(&module, &Limits::of_aws("work", "seedflow"))
    };
    let none = options(None).unwrap();
    assert_eq!((none.stack_name.as_str(), none.bundle), ("p-d-g-m", true));
    assert_eq!(options(Some(b"")), Ok(none));
    assert!(!options(Some(b"bundle: no\n")).unwrap().bundle);
    for (manifest, start) in [
        (b"\xff".as_slice(), "manifest.yaml is not valid UTF-8"),
        (b"a: [", "manifest.yaml line "),
        (b"bundle: 1\n", "manifest.yaml: bundle: expected "),
        (
            b"parameters: {x: {valueFrom: {parameterStore: /x}}}\n",
            "manifest.yaml: parameters.x: expected a value, or {\"parameter_store\": name}",
        ),
        (
            b"parameters: [{name: x, valueFrom: {parameterStore: /x}}]\n",
            "manifest.yaml: parameters: expected an object from a parameter's name to its value, found a list",
        ),
    ] {
        let error = options(Some(manifest)).unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidInput);
        assert!(error.message.starts_with(start), "{error}");
    }
}

#[test]
fn a_misspelt_file_of_options_or_of_the_role_is_no_module_without_it() {
    let module = ModuleId::parse("p", "d", "g", "m").unwrap();
    let bundle = read_zip(&pack(&[SPEC, ("Manifest.yml", b"bundle: no\n")]), "").unwrap();
    // A module of a deployment has its options in the deployment's manifest, so only an upload is refused.
    let error = bundle
        .options(&module, &Limits::of_aws("work", "seedflow"))
        .unwrap_err();
    assert_eq!(
        error.message,
        "manifest.yaml: not in the module's folder, but Manifest.yml, which has no effect; rename it to manifest.yaml"
    );
    let files = [
        ("m/deployspec.yaml", SPEC.1),
        ("m/modulestack.yml", b"Resources: {}"),
    ];
    let error = read_zip(&pack(&files), "m").unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidModuleStack);
    assert!(
        error.message.ends_with("rename it to modulestack.yaml"),
        "{error}"
    );
    // Files of the module's own.
    let files = [SPEC, ("manifest.json", b"{}"), ("src/modulestack.yml", b"x")];
    let bundle = read_zip(&pack(&files), "").unwrap();
    assert!(
        bundle
            .options(&module, &Limits::of_aws("work", "seedflow"))
            .is_ok()
    );
}

#[test]
fn the_root_of_a_folder_is_the_same_as_the_root_of_a_zip() {
    let whole = read_zip(&pack(&[SPEC, ("a.txt", b"1")]), "").unwrap();
    let inside = read_zip(
        &pack(&[
            ("x/y/a.txt", b"1"),
            ("other", b"2"),
            ("x/y/deployspec.yaml", SPEC.1),
        ]),
        "x/y",
    )
    .unwrap();
    assert_eq!(inside.root, "x/y");
    let root = String::new();
    assert_eq!(whole, Bundle { root, ..inside });
    assert_eq!((whole.files, whole.deployspec.as_slice()), (2, SPEC.1));
}

#[test]
fn a_single_folder_around_the_module_does_not_count() {
    let files: [(&str, &[u8]); 3] = [SPEC, ("src/a.txt", b"1"), ("manifest.yaml", b"{}")];
    let plain = read_zip(&pack(&files), "").unwrap();
    let around = |folder: &str| files.map(|(path, content)| (format!("{folder}/{path}"), content));
    for folder in ["vpc-4f2a91c", "My Module", "it's $(id)"] {
        let around = around(folder);
        let mut entries: Vec<(&str, &[u8])> = around
            .iter()
            .map(|(path, content)| (path.as_str(), *content))
            .collect();
        let inside = read_zip(&pack(&entries), "").unwrap();
        assert_eq!(inside.root, folder);
        assert_eq!(
            plain,
            Bundle {
                root: String::new(),
                ..inside
            }
        );
        // Files that tools add are neither a second folder nor a change.
        let added = [
            format!("__MACOSX/{folder}/._deployspec.yaml"),
            format!("{folder}/src/.DS_Store"),
            format!("{folder}/._src"),
        ];
        entries.extend(added.iter().map(|path| (path.as_str(), b"x" as &[u8])));
        entries.extend([
            ("pax_global_header", b"x" as &[u8]),
            ("Thumbs.db", b"x"),
            ("Desktop.ini", b"x"),
            ("._x", b"x"),
        ]);
        let added = read_zip(&pack(&entries), "").unwrap();
        assert_eq!((added.root.as_str(), &added.digest), (folder, &plain.digest));
        entries.push(("README.md", b"x"));
        assert!(message(&pack(&entries), "").contains("name that folder in source.path"));
    }
    // The folder of the input is looked for in it.
    let nested = [("r/m/deployspec.yaml", SPEC.1), ("r/README.md", b"")];
    assert_eq!(read_zip(&pack(&nested), "m").unwrap().root, "r/m");
    assert_eq!(read_zip(&pack(&nested), "r/m").unwrap().root, "r/m");
    // A deployspec at the root keeps the root.
    let both = [SPEC, ("m/deployspec.yaml", SPEC.1)];
    assert_eq!(read_zip(&pack(&both), "").unwrap().root, "");
}

#[test]
fn links_of_files_that_tools_add_are_checked_too() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("deployspec.yaml", SimpleFileOptions::default())
        .unwrap();
    zip.add_symlink("._a", "/etc/passwd", SimpleFileOptions::default())
        .unwrap();
    let zip = zip.finish().unwrap().into_inner();
    assert!(message(&zip, "").contains("outside the module's folder"));
}

#[test]
fn another_archive_format_is_named() {
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, name) in [
        (b"\x1f\x8b\x08\x00".to_vec(), "a gzip file, such as a .tar.gz"),
        (tar, "a tar archive"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04".to_vec(), "a 7z archive"),
        (b"Rar!\x1a\x07\x01\x00".to_vec(), "a RAR archive"),
        (b"\xfd7zXZ\x00".to_vec(), "an xz file"),
        (b"BZh9".to_vec(), "a bzip2 file"),
        (b"\x28\xb5\x2f\xfd".to_vec(), "a Zstandard file"),
    ] {
        let mut bytes = bytes;
        for length in [bytes.len(), 100_000] {
            bytes.resize(length, 7);
            let found = message(&bytes, "");
            assert!(
                found.starts_with(&format!("bundle: expected a zip, found {name}")),
                "{found}"
            );
            assert!(found.contains("zip -r"), "{found}");
        }
    }
    // bzip2, method 12 of the format.
    let mut zip = pack(&[SPEC]);
    let directory = zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    zip[8] = 12;
    zip[directory + 10] = 12;
    let found = message(&zip, "");
    assert!(
        found.contains("deployspec.yaml: the entry is compressed by the method"),
        "{found}"
    );
}

#[test]
fn a_renamed_added_removed_or_changed_file_changes_the_digest() {
    let base = digest(&[SPEC, ("a", b"1"), ("b", b"2")]);
    for changed in [
        digest(&[SPEC, ("a", b"1"), ("c", b"2")]),
        digest(&[SPEC, ("a", b"1"), ("b", b"2"), ("c", b"")]),
        digest(&[SPEC, ("a", b"1")]),
        digest(&[SPEC, ("a", b"1"), ("b", b"3")]),
        digest(&[SPEC, ("a", b"2"), ("b", b"1")]),
        digest(&[SPEC, ("d/a", b"1"), ("b", b"2")]),
    ] {
        assert_ne!(base, changed);
    }
}

proptest! {
    #[test]
    fn order_time_and_compression_do_not_count(
        files in prop::collection::btree_map("[a-z]{1,4}(/[a-z]{1,3})?", prop::collection::vec(any::<u8>(), 0..300), 1..8),
        seed in any::<u64>(),
    ) {
        let mut entries: Vec<(&str, &[u8])> = files.iter().map(|(p, c)| (p.as_str(), c.as_slice())).collect();
        entries.push(SPEC);
        let base = read_zip(&pack(&entries), "").unwrap();
        let turn = seed as usize % entries.len();
        entries.rotate_left(turn);
        entries.reverse();
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::from_date_and_time(1999, 1, 2, 3, 4, 6).unwrap());
        prop_assert_eq!(base, read_zip(&pack_as(&entries, options), "").unwrap());
    }

    #[test]
    fn a_flipped_bit_or_a_cut_never_passes_for_the_same_bundle(at in 0usize..400, cut in any::<bool>()) {
        let zip = pack_as(&[SPEC, ("a", &[7; 100])], SimpleFileOptions::default().compression_method(CompressionMethod::Stored));
        let whole = read_zip(&zip, "").unwrap();
        let at = at % zip.len();
        let mut damaged = zip.clone();
        if cut { damaged.truncate(at) } else { damaged[at] ^= 0x10 }
        // Damage to a timestamp or an attribute may pass with the same digest; damage to content or paths may not.
        if let Ok(bundle) = read_zip(&damaged, "") && (cut || bundle.deployspec != whole.deployspec) {
            prop_assert_ne!(bundle, whole);
        }
    }
}

fn message(zip: &[u8], root: &str) -> String {
    read_zip(zip, root).unwrap_err().message
}

#[test]
fn what_may_not_be_unpacked_is_refused_by_name() {
    let zeros = vec![0; 150 << 20];
    for (zip, part) in [
        (b"no zip at all".to_vec(), "whole, undamaged zip file"),
        (Vec::new(), "whole, undamaged zip file"),
        (
            {
                let z = pack(&[SPEC, ("a", &[1; 4000])]);
                z[..z.len() / 2].to_vec()
            },
            "whole, undamaged zip file",
        ),
        (
            pack(&[SPEC, ("../evil", b"x")]),
            "../evil: the entry's path climbs",
        ),
        (
            pack(&[SPEC, ("/etc/passwd", b"x")]),
            "/etc/passwd: the entry's path is absolute",
        ),
        (pack(&[SPEC, ("a\\b", b"x")]), "backslash"),
        (
            pack(&[SPEC, ("./a", b"x")]),
            "./a: the entry's path has a . or an empty part",
        ),
        (
            pack(&[SPEC, ("a//b", b"x")]),
            "a//b: the entry's path has a . or an empty part",
        ),
        (
            pack(&[("a", b"x")]),
            "deployspec.yaml: not in the root of the archive",
        ),
        (
            pack(&[("m/deployspec.yaml", b"x"), ("README.md", b"x")]),
            "there is one in m: name that folder in source.path",
        ),
        (
            pack(&[("r/modules/vpc/deployspec.yaml", b"x"), ("r/README.md", b"x")]),
            "there is one in r/modules/vpc: name that folder in source.path",
        ),
        (
            pack(&[("deployspec.yml", b"x")]),
            "deployspec.yaml: not in the root of the archive; there is deployspec.yml: rename it to deployspec.yaml",
        ),
        (
            pack(&[("r/Deployspec.yaml", b"x"), ("r/a", b"x")]),
            "not in r/ of the archive; there is Deployspec.yaml: rename",
        ),
        (
            pack(&[("deploy-spec.yaml.txt", b"x")]),
            "there is deploy-spec.yaml.txt: rename",
        ),
        (pack(&[SPEC, ("zeros", &zeros)]), "zip bomb"),
        (pack(&[]), "holds no files"),
    ] {
        let found = message(&zip, "");
        assert!(found.contains(part), "{found} / {part}");
    }
    assert!(message(&pack(&[SPEC, ("x/y", b"")]), "nope").contains("whose top folders are: x"));
    let big = vec![b'#'; deployspec::MAX_BYTES + 1];
    assert!(message(&pack(&[("deployspec.yaml", &big)]), "").contains("at most 65536"));
    // The longest template text that CloudFormation accepts.
    let limit = role::MAX_BYTES;
    let with_stack = |length: usize| pack(&[SPEC, ("modulestack.yaml", &big[..length])]);
    let kept = read_zip(&with_stack(limit), "").unwrap().module_stack;
    assert_eq!(kept.map(|text| text.len()), Some(limit));
    let error = read_zip(&with_stack(limit + 1), "").unwrap_err();
    assert_eq!(error.name, ErrorName::InvalidModuleStack);
    assert!(error.message.contains("at most 51200"), "{error}");
}

#[test]
fn links_stay_within_the_module() {
    let link = |path: &str, target: &str| {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("deployspec.yaml", SimpleFileOptions::default())
            .unwrap();
        zip.write_all(SPEC.1).unwrap();
        zip.add_symlink(path, target, SimpleFileOptions::default())
            .unwrap();
        zip.finish().unwrap().into_inner()
    };
    assert!(read_zip(&link("a/b", "../deployspec.yaml"), "").is_ok());
    for (path, target) in [("a/b", "../../x"), ("a", "/etc/passwd"), ("a", "b/../../c")] {
        assert!(
            message(&link(path, target), "").contains("outside the module's folder"),
            "{target}"
        );
    }
}

#[test]
fn an_entry_that_unpacks_to_more_than_it_says_is_refused() {
    let mut zip = pack(&[("deployspec.yaml", &[b'#'; 5000])]);
    let central = zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    // The uncompressed size in the local header and in the directory.
    for at in [22, central + 24] {
        zip[at..at + 4].copy_from_slice(&100u32.to_le_bytes());
    }
    let found = message(&zip, "");
    assert!(
        found.contains("larger than its declared uncompressed size"),
        "{found}"
    );
}

/// The offsets of the entries' headers: those before the data (3, 4) or those of the directory (1, 2).
fn headers(zip: &[u8], kind: [u8; 2]) -> Vec<usize> {
    let signature = [b'P', b'K', kind[0], kind[1]];
    let found = zip.windows(4).enumerate().filter(|(_, w)| *w == signature);
    found.map(|(at, _)| at).collect()
}

#[test]
fn two_entries_of_one_path_are_refused() {
    const REFUSED: &str = "bundle: two entries of the archive have the same path";
    let mut zip = pack(&[SPEC, ("one", b"1"), ("two", b"2")]);
    let (local, central) = (headers(&zip, [3, 4])[2], headers(&zip, [1, 2])[2]);
    for name in [local + 30, central + 46] {
        zip[name..name + 3].copy_from_slice(b"one");
    }
    assert_eq!(message(&zip, ""), REFUSED);
    // One letter in two encodings: a name that is not UTF-8 is read as code page 437.
    let mut zip = pack(&[SPEC, ("\u{e9}", b"1"), ("e", b"2")]);
    let (local, central) = (headers(&zip, [3, 4])[2], headers(&zip, [1, 2])[2]);
    for name in [local + 30, central + 46] {
        zip[name] = 0x82;
    }
    assert_eq!(message(&zip, ""), REFUSED);
}

#[test]
fn entries_that_share_bytes_are_refused() {
    let mut zip = pack_as(
        &[SPEC, ("a", &[1; 400]), ("b", &[1; 400])],
        SimpleFileOptions::default().compression_method(CompressionMethod::Stored),
    );
    let central = headers(&zip, [1, 2]);
    // The third entry begins at the second's offset.
    zip.copy_within(central[1] + 42..central[1] + 46, central[2] + 42);
    assert!(
        message(&zip, "").contains("overlaps the next"),
        "{}",
        message(&zip, "")
    );
}

#[test]
fn a_directory_may_be_so_long_and_an_archive_begins_at_the_beginning() {
    let long = |i: usize| format!("{i:05}{}", "x".repeat(65_000));
    let names: Vec<String> = (0..400).map(long).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    let found = message(&pack(&files), "");
    assert!(
        found.contains("directory is longer than 25165824 bytes"),
        "{found}"
    );
    let mut late = b"#!/bin/sh\n".to_vec();
    late.extend(pack(&[SPEC]));
    assert!(message(&late, "").contains("whole, undamaged zip file"));
}

#[test]
fn an_encrypted_entry_is_refused() {
    // The zip library is built without encryption, so the flag (bit 0) is set by hand in both headers.
    let mut zip = pack(&[SPEC]);
    let central = zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    zip[6] |= 1;
    zip[central + 8] |= 1;
    assert!(message(&zip, "").contains("encrypted"), "{}", message(&zip, ""));
}

#[test]
fn a_failure_of_the_source_keeps_its_name() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other(Error::new(
                ErrorName::Throttled,
                "S3 GetObject: slow down",
            )))
        }
    }
    impl Seek for Failing {
        fn seek(&mut self, _: io::SeekFrom) -> io::Result<u64> {
            Ok(1000)
        }
    }
    assert_eq!(read(Failing, "", 1000).unwrap_err().name, ErrorName::Throttled);
}
