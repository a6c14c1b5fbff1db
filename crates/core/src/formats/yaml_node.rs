//! The values of a YAML document, each with its line.

use serde_json::{Map, Value};

use crate::error::excerpt;

/// A value with the line on which it starts, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// First line of the value, counted from 1.
    pub line: usize,
    /// The value.
    pub kind: Kind,
    /// The source text of a plain scalar that YAML 1.1 may read differently from what the author meant: `3.10` is the
    /// number 3.1, `012` is ten, `no` is false. (A date is a string here; PyYAML makes an object of it.)
    pub written: Option<String>,
    /// A key of a mapping that is in it again, with the same value, and the line of the second. Only one is kept, so that
    /// copies of it by aliases need no counting.
    pub repeated: Option<(String, usize)>,
}

/// The kinds of nodes.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Null, a boolean, a number or a string.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the file; each key has its line.
    Mapping(Vec<(String, usize, Node)>),
}

impl Node {
    /// The entry of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Mapping(entries) => entries.iter().find(|(k, ..)| k == key).map(|(.., node)| node),
            _ => None,
        }
    }

    /// The node as JSON, without lines.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Kind::Mapping(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(k, _, v)| (k.clone(), v.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// The keys that a mapping has again, with the same value, and their lines.
    #[must_use]
    pub fn repeated_keys(&self) -> Vec<(&str, usize)> {
        let repeated = self.repeated.iter().map(|(key, line)| (key.as_str(), *line));
        let within: Vec<&Self> = match &self.kind {
            Kind::Scalar(_) => Vec::new(),
            Kind::List(items) => items.iter().collect(),
            Kind::Mapping(entries) => entries.iter().map(|(.., node)| node).collect(),
        };
        repeated
            .chain(within.into_iter().flat_map(Self::repeated_keys))
            .collect()
    }

    /// The kind of the node, as messages name it.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar(Value::Null) => "nothing".to_owned(),
            Kind::Scalar(value) => {
                let value = excerpt(&value.to_string(), 80);
                match &self.written {
                    Some(written) => format!("{value}, as YAML reads {written}"),
                    None => value,
                }
            }
            Kind::List(_) => "a list".to_owned(),
            Kind::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// The size of the node, with everything in it.
    pub(super) fn extent(&self) -> Extent {
        match &self.kind {
            Kind::Scalar(value) => Extent::of_scalar(value),
            Kind::List(items) => Extent::around(items.iter().map(|item| (0, item))),
            Kind::Mapping(entries) => {
                Extent::around(entries.iter().map(|(key, _, value)| (key.len(), value)))
            }
        }
    }
}

/// The size of a node or a document.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extent {
    pub nodes: usize,
    pub text: usize,
    pub depth: usize,
}

impl Extent {
    pub fn of_scalar(value: &Value) -> Self {
        Self {
            nodes: 1,
            text: value.as_str().map_or(0, str::len),
            depth: 0,
        }
    }

    /// The size of a list or mapping of these values, each with the length of its key.
    fn around<'n>(values: impl Iterator<Item = (usize, &'n Node)>) -> Self {
        let empty = Self {
            nodes: 1,
            ..Self::default()
        };
        values.fold(empty, |sum, (key, value)| {
            let value = value.extent();
            Self {
                nodes: sum.nodes + value.nodes,
                text: sum.text + key + value.text,
                depth: sum.depth.max(value.depth + 1),
            }
        })
    }
}
