//! Bombs: input that is small to store and large to read is refused by name, with little memory, and before much of it is
//! read.
//!
//! Memory is what the program allocates beyond its previous usage, so the tests run one at a time. Durations are in
//! docs/benchmarks.md; these tests count that nothing inflates or copies more than its limit.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod raw_zip;

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::{Mutex, MutexGuard, PoisonError};

use peak_alloc::PeakAlloc;
use seedflow_core::error::{Error, ErrorName};
use seedflow_core::formats::yaml;
use seedflow_core::ids::ModuleId;
use seedflow_core::module::bundle;
use seedflow_core::module::bundle::Bundle;
use seedflow_core::module::deployspec::Deployspec;
use seedflow_core::module::input::{Limits, Options};
use seedflow_core::module::maximum::Maxima;

use raw_zip::{self as bombs, RawZip};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// Maximum memory for a document or a bundle.
const BOUND: usize = 64 * MIB;
/// Maximum memory for a directory that is too long: the zip library keeps all of it, up to the limit of its length.
const DIRECTORY_BOUND: usize = 320 * MIB;

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The peak of memory during `work`, beyond the usage before it.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before))
}

/// A source that counts the bytes read from it.
struct Counted<'a> {
    source: Cursor<&'a [u8]>,
    read: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.source.seek(to)
    }
}

struct Refusal {
    message: String,
    peak: usize,
    read: u64,
}

fn refused(zip: &[u8]) -> Refusal {
    let mut source = Counted {
        source: Cursor::new(zip),
        read: 0,
    };
    let (result, peak): (Result<Bundle, Error>, usize) =
        peak_of(|| bundle::read(&mut source, "", zip.len() as u64));
    let error = result.expect_err("a bomb is refused");
    assert_eq!(error.name, ErrorName::InvalidBundle);
    Refusal {
        message: error.message,
        peak,
        read: source.read,
    }
}

#[test]
fn ten_gigabytes_are_refused_without_inflating_any() {
    let _turn = turn();
    let zip = bombs::ten_gigabytes();
    assert!(zip.len() < 16 * MIB);
    let refusal = refused(&zip);
    assert!(
        refusal
            .message
            .contains("more than 200 times its size (a zip bomb)"),
        "{}",
        refusal.message
    );
    assert!(refusal.peak < BOUND, "{} bytes", refusal.peak);
    assert!(refusal.read < MIB as u64, "{} bytes", refusal.read);
}

#[test]
fn an_entry_that_inflates_to_more_than_it_says_is_cut_off_there() {
    let _turn = turn();
    // Ten gigabytes with a declared size of a thousandth of that.
    let packed = bombs::deflated_zeros(10 << 10);
    let zip = RawZip::with_deployspec()
        .deflated("zeros", &packed, 10 << 20)
        .finish();
    let refusal = refused(&zip);
    assert!(
        refusal.message.contains("zeros: ")
            && refusal
                .message
                .contains("larger than its declared uncompressed size"),
        "{}",
        refusal.message
    );
    assert!(refusal.peak < BOUND, "{} bytes", refusal.peak);
    // A mebibyte of zeros takes a kilobyte, and readers read some pages ahead.
    assert!(refusal.read < 256 * 1024, "{} bytes", refusal.read);
}

#[test]
fn two_hundred_thousand_entries_are_refused() {
    let _turn = turn();
    let refusal = refused(&bombs::files(200_000));
    assert!(
        refusal
            .message
            .contains("200001 entries; at most 100000 are allowed"),
        "{}",
        refusal.message
    );
    assert!(refusal.peak < DIRECTORY_BOUND, "{} bytes", refusal.peak);
}

#[test]
fn a_hundred_thousand_entries_are_read() {
    let _turn = turn();
    let zip = bombs::files(99_999);
    let (bundle, peak) = peak_of(|| bundle::read(Cursor::new(&zip), "", zip.len() as u64));
    assert_eq!(bundle.unwrap().files, 100_000);
    assert!(peak < DIRECTORY_BOUND, "{peak} bytes");
}

#[test]
fn a_directory_is_read_up_to_its_limit_only() {
    let _turn = turn();
    let zip = bombs::files(500_000);
    let refusal = refused(&zip);
    assert!(
        refusal
            .message
            .contains("directory is longer than 25165824 bytes"),
        "{}",
        refusal.message
    );
    assert!(refusal.peak < DIRECTORY_BOUND, "{} bytes", refusal.peak);
    assert!(refusal.read <= 24 << 20, "{} bytes", refusal.read);
}

