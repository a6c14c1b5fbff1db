//! Everything that the repository's documents refer to exists: files, headings, tests, functions, types and packages.
//!
//! A document refers to something in two ways, and both are checked:
//! - by a link, `[text](path#heading)` or `src="path"`, whose path is relative to the document;
//! - by a code span, `path#item`, whose path starts at the repository's root. `#item` alone is another item of the file
//!   named before. A path with `*` or `{…}` is checked up to there. `suite::beginning…` is a test in
//!   `tests/`.
//!
//! Fenced blocks are examples and are not read, except for the packages and tests that a `cargo` command names.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use seedflow_contract::root;
use seedflow_core::error::ErrorName;

/// Paths that begin with one of these belong to the repository; the folders of users' modules have other names.
const FOLDERS: [&str; 11] = [
    ".ci",
    ".github",
    "benches",
    "crates",
    "docs",
    "examples",
    "functions",
    "integrations",
    "statemachine",
    "tests",
    "tools",
];

/// The files with these endings are ours wherever a document names them; `deployspec.yaml` may be a user's.
const CODE: [&str; 2] = [".rs", ".asl.json"];

/// All Markdown files below a folder, except generated ones, hidden ones, and those that belong to code.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let skipped = ["target", "node_modules", "src"];
        if path.is_dir() && !name.starts_with('.') && !skipped.contains(&name.as_str()) {
            documents(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The texts of all files with this name below a folder.
fn files(folder: &Path, name: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, name, found);
        } else if path.file_name().is_some_and(|file| file == name) {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// A document whose fenced blocks are taken out; the lines keep their numbers.
struct Document {
    text: String,
    fenced: String,
}

impl Document {
    fn parse(source: &str) -> Self {
        let mut document = Self {
            text: String::new(),
            fenced: String::new(),
        };
        let mut inside = false;
        for line in source.lines() {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            let (taken, other) = if inside || fence {
                (&mut document.fenced, &mut document.text)
            } else {
                (&mut document.text, &mut document.fenced)
            };
            taken.push_str(line);
            taken.push('\n');
            other.push('\n');
        }
        document
    }

    /// The anchors of all headings as GitHub makes them.
    fn anchors(&self) -> Vec<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let headings = self.text.lines().filter_map(|line| {
            let title = line.trim_start_matches('#');
            (title.len() < line.len())
                .then(|| title.strip_prefix(' '))
                .flatten()
        });
        let anchors = headings.map(|title| {
            let kept = title.trim().chars().filter_map(|c| match c {
                ' ' => Some('-'),
                '-' | '_' => Some(c),
                c if c.is_alphanumeric() => Some(c),
                _ => None,
            });
            let anchor = kept.collect::<String>().to_lowercase();
            let count = seen.entry(anchor.clone()).or_default();
            *count += 1;
            if *count == 1 {
                anchor
            } else {
                format!("{anchor}-{}", *count - 1)
            }
        });
        anchors.collect()
    }
}

/// A reference of a document, with its line.
#[derive(Debug, PartialEq)]
enum Reference<'a> {
    Link(usize, &'a str),
    Code(usize, &'a str),
}

/// The links and code spans of a text, in their order.
fn references(text: &str) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    while let Some(next) = text[at..].find(['`', ']', 's']) {
        let start = at + next;
        let rest = &text[start..];
        if let Some(after) = rest.strip_prefix("src=\"") {
            let end = after.find('"').unwrap_or(after.len());
            found.push(Reference::Link(line(start), &after[..end]));
            at = start + 5 + end;
            continue;
        }
        if let Some(after) = rest.strip_prefix("](") {
            let end = after.find(')').unwrap_or(after.len());
            found.push(Reference::Link(line(start), &after[..end]));
            at = start + 2 + end;
            continue;
        }
        let ticks = &rest[..rest.len() - rest.trim_start_matches('`').len()];
        let inside = &rest[ticks.len()..];
        match (ticks.len(), inside.find(ticks)) {
            (0, _) => at = start + 1,
            (length, None) => at = start + length,
            (length, Some(end)) => {
                found.push(Reference::Code(line(start), &inside[..end]));
                at = start + 2 * length + end;
            }
        }
    }
    found
}

/// A path without `.` and `..`, which may leave the repository.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` follows one of the words, as in `fn word(`.
fn is_defined(code: &str, keywords: &[&str], word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].trim_end();
        let whole = !code[at + word.len()..].starts_with(is_word);
        let keyword = before.rsplit(|c| !is_word(c)).next().unwrap_or_default();
        whole && before.len() < at && keywords.contains(&keyword)
    })
}

