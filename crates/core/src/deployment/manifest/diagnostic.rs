//! Diagnostics of a manifest: errors and warnings with their locations, all at once.
//!
//! Reading continues after an error with the rest of the manifest, so that one check shows everything that has to be
//! changed. An error that only follows from a reported one is not reported.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, did_you_mean, expected};
use crate::formats::yaml;
use crate::formats::yaml::{Node, YamlError};
use crate::target::Target;

/// The maximum number of diagnostics: more than that is usually one repeated mistake.
const MOST: usize = 100;

/// An error or a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, by its path in the repository.
    pub file: String,
    /// The line, counted from 1, if known.
    pub line: Option<usize>,
    /// The field's path in the file, `""` for the whole file.
    pub field: String,
    /// What was found, what is allowed, and what to do.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    /// `deployment.yaml:12: groups[0].path: expected …, found …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.field.is_empty() {
            write!(f, " {}:", self.field)?;
        }
        write!(f, " {}", self.message)
    }
}

/// A location in a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Location {
    pub file: Arc<str>,
    pub line: Option<usize>,
    pub field: String,
}

impl Location {
    pub fn file(file: &str) -> Self {
        Self {
            file: file.into(),
            line: None,
            field: String::new(),
        }
    }

    /// The whole location, in a message of its own.
    pub fn file_line_and_field(&self) -> String {
        format!("{}: {}", self.file_and_line(), self.field)
    }

    /// The location in a message about another one.
    pub fn file_and_line(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.to_string(),
        }
    }

    fn problem(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            file: self.file.to_string(),
            line: self.line,
            field: self.field.clone(),
            message: message.into(),
        }
    }
}

/// The errors and warnings so far.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// Warnings of unknown fields. If there are errors they are shown with them, because a misspelt field may be their
    /// reason.
    unknown_fields: Vec<Diagnostic>,
    /// Whether unknown fields are errors (`manifestValidationFailOnUnknownFields`).
    strict: bool,
    omitted: usize,
    /// Targets that modules may not be deployed in. They are errors beside others; without any, planning reports them with
    /// what else is wrong with targets.
    unlisted: BTreeMap<Target, Diagnostic>,
    /// The lines with values that are unknown, because a variable in them is not set, and the fields of those.
    unset: HashMap<(Arc<str>, usize), Vec<String>>,
}

impl Diagnostics {
    pub fn error(&mut self, at: &Location, message: impl Into<String>) {
        if !self.is_unknown(at) {
            self.add(at.problem(message));
        }
    }

    fn add(&mut self, problem: Diagnostic) {
        if self.errors.contains(&problem) {
            // Repeated, because two groups name the same module file.
        } else if self.errors.len() < MOST {
            self.errors.push(problem);
        } else {
            self.omitted += 1;
        }
    }

    /// Reports a value and the values that are allowed.
    pub fn found(&mut self, at: &Location, found: impl fmt::Display, allowed: impl fmt::Display) {
        self.error(at, expected(found, allowed));
    }

    /// Reports a target that modules may not be deployed in.
    pub fn unlisted(&mut self, target: Target, at: &Location, message: String) {
        if !self.is_unknown(at) {
            self.unlisted.insert(target, at.problem(message));
        }
    }

    /// The targets that modules may not be deployed in, with the messages.
    pub fn unlisted_targets(&self) -> BTreeMap<Target, String> {
        let shown = |(target, problem): (&Target, &Diagnostic)| (target.clone(), problem.to_string());
        self.unlisted.iter().map(shown).collect()
    }

    /// Reports variables that are not set; further errors of their field, and of the fields around it, follow from that.
    pub fn unset(&mut self, at: &Location, message: impl Into<String>) {
        self.add(at.problem(message));
        if let Some(line) = at.line {
            let fields = self.unset.entry((at.file.clone(), line)).or_default();
            fields.push(spelling(&at.field));
        }
    }

    /// Whether a value is unknown, because a variable in it is not set. Several fields may be in one line.
    pub fn is_unknown(&self, at: &Location) -> bool {
        let line = at.line.map(|line| (at.file.clone(), line));
        let Some(fields) = line.and_then(|line| self.unset.get(&line)) else {
            return false;
        };
        let field = spelling(&at.field);
        fields
            .iter()
            .any(|unset| is_within(unset, &field) || is_within(&field, unset))
    }

