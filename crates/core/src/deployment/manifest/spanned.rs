//! Reads a manifest: YAML values with their locations.
//!
//! As with JSON input ([`crate::formats::json_fields`]), each field is taken by its type. A field that is not taken gives
//! a warning, because it has no effect in seed-farmer either, or an error if `seedfarmer.yaml` says so. Like seed-farmer,
//! it accepts fields in camelCase and in snake_case, except for `disableEnvVarResolution`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostics, Location};
use crate::error::excerpt;
use crate::formats::python_json::dumps;
use crate::formats::yaml::{Kind, Node};
use crate::ids::Name;

/// A value of a file and its location.
#[derive(Debug, Clone)]
pub(super) struct Spanned<'n> {
    pub at: Location,
    pub node: &'n Node,
}

impl<'n> Spanned<'n> {
    /// A whole document; `field` is its name in messages.
    pub fn document(file: &Arc<str>, field: impl Into<String>, node: &'n Node) -> Self {
        let at = Location {
            file: file.clone(),
            line: Some(node.line),
            field: field.into(),
        };
        Self { at, node }
    }

    /// A nested value.
    fn within(&self, name: &str, line: usize, node: &'n Node) -> Self {
        let field = match self.at.field.as_str() {
            "" => name.to_owned(),
            parent if name.starts_with('[') => format!("{parent}{name}"),
            parent => format!("{parent}.{name}"),
        };
        // Values from a merge key have no line of their own.
        let line = Some(if line == 0 { node.line } else { line });
        let at = Location {
            file: self.at.file.clone(),
            line,
            field,
        };
        Self { at, node }
    }

    /// The value, if it is a scalar.
    pub fn scalar(&self) -> Option<&'n Value> {
        match &self.node.kind {
            Kind::Scalar(value) => Some(value),
            _ => None,
        }
    }

    pub fn refuse(&self, allowed: &str, problems: &mut Diagnostics) {
        problems.found(&self.at, self.node.describe(), allowed);
    }

    /// A non-empty text.
    pub fn text(&self, problems: &mut Diagnostics) -> Option<String> {
        match self.scalar() {
            Some(Value::String(text)) if !text.is_empty() => return Some(text.clone()),
            Some(Value::Number(_) | Value::Bool(_)) => {
                self.refuse("a text; put it into quotes", problems);
            }
            _ => self.refuse("a text that isn't empty", problems),
        }
        None
    }

    /// A text that is a valid name.
    pub fn name(&self, problems: &mut Diagnostics) -> Option<Name> {
        name(&self.at, &self.text(problems)?, problems)
    }

    /// `true` or `false`, or one of the texts that seed-farmer accepts for them.
    pub fn flag(&self, problems: &mut Diagnostics) -> Option<bool> {
        let flag = match self.scalar() {
            Some(Value::Bool(flag)) => Some(*flag),
            Some(Value::String(text)) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" | "t" | "1" => Some(true),
                "false" | "no" | "off" | "n" | "f" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if flag.is_none() {
            self.refuse("true or false", problems);
        }
        flag
    }

    /// An integer within bounds. It may be a text: a replaced variable always is one.
    pub fn number(&self, from: u32, to: u32, problems: &mut Diagnostics) -> Option<u32> {
        let number = match self.scalar() {
            Some(Value::Number(number)) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| (from..=to).contains(number));
        if number.is_none() {
            self.refuse(&format!("a whole number from {from} to {to}"), problems);
        }
        number
    }

    /// The items of a list, each once.
    pub fn items(&self, problems: &mut Diagnostics) -> Vec<Self> {
        let Kind::List(items) = &self.node.kind else {
            self.refuse("a list", problems);
            return Vec::new();
        };
        let item = |(i, node): (usize, &'n Node)| self.within(&format!("[{i}]"), node.line, node);
        distinct(items.iter().enumerate().map(item), problems)
    }

    /// The entries of a mapping by name.
    pub fn entries(&self, problems: &mut Diagnostics) -> Vec<(&'n str, Self)> {
        let Kind::Mapping(entries) = &self.node.kind else {
            self.refuse("a mapping", problems);
            return Vec::new();
        };
        let entry = |(name, line, node): &'n (String, usize, Node)| {
            (name.as_str(), self.within(&excerpt(name, 80), *line, node))
        };
        entries.iter().map(entry).collect()
    }

    /// Warns of values that YAML 1.1 reads differently from their look. They are passed on as seed-farmer passes them
    /// on.
    pub fn warn_of_traps(&self, problems: &mut Diagnostics) {
        match &self.node.kind {
            Kind::Scalar(value) => {
                if let Some(written) = &self.node.written {
                    problems.warning(&self.at, trap(written, value));
                }
            }
            Kind::List(items) => {
                for node in items {
                    self.sibling(node).warn_of_traps(problems);
                }
            }
            Kind::Mapping(entries) => {
                for (.., node) in entries {
                    self.sibling(node).warn_of_traps(problems);
                }
            }
        }
    }

    /// Another value that messages call by this one's name.
    fn sibling<'m>(&self, node: &'m Node) -> Spanned<'m> {
        let at = Location {
            line: Some(node.line),
            ..self.at.clone()
        };
        Spanned { at, node }
    }

    /// The fields of a mapping.
    pub fn fields(&self, problems: &mut Diagnostics) -> Option<YamlFields<'n>> {
        if !matches!(self.node.kind, Kind::Mapping(_)) {
            self.refuse("a mapping", problems);
            return None;
        }
        Some(YamlFields {
            at: self.at.clone(),
            left: self.entries(problems),
            known: Vec::new(),
        })
    }
}

