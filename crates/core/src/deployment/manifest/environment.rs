//! `${VAR}` in a manifest, and the variables that replace it.
//!
//! As in seed-farmer, a variable is replaced in any text value, but not in keys and not below a mapping with
//! `disableEnvVarResolution`. The result stays a text, whatever it looks like.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::diagnostic::{Diagnostics, Location};
use super::model::{LoadContext, Repository, refuse_ignored, text};
use super::paths;
use crate::deployment::manifest_options::DEFAULT_ENV_FILE;
use crate::error::excerpt;
use crate::formats::dotenv;
use crate::formats::dotenv::{Reason, Skipped};
use crate::formats::yaml::{Kind, Node};

/// The most text that variables may add to all files together: a short `${VAR}` can repeat a long value many times.
const MAX_ADDED: usize = 1 << 20;

/// The maximum number of skipped lines of `.env` that are reported one by one.
const MAX_SKIPPED: usize = 10;

/// The variables of a deployment.
#[derive(Debug)]
pub(super) struct Env {
    variables: BTreeMap<String, String>,
    added: usize,
    /// The lines of `.env` that could not be parsed, with what to say about them.
    unreadable: Vec<(Location, String)>,
}

impl Env {
    /// Reads the variables: those of the options, of the files of variables, and of Parameter Store, in this order of
    /// precedence. As in seed-farmer, a line of a file that can't be parsed is a warning.
    pub fn read(
        repository: &mut dyn Repository,
        given: &LoadContext<'_>,
        problems: &mut Diagnostics,
    ) -> Self {
        let named = &given.options.env_files;
        let default = [DEFAULT_ENV_FILE.to_owned()];
        let paths = if named.is_empty() {
            &default
        } else {
            named.as_slice()
        };
        let mut env = Self {
            variables: given.stored_variables.clone(),
            added: 0,
            unreadable: Vec::new(),
        };
        for path in paths {
            let at = Location::file(path);
            if !named.is_empty() && !repository.has_file(path) {
                let meant = paths::did_you_mean(repository, path);
                problems.error(&at, format!("the file doesn't exist; `env_files` names files of variables by their paths in the repository{meant}"));
                continue;
            }
            if !named.is_empty() {
                refuse_ignored(repository, path, &at, problems);
            } else if repository.has_file(path) && repository.is_ignored(path) {
                problems.warning(&at, "git ignores the file, so a push has none of its variables; a push takes them from Parameter Store (env_path), from other files (env_files), or from the metadata env");
            }
            if let Some(text) = text(repository, &at, problems) {
                env.add_file(&at, &text, &given.options.env, problems);
            }
        }
        env.variables.extend(given.options.env.clone());
        env
    }

    fn add_file(
        &mut self,
        file: &Location,
        text: &str,
        over: &BTreeMap<String, String>,
        problems: &mut Diagnostics,
    ) {
        let read = dotenv::read(text, over, &self.variables);
        let (unreadable, too_long) = diagnosed(file, &read.skipped);
        for (at, message) in &unreadable {
            problems.warning(at, message.clone());
        }
        if let Some(at) = too_long {
            problems.error(
                &at,
                format!(
                    "the values of the file are longer than {} bytes together; put long values into files",
                    dotenv::MAX_TEXT
                ),
            );
        }
        self.unreadable.extend(unreadable);
        self.variables.extend(read.variables);
    }

    /// The variable that a field names.
    pub fn get(&self, name: &str, at: &Location, problems: &mut Diagnostics) -> Option<String> {
        let value = self.variables.get(name);
        if value.is_none() {
            self.unset(at, unset(&[name]), problems);
        }
        value.cloned()
    }

    /// Reports a variable that is not set. A line of `.env` that can't be parsed may be the reason, so it is an error then:
    /// errors are shown without the warnings.
    fn unset(&self, at: &Location, message: String, problems: &mut Diagnostics) {
        for (line, message) in &self.unreadable {
            problems.error(line, message.clone());
        }
        problems.unset(at, message);
    }

    /// Replaces the variables in a document; `field` is its name in messages.
    pub fn fill(&mut self, file: &Arc<str>, field: &str, node: &mut Node, problems: &mut Diagnostics) {
        let mut place = Cursor {
            file: file.clone(),
            field: field.to_owned(),
        };
        self.value(&mut place, node, problems);
    }

