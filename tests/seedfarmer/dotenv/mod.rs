//! `.env` files, compared with the real python-dotenv (1.0.1, the version that seed-farmer 8.0.9 installs).
//!
//! The files are generated from a fixed seed: lines of the usual form, and lines of its tokens in any order.
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use seedflow_core::formats::dotenv;
use serde_json::{Value, json};

/// The number of generated files.
const FILES: usize = 6000;

/// Pieces of lines. White space is Python's, which is not quite Unicode's.
const TOKENS: [&str; 44] = [
    "A",
    "B",
    "GIVEN",
    "OUTER",
    "x",
    "é",
    "1",
    "export ",
    "export\t",
    "export",
    "=",
    "=",
    "=",
    " ",
    " ",
    "\t",
    "'",
    "'",
    "\"",
    "\"",
    "\\",
    "\\",
    "\\n",
    "\\'",
    "\\\"",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\r",
    "#",
    " #",
    "${A}",
    "${B:-d}",
    "${GIVEN}",
    "${",
    "}",
    ":",
    ":-",
    "$",
    "\u{a0}",
    "\u{1c}",
    "\u{85}\u{c}",
    "\u{2028}\u{feff}",
];

fn soup(tokens: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = String> {
    prop::collection::vec(select(&TOKENS[..]), tokens).prop_map(|tokens| tokens.concat())
}

/// Text of a value within its line: no end of a line, and no quote that would end it.
fn inner() -> impl Strategy<Value = String> {
    soup(0..6).prop_map(|text| text.replace(['\n', '\r', '\'', '"'], "y"))
}

fn line() -> impl Strategy<Value = String> {
    let name = select(
        &[
            "A", "B", "C", "'A'", "\"A\"", "a.b", "GIVEN", "export A", "export",
        ][..],
    );
    let space = || select(&["", "", " ", "\t", " \u{a0}", "\u{1f}"][..]);
    let value = prop_oneof![
        inner(),
        inner().prop_map(|text| format!("'{text}'")),
        inner().prop_map(|text| format!("\"{text}\"")),
        soup(0..6).prop_map(|text| format!("\"{text}\"")),
        soup(0..6),
    ];
    let after = select(&["", "", " ", " # c", "#c", " x", "\u{1d}"][..]);
    let end = select(&["\n", "\n", "\n\n", "\r\n", "\r"][..]);
    (
        name,
        space(),
        select(&["=", "=", "=", "", ":"][..]),
        space(),
        value,
        after,
        end,
    )
        .prop_map(|(name, before, equals, behind, value, after, end)| {
            format!("{name}{before}{equals}{behind}{value}{after}{end}")
        })
}

fn file() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::collection::vec(line(), 1..5).prop_map(|lines| lines.concat()),
        1 => soup(0..16),
        1 => (line(), soup(0..10), line()).prop_map(|(first, middle, last)| format!("{first}{middle}{last}")),
    ]
}

fn given() -> BTreeMap<String, String> {
    let given = [("GIVEN", "g ${A}"), ("OUTER", "é")];
    given
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// What python-dotenv reads from each file.
fn theirs(files: &[String]) -> Vec<Value> {
    let mut process = Command::new(crate::python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("dotenv/driver.py"))
        .arg(json!(given()).to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ask = process.stdin.take().unwrap();
    let requests: String = files.iter().map(|file| format!("{}\n", json!(file))).collect();
    // On a thread of its own, because python's answers fill their pipe while it reads.
    let asking = std::thread::spawn(move || ask.write_all(requests.as_bytes()));
    let output = process.wait_with_output().unwrap();
    asking.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn ours(file: &str) -> Value {
    let read = dotenv::read(file, &given(), &BTreeMap::new());
    let skipped: Vec<usize> = read.skipped.iter().map(|skipped| skipped.line).collect();
    json!({"variables": read.variables, "skipped": skipped})
}

#[test]
fn every_generated_file_is_read_the_same() {
    let mut runner = TestRunner::deterministic();
    let strategy = file();
    let written = [
        "K=\"C:\\\\dir\\\\\"",
        "K='it\\'s'\nL=\"C:\\\"\nM=\"x\"\n",
        "A= # c\nexport \n''=1\n=",
    ];
    let files: Vec<String> = (0..FILES)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .chain(written.map(str::to_owned))
        .collect();
    let theirs = theirs(&files);
    assert_eq!(theirs.len(), files.len());
    let mut different: Vec<(&String, Value, &Value)> = files
        .iter()
        .zip(&theirs)
        .map(|(file, theirs)| (file, ours(file), theirs))
        .filter(|(_, ours, theirs)| ours != *theirs)
        .collect();
    different.sort_by_key(|(file, ..)| file.len());
    let shortest = different.first();
    assert!(
        different.is_empty(),
        "{} of {}; the shortest is {shortest:#?} (file, ours, python-dotenv)",
        different.len(),
        files.len()
    );
    // The generator reaches both: files that are read, and lines that are skipped.
    let has = |field: &str| {
        let empty = |value: &Value| {
            value[field]
                .as_array()
                .map_or(value[field] == json!({}), Vec::is_empty)
        };
        theirs.iter().filter(|value| !empty(value)).count()
    };
    assert!(has("variables") > FILES / 2 && has("skipped") > FILES / 5);
}