    /// Reports the error of a type that parses itself. The error begins with its field, which the location already
    /// names.
    pub fn refused(&mut self, at: &Location, error: &Error) {
        let message = error
            .message
            .strip_prefix(&at.field)
            .and_then(|rest| rest.strip_prefix(": "))
            .unwrap_or(&error.message);
        self.error(at, message);
    }

    /// The document of a file, without keys that it has twice.
    pub fn document(&mut self, file: &str, text: &str) -> Option<Node> {
        match yaml::parse(text) {
            Ok(node) => {
                self.repeated_keys(file, &node);
                Some(node)
            }
            Err(error) => {
                self.no_yaml(file, &error);
                None
            }
        }
    }

    /// Reports a file that is not valid YAML.
    pub fn no_yaml(&mut self, file: &str, error: &YamlError) {
        let at = Location {
            line: Some(error.line),
            ..Location::file(file)
        };
        self.error(&at, error.message.clone());
    }

    /// Warns of keys that a document has twice, with the same value.
    pub fn repeated_keys(&mut self, file: &str, document: &Node) {
        for (key, line) in document.repeated_keys() {
            let at = Location {
                line: Some(line),
                ..Location::file(file)
            };
            self.warning(
                &at,
                format!("duplicate key \"{key}\", with the same value; remove one of them"),
            );
        }
    }

    /// From here on, unknown fields are errors.
    pub fn refuse_unknown_fields(&mut self) {
        self.strict = true;
    }

    /// Whether unknown fields are errors.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// Reports an unknown field. One of the known fields may be meant.
    pub fn unknown_field(&mut self, at: &Location, name: &str, siblings: &[&str]) {
        if self.strict {
            return self.refuse_field(at, name, siblings);
        }
        let problem = at.problem(format!(
            "the field is unknown and has no effect{}",
            did_you_mean(name, siblings)
        ));
        if self.unknown_fields.len() < MOST && !self.unknown_fields.contains(&problem) {
            self.unknown_fields.push(problem);
        }
    }

    /// Refuses an unknown field.
    pub fn refuse_field(&mut self, at: &Location, name: &str, siblings: &[&str]) {
        let meant = did_you_mean(name, siblings);
        let message = expected("an unknown field", format!("one of {}", siblings.join(", ")));
        self.error(at, format!("{message}{meant}"));
    }

    pub fn warning(&mut self, at: &Location, message: impl Into<String>) {
        let problem = at.problem(message);
        if self.warnings.len() < MOST && !self.warnings.contains(&problem) {
            self.warnings.push(problem);
        }
    }

    /// Whether further diagnostics would be dropped.
    pub fn is_full(&self) -> bool {
        self.omitted > 0
    }

    /// The warnings, or the errors if there are any.
    pub fn finish(mut self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let Some(last) = self.errors.last() else {
            self.warnings.append(&mut self.unknown_fields);
            sort(&mut self.warnings);
            return Ok(self.warnings);
        };
        let more = Location::file(&last.file).problem(format!("and {} more problems", self.omitted));
        self.errors.append(&mut self.unknown_fields);
        for unlisted in self.unlisted.into_values() {
            // The regions of an account have the same one.
            if !self.errors.contains(&unlisted) {
                self.errors.push(unlisted);
            }
        }
        sort(&mut self.errors);
        if self.omitted > 0 {
            self.errors.push(more);
        }
        Err(self.errors)
    }
}

/// A field without what its two spellings differ in: the walk through a document names it as it is written.
fn spelling(field: &str) -> String {
    field.replace('_', "").to_lowercase()
}

/// Whether a field is another one, or a part of it.
fn is_within(field: &str, around: &str) -> bool {
    let rest = field.strip_prefix(around);
    rest.is_some_and(|rest| around.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Sorts diagnostics by line. The files keep the order in which they were read.
fn sort(problems: &mut [Diagnostic]) {
    let mut files: Vec<String> = Vec::new();
    for problem in problems.iter() {
        if !files.contains(&problem.file) {
            files.push(problem.file.clone());
        }
    }
    problems.sort_by_key(|problem| (files.iter().position(|file| *file == problem.file), problem.line));
}