/// Whether a line begins with the word, followed by one of the ends: a variant, a Python constant, a key.
fn begins_a_line(code: &str, word: &str, ends: &[&str]) -> bool {
    let rests = code
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(word));
    rests
        .into_iter()
        .any(|rest| ends.iter().any(|end| rest.starts_with(end)))
}

/// Whether a file of that name defines an item such as `load` or `Bucket::copy_from`.
fn defines(path: &str, code: &str, item: &str) -> bool {
    let keywords = [
        "fn", "struct", "enum", "trait", "type", "const", "static", "mod", "union",
    ];
    match path.rsplit('.').next() {
        Some("rs") => item.split("::").all(|part| {
            is_defined(code, &keywords, part)
                || is_defined(code, &["impl"], part)
                || (item.contains("::") && begins_a_line(code, part, &[",", " {", "("]))
        }),
        Some("py") => is_defined(code, &["def", "class"], item) || begins_a_line(code, item, &[" ="]),
        Some("yaml" | "yml" | "toml") => begins_a_line(code, item, &[":", " ="]),
        Some("json") => code.contains(&format!("\"{item}\":")),
        Some("md") => Document::parse(code)
            .anchors()
            .iter()
            .any(|anchor| anchor == item),
        _ => false,
    }
}

/// Whether a code span names a path of the repository.
fn is_ours(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    let plain = path
        .chars()
        .all(|c| c.is_alphanumeric() || "/._-*{},+…".contains(c));
    plain && ((path.contains('/') && FOLDERS.contains(&first)) || CODE.iter().any(|end| path.ends_with(end)))
}

/// The checker of one document.
struct Checker<'a> {
    root: &'a Path,
    document: &'a Path,
    anchors: Vec<String>,
    named: Option<String>,
    faults: Vec<String>,
}

