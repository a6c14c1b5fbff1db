//! The zip reader: arbitrary bytes instead of a zip, and zips that were changed.

use std::io::{Cursor, Write};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use seedflow_core::error::{Error, ErrorName};
use seedflow_core::module::bundle;
use seedflow_core::module::bundle::Bundle;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::{assert_refusal, cases, dictionary};

const REFUSALS: [ErrorName; 3] = [
    ErrorName::InvalidBundle,
    ErrorName::InvalidDeployspec,
    ErrorName::InvalidModuleStack,
];

/// Nothing in these tests unpacks to more than this, so a header with a larger size is false.
const MOST: u64 = 1 << 20;

fn read(zip: &[u8], root: &str) -> Result<Bundle, Error> {
    bundle::read(Cursor::new(zip), root, zip.len() as u64)
}

/// A file to be packed.
#[derive(Debug, Clone)]
struct File {
    path: String,
    content: Vec<u8>,
    deflate: bool,
    year: u16,
    large: bool,
}

fn file(path: impl Strategy<Value = String>) -> impl Strategy<Value = File> {
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600),
        (any::<u8>(), 0usize..5000).prop_map(|(byte, times)| vec![byte; times]),
    ];
    (path, content, any::<bool>(), 1980u16..2107, any::<bool>()).prop_map(
        |(path, content, deflate, year, large)| File {
            path,
            content,
            deflate,
            year,
            large,
        },
    )
}

/// Files with different valid paths; none of them is a folder of another.
fn files() -> impl Strategy<Value = Vec<File>> {
    prop::collection::btree_map(
        "[a-z]{1,3}/[a-zé]{1,3}|[A-Z]{1,4}",
        file(Just(String::new())),
        0..8,
    )
    .prop_map(|files| {
        let named = files.into_iter().map(|(path, file)| File { path, ..file });
        named.chain([deployspec()]).collect()
    })
}

fn deployspec() -> File {
    File {
        path: "deployspec.yaml".into(),
        content: b"deploy: {phases: {}}".to_vec(),
        deflate: true,
        year: 2000,
        large: false,
    }
}

