//! What was found, held against what was promised: for the terminal and for `docs/benchmarks.md`.

use std::fmt;

use crate::machine::Machine;
use crate::stats::grouped;

/// The command that repeats everything.
const COMMAND: &str = "cargo run -p seedflow-benches";

/// One part's figures.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// What was measured and how.
    pub about: String,
    /// The columns of its table.
    pub columns: Vec<&'static str>,
    /// The table.
    pub rows: Vec<Vec<String>>,
    /// What has to hold.
    pub limits: Vec<Limit>,
}

/// A promise and whether it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What it is about.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What was promised.
    pub limit: String,
    /// Whether that holds.
    pub held: bool,
}

impl Limit {
    /// A number that may not be larger than another.
    pub fn at_most(what: impl Into<String>, found: u64, limit: u64, written: impl Fn(u64) -> String) -> Self {
        Self {
            what: what.into(),
            found: written(found),
            limit: written(limit),
            held: found <= limit,
        }
    }

    /// The same for a plain number.
    pub fn count(what: impl Into<String>, found: u64, limit: u64) -> Self {
        Self::at_most(what, found, limit, grouped)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}; at most {} is promised",
            self.what, self.found, self.limit
        )
    }
}

/// All figures of a run.
pub struct Report {
    machine: Machine,
    sections: Vec<Section>,
}

impl Report {
    /// Of these sections.
    pub fn new(machine: Machine, sections: Vec<Section>) -> Self {
        Self { machine, sections }
    }

    /// The promises that aren't kept.
    pub fn missed(&self) -> Vec<&Limit> {
        self.limits().filter(|limit| !limit.held).collect()
    }

    /// Whether anything was promised.
    pub fn has_limits(&self) -> bool {
        self.limits().next().is_some()
    }

    fn limits(&self) -> impl Iterator<Item = &Limit> {
        self.sections.iter().flat_map(|section| &section.limits)
    }

    /// For the terminal: the tables.
    pub fn text(&self) -> String {
        let mut text = if self.has_limits() {
            self.limit_table()
        } else {
            String::new()
        };
        for section in &self.sections {
            text += &format!(
                "\n{}\n\n{}",
                section.title,
                table(&section.columns, &section.rows)
            );
        }
        text
    }

    /// For `docs/benchmarks.md`, with those sections of the document before that other runs measure.
    pub fn document(&self, before: &str, of_others: &[&str]) -> String {
        let mut text = format!(
            "# Benchmarks\n\nWritten by `{COMMAND}`, which measures all of it again;\n\
             [benches/README.md](../benches/README.md) says what each figure is.\n\n{}\n## Limits\n\n{}",
            self.machine,
            self.limit_table()
        );
        for section in &self.sections {
            text += &format!("\n## {}\n\n{}", section.title, section.body());
        }
        for section in before
            .split("\n## ")
            .skip(1)
            .filter(|section| is_of(section, of_others))
        {
            text += &format!("\n## {}\n", section.trim_end());
        }
        text
    }

    /// A document of an earlier run with these sections in place of its own. The first says when, where and with what they
    /// were measured, and each holds its own limits: what the head of the document says is true of the other sections only.
    pub fn put_into(&self, document: &str) -> String {
        let titles: Vec<&str> = self.sections.iter().map(|section| section.title).collect();
        let first = titles.first().copied().unwrap_or_default();
        let mut text = without_rows(&without_sections(document, &titles), |name| {
            self.limits().any(|limit| limit.what == name)
        });
        for section in &self.sections {
            let measured = if section.title == first {
                format!("{}", self.machine)
            } else {
                format!("In the same run as \"{first}\".\n")
            };
            text += &format!("\n## {}\n\n{measured}\n{}", section.title, section.body());
            if !section.limits.is_empty() {
                text += &format!("\n{}", limit_table(section.limits.iter()));
            }
        }
        text
    }

    fn limit_table(&self) -> String {
        limit_table(self.limits())
    }
}

impl Section {
    fn body(&self) -> String {
        format!("{}\n\n{}", wrapped(&self.about), table(&self.columns, &self.rows))
    }
}