/// Drops items that are the same as an earlier one, with a warning: nothing depends on which of them is taken.
pub(super) fn distinct<'n>(
    items: impl Iterator<Item = Spanned<'n>>,
    problems: &mut Diagnostics,
) -> Vec<Spanned<'n>> {
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut is_new = |item: &Spanned<'n>| {
        let mut value = item.node.to_json();
        value.sort_all_objects();
        match seen.entry(value.to_string()) {
            Entry::Vacant(place) => {
                place.insert(item.at.field.clone());
                true
            }
            Entry::Occupied(first) => {
                problems.warning(
                    &item.at,
                    format!("duplicate of {}; remove one of them", first.get()),
                );
                false
            }
        }
    };
    items.filter(|item| is_new(item)).collect()
}

fn trap(written: &str, value: &Value) -> String {
    if value.is_string() {
        return format!(
            "seed-farmer reads {written} as a date and fails; here it is a text. Put it into quotes to make that clear"
        );
    }
    format!(
        "{written} is read as {} (YAML 1.1); to get the text, put it into quotes: \"{written}\"",
        dumps(value)
    )
}

/// A mapping that is being read.
#[derive(Debug)]
pub(super) struct YamlFields<'n> {
    /// The location of the mapping.
    pub at: Location,
    left: Vec<(&'n str, Spanned<'n>)>,
    known: Vec<&'static str>,
}