fn pack(files: &[File]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let method = if file.deflate {
            CompressionMethod::Deflated
        } else {
            CompressionMethod::Stored
        };
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .last_modified_time(DateTime::from_date_and_time(file.year, 1, 1, 0, 0, 0).unwrap())
            .large_file(file.large);
        if zip.start_file(file.path.as_str(), options).is_ok() {
            zip.write_all(&file.content).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

/// A change of a zip's bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Cut(Index),
    Remove(Index, Index),
    Insert(Index, Vec<u8>),
    Double(Index, Index),
    /// Sets a field of a header of this kind to another value.
    Header([u8; 2], Index, usize, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let kinds = select(&[[1, 2], [3, 4], [5, 6], [6, 6], [6, 7]][..]);
    let values = select(vec![
        vec![0],
        vec![1],
        vec![0xff],
        vec![0xff; 2],
        vec![0xff; 4],
        vec![0xff; 8],
        vec![0, 0, 0, 0x80],
        vec![0xff, 0xff, 0xff, 0x7f],
        vec![0, 0, 1, 0],
    ]);
    prop_oneof![
        3 => (any::<Index>(), 1u8..).prop_map(|(at, by)| Change::Flip(at, by)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Remove(from, to)),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Double(from, to)),
        6 => (kinds, any::<Index>(), 4usize..60, values).prop_map(|(kind, which, at, value)| Change::Header(kind, which, at, value)),
    ]
}

fn apply(zip: &mut Vec<u8>, change: &Change) {
    if zip.is_empty() {
        return;
    }
    let range = |from: &Index, to: &Index, length: usize| {
        let (from, to) = (from.index(length), to.index(length));
        from.min(to)..from.max(to)
    };
    match change {
        Change::Flip(at, by) => {
            let at = at.index(zip.len());
            zip[at] ^= by;
        }
        Change::Cut(at) => zip.truncate(at.index(zip.len())),
        Change::Remove(from, to) => drop(zip.drain(range(from, to, zip.len()))),
        Change::Insert(at, bytes) => {
            let at = at.index(zip.len());
            zip.splice(at..at, bytes.iter().copied());
        }
        Change::Double(from, to) => {
            let range = range(from, to, zip.len());
            let piece = zip[range.clone()].to_vec();
            zip.splice(range.end..range.end, piece);
        }
        Change::Header(kind, which, at, value) => {
            let signature = [b'P', b'K', kind[0], kind[1]];
            let found: Vec<usize> = zip
                .windows(4)
                .enumerate()
                .filter(|(_, w)| *w == signature)
                .map(|(i, _)| i)
                .collect();
            if found.is_empty() {
                return;
            }
            let at = found[which.index(found.len())] + at;
            for (byte, value) in zip.iter_mut().skip(at).zip(value) {
                *byte = *value;
            }
        }
    }
}

/// Checks the result for any bytes: a refusal with a name, or a consistent bundle.
fn assert_sound(result: &Result<Bundle, Error>) -> Result<(), TestCaseError> {
    match result {
        Ok(bundle) => {
            prop_assert!(bundle.files >= 1 && bundle.bytes <= MOST);
            prop_assert_eq!(bundle.digest.len(), 32);
            Ok(())
        }
        Err(error) => assert_refusal(error, &REFUSALS),
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn bytes_that_are_not_a_zip_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000), root in dictionary::text(true)) {
        assert_sound(&read(&bytes, &root))?;
    }

    #[test]
    fn a_changed_zip_is_refused_or_read_as_what_it_says(
        files in files(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let mut zip = pack(&files);
        for change in &changes {
            apply(&mut zip, change);
        }
        let first = read(&zip, "");
        assert_sound(&first)?;
        // Two threads hash; their order must not matter.
        prop_assert_eq!(first, read(&zip, ""));
    }

    #[test]
    fn paths_are_refused_or_stay_within(path in dictionary::text(true), content in prop::collection::vec(any::<u8>(), 0..9)) {
        let evil = File { path: path.clone(), content, deflate: false, year: 2000, large: false };
        let result = read(&pack(&[deployspec(), evil]), "");
        assert_sound(&result)?;
        if result.is_ok_and(|bundle| bundle.files == 2) {
            let parts: Vec<&str> = path.split('/').collect();
            prop_assert!(!parts.iter().any(|part| matches!(*part, "" | "." | "..")), "{path:?}");
            prop_assert!(!path.contains(|c: char| c.is_control() || c == '\\'), "{path:?}");
        }
    }

    #[test]
    fn the_digest_knows_files_and_nothing_else(files in files(), order in any::<u64>(), other in files()) {
        let whole = read(&pack(&files), "").unwrap();
        prop_assert_eq!(whole.files, files.len());
        prop_assert_eq!(whole.bytes, files.iter().map(|f| f.content.len() as u64).sum::<u64>());
        let mut again: Vec<File> = files.iter().map(|f| File {
            deflate: !f.deflate, year: 1980 + (f.year + 1) % 120, large: !f.large, ..f.clone()
        }).collect();
        let turn = order as usize % again.len();
        again.rotate_left(turn);
        prop_assert_eq!(&whole.digest, &read(&pack(&again), "").unwrap().digest);
        let contents = |files: &[File]| files.iter().map(|f| (f.path.clone(), f.content.clone())).collect::<std::collections::BTreeMap<_, _>>();
        let equal = contents(&files) == contents(&other);
        prop_assert_eq!(equal, whole.digest == read(&pack(&other), "").unwrap().digest);
        let inside: Vec<File> = files.iter().map(|f| File { path: format!("m/n/{}", f.path), ..f.clone() }).collect();
        // Below one top-level folder, the folder that is asked for is found without it.
        for asked in ["m/n", "n"] {
            let inside = read(&pack(&inside), asked).unwrap();
            prop_assert_eq!(&inside.root, "m/n");
            prop_assert_eq!(&whole, &Bundle { root: String::new(), ..inside });
        }
    }
}
