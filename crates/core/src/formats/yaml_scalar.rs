//! The values of plain YAML scalars, as PyYAML resolves them: YAML 1.1 (decision 17, seedfarmer-compat.md 2.5).

use serde_json::{Number, Value};

use crate::formats::python_json::dumps;

/// Resolves a plain (unquoted, untagged) scalar as PyYAML does, by YAML 1.1.
pub(crate) fn plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => integer(text)
            .or_else(|| float(text))
            .unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

/// Whether YAML 1.1 may read a plain scalar differently from what its author meant.
pub(crate) fn is_trap(text: &str, value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !text.eq_ignore_ascii_case(if *flag { "true" } else { "false" }),
        Value::Number(_) => dumps(value) != text,
        Value::String(text) => is_date(text),
        _ => false,
    }
}

/// A timestamp of YAML 1.1: `2024-01-31`, optionally followed by a time.
fn is_date(text: &str) -> bool {
    let digits = |part: Option<&str>, length: usize| {
        part.is_some_and(|part| part.len() == length && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let (date, time) = text.split_at_checked(10).unwrap_or((text, ""));
    let mut parts = date.split('-');
    let is_date = digits(parts.next(), 4) && digits(parts.next(), 2) && digits(parts.next(), 2);
    let is_time = time.starts_with(['T', 't', ' '])
        && time[1..]
            .bytes()
            .all(|b| b.is_ascii_digit() || b":.Z+- ".contains(&b));
    is_date && parts.next().is_none() && (time.is_empty() || is_time)
}

/// A text without its sign, and whether the sign is a minus.
fn unsigned(text: &str) -> (&str, bool) {
    match text.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    }
}

fn integer(text: &str) -> Option<Value> {
    let (digits, negative) = unsigned(text);
    // Rust's parsers would accept a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.contains(['+', '-']) {
        return None;
    }
    let plain = digits.replace('_', "");
    let value = if let Some(binary) = plain.strip_prefix("0b") {
        i128::from_str_radix(binary, 2).ok()?
    } else if let Some(hex) = plain.strip_prefix("0x") {
        i128::from_str_radix(hex, 16).ok()?
    } else if digits.contains(':') {
        i128::from(sexagesimal(&plain)?)
    } else if plain.len() > 1 && plain.starts_with('0') {
        i128::from_str_radix(&plain, 8).ok()?
    } else if plain.bytes().all(|b| b.is_ascii_digit()) {
        plain.parse().ok()?
    } else {
        return None;
    };
    // Python's integers are unbounded; beyond 64 bits the digits stay a string.
    Number::from_i128(if negative { -value } else { value }).map(Value::Number)
}

/// `12:30` is 750: base 60; each group after the first is below 60.
fn sexagesimal(text: &str) -> Option<i64> {
    let mut groups = text.split(':');
    let first = groups.next()?;
    if first.starts_with('0') || first.is_empty() {
        return None;
    }
    groups.try_fold(first.parse::<i64>().ok()?, |sum, group| {
        let group = below_sixty(group)?;
        sum.checked_mul(60)?.checked_add(group)
    })
}

fn below_sixty(group: &str) -> Option<i64> {
    let digits = (1..=2).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_digit());
    group.parse().ok().filter(|number| digits && *number < 60)
}

/// A float has a dot, and its exponent has a sign (`1e3` is a string in YAML 1.1). A float without digits before the dot
/// has no sign (`-.5` is a string).
fn float(text: &str) -> Option<Value> {
    let (unsigned, negative) = unsigned(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let signed_digits = |e: &str| {
        e.strip_prefix(['+', '-'])
            .is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let starts_right = whole.starts_with(|c: char| c.is_ascii_digit())
        || (whole.is_empty() && text == unsigned && fraction.starts_with(|c: char| c.is_ascii_digit()));
    if !starts_right || !digits(fraction) || !exponent.is_none_or(signed_digits) {
        return None;
    }
    let value = if whole.contains(':') && exponent.is_none() {
        sexagesimal_float(whole, fraction)?
    } else if digits(whole) {
        unsigned.replace('_', "").parse().ok()?
    } else {
        return None;
    };
    Number::from_f64(if negative { -value } else { value }).map(Value::Number)
}

/// `1:30.5` is 90.5.
fn sexagesimal_float(whole: &str, fraction: &str) -> Option<f64> {
    let (first, rest) = whole.split_once(':')?;
    let groups: Vec<f64> = rest
        .split(':')
        .map(|group| below_sixty(group).map(|number| number as f64))
        .collect::<Option<_>>()?;
    let last = format!("{}.{fraction}", groups.last()?)
        .replace('_', "")
        .parse()
        .ok()?;
    let first: f64 = first.replace('_', "").parse().ok()?;
    // Summed from the last group, as PyYAML does: the result of a float sum depends on the order.
    let parts = std::iter::once(last)
        .chain(groups.iter().rev().skip(1).copied())
        .chain([first]);
    let sum = parts.fold((0.0, 1.0), |(sum, base), part: f64| {
        (sum + part * base, base * 60.0)
    });
    Some(sum.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_scalars_mean_what_pyyaml_says() {
        // The table of seedfarmer-compat.md 2.5, checked against PyYAML 6.
        for (text, value) in [
            ("yes", json!(true)),
            ("no", json!(false)),
            ("on", json!(true)),
            ("off", json!(false)),
            ("y", json!("y")),
            ("012", json!(10)),
            ("012345670123", json!(1_402_433_619_i64)),
            ("089", json!("089")),
            ("12:30", json!(750)),
            ("1_000", json!(1000)),
            ("3.10", json!(3.1)),
            ("1e3", json!("1e3")),
            ("1.5e+3", json!(1500.0)),
            ("0x1F", json!(31)),
            ("0b11", json!(3)),
            ("-7", json!(-7)),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            ("0x+1", json!("0x+1")),
            ("-.5", json!("-.5")),
            ("-1_0.5", json!(-10.5)),
            ("1:30.5", json!(90.5)),
            ("18446744073709551615", json!(u64::MAX)),
            ("184467440737095516150", json!("184467440737095516150")),
            ("1.2.3", json!("1.2.3")),
            ("~", json!(null)),
            ("10.0.0.0/16", json!("10.0.0.0/16")),
            ("1:75", json!("1:75")),
        ] {
            assert_eq!(plain_scalar(text), value, "{text}");
        }
    }
}
