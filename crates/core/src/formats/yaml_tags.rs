//! Tags of YAML values, such as `!!str` and `!Sub`: what PyYAML's safe loader makes of them.

use saphyr_parser::{ScalarStyle, Tag};
use serde_json::Value;

use crate::error::{excerpt, expected};
use crate::formats::yaml_scalar::plain_scalar;

/// The prefix of YAML's own tags; `!!` is short for it.
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

pub(super) fn is_core(tag: &Tag, name: &str) -> bool {
    tag.handle == CORE && tag.suffix == name
}

/// Whether a tag is a single `!`, which says nothing.
pub(super) fn is_plain(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!" || tag.handle == "!" && tag.suffix.is_empty()
}

/// A scalar with one of YAML's own tags, as PyYAML reads it.
pub(super) fn tagged_scalar(tag: &Tag, text: &str, style: ScalarStyle) -> Result<Value, String> {
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

pub(super) fn unknown_tag(tag: &Tag) -> String {
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