#[test]
fn a_number_of_entries_is_not_believed() {
    let _turn = turn();
    for entries in [2, 1 << 20, 1 << 40, u64::MAX] {
        let refusal = refused(&RawZip::with_deployspec().finish_saying(entries));
        assert!(refusal.peak < BOUND, "{entries}: {} bytes", refusal.peak);
    }
}

#[test]
fn entries_that_share_one_body_are_refused() {
    let _turn = turn();
    let body = vec![b'x'; 1 << 20];
    let whole = RawZip::default().stored("deployspec.yaml", &body);
    let overlapping = (0..10_000).fold(whole, |zip, i| zip.again(&format!("f{i}"), 1 << 20, 1 << 20));
    let refusal = refused(&overlapping.finish());
    assert!(refusal.message.contains("overlaps"), "{}", refusal.message);
    assert!(refusal.peak < BOUND, "{} bytes", refusal.peak);
    // Entries so small that together they do not exceed the archive's size: each would cost a request to S3.
    let padded = RawZip::with_deployspec().stored("padding", &body);
    let small = (0..10_000).fold(padded, |zip, i| zip.again(&format!("f{i}"), 1, 1));
    assert!(refused(&small.finish()).message.contains("overlaps"));
}

#[test]
fn a_zip_in_a_zip_is_a_file_like_any_other() {
    let _turn = turn();
    let inner = bombs::ten_gigabytes();
    let zip = RawZip::with_deployspec().stored("inner.zip", &inner).finish();
    let (bundle, peak) = peak_of(|| bundle::read(Cursor::new(&zip), "", zip.len() as u64));
    assert_eq!(bundle.unwrap().bytes, inner.len() as u64 + 20);
    assert!(peak < BOUND, "{peak} bytes");
}

/// The results of parsing a text as a deployspec and as a manifest; neither may use much memory.
fn verdicts(text: &str) -> (Result<Deployspec, Error>, Result<Options, String>) {
    let module = ModuleId::parse("p", "d", "g", "m").unwrap();
    let limits = Limits::of_aws("w", "s");
    let (deployspec, peak) = peak_of(|| Deployspec::parse(text.as_bytes(), &Maxima::OF_AWS));
    assert!(peak < BOUND, "{peak} bytes for a deployspec of {}", text.len());
    let (manifest, peak) = peak_of(|| {
        let manifest = yaml::parse(text).map_err(|e| e.to_string())?;
        Options::from_manifest(&manifest.to_json(), &module, &limits).map_err(|e| e.message)
    });
    assert!(peak < BOUND, "{peak} bytes for a manifest of {}", text.len());
    (deployspec, manifest)
}

#[test]
fn documents_that_explode_are_refused_where_they_do() {
    let _turn = turn();
    let nested = |open: &str, close: &str| {
        format!(
            "parameters:\n  a: {}{}\n",
            open.repeat(100_000),
            close.repeat(100_000)
        )
    };
    let many: String = (0..100_000).map(|i| format!("k{i}: v\n")).collect();
    let anchored = (0..50).fold("1,".repeat(30_000), |inner, i| format!("&a{i} [{inner}]"));
    for (what, text, says) in [
        ("laughs", bombs::laughs("parameters"), "more than 100,000 values"),
        (
            "repeated text",
            bombs::repeated_text("parameters"),
            "more than 1 MiB of text",
        ),
        ("anchors in anchors", anchored, "more than 100,000 values"),
        ("deep lists", nested("[", "]"), "nest more than 64 deep"),
        ("deep mappings", nested("{a: ", "}"), "nest more than 64 deep"),
        ("deep blocks", "- ".repeat(100_000), "nest more than 64 deep"),
        ("unclosed", nested("[", ""), "nest more than 64 deep"),
        ("many keys", many, "more than 100,000 values"),
        (
            "two long texts",
            format!("a: {0}\nb: {0}\n", "x".repeat(1 << 20)),
            "more than 1 MiB of text",
        ),
    ] {
        let (deployspec, manifest) = verdicts(&text);
        let error = deployspec.unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidDeployspec, "{what}");
        // The parser looks ahead and has a limit of its own.
        let said = |message: &str| message.contains(says) || message.contains("recursion limit");
        assert!(said(&error.message), "{what}: {}", error.message);
        assert!(said(&manifest.unwrap_err()), "{what}");
    }
}

#[test]
fn what_is_long_and_harmless_is_read() {
    let _turn = turn();
    let commands = "\n      - echo".repeat(10_000);
    let keys: String = (0..20_000).map(|i| format!("k{i}: v\n")).collect();
    let long = format!(
        "{keys}deploy:\n  phases:\n    build:\n      commands:{commands}\n      - {}\n",
        "x".repeat(700_000)
    );
    assert_eq!(verdicts(&long).0.unwrap().deploy.build.len(), 10_001);
}