fn limit_table<'a>(limits: impl Iterator<Item = &'a Limit>) -> String {
    let row = |limit: &Limit| {
        let held = if limit.held { "yes" } else { "**no**" };
        vec![
            limit.what.clone(),
            limit.found.clone(),
            limit.limit.clone(),
            held.to_owned(),
        ]
    };
    let rows: Vec<_> = limits.map(row).collect();
    table(&["", "found", "at most", "kept"], &rows)
}

/// A document without the sections of these titles.
fn without_sections(document: &str, titles: &[&str]) -> String {
    let mut sections = document.split("\n## ");
    let mut kept = sections.next().unwrap_or_default().to_owned();
    for section in sections.filter(|section| !is_of(section, titles)) {
        // What stands before the next heading ends with an empty line.
        kept = format!("{}\n\n## {}", kept.trim_end(), section);
    }
    format!("{}\n", kept.trim_end())
}

/// Whether a section, without the marks of its heading, has one of these titles.
fn is_of(section: &str, titles: &[&str]) -> bool {
    titles.contains(&section.lines().next().unwrap_or_default())
}

/// A document without the rows of tables that begin with a name that is dropped.
fn without_rows(document: &str, dropped: impl Fn(&str) -> bool) -> String {
    let name = |line: &str| {
        line.strip_prefix("| ")?
            .split(" |")
            .next()
            .map(|cell| cell.trim().to_owned())
    };
    document
        .lines()
        .filter(|line| !name(line).is_some_and(|name| dropped(&name)))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// A paragraph in lines of at most 110 characters, where its words allow it.
pub fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 110 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// A Markdown table; columns are as wide as their widest cell, so that it also reads well as plain text.
pub fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|at| {
            let cells = std::iter::once(&head).chain(rows).filter_map(|row| row.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    let line = |cells: &[String]| {
        let padded = widths
            .iter()
            .zip(cells)
            .map(|(&width, cell)| format!(" {cell:<width$} "));
        format!("|{}|\n", padded.collect::<Vec<_>>().join("|"))
    };
    let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width.max(3))).collect();
    let mut text = line(&head) + &line(&rule);
    text.extend(rows.iter().map(|row| line(row)));
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    #[test]
    fn a_missed_limit_is_seen() {
        let limits = vec![
            Limit::count("kept", 20, 20),
            Limit::count("missed", 8_000_001, 8_000_000),
        ];
        let section = Section {
            title: "t",
            about: String::new(),
            columns: Vec::new(),
            rows: Vec::new(),
            limits,
        };
        let report = Report::new(Machine::default(), vec![section]);
        let missed = report.missed();
        assert_eq!(missed.len(), 1);
        assert_eq!(
            missed[0].to_string(),
            "missed: 8,000,001; at most 8,000,000 is promised"
        );
        assert!(
            report
                .document("", &[])
                .contains("| missed | 8,000,001 | 8,000,000 | **no** |")
        );
    }

    #[test]
    fn a_section_measured_by_itself_replaces_the_one_of_the_whole_run() {
        let section = |title, limit: &str, found| Section {
            title,
            about: "about".to_owned(),
            columns: vec!["", "found"],
            rows: vec![vec!["a".to_owned(), found]],
            limits: vec![Limit::count(limit, 1, 2)],
        };
        let whole = vec![
            section("One", "limit one", "1".to_owned()),
            section("Two", "limit two", "2".to_owned()),
        ];
        let document = Report::new(Machine::default(), whole).document("", &[]);
        let alone = Report::new(
            Machine::default(),
            vec![section("One", "limit one", "7".to_owned())],
        );
        let once = alone.put_into(&document);
        let (before, after) = once.split_once("## One\n\n- Load").expect("its own facts");
        assert!(
            before.contains("## Two") && before.contains("limit two"),
            "{once}"
        );
        assert!(
            !before.contains("limit one") && after.contains("| limit one | 1 "),
            "{once}"
        );
        assert!(after.contains("| a | 7 ") && !once.contains("| a | 1 "), "{once}");
        assert_eq!(alone.put_into(&once).lines().count(), once.lines().count());
    }

    #[test]
    fn a_paragraph_is_wrapped_between_words() {
        let text = wrapped(&"word ".repeat(50));
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [109, 109, 29]);
        assert!(!text.contains(" \n"));
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let text = table(&["", "found"], &[vec!["a name".to_owned(), "1".to_owned()]]);
        assert_eq!(
            text,
            "|        | found |\n| ------ | ----- |\n| a name | 1     |\n"
        );
    }
}
