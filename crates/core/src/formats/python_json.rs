//! JSON as Python's `json.dumps` writes it: `", "` and `": "` as separators, ASCII only, and `1.0` stays `1.0`.
//!
//! seed-farmer passes parameters to modules in environment variables in this format. Some modules compare or hash the text
//! (seedfarmer-compat.md 2.5), so it has to be identical.

use std::fmt::Write as _;

use serde_json::Value;

/// A value as `json.dumps(value)` writes it.
#[must_use]
pub fn dumps(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => out.push_str(&float_text(float)),
            None => out.push_str(&number.to_string()),
        },
        Value::String(text) => string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (i, (key, item)) in entries.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                string(out, key);
                out.push_str(": ");
                write(out, item);
            }
            out.push('}');
        }
    }
}

/// Python's `repr` of a float: the shortest digits that read back, with an exponent from 1e16 and below 1e-4.
fn float_text(float: f64) -> String {
    let magnitude = float.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{float:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent
            .strip_prefix('-')
            .map_or(('+', exponent), |digits| ('-', digits));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{float:?}")
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String can't fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_example_of_the_compatibility_page() {
        for (value, text) in [
            (json!(["s1", "s2"]), r#"["s1", "s2"]"#),
            (json!({"a": 1}), r#"{"a": 1}"#),
            (json!(true), "true"),
            (json!(false), "false"),
            (json!(0), "0"),
            (json!(1.0), "1.0"),
            (json!(3.1), "3.1"),
            (json!(1e16), "1e+16"),
            (json!(1.5e-7), "1.5e-07"),
            (json!(123_456_789.125), "123456789.125"),
            (json!("é"), "\"\\u00e9\""),
            (json!("😀\u{7f}\n"), "\"\\ud83d\\ude00\\u007f\\n\""),
            (
                json!({"b": [1, {"c": null}], "a": []}),
                r#"{"b": [1, {"c": null}], "a": []}"#,
            ),
            (json!({}), "{}"),
        ] {
            assert_eq!(dumps(&value), text);
        }
    }
}
