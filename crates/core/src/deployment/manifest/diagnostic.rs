//! What is wrong with a manifest, and where; all of it at once.
//!
//! Reading goes on after a problem, with whatever is left, so that one look at a manifest shows everything that has
//! to be changed. What follows from something that was told already is not told again.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, expected};
use crate::formats::yaml::YamlError;

/// How many problems are told; who has more of them has one mistake that repeats itself.
const MOST: usize = 100;

/// One thing that is wrong, or that may not be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, by its path in the repository.
    pub file: String,
    /// The line, counted from 1, where the problem has one.
    pub line: Option<usize>,
    /// The field by its path in the file, `""` where the whole file is meant.
    pub field: String,
    /// What was found, what is allowed, what to do.
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

/// A place in a file that something can be said about.
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

    fn problem(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            file: self.file.to_string(),
            line: self.line,
            field: self.field.clone(),
            message: message.into(),
        }
    }
}

/// The problems and warnings so far.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    omitted: usize,
    /// The lines whose values are not known, because a variable in them isn't set.
    unknown: HashSet<(Arc<str>, usize)>,
}

impl Diagnostics {
    pub fn error(&mut self, at: &Location, message: impl Into<String>) {
        if at
            .line
            .is_some_and(|line| self.unknown.contains(&(at.file.clone(), line)))
        {
            return;
        }
        let problem = at.problem(message);
        if self.errors.contains(&problem) {
            // A file of modules that two groups name.
        } else if self.errors.len() < MOST {
            self.errors.push(problem);
        } else {
            self.omitted += 1;
        }
    }

    /// What was found and what is allowed.
    pub fn found(&mut self, at: &Location, found: impl fmt::Display, allowed: impl fmt::Display) {
        self.error(at, expected(found, allowed));
    }

    /// A variable isn't set; what else is wrong with its line follows from that.
    pub fn unset(&mut self, at: &Location, message: impl Into<String>) {
        self.error(at, message);
        if let Some(line) = at.line {
            self.unknown.insert((at.file.clone(), line));
        }
    }

    /// An error of a type that parses itself; it begins with its field, which is known here.
    pub fn refused(&mut self, at: &Location, error: &Error) {
        let message = error
            .message
            .strip_prefix(&at.field)
            .and_then(|rest| rest.strip_prefix(": "))
            .unwrap_or(&error.message);
        self.error(at, message);
    }

    /// A file that isn't YAML.
    pub fn no_yaml(&mut self, file: &str, error: &YamlError) {
        let at = Location {
            line: Some(error.line),
            ..Location::file(file)
        };
        self.error(&at, error.message.clone());
    }

    pub fn warning(&mut self, at: &Location, message: impl Into<String>) {
        let problem = at.problem(message);
        if self.warnings.len() < MOST && !self.warnings.contains(&problem) {
            self.warnings.push(problem);
        }
    }

    /// Whether there is no use in looking for more.
    pub fn is_full(&self) -> bool {
        self.omitted > 0
    }

    /// The warnings, or the problems if there are any.
    pub fn finish(mut self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let Some(last) = self.errors.last() else {
            return Ok(self.warnings);
        };
        if self.omitted > 0 {
            let more = Location::file(&last.file).problem(format!("and {} more problems", self.omitted));
            self.errors.push(more);
        }
        Err(self.errors)
    }
}
