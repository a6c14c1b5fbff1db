//! Keys of S3 and paths of Parameter Store are built in `crates/core/src/storage_layout.rs` and nowhere else.

use std::path::Path;

use seedflow_contract::{file, root};

const LAYOUT: &str = "crates/core/src/storage_layout.rs";

/// The sources of a folder that aren't tests, by their paths in the checkout.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in folder
        .read_dir()
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
    {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !["tests", "target"].contains(&name) {
            sources(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// The prefixes of the work bucket, as the layout's own documentation lists them: "- `sources/`: …".
fn prefixes(layout: &str) -> Vec<&str> {
    let lines = layout.lines().filter_map(|line| line.strip_prefix("//! - `"));
    lines.filter_map(|line| line.split(['/', '`']).next()).collect()
}

/// A source without the tests in it.
fn without_tests(source: &str) -> &str {
    let begins_tests = |at: usize| {
        let item = source[at..].lines().find(|line| !line.starts_with("#["));
        item.is_some_and(|item| item.ends_with("mod tests {"))
    };
    let mut test_attributes = source.match_indices("#[cfg(test)]").map(|(at, _)| at);
    let end = test_attributes.find(|at| begins_tests(*at));
    &source[..end.unwrap_or(source.len())]
}

/// The lines of a source in which a text begins like a key or a path. Comments and tests in a file don't count.
fn built(source: &str, prefixes: &[&str]) -> Vec<String> {
    let lines = without_tests(source)
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"));
    let begins = |line: &str| {
        let after_quotes = line
            .match_indices('"')
            .filter(|(at, _)| !line[..*at].ends_with('\\'));
        let mut texts = after_quotes.map(|(at, _)| &line[at + 1..]);
        texts.any(|text| {
            let of_bucket = prefixes.iter().any(|prefix| {
                let rest = text.strip_prefix(prefix);
                rest.is_some_and(|rest| rest.starts_with('/'))
            });
            of_bucket || text.starts_with("/sf/") || text.starts_with("/sf\"")
        })
    };
    lines.filter(|line| begins(line)).map(str::to_owned).collect()
}

#[test]
fn keys_and_paths_are_built_in_one_file() {
    let layout = file(LAYOUT);
    let prefixes = prefixes(&layout);
    assert!(
        prefixes.contains(&"sources") && prefixes.contains(&"index"),
        "{prefixes:?}"
    );
    assert!(
        !built(&layout, &prefixes).is_empty(),
        "the layout itself builds keys"
    );
    let mut found = Vec::new();
    for folder in ["crates", "functions"] {
        sources(&root().join(folder), &mut found);
    }
    found.retain(|path| path != LAYOUT);
    assert!(
        found.iter().any(|path| path.starts_with("functions/check-md5/")),
        "{found:?}"
    );
    let elsewhere: Vec<String> = found
        .iter()
        .flat_map(|path| {
            built(&file(path), &prefixes)
                .into_iter()
                .map(move |line| format!("{path}: {line}"))
        })
        .collect();
    assert!(
        elsewhere.is_empty(),
        "expected these keys in {LAYOUT}: {elsewhere:#?}"
    );
}

#[test]
fn a_key_that_is_built_elsewhere_is_found() {
    let source = "// \"locks/x\"\nlet a = format!(\"locks/{x}.json\");\nlet b = \"a message with \\\"locks/x\\\"\";\n\
                  #[cfg(test)]\nmod more_tests;\nlet c = store.below(\"/sf\");\n\
                  #[cfg(test)]\n#[allow(clippy::unwrap_used)]\npub(crate) mod tests {\nlet d = \"locks/y\";\n";
    let found = built(source, &["locks"]);
    assert_eq!(
        found,
        [
            "let a = format!(\"locks/{x}.json\");",
            "let c = store.below(\"/sf\");"
        ]
    );
}
