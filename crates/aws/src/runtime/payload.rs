//! The payload of an invocation, parsed at any nesting.
//!
//! serde_json stops at 128 levels, before a handler could answer with an error of its own. An execution's input also passes
//! through the function that records failures. So values deeper than [`MAX_DEPTH`] are left out here. That hides nothing: a
//! valid value nests at most 64 levels deep (`seedflow_core::formats::json_fields`), so a value that was cut is refused
//! later.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Maximum nesting of a payload: that of valid values, and room for the levels around them.
const MAX_DEPTH: usize = 100;

/// The payload of an invocation, without the values that are nested too deep.
#[derive(Debug, PartialEq)]
pub(crate) struct Payload(pub(crate) Value);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level(MAX_DEPTH).deserialize(deserializer).map(Self)
    }
}

/// Deserializes a value with at most this many further levels.
struct Level(usize);

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Some(below) = self.0.checked_sub(1) else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Level(below))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let Some(below) = self.0.checked_sub(1) else {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            object.insert(key, entries.next_value_seed(Level(below))?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use seedflow_core::formats::json_fields::is_too_deep;
    use serde_json::json;

    fn read(text: &str) -> Value {
        serde_json::from_str::<Payload>(text).unwrap().0
    }

    #[test]
    fn what_is_not_deep_is_read_as_it_is() {
        let event = json!({"a": [1, -2, 2.5, true, null, "x\u{1f600}", {"b": {}}], "c": u64::MAX});
        assert_eq!(read(&event.to_string()), event);
        assert!(serde_json::from_str::<Payload>("{\"a\": [1").is_err());
    }

    #[test]
    fn names_are_read_at_any_depth_and_cut_values_are_refused() {
        for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
            let deep = format!("{}1{}", open.repeat(50_000), close.repeat(50_000));
            let event = read(&format!(
                "{{\"project\": \"p\", \"parameters\": {{\"a\": {deep}}}}}"
            ));
            assert_eq!(event["project"], "p");
            assert!(is_too_deep(&event["parameters"]["a"]));
        }
    }
}