impl<'n> YamlFields<'n> {
    /// Takes a field by its camelCase name; an empty field counts as absent.
    pub fn take(&mut self, name: &'static str, problems: &mut Diagnostics) -> Option<Spanned<'n>> {
        self.known.push(name);
        let other = snake_case(name);
        let first = self.remove(name);
        let second = if other == name { None } else { self.remove(&other) };
        if let (Some(_), Some(second)) = (&first, &second) {
            problems.error(
                &second.at,
                format!("both {name} and {other} are set; keep one of them"),
            );
        }
        first
            .or(second)
            .filter(|part| part.scalar() != Some(&Value::Null))
    }

    /// Takes a field that has one spelling only; an empty field counts as absent.
    pub fn take_exactly(&mut self, name: &'static str) -> Option<Spanned<'n>> {
        self.known.push(name);
        self.remove(name)
            .filter(|part| part.scalar() != Some(&Value::Null))
    }

    fn remove(&mut self, name: &str) -> Option<Spanned<'n>> {
        let place = self.left.iter().position(|(key, _)| *key == name)?;
        Some(self.left.swap_remove(place).1)
    }

    /// Takes a required field.
    pub fn required(&mut self, name: &'static str, problems: &mut Diagnostics) -> Option<Spanned<'n>> {
        let part = self.take(name, problems);
        if part.is_none() {
            problems.error(&self.at, format!("{name} is missing; the field is required"));
        }
        part
    }

    /// Takes a required text.
    pub fn required_text(&mut self, name: &'static str, problems: &mut Diagnostics) -> Option<String> {
        self.required(name, problems)?.text(problems)
    }

    /// Takes a text.
    pub fn text(&mut self, name: &'static str, problems: &mut Diagnostics) -> Option<String> {
        self.take(name, problems)?.text(problems)
    }

    /// Warns of fields that have no effect here.
    pub fn without_effect(&mut self, names: &[&'static str], instead: &str, problems: &mut Diagnostics) {
        for name in names {
            if let Some(part) = self.take(name, problems) {
                problems.warning(&part.at, format!("the field has no effect; {instead}"));
            }
            // A field without effect is not suggested for a misspelt one.
            self.known.pop();
        }
    }

    /// Takes fields that have no meaning here and can be ignored without loss.
    pub fn ignored(&mut self, names: &[&'static str], problems: &mut Diagnostics) {
        for name in names {
            self.take(name, problems);
            self.known.pop();
        }
    }

    /// Reports fields that were not taken: they have no effect.
    pub fn finish(mut self, problems: &mut Diagnostics) {
        self.left.sort_by_key(|(_, part)| part.at.line);
        for (name, part) in &self.left {
            problems.unknown_field(&part.at, name, &self.known);
        }
    }

    /// Refuses fields that were not taken, where one without an effect would change what is deployed; returns whether
    /// there were none.
    pub fn refuse_unknown(mut self, problems: &mut Diagnostics) -> bool {
        self.left.sort_by_key(|(_, part)| part.at.line);
        for (name, part) in &self.left {
            problems.refuse_field(&part.at, name, &self.known);
        }
        self.left.is_empty()
    }
}

/// The only source that a `valueFrom` names, out of these.
pub fn one_source<'n>(
    part: &Spanned<'n>,
    names: &[&'static str],
    problems: &mut Diagnostics,
) -> Option<(&'static str, Spanned<'n>)> {
    let mut fields = part.fields(problems)?;
    let mut sources: Vec<(&str, Spanned<'_>)> = names
        .iter()
        .filter_map(|name| Some((*name, fields.take(name, problems)?)))
        .collect();
    let known = fields.refuse_unknown(problems);
    let last = sources.pop();
    if last.is_some() && sources.is_empty() {
        return last;
    }
    // An unknown name has been reported already.
    if known {
        let found = if sources.is_empty() {
            "nothing"
        } else {
            "several sources"
        };
        problems.found(&part.at, found, format!("one of {}", names.join(", ")));
    }
    None
}

/// `codebuildImage` as `codebuild_image`.
fn snake_case(camel: &str) -> String {
    camel.chars().fold(String::new(), |mut snake, c| {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
        snake
    })
}

/// A mapping from text to text, such as `runtimeOverrides`.
pub(super) fn texts(part: &Spanned<'_>, problems: &mut Diagnostics) -> Map<String, Value> {
    part.entries(problems)
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Value::String(value.text(problems)?))))
        .collect()
}

/// A name from a text and its location.
pub(super) fn name(at: &Location, text: &str, problems: &mut Diagnostics) -> Option<Name> {
    Name::parse(&at.field, text)
        .map_err(|error| problems.refused(at, &error))
        .ok()
}
