//! The results, compared with the promises: for the terminal and for `docs/benchmarks.md`. Also Markdown tables, and
//! templates of pages.
//!
//! The page has parts, and each part is one run of one commit: a run replaces the whole part.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};

use crate::machine::Machine;
use crate::stats::grouped;

const HEAD: &str = "# Benchmarks\n\nWritten by `cargo run -p seedflow-benches`, which measures all of it again;\n\
                    [benches/README.md](../benches/README.md) explains each figure. Each part was measured in one run, on the\n\
                    commit that it names.\n";

/// The figures of one measurement.
#[derive(Debug, Clone, Default)]
pub struct Section {
    pub title: &'static str,
    /// The subject and the method of the measurement.
    pub about: String,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
    /// The limits and targets.
    pub limits: Vec<Limit>,
}

/// A limit or a target, and whether it is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    pub what: String,
    pub found: String,
    /// The largest allowed value.
    pub limit: String,
    pub met: bool,
}

impl Limit {
    /// A number that may not be larger than another.
    pub fn at_most(what: impl Into<String>, found: u64, limit: u64, written: impl Fn(u64) -> String) -> Self {
        Self {
            what: what.into(),
            found: written(found),
            limit: written(limit),
            met: found <= limit,
        }
    }

    /// The same for a plain number.
    pub fn count(what: impl Into<String>, found: u64, limit: u64) -> Self {
        Self::at_most(what, found, limit, grouped)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what, found, limit, ..
        } = self;
        write!(f, "{what}: expected at most {limit}, found {found}")
    }
}

/// A part of the page.
pub struct Part {
    pub title: &'static str,
    /// The text about its limits.
    pub about: &'static str,
    pub sections: Vec<Section>,
}

impl Part {
    /// The limits that aren't met.
    pub fn missed(&self) -> Vec<&Limit> {
        self.limits().filter(|limit| !limit.met).collect()
    }

    fn limits(&self) -> impl Iterator<Item = &Limit> {
        self.sections.iter().flat_map(|section| &section.limits)
    }

    fn limit_table(&self) -> String {
        let row = |limit: &Limit| {
            let met = if limit.met { "yes" } else { "**no**" };
            let Limit {
                what, found, limit, ..
            } = limit.clone();
            vec![what, found, limit, met.to_owned()]
        };
        let rows: Vec<_> = self.limits().map(row).collect();
        table(&["", "found", "at most", "met"], &rows)
    }

    /// For the terminal: the tables.
    pub fn text(&self) -> String {
        let limits = if self.limits().next().is_some() {
            self.limit_table()
        } else {
            String::new()
        };
        self.sections.iter().fold(limits, |text, section| {
            let Section {
                title, columns, rows, ..
            } = section;
            format!("{text}\n{title}\n\n{}", table(columns, rows))
        })
    }

    fn document(&self, machine: &Machine) -> String {
        let text = format!(
            "## {}\n\n{machine}\n{}\n\n{}",
            self.title,
            wrapped(self.about),
            self.limit_table()
        );
        self.sections.iter().fold(text, |text, section| {
            let Section {
                title, columns, rows, ..
            } = section;
            let about = wrapped(&section.about);
            format!("{text}\n### {title}\n\n{about}\n\n{}", table(columns, rows))
        })
    }

    /// The page with this part in place of the one with the same title, or at its end.
    pub fn replace_in(&self, page: &str, machine: &Machine) -> String {
        let mut parts: Vec<(&str, String)> = Vec::new();
        for part in page.split("\n## ").skip(1) {
            let title = part.lines().next().unwrap_or_default();
            parts.push((title, format!("## {}\n", part.trim_end())));
        }
        let written = self.document(machine);
        match parts.iter_mut().find(|(title, _)| *title == self.title) {
            Some((_, part)) => *part = written,
            None => parts.push((self.title, written)),
        }
        let parts: Vec<String> = parts.into_iter().map(|(_, part)| part).collect();
        format!("{HEAD}\n{}", parts.join("\n"))
    }
}

