//! YAML as seed-farmer reads it (decision 17).
//!
//! seed-farmer uses PyYAML's `safe_load`, which is YAML 1.1: a plain `yes` is a boolean, `012` is ten, `12:30` is 750
//! (seedfarmer-compat.md 2.5). A YAML 1.2 parser would read the same file differently. So `saphyr-parser` parses the
//! grammar (its events keep a scalar's text and quoting), and [`yaml_scalar`](crate::formats::yaml_scalar) resolves plain
//! scalars. Each node ([`Node`]) has its line, for messages.
//!
//! A short text can expand to a long document, because an alias repeats its anchor. So each node, copies included, is
//! counted before it is built: time and memory stay within a small multiple of the text's length.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use crate::error::excerpt;
use crate::formats::yaml_node::Extent;
pub use crate::formats::yaml_node::{Kind, Node};
use crate::formats::yaml_scalar::{is_trap, plain_scalar};
use crate::formats::yaml_tags::{is_core, is_plain, tagged_scalar, unknown_tag};

/// A syntax error and its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct YamlError {
    /// Counted from 1.
    pub line: usize,
    /// The error.
    pub message: String,
}

/// Maximum nesting of lists and mappings. No configuration is deeper, and deeper nesting could overflow the call stack.
const MAX_DEPTH: usize = 64;
/// Maximum number of nodes of a document, after aliases are expanded ("billion laughs").
const MAX_NODES: usize = 100_000;
/// Maximum length of all scalars of a document in bytes, after aliases are expanded: a few aliases of one long text are few
/// nodes.
const MAX_TEXT: usize = 1 << 20;

/// Parses the only document of a text; an empty text is null.
pub fn parse(text: &str) -> Result<Node, YamlError> {
    only(Builder::new(text, Tags::Checked))
}

/// Parses a CloudFormation template as [`parse`] does, but without its tags: the value of `!Ref X` is the text `X`.
pub fn parse_template(text: &str) -> Result<Node, YamlError> {
    only(Builder::new(text, Tags::Ignored))
}

fn only(mut builder: Builder<'_>) -> Result<Node, YamlError> {
    let documents = builder.documents(1)?;
    Ok(documents.into_iter().next().unwrap_or(Node {
        line: 1,
        kind: Kind::Scalar(Value::Null),
        written: None,
        repeated: None,
    }))
}

/// Parses all documents of a text; an empty text has none. The limits of one document apply to all of them together.
pub fn parse_all(text: &str) -> Result<Vec<Node>, YamlError> {
    Builder::new(text, Tags::Checked).documents(usize::MAX)
}

/// What becomes of tags such as `!Sub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tags {
    /// A tag that has no meaning is an error, as in PyYAML's safe loader.
    Checked,
    Ignored,
}

