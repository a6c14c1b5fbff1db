//! The shortened input of an execution whose whole input is stored in the work bucket.

use serde_json::{Value, json};

use crate::error::{Error, Result, excerpt};
use crate::formats::json_fields::JsonFields;
use crate::ids::ModuleId;
use crate::module::input::{module_named, module_of, no_names};
use crate::storage_layout;

/// A shortened input with only the names and a key: the whole input would not fit into a deployment's state. The
/// planner stores the whole input in the work bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredInput {
    /// The module that both inputs have to name.
    module: ModuleId,
    /// The key of the whole input.
    pub key: String,
}

impl StoredInput {
    /// The input that is sent instead of a long one.
    #[must_use]
    pub fn sent(module: &ModuleId, key: &str) -> Value {
        let mut sent = json!(module);
        sent["input_key"] = json!(key);
        sent
    }

    /// Reads a shortened input; `None` if it is a whole one.
    ///
    /// # Errors
    /// `InvalidInput` if it has more than the names and the key, or a key outside the planner's folder.
    pub fn of(input: &Value) -> Result<Option<Self>> {
        if input.get("input_key").is_none() {
            return Ok(None);
        }
        let mut fields = JsonFields::of("", input)?;
        let module = module_of(&mut fields)?.ok_or_else(|| no_names(""))?;
        let key = fields.required_text("input_key")?;
        fields.finish()?;
        if !storage_layout::is_stored_input(&key) {
            return Err(Error::field(
                "input_key",
                format!("\"{}\"", excerpt(&key, 120)),
                "a key under plans/, where the planner of a deployment stores inputs; give the input itself instead",
            ));
        }
        Ok(Some(Self { module, key }))
    }

    /// Checks the whole input that was loaded.
    ///
    /// # Errors
    /// `InvalidInput` if it names another module: the lock belongs to the module of the shortened input.
    pub fn check(&self, found: Value) -> Result<Value> {
        match module_named(&found) {
            Some(module) if module == self.module => Ok(found),
            _ => Err(Error::field(
                "input_key",
                format!("the input of another module in {}", self.key),
                format!("the input of {}", self.module),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn input(change: impl FnOnce(&mut Value)) -> Value {
        let mut input = json!({"project": "p", "deployment": "d", "group": "g", "module": "m", "source": {"key": "uploads/x.zip"}});
        change(&mut input);
        input
    }

    #[test]
    fn any_shortened_input_may_name_the_deployments_execution() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let mut sent = StoredInput::sent(&module, "plans/e/i.json");
        sent["part_of"] = json!("arn:aws:states:r:1:execution:deploy:e");
        assert!(StoredInput::of(&sent).unwrap().is_some());
    }

    #[test]
    fn a_stored_input_is_read_only_from_its_place_and_for_its_module() {
        let module = ModuleId::parse("p", "d", "g", "m").unwrap();
        let sent = StoredInput::sent(&module, "plans/e/1.json");
        let stored = StoredInput::of(&sent).unwrap().unwrap();
        assert_eq!(stored.key, "plans/e/1.json");
        assert_eq!(stored.check(input(|_| ())), Ok(input(|_| ())));
        assert!(stored.check(input(|v| v["module"] = json!("other"))).is_err());
        assert_eq!(StoredInput::of(&input(|_| ())), Ok(None));
        for bad in [json!("callbacks/x"), json!(7), json!("")] {
            let bad = input(|v| v["input_key"] = bad);
            assert!(StoredInput::of(&bad).is_err());
        }
        let more = json!({"project": "p", "deployment": "d", "group": "g", "module": "m", "input_key": "plans/x", "bundle": true});
        assert!(StoredInput::of(&more).unwrap_err().message.starts_with("bundle"));
    }
}
