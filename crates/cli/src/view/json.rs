//! JSON for programs.

use serde_json::Value;

/// A value without fields that are null, at any depth.
#[must_use]
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let known = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(known.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_known_or_missing() {
        let value = json!({"a": null, "b": [{"c": null, "d": 1}, null], "e": false});
        assert_eq!(without_nulls(value), json!({"b": [{"d": 1}, null], "e": false}));
    }
}
