//! `docs/aws-facts.md`: every fact has a page and is verified by something.
//!
//! The page is the checklist for the first deployment on AWS. So it must give a reason for each fact that is verified by
//! reading only. `doc_links` checks that the tests that it names exist.
use std::collections::BTreeMap;

use seedflow_contract::file;

/// The linters of `.ci/lint`, the compiler and the SDK as verifiers.
const TOOLS: [&str; 7] = [
    "cfn-lint",
    "sam validate",
    "checkov",
    "statelint",
    "asl-validator",
    "clippy",
    "the SDK's paginator",
];

const BY_READING: &str = "by reading only: ";

/// The allowed beginnings of a source's address: AWS documentation, the specification of the states language, the SDK's
/// documentation, and public code of AWS where no page documents a fact.
const SOURCES: [&str; 4] = [
    "https://docs.aws.amazon.com/",
    "https://states-language.net/",
    "https://docs.rs/",
    "https://github.com/aws/",
];

fn page() -> String {
    file("docs/aws-facts.md")
}

/// The cells of a row of a table, without the outer bars; `None` for any other line.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
    Some(inner.split(" | ").map(str::trim).collect())
}

/// The rows of facts by their ids, `**I1** …`.
fn facts(page: &str) -> Vec<(String, Vec<&str>)> {
    let rows = page.lines().filter_map(|line| {
        let id = line.strip_prefix("| **")?.split_once("** ")?.0;
        Some((id.to_owned(), cells(line).expect("a row ends with a bar")))
    });
    rows.collect()
}

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_fact_has_a_page_and_is_verified_by_something() {
    let page = page();
    let facts = facts(&page);
    assert!(
        facts.len() > 100,
        "{} facts: the tables are not read",
        facts.len()
    );
    for (id, cells) in &facts {
        let [fact, source, place, verified] = cells.as_slice() else {
            panic!("{id}: expected four cells, found {}", cells.len());
        };
        assert!(fact.len() > 20 && place.len() > 5, "{id}: {fact} | {place}");
        assert!(
            SOURCES.iter().any(|begin| source.contains(&format!("]({begin}"))),
            "{id}: expected a title with the address of a public page, found {source}"
        );
        let reason = verified.split_once(BY_READING).map(|(_, reason)| reason);
        assert!(
            reason.is_some_and(|reason| reason.len() > 5)
                || quoted(verified).any(|name| name.contains(".rs"))
                || TOOLS.iter().any(|tool| verified.contains(tool)),
            "{id}: expected a test, a linter or \"{BY_READING}…\", found {verified}"
        );
    }
}

#[test]
fn facts_to_check_first_exist_and_are_verified_by_reading_only() {
    let page = page();
    let mut by_id = BTreeMap::new();
    for (id, cells) in facts(&page) {
        assert!(
            by_id.insert(id.clone(), cells).is_none(),
            "expected one fact {id}, found two"
        );
    }
    let first = page.split_once("check these first\n").unwrap().1;
    let first = first.split_once("\n## ").unwrap().0;
    let rows: Vec<_> = first.lines().filter_map(cells).skip(1).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for id in rows.iter().flat_map(|row| row[0].split(", ")) {
        let verified = by_id
            .get(id)
            .unwrap_or_else(|| panic!("expected the fact {id}, found none"))[3];
        assert!(verified.contains(BY_READING), "{id}: {verified}");
    }
}