    fn value(&mut self, place: &mut Cursor, node: &mut Node, problems: &mut Diagnostics) {
        let line = node.line;
        match &mut node.kind {
            Kind::Scalar(Value::String(text)) if text.contains("${") => {
                *text = self.text(text, &place.at(line), problems);
            }
            Kind::Scalar(_) => {}
            Kind::List(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    place.within(&place.item(i, item), |place| self.value(place, item, problems));
                }
            }
            Kind::Mapping(entries) if is_switched_off(entries) => {}
            Kind::Mapping(entries) => {
                for (key, _, value) in entries {
                    let name = format!(".{}", excerpt(key, 80));
                    place.within(&name, |place| self.value(place, value, problems));
                }
            }
        }
    }

    /// Replaces the variables in a text; the text is unchanged if some are not set, which are reported together.
    fn text(&mut self, text: &str, at: &Location, problems: &mut Diagnostics) -> String {
        let (mut result, mut missing) = (String::new(), Vec::new());
        let mut rest = text;
        while let Some((before, name, after)) = next_variable(rest) {
            result.push_str(before);
            match self.variables.get(name) {
                Some(value) if self.added + value.len() <= MAX_ADDED => {
                    self.added += value.len();
                    result.push_str(value);
                }
                Some(_) => {
                    problems.unset(
                        at,
                        "variables add more than 1 MiB to the manifests; put long values into files",
                    );
                    return text.to_owned();
                }
                None if missing.contains(&name) => {}
                None => missing.push(name),
            }
            rest = after;
        }
        if !missing.is_empty() {
            let message = format!(
                "{}; to pass the text to the module unchanged, set disableEnvVarResolution: true on the parameter",
                unset(&missing)
            );
            self.unset(at, message, problems);
            return text.to_owned();
        }
        result.push_str(rest);
        result
    }
}

/// The diagnostics of the lines that can't be parsed, and the location of a line whose value is too long.
fn diagnosed(file: &Location, skipped: &[Skipped]) -> (Vec<(Location, String)>, Option<Location>) {
    let at = |skipped: Skipped| Location {
        line: Some(skipped.line),
        ..file.clone()
    };
    let (unreadable, too_long): (Vec<Skipped>, Vec<Skipped>) = skipped
        .iter()
        .partition(|skipped| skipped.reason == Reason::Syntax);
    let mut shown: Vec<(Location, String)> = unreadable
        .iter()
        .take(MAX_SKIPPED)
        .map(|line| {
            let message = "the line is skipped, because it is not NAME=value; is a quote left open?";
            (at(*line), message.to_owned())
        })
        .collect();
    let more = unreadable.len() - shown.len();
    if let Some((_, message)) = shown.last_mut().filter(|_| more > 0) {
        message.push_str(&format!(" The same is true of {more} later lines."));
    }
    (shown, too_long.first().copied().map(at))
}

fn unset(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().map(|name| excerpt(name, 80)).collect();
    let (which, them) = match shown.as_slice() {
        [name] => (format!("the variable {name} is not set"), "it"),
        _ => (
            format!("the variables {} are not set", excerpt(&shown.join(", "), 1000)),
            "them",
        ),
    };
    format!("{which}; set {them} in env, in a file of variables (.env), or in Parameter Store below env_path")
}

/// The text before the next `${VAR}`, its name, and the text after it. A name cannot span lines.
fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(start) = text[from..].find("${").map(|start| from + start) {
        let inside = &text[start + 2..];
        let end = inside.find(['}', '\n'])?;
        if inside[end..].starts_with('}') {
            return Some((&text[..start], inside[..end].trim(), &inside[end + 1..]));
        }
        // The rest of this line has no closing brace.
        from = start + 2 + end;
    }
    None
}

fn is_switched_off(entries: &[(String, usize, Node)]) -> bool {
    entries.iter().any(|(key, _, value)| {
        key == "disableEnvVarResolution" && value.kind == Kind::Scalar(Value::Bool(true))
    })
}

/// The position of the walk through a document.
struct Cursor {
    file: Arc<str>,
    field: String,
}

impl Cursor {
    fn within(&mut self, name: &str, walk: impl FnOnce(&mut Self)) {
        let length = self.field.len();
        self.field.push_str(name);
        walk(self);
        self.field.truncate(length);
    }

    /// How messages name an item of a list: a parameter by its name, as the reader of parameters does.
    fn item(&self, i: usize, item: &Node) -> String {
        let list = self.field.rsplit('.').next();
        match item.get("name").map(|name| &name.kind) {
            Some(Kind::Scalar(Value::String(name))) if list == Some("parameters") => {
                format!(".{}", excerpt(name, 80))
            }
            _ => format!("[{i}]"),
        }
    }

    fn at(&self, line: usize) -> Location {
        Location {
            file: self.file.clone(),
            line: Some(line),
            field: self.field.trim_start_matches('.').to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_ends_within_its_line() {
        assert_eq!(next_variable("a ${ X } b"), Some(("a ", "X", " b")));
        assert_eq!(next_variable("${${X}"), Some(("", "${X", "")));
        assert_eq!(next_variable("${open\n${X}c"), Some(("${open\n", "X", "c")));
        assert_eq!(next_variable("a $X {b} ${c"), None);
        assert_eq!(next_variable("${}"), Some(("", "", "")));
    }
}