/// A paragraph in lines of at most 110 characters, if its words allow it.
fn wrapped(text: &str) -> String {
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

/// A Markdown table. Columns are as wide as their widest cell, so that it also reads well as plain text.
pub fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|at| {
            let cells = std::iter::once(&head).chain(rows).filter_map(|row| row.get(at));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
                .max(3)
        })
        .collect();
    let line = |cells: &[String]| {
        let padded = widths
            .iter()
            .zip(cells)
            .map(|(&width, cell)| format!(" {cell:<width$} "));
        format!("|{}|\n", padded.collect::<Vec<_>>().join("|"))
    };
    let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
    let mut text = line(&head) + &line(&rule);
    text.extend(rows.iter().map(|row| line(row)));
    text
}

/// A template with each `{{name}}` replaced by its value, and its tables aligned.
pub fn fill(template: &str, values: &BTreeMap<String, String>) -> Result<String> {
    let mut parts = template.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").context("`{{` without `}}`")?;
        text += values
            .get(name)
            .with_context(|| format!("unknown value {name}"))?;
        text += rest;
    }
    let (mut page, mut table_rows) = (String::new(), Vec::<Vec<String>>::new());
    for line in text.lines().chain([""]) {
        if let Some(cells) = line.strip_prefix("| ") {
            let cells = cells.trim_end_matches(" |").split(" | ");
            table_rows.push(cells.map(|cell| cell.trim().to_owned()).collect());
        } else if !line.starts_with("|-") {
            if let Some((head, rows)) = table_rows.split_first() {
                page += &table(&head.iter().map(String::as_str).collect::<Vec<_>>(), rows);
            }
            table_rows.clear();
            page = page + line + "\n";
        }
    }
    Ok(page.trim_end().to_owned() + "\n")
}

/// The lines of a table for a template.
pub fn rows(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let lines = rows.into_iter().map(|cells| format!("| {} |", cells.join(" | ")));
    lines.collect::<Vec<_>>().join("\n")
}

/// A row with a name in its first cell.
pub fn row(name: impl Into<String>, cells: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(name.into()).chain(cells).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn part(title: &'static str, found: u64) -> Part {
        Part {
            title,
            about: "About the limits.",
            sections: vec![Section {
                title: "Section",
                about: "about".to_owned(),
                columns: vec!["", "found"],
                rows: vec![vec!["a".to_owned(), found.to_string()]],
                limits: vec![Limit::count("limit", found, 8_000_000)],
            }],
        }
    }

    #[test]
    fn a_missed_limit_is_reported() {
        let part = part("One", 8_000_001);
        let missed: Vec<String> = part.missed().iter().map(ToString::to_string).collect();
        assert_eq!(missed, ["limit: expected at most 8,000,000, found 8,000,001"]);
        let page = part.replace_in("", &Machine::default());
        assert!(
            page.contains("| limit | 8,000,001 | 8,000,000 | **no** |"),
            "{page}"
        );
    }

    #[test]
    fn a_run_replaces_its_own_part_as_a_whole() {
        let machine = Machine::default();
        let page = part("One", 1).replace_in("", &machine);
        let page = part("Two", 2).replace_in(&page, &machine);
        let again = part("One", 7).replace_in(&page, &machine);
        let (one, two) = again.split_once("\n## Two\n").unwrap_or_default();
        assert!(one.contains("## One\n") && one.contains("| a   | 7 "), "{again}");
        assert!(
            !again.contains("| a   | 1 ") && two.contains("| a   | 2 "),
            "{again}"
        );
        assert_eq!(again.lines().count(), page.lines().count());
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

    #[test]
    fn a_template_is_filled_and_its_tables_are_aligned() {
        let lines = rows([row("long name", ["1".to_owned()])]);
        let values = [("rows".to_owned(), lines)].into();
        let page = fill("|  | n |\n|---|---|\n{{rows}}\n", &values).unwrap();
        assert_eq!(
            page,
            "|           | n   |\n| --------- | --- |\n| long name | 1   |\n"
        );
        assert!(fill("{{b}}", &values).is_err() && fill("{{rows", &values).is_err());
    }
}