impl Checker<'_> {
    fn fault(&mut self, line: usize, message: &str) {
        let document = self.document.strip_prefix(self.root).unwrap().display();
        self.faults.push(format!("{document}:{line}: {message}"));
    }

    /// The document's folder, from the root.
    fn folder(&self) -> PathBuf {
        let folder = self.document.parent().unwrap();
        folder.strip_prefix(self.root).unwrap().to_owned()
    }

    /// The text of a file of the repository; `None` for a folder. A path may also start at the document's folder.
    fn read(&mut self, line: usize, path: &str) -> Option<String> {
        let path = path.trim_end_matches('/');
        let places = [self.root.join(path), self.root.join(self.folder()).join(path)];
        let place = places.iter().find(|place| place.exists());
        match place {
            None => self.fault(line, &format!("expected the file {path}, found none")),
            Some(file) if file.is_file() => {
                return Some(String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned());
            }
            Some(_) => {}
        }
        None
    }

    fn item(&mut self, line: usize, path: &str, item: &str) {
        if let Some(code) = self.read(line, path)
            && !defines(path, &code, item)
        {
            self.fault(line, &format!("expected {item} in {path}, found none"));
        }
    }

    fn link(&mut self, line: usize, target: &str) {
        if target.contains("://") || target.starts_with("mailto:") {
            return;
        }
        let (path, anchor) = target
            .split_once('#')
            .map_or((target, None), |(path, a)| (path, Some(a)));
        if path.is_empty() {
            let anchor = anchor.unwrap_or_default();
            if !self.anchors.iter().any(|known| known == anchor) {
                self.fault(line, &format!("expected the heading {anchor} here, found none"));
            }
            return;
        }
        let path = normal(&self.folder().join(path)).to_string_lossy().into_owned();
        match anchor {
            Some(anchor) => self.item(line, &path, anchor),
            None => drop(self.read(line, &path)),
        }
    }

    fn code(&mut self, line: usize, span: &str) {
        let (path, item) = span
            .split_once('#')
            .map_or((span, None), |(path, item)| (path, Some(item)));
        let item = item.filter(|item| {
            item.starts_with(char::is_alphabetic) && item.chars().all(|c| is_word(c) || c == ':' || c == '-')
        });
        match item {
            Some(item) if path.is_empty() => match self.named.clone() {
                Some(path) => self.item(line, &path, item),
                None => self.fault(line, &format!("expected a file before #{item}, found none")),
            },
            Some(item) if is_ours(path) || self.root.join(path).is_file() => {
                self.named = Some(path.to_owned());
                self.item(line, path, item);
            }
            None if !span.contains('#') && is_ours(path) => {
                let fixed = path.split(['*', '{']).next().unwrap_or_default();
                let fixed = if fixed.len() == path.len() {
                    path
                } else {
                    fixed.rsplit_once('/').map_or("", |(folder, _)| folder)
                };
                drop(self.read(line, fixed));
            }
            _ => self.test(line, span),
        }
    }

    /// A test by its suite and the beginning of its name.
    fn test(&mut self, line: usize, span: &str) {
        let Some((suite, test)) = span.strip_suffix('…').and_then(|span| span.split_once("::")) else {
            return;
        };
        let is_name = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if suite.is_empty() || !is_name(suite) || !is_name(test) {
            return;
        }
        let mut suites = Vec::new();
        files(&self.root.join("tests"), &format!("{suite}.rs"), &mut suites);
        let begin = format!("fn {test}");
        if !suites.iter().any(|code| code.contains(&begin)) {
            self.fault(line, &format!("expected a test {span} in tests/, found none"));
        }
    }

    /// The packages and test programs that a cargo command names.
    fn command(&mut self, line: usize, text: &str, cargo: &Cargo) {
        let Some((_, command)) = text.split_once("cargo ") else {
            return;
        };
        let mut words = command.split_whitespace().take_while(|word| *word != "--");
        while let Some(word) = words.next() {
            let known = match word {
                "-p" | "--package" => &cargo.packages,
                "--test" => &cargo.programs,
                _ => continue,
            };
            let name = words.next().unwrap_or_default();
            if !known.iter().any(|known| known == name) {
                self.fault(
                    line,
                    &format!("expected a name that cargo knows, found {word} {name}"),
                );
            }
        }
    }
}

/// The names that `cargo` accepts: the workspace's packages and their test programs.
#[derive(Default)]
struct Cargo {
    packages: Vec<String>,
    programs: Vec<String>,
}

impl Cargo {
    fn read(folder: &Path, cargo: &mut Self) {
        let folder_name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for path in std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "src" {
                Self::read(&path, cargo);
            } else if name == "Cargo.toml" {
                let manifest = std::fs::read_to_string(path).unwrap();
                let names = manifest
                    .lines()
                    .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
                cargo.packages.extend(names.clone().map(str::to_owned));
                cargo.programs.extend(names.map(str::to_owned));
            } else if name == "main.rs" {
                cargo.programs.push(folder_name.clone());
            } else if let Some(name) = name.strip_suffix(".rs") {
                cargo.programs.push(name.to_owned());
            }
        }
    }
}

/// The errors of a document. Its name decides where its relative links start.
fn check(root: &Path, document: &Path, source: &str, cargo: &Cargo) -> Vec<String> {
    let parsed = Document::parse(source);
    let mut checker = Checker {
        root,
        document,
        anchors: parsed.anchors(),
        named: None,
        faults: Vec::new(),
    };
    for reference in references(&parsed.text) {
        match reference {
            Reference::Link(line, target) => checker.link(line, target),
            Reference::Code(line, span) => {
                checker.code(line, span);
                checker.command(line, span, cargo);
            }
        }
    }
    for (line, text) in parsed.fenced.lines().enumerate() {
        checker.command(line + 1, text, cargo);
    }
    checker.faults
}

/// The first cells of the tables of a section.
fn first_cells<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let section = page
        .split_once(&format!("\n## {heading}\n"))
        .expect("the section")
        .1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells.collect()
}

/// The literal parts of a cell, between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_error_name_has_a_row_in_the_page_of_errors() {
    let page = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let rows = first_cells(&page, "Error names");
    let missing: Vec<_> = ErrorName::ALL
        .iter()
        .filter(|name| !rows.contains(&format!("`{name}`").as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/errors.md: expected a row for each of {missing:?}, found none"
    );
}

