//! Reads a JSON object field by field, so that each error names the field by its path.
//!
//! Each field is taken by its type. [`JsonFields::finish`] then refuses the fields that were not taken, and lists those
//! that exist. Nothing is ignored silently: a misspelt `forceupdate` is an error, not a default.

use serde_json::{Map, Value};

use crate::error::{Error, Result, excerpt};

/// An object that is being read.
#[derive(Debug)]
pub struct JsonFields {
    path: String,
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl JsonFields {
    /// Starts to read an object. `path` is its name in messages ("" for the top level).
    pub fn of(path: &str, value: &Value) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self {
                path: path.to_owned(),
                left: map.clone(),
                known: Vec::new(),
            }),
            other => Err(Error::field(
                if path.is_empty() { "input" } else { path },
                describe(other),
                "a JSON object",
            )),
        }
    }

    /// The path of one of the object's fields.
    #[must_use]
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Any value; null counts as absent.
    pub fn any(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.left.shift_remove(key).filter(|value| !value.is_null())
    }

    /// A non-empty string.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        match self.any(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(other) => Err(Error::field(
                &self.path(key),
                describe(&other),
                "a text that isn't empty",
            )),
        }
    }

    /// A string; an empty one counts as absent. EventBridge's input transformer inserts an empty string where the event has
    /// no such field.
    pub fn text_or_empty(&mut self, key: &'static str) -> Result<Option<String>> {
        match self.any(key) {
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            None => Ok(None),
            Some(other) => Err(Error::field(&self.path(key), describe(&other), "a text")),
        }
    }

    /// A required string.
    pub fn required_text(&mut self, key: &'static str) -> Result<String> {
        let path = self.path(key);
        self.text(key)?
            .ok_or_else(|| Error::field(&path, "nothing", "a text; the field is required"))
    }

    /// A boolean.
    pub fn flag(&mut self, key: &'static str) -> Result<Option<bool>> {
        match self.any(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(Error::field(&self.path(key), describe(&other), "true or false")),
        }
    }

    /// An integer within bounds.
    pub fn number(&mut self, key: &'static str, from: u64, to: u64) -> Result<Option<u64>> {
        match self.any(key) {
            None => Ok(None),
            Some(value) => match value.as_u64().filter(|n| (from..=to).contains(n)) {
                Some(number) => Ok(Some(number)),
                None => Err(Error::field(
                    &self.path(key),
                    describe(&value),
                    format!("a whole number from {from} to {to}"),
                )),
            },
        }
    }

    /// One of a list of strings.
    pub fn choice(&mut self, key: &'static str, allowed: &[&str]) -> Result<Option<String>> {
        match self.any(key) {
            None => Ok(None),
            Some(Value::String(text)) if allowed.contains(&text.as_str()) => Ok(Some(text)),
            Some(other) => Err(Error::field(
                &self.path(key),
                describe(&other),
                allowed.join(", "),
            )),
        }
    }

    /// Refuses fields that were not taken.
    pub fn finish(self) -> Result<()> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(Error::field(
                &self.path(&excerpt(unknown, 80)),
                "an unknown field",
                format!("one of {}", self.known.join(", ")),
            )),
        }
    }
}

/// Maximum nesting of a parameter's value or of a module's metadata. Such values travel within other JSON, and JSON parsers
/// stop at 128 levels. They also pass through recursive functions.
pub const MAX_DEPTH: usize = 64;

/// Whether lists and objects nest deeper than [`MAX_DEPTH`].
#[must_use]
pub fn is_too_deep(value: &Value) -> bool {
    fn deeper(value: &Value, left: usize) -> bool {
        match value {
            Value::Array(items) => left == 0 || items.iter().any(|item| deeper(item, left - 1)),
            Value::Object(map) => left == 0 || map.values().any(|item| deeper(item, left - 1)),
            _ => false,
        }
    }
    deeper(value, MAX_DEPTH)
}

/// A value as messages show it: strings and numbers in full, everything else by its kind.
#[must_use]
pub fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => format!("\"{}\"", excerpt(text, 80)),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_nest_so_deep() {
        let nested = |depth: usize| (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        assert!(!is_too_deep(&nested(MAX_DEPTH)));
        assert!(is_too_deep(&nested(MAX_DEPTH + 1)));
    }
}
