//! Texts with a special meaning: to a shell, to YAML, in a path, or in a terminal.

use proptest::prelude::*;
use proptest::sample::select;

/// Texts that try to end a quotation and begin something else.
pub const HOSTILE: [&str; 48] = [
    "'",
    "\"",
    "'; touch pwned; '",
    "\"; touch pwned; \"",
    "$(touch pwned)",
    "`touch pwned`",
    "${IFS}touch${IFS}pwned",
    "${HOME}",
    "$HOME",
    "$$",
    "!!",
    "; touch pwned",
    "&& touch pwned",
    "| touch pwned",
    "> pwned",
    "\ntouch pwned\n",
    "\r\ntouch pwned\r\n",
    "\\",
    "\\'",
    "\\\n",
    "'\\''; touch pwned; '\\''",
    "*",
    "?",
    "~",
    "~root",
    "{a,b}",
    "#",
    "--help",
    "-n",
    "SEEDFLOW_END_OF_SCRIPT\ntouch pwned\n",
    "\u{1b}[31m\u{1b}]0;title\u{7}",
    "\u{8}\u{7f}",
    "\u{202e}",
    "\u{feff}",
    "é\u{301}😀",
    "%s%n",
    "../../../etc/passwd",
    "..",
    "a/../b",
    ": ",
    "- a\n- b",
    "&a [*a]",
    "!!python/object/apply:os.system [touch pwned]",
    "--- \n...\n%YAML 1.1\n---",
    "git::https://h/r.git//m?ref=a%00&depth=é",
    "git::git@h:r.git//../m",
    "git::codecommit::é://u@r.git//.git//",
    "archive::https://h/a.zip?module=%2e%2e/m&module",
];

/// Texts composed of the dictionary, of arbitrary and of long text; a zero byte only if `zero`.
pub fn text(zero: bool) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => select(&HOSTILE[..]).prop_map(str::to_owned),
        2 => any::<String>(),
        1 => "[a-zA-Z0-9_./:-]{0,12}",
        1 => (select(&HOSTILE[..]), 1usize..400).prop_map(|(text, times)| text.repeat(times)),
    ];
    prop::collection::vec(piece, 0..5).prop_map(move |pieces| {
        let text = pieces.concat();
        if zero { text } else { text.replace('\0', "") }
    })
}

/// JSON of any shape with hostile strings in it.
pub fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text(true).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text(true), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}