/// All Rust files below a folder, one after the other.
fn code_below(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let texts = entries.map(|path| match path.extension() {
        _ if path.is_dir() => code_below(&path),
        Some(end) if end == "rs" => std::fs::read_to_string(path).unwrap(),
        _ => String::new(),
    });
    texts.collect()
}

#[test]
fn every_message_in_the_page_of_errors_is_one_of_ours() {
    let root = root();
    let page = std::fs::read_to_string(root.join("docs/errors.md")).unwrap();
    let code: String = ["crates/cli/src", "crates/local/src", "crates/migrate/src"]
        .map(|folder| code_below(&root.join(folder)))
        .concat();
    let rows = first_cells(&page, "Command lines");
    assert!(rows.len() > 10, "{rows:?}");
    let gone: Vec<_> = rows
        .into_iter()
        .flat_map(quoted)
        .filter(|message| !code.contains(message))
        .collect();
    assert!(
        gone.is_empty(),
        "docs/errors.md: expected these messages in the code, found none: {gone:?}"
    );
}

#[test]
fn what_documents_refer_to_exists() {
    let root = root();
    let mut found = Vec::new();
    documents(&root, &mut found);
    assert!(found.len() > 50, "{} documents: they are not found", found.len());
    found.sort();
    let mut cargo = Cargo::default();
    Cargo::read(&root, &mut cargo);
    let faults = found.iter().flat_map(|document| {
        let source = std::fs::read_to_string(document).unwrap();
        check(&root, document, &source, &cargo)
    });
    let faults: Vec<_> = faults.collect();
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// Each of these refers to something that doesn't exist. The same reference with the right name is accepted.
#[test]
fn a_broken_reference_is_found() {
    let root = root();
    let mut cargo = Cargo::default();
    Cargo::read(&root, &mut cargo);
    let here = file!();
    let broken = [
        "[x](no-such-file.md)".to_owned(),
        "[x](README.md#no-such-heading)".to_owned(),
        "[x](#no-such-heading)".to_owned(),
        "![x](docs/images/no-such-picture.svg)".to_owned(),
        "<img src=\"docs/images/no-such-picture.svg\">".to_owned(),
        "`crates/no_such_file.rs`".to_owned(),
        "`crates/no-such-folder/*.rs`".to_owned(),
        "`no_such_file.rs`".to_owned(),
        format!("`{here}#no_such_test`"),
        format!("`{here}#Checker` and `#no_such_function`"),
        format!("`{here}#Reference::NoSuchVariant`"),
        "`#before_any_file`".to_owned(),
        "`template.yaml#NoSuchResource`".to_owned(),
        "`statemachine/deploy-module.asl.json#NoSuchState`".to_owned(),
        "`no_such_suite::…`".to_owned(),
        "`lock_queue::no_such_test…`".to_owned(),
        "`cargo test -p no-such-package`".to_owned(),
        "```\ncargo test -p seedflow-core --test no_such_program\n```".to_owned(),
    ];
    for source in broken {
        let faults = check(&root, &root.join("X.md"), &source, &cargo);
        assert_eq!(faults.len(), 1, "{source}: {faults:?}");
    }
    let whole = [
        "[x](README.md), [y](docs/decisions/), [z](https://example.org/no-such-page)".to_owned(),
        "# A heading: `code`, and more\n[x](#a-heading-code-and-more)\n# Twice\n# Twice\n[y](#twice-1)".to_owned(),
        "`crates/*/src`, `functions/{a,b}`, `deployspec.yaml`, `reports/{project}.json`, `[x](no-such-file.md)`".to_owned(),
        format!("`{here}#what_documents_refer_to_exists`, `#Reference::Link`, `#FOLDERS`"),
        "`template.yaml#BuildProject`".to_owned(),
        "`lock_queue::a_stopped_deployment…`, `lock_queue::…`".to_owned(),
        "```\n[x](no-such-file.md) `crates/no_such_file.rs`\ncargo run -p seedflow-local -- -p x\n```".to_owned(),
    ];
    for source in whole {
        let faults = check(&root, &root.join("X.md"), &source, &cargo);
        assert!(faults.is_empty(), "{source}: {faults:?}");
    }
}
