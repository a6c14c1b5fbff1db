//! YAML as seed-farmer reads it (decision 17).
//!
//! seed-farmer uses PyYAML's `safe_load`, which is YAML 1.1: a plain `yes` is a boolean, `012` is ten, `12:30` is 750
//! (seedfarmer-compat.md 2.5). A YAML 1.2 parser would read the same file differently. So `saphyr-parser` parses the
//! grammar (its events keep a scalar's text and quoting), and [`yaml_scalar`](crate::formats::yaml_scalar) resolves plain
//! scalars. Each node has its line, for messages.
//!
//! A short text can expand to a long document, because an alias repeats its anchor. So each node, copies included, is
//! counted before it is built: time and memory stay within a small multiple of the text's length.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Value};

use crate::error::{excerpt, expected};
use crate::formats::yaml_scalar::{is_trap, plain_scalar};

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
    fn extent(&self) -> Extent {
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
struct Extent {
    nodes: usize,
    text: usize,
    depth: usize,
}

impl Extent {
    fn of_scalar(value: &Value) -> Self {
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

/// The prefix of YAML's own tags, which `!!` stands for.
const CORE: &str = "tag:yaml.org,2002:";
/// CloudFormation's short forms of its functions (CloudFormation Template Reference Guide, "Intrinsic function reference").
const CLOUDFORMATION: [&str; 18] = [
    "And",
    "Base64",
    "Cidr",
    "Condition",
    "Equals",
    "FindInMap",
    "GetAtt",
    "GetAZs",
    "If",
    "ImportValue",
    "Join",
    "Not",
    "Or",
    "Ref",
    "Select",
    "Split",
    "Sub",
    "Transform",
];

fn is_core(tag: &Tag, name: &str) -> bool {
    tag.handle == CORE && tag.suffix == name
}

/// Whether a tag is a single `!`, which says nothing.
fn is_plain(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!" || tag.handle == "!" && tag.suffix.is_empty()
}

/// A scalar with one of YAML's own tags, as PyYAML reads it.
fn tagged_scalar(tag: &Tag, text: &str, style: ScalarStyle) -> Result<Value, String> {
    if is_plain(tag) && style == ScalarStyle::Plain {
        return Ok(plain_scalar(text));
    }
    if is_plain(tag) || is_core(tag, "str") {
        return Ok(Value::String(text.to_owned()));
    }
    let value = plain_scalar(text);
    let is_type = match (&value, tag.suffix.as_str()) {
        _ if tag.handle != CORE => return Err(unknown_tag(tag)),
        (Value::Number(number), "int") => !number.is_f64(),
        (Value::Number(_), "float") | (Value::Bool(_), "bool") | (Value::Null, "null") => true,
        (_, "int" | "float" | "bool" | "null") => false,
        _ => return Err(unknown_tag(tag)),
    };
    if is_type {
        return Ok(value);
    }
    Err(expected(
        format!("\"{}\"", excerpt(text, 80)),
        format!("a value of the type that the tag !!{} names", tag.suffix),
    ))
}

fn unknown_tag(tag: &Tag) -> String {
    let name = if tag.handle == CORE {
        format!("!!{}", tag.suffix)
    } else {
        format!("{}{}", tag.handle, tag.suffix)
    };
    let name = excerpt(&name, 80);
    if tag.handle == "!" && CLOUDFORMATION.contains(&tag.suffix.as_str()) {
        return format!(
            "the tag {name} is CloudFormation's, and means nothing in this file; write the value itself, or put a text that begins with ! into quotes"
        );
    }
    format!("unknown tag {name}; remove it, or put a text that begins with ! into quotes")
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        parse(text).unwrap().to_json()
    }

    #[test]
    fn a_scalar_that_yaml_reads_differently_keeps_its_text() {
        let written = |text: &str| parse(text).unwrap().written;
        for trap in [
            "3.10",
            "012",
            "12:30",
            "no",
            "On",
            "1_000",
            "0x1F",
            "2024-01-31",
            "2024-01-31T10:00:00Z",
            "+5",
        ] {
            assert_eq!(written(trap).as_deref(), Some(trap));
        }
        for plain in [
            "3.1",
            "12",
            "-7",
            "true",
            "False",
            "~",
            "a",
            "'3.10'",
            "\"no\"",
            "1.0",
            "10.0.0.0/16",
            "2024-01-3",
            "2024-01-31x",
        ] {
            assert_eq!(written(plain), None, "{plain}");
        }
        assert_eq!(parse("3.10").unwrap().describe(), "3.1, as YAML reads 3.10");
    }

    #[test]
    fn a_text_can_hold_several_documents() {
        let documents =
            |text: &str| parse_all(text).map(|all| all.iter().map(Node::to_json).collect::<Vec<_>>());
        assert_eq!(
            documents("a: 1\n---\nb: 2\n"),
            Ok(vec![json!({"a": 1}), json!({"b": 2})])
        );
        assert_eq!(documents("# nothing\n"), Ok(vec![]));
        assert_eq!(documents("a: 1\n---\n"), Ok(vec![json!({"a": 1}), json!(null)]));
        assert_eq!(parse_all("a: 1\n---\nb: 2\n").unwrap()[1].line, 3);
        // An anchor ends with its document, and the limits apply to all documents together.
        assert!(documents("a: &x 1\n---\nb: *x\n").is_err());
        let long = format!("a: {}\n", "x".repeat(600_000));
        assert!(documents(&long).is_ok());
        assert!(
            documents(&format!("{long}---\n{long}"))
                .unwrap_err()
                .message
                .contains("1 MiB of text")
        );
    }

    #[test]
    fn structure_anchors_and_merge_keys() {
        let text = "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\nc: [*x, 'z']\nd: |\n  two\n  lines\n";
        assert_eq!(
            read(text),
            json!({"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}, "c": [{"k": 1, "l": 2}, "z"], "d": "two\nlines\n"})
        );
        assert_eq!(read(""), json!(null));
        assert_eq!(read("[012, '012', !!str 012]"), json!([10, "012", "012"]));
    }

    #[test]
    fn an_error_names_its_line() {
        assert_eq!(parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err().line, 3);
        assert_eq!(
            parse("a: 1\nb: 2\na: 3\n").unwrap_err(),
            YamlError {
                line: 3,
                message: "duplicate key \"a\"; the first is on line 1".into()
            }
        );
        let repeated = parse("a: [1]\nb: 2\na: [1]\n").unwrap();
        assert_eq!(repeated.to_json(), json!({"a": [1], "b": 2}));
        assert_eq!(repeated.repeated_keys(), [("a", 3)]);
        assert_eq!(parse("- b: {c: 1, c: 1}\n").unwrap().repeated_keys(), [("c", 1)]);
        assert!(parse("a: 1\n---\nb: 2\n").is_err());
        let node = parse("a:\n  - 1\n  - b: c\n").unwrap();
        assert_eq!(node.get("a").unwrap().line, 2);
    }

    #[test]
    fn a_tag_means_what_it_means_to_pyyaml_or_is_refused_with_its_line() {
        assert_eq!(
            read("[!!str 012, !!int '12', !!float 1, !!bool yes, !!null '', ! 12, !!seq [!!map {}]]"),
            json!(["012", 12, 1, true, null, 12, [{}]])
        );
        for (text, message) in [
            ("a: 1\nb: !Sub ${X}\n", "the tag !Sub is CloudFormation's"),
            (
                "a: 1\nb: !GetAtt\n- X\n- Arn\n",
                "the tag !GetAtt is CloudFormation's",
            ),
            ("a: 1\nb: !If {c: d}\n", "the tag !If is CloudFormation's"),
            ("a: 1\nb: !important text\n", "unknown tag !important; remove it"),
            ("a: 1\nb: !!python/none x\n", "unknown tag !!python/none"),
            ("a: 1\nb: !!set {c}\n", "unknown tag !!set"),
            (
                "a: 1\nb: !!int x\n",
                "expected a value of the type that the tag !!int names, found \"x\"",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.line == 2 && error.message.starts_with(message),
                "{text}: {error}"
            );
        }
        let template = parse_template("a: !Ref X\nb: !GetAtt [X, Arn]\n").unwrap();
        assert_eq!(template.to_json(), json!({"a": "X", "b": ["X", "Arn"]}));
    }

    #[test]
    fn a_tab_in_an_indentation_is_named_with_its_line() {
        for (text, line) in [
            ("a:\n\t- b\n", 2),
            ("a:\n  b: 1\n\tc: 2\nd: 3\n", 3),
            ("a:\n  b: 1\n  \tc: 2\nd: 3\ne: 4\n", 3),
            ("a:\n\tb: 1\n", 2),
            ("a:\n- b\n\t- c\n- d\n", 3),
            ("a:\n  b:\n\t\tc: 1\n  d: 2\n", 3),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(
                (error.line, error.message.as_str()),
                (line, "a tab in the indentation; YAML takes spaces only"),
                "{text:?}"
            );
        }
        // In a block of text a tab is text.
        assert_eq!(read("a: |\n  x\n  \ty\n"), json!({"a": "x\n\ty\n"}));
        let error = parse("a: |\n  x\n  \ty\nb: [\n").unwrap_err();
        assert!(!error.message.contains("tab"), "{error}");
    }

    #[test]
    fn a_bomb_of_aliases_or_depth_is_refused() {
        let mut bomb = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
        for i in 1..9 {
            let previous = i - 1;
            bomb.push_str(&format!(
                "a{i}: &a{i} [{}]\n",
                vec![format!("*a{previous}"); 10].join(",")
            ));
        }
        assert!(parse(&bomb).unwrap_err().message.contains("100,000"));
        assert!(parse(&"[".repeat(500)).is_err());
    }

    #[test]
    fn few_aliases_of_a_long_text_or_of_deep_lists_are_bombs_too() {
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(30_000), "*a,".repeat(10_000));
        assert!(parse(&text).unwrap_err().message.contains("1 MiB of text"));
        let deep = format!(
            "a: &a {}{}\nb: &b {}*a{}\n",
            "[".repeat(40),
            "]".repeat(40),
            "[".repeat(40),
            "]".repeat(40)
        );
        assert!(parse(&deep).unwrap_err().message.contains("64 deep"));
        // Each anchor keeps a copy of its whole node.
        let mut nested = "1,".repeat(20_000);
        for i in 0..50 {
            nested = format!("&a{i} [{nested}]");
        }
        assert!(parse(&nested).unwrap_err().message.contains("100,000"));
    }

    #[test]
    fn a_mappings_own_entries_override_merged_ones() {
        let text = "a: &x {k: 1, l: 2, m: 3}\nb: {<<: *x, l: 4}\nc: {l: 4, <<: [*x, {m: 5, n: 6}]}\n";
        let read = read(text);
        assert_eq!(read["b"].to_string(), r#"{"k":1,"l":4,"m":3}"#);
        assert_eq!(read["c"].to_string(), r#"{"l":4,"k":1,"m":3,"n":6}"#);
        assert!(parse("a: {k: 1, k: 2}").is_err());
    }
}