struct Builder<'a> {
    text: &'a str,
    tags: Tags,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    built: Extent,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, tags: Tags) -> Self {
        Self {
            text,
            tags,
            parser: Parser::new_from_str(text),
            anchors: HashMap::new(),
            built: Extent::default(),
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.parser.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(syntax_error(self.text, error.marker().line(), error.info())),
            None => Err(YamlError {
                line: 1,
                message: "the text ends too early".to_owned(),
            }),
        }
    }

    /// The documents of the text, at most `most`.
    fn documents(&mut self, most: usize) -> Result<Vec<Node>, YamlError> {
        let mut documents = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(documents),
                Event::DocumentStart(_) if documents.len() == most => {
                    return Err(YamlError {
                        line: span.start.line(),
                        message: "a second document starts here; one is allowed".to_owned(),
                    });
                }
                Event::DocumentStart(_) => {
                    // An anchor is valid within its document only.
                    self.anchors.clear();
                    let first = self.next()?;
                    documents.push(self.node(first, 0)?);
                }
                _ => {}
            }
        }
    }

    /// Counts a node that is about to be built at this depth.
    fn count(&mut self, more: Extent, depth: usize, line: usize) -> Result<(), YamlError> {
        self.built.nodes += more.nodes;
        self.built.text += more.text;
        let message = if depth + more.depth > MAX_DEPTH {
            "lists and mappings nest more than 64 deep"
        } else if self.built.nodes > MAX_NODES {
            "more than 100,000 values, counting those that aliases repeat"
        } else if self.built.text > MAX_TEXT {
            "more than 1 MiB of text, counting what aliases repeat"
        } else {
            return Ok(());
        };
        Err(YamlError {
            line,
            message: message.to_owned(),
        })
    }

    fn node(&mut self, (event, span): (Event<'a>, Span), depth: usize) -> Result<Node, YamlError> {
        let line = span.start.line();
        let fail = |message: &str| {
            Err(YamlError {
                line,
                message: message.to_owned(),
            })
        };
        let one = Extent {
            nodes: 1,
            ..Extent::default()
        };
        let (mut written, mut repeated) = (None, None);
        let (anchor, kind) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = match (&tag, self.tags) {
                    (None, _) if plain => plain_scalar(&text),
                    (Some(tag), Tags::Checked) => {
                        tagged_scalar(tag, &text, style).map_err(|message| YamlError { line, message })?
                    }
                    _ => Value::String(text.to_string()),
                };
                // Cut, so that copies of it by aliases need no counting.
                written = (plain && is_trap(&text, &value)).then(|| excerpt(&text, 40));
                self.count(Extent::of_scalar(&value), depth, line)?;
                (anchor, Kind::Scalar(value))
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "seq", line)?;
                self.count(one, depth, line)?;
                (anchor, self.list(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "map", line)?;
                self.count(one, depth, line)?;
                let entries = self.mapping(depth)?;
                repeated = entries.repeated;
                (anchor, Kind::Mapping(entries.list))
            }
            Event::Alias(anchor) => {
                let Some(extent) = self.anchors.get(&anchor).map(Node::extent) else {
                    return fail("an alias without an anchor");
                };
                self.count(extent, depth, line)?;
                return Ok(self.anchors[&anchor].clone());
            }
            _ => return fail("a value was expected"),
        };
        let node = Node {
            line,
            kind,
            written,
            repeated,
        };
        if anchor > 0 {
            // The anchor keeps a copy, and nested anchors keep copies of copies.
            self.count(node.extent(), depth, line)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Refuses every tag of a list or mapping but its own type.
    fn refuse_tag(&self, tag: Option<&Tag>, own: &str, line: usize) -> Result<(), YamlError> {
        match tag {
            Some(tag) if self.tags == Tags::Checked && !is_core(tag, own) && !is_plain(tag) => {
                let message = unknown_tag(tag);
                Err(YamlError { line, message })
            }
            _ => Ok(()),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Kind, YamlError> {
        let mut items = Vec::new();
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::SequenceEnd) {
                return Ok(Kind::List(items));
            }
            items.push(self.node(next, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Entries, YamlError> {
        let mut entries = Entries::default();
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::MappingEnd) {
                return Ok(entries);
            }
            let key = self.node(next, depth + 1)?;
            let value_event = self.next()?;
            let value = self.node(value_event, depth + 1)?;
            match &key.kind {
                // `<<: *defaults`: the merge key of YAML 1.1; the mapping's own entries win.
                Kind::Scalar(Value::String(name)) if name == "<<" => entries.merge(value)?,
                Kind::Scalar(scalar) => entries.set(key_text(scalar), key.line, value)?,
                _ => {
                    return Err(YamlError {
                        line: key.line,
                        message: "a key must be a text".to_owned(),
                    });
                }
            }
        }
    }
}

/// The parser's error. It names the line before a tab in an indentation, or calls the tab something else.
fn syntax_error(text: &str, line: usize, message: &str) -> YamlError {
    let mentions_tab = message.contains("tab");
    let tab = text
        .lines()
        .enumerate()
        .skip(line.saturating_sub(1))
        .take(if mentions_tab { usize::MAX } else { 1 })
        .find(|(_, line)| is_indented_by_tab(line));
    match tab {
        Some((before, _)) => YamlError {
            line: before + 1,
            message: "a tab in the indentation; YAML takes spaces only".to_owned(),
        },
        None => YamlError {
            line,
            message: message.to_owned(),
        },
    }
}

fn is_indented_by_tab(line: &str) -> bool {
    let content = line.trim_start();
    !content.is_empty() && line[..line.len() - content.len()].contains('\t')
}

fn key_text(scalar: &Value) -> String {
    scalar.as_str().map_or_else(|| scalar.to_string(), str::to_owned)
}

/// The entries of a mapping that is being parsed, with the position of each key.
#[derive(Default)]
struct Entries {
    list: Vec<(String, usize, Node)>,
    places: HashMap<String, usize>,
    repeated: Option<(String, usize)>,
}

impl Entries {
    /// Adds an entry of the mapping itself. PyYAML silently lets the later of two equal keys win; that hides a mistake, so
    /// it is an error here, unless both have the same value.
    fn set(&mut self, key: String, line: usize, value: Node) -> Result<(), YamlError> {
        match self.places.entry(key.clone()) {
            Entry::Vacant(place) => {
                place.insert(self.list.len());
                self.list.push((key, line, value));
            }
            Entry::Occupied(place) => {
                let entry = &mut self.list[*place.get()];
                let first = entry.1;
                if first > 0 && entry.2.to_json() == value.to_json() {
                    self.repeated.get_or_insert_with(|| (excerpt(&key, 40), line));
                    return Ok(());
                }
                if first > 0 {
                    return Err(YamlError {
                        line,
                        message: format!(
                            "duplicate key \"{}\"; the first is on line {first}",
                            excerpt(&key, 80)
                        ),
                    });
                }
                *entry = (key, line, value);
            }
        }
        Ok(())
    }

    /// Adds the entries of a merge key. They have line 0, which [`Self::set`] recognises as entries that may be overridden.
    fn merge(&mut self, value: Node) -> Result<(), YamlError> {
        let line = value.line;
        match value.kind {
            Kind::Mapping(merged) => {
                for (key, _, node) in merged {
                    if let Entry::Vacant(place) = self.places.entry(key.clone()) {
                        place.insert(self.list.len());
                        self.list.push((key, 0, node));
                    }
                }
                Ok(())
            }
            Kind::List(mappings) => mappings.into_iter().try_for_each(|mapping| self.merge(mapping)),
            Kind::Scalar(_) => Err(YamlError {
                line,
                message: "<< takes a mapping or a list of mappings".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
