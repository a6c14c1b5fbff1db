//! Random sequences of calls from a fixed seed: cases that the table doesn't contain.
//!
//! They contain only calls that both commands should treat alike: no mark at the variable's end, no `-j` that isn't an
//! object, no empty value stored before a convert.

use serde_json::json;

use super::case::{Case, case};

/// splitmix64: the same cases on every machine, without a dependency.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

const KEYS: [&str; 6] = ["a", "b", "VpcId", "with-dash", "é", ""];
const VALUES: [&str; 9] = ["1", "x y", "", "-v", "{\"a\": 1}", "null", "it's", "\"", "東\n京"];
const OBJECTS: [&str; 6] = [
    "{}",
    r#"{"a": 1}"#,
    r#"{"b": {"a": null}}"#,
    r#"{"VpcId": "vpc-1", "a": [1, 2.50]}"#,
    "{'a': 1}",
    "{\"a\": 1",
];
const FILES: [&str; 6] = [r#"{"a": 0, "f": 1}"#, "{}", "{", "{'f': 1}", "[1]", "\"x\""];
const EXPORTED: [&str; 7] = [
    r#"{"a": "v", "v": 1}"#,
    "{'v': 'w'}",
    "null",
    "",
    "{\"it\": \"it's\"}",
    "[]",
    "7",
];
const PLACES: [&str; 6] = [
    "s.metadata",
    ".s.metadata",
    "with-dash.metadata",
    "s",
    "none",
    ".s.metadata | length",
];

/// This number of cases, always the same ones.
pub fn cases(count: usize) -> Vec<Case> {
    let mut random = Random(8_0_9);
    (0..count).map(|number| sequence(&mut random, number)).collect()
}

fn sequence(random: &mut Random, number: usize) -> Case {
    let mut made = case(format!("random {number}"));
    made.generic = random.one_in(2);
    if random.one_in(2) {
        made = made.stored(random.of(&FILES));
    }
    if random.one_in(2) {
        made = made.exported(random.of(&EXPORTED));
    }
    if !random.one_in(4) {
        made = made.file("cdk-exports.json", exports(random));
    }
    made.cwd = random.of(&["", "sub", "sub/folder"]);
    for _ in 0..=random.below(3) {
        made = call(random, made);
    }
    made
}

fn exports(random: &mut Random) -> String {
    let mut text = || json!({"metadata": random.of(&OBJECTS)});
    json!({"my-project-dev-networking-vpc": text(), "s": text(), "with-dash": text()}).to_string()
}

fn call(random: &mut Random, case: Case) -> Case {
    let (key, value, object) = (random.of(&KEYS), random.of(&VALUES), random.of(&OBJECTS));
    let args: &[&str] = match random.below(8) {
        0 | 1 => &["add", "-k", key, "-v", value],
        2 => &["add", "-v", value, "-j", object],
        3 => &["add", "-j", object],
        4 => &["add", "-j", object, "-v", value, "-k", key],
        5 => &["convert"],
        6 => &["convert", "-jq", random.of(&PLACES)],
        _ => &["paramvalue", "-s", "MODULE_METADATA"],
    };
    case.calls(args)
}
