//! Which modules are checked: the input of an execution, and the batches in which they are checked.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::ModuleCheck;
use crate::error::{Error, Result};
use crate::formats::json_fields::JsonFields;
use crate::ids::{ModuleId, Name};
use crate::storage_layout;

/// How many modules one call of the function looks at.
const BATCH: usize = 10;
/// How many modules are listed at once: Step Functions takes 262,144 bytes, and the names of a module some 300 at most.
const PAGE: usize = 500;

/// What is to be checked: everything, or what these names say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriftRequest {
    /// Project, deployment, group and module, as many as are given.
    names: Vec<Name>,
}

/// Modules whose checks go on together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Their checks.
    pub checks: Vec<ModuleCheck>,
}

impl Batch {
    /// How many builds of drift phases run.
    #[must_use]
    pub fn builds(&self) -> usize {
        let begun = self.checks.iter().filter_map(|check| check.begun.as_ref());
        begun.filter(|begun| begun.runs_a_build()).count()
    }
}

/// A part of the modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// In batches.
    pub batches: Vec<Batch>,
    /// The key after which the next part begins; `None` if there is no more.
    pub after: Option<String>,
}

impl DriftRequest {
    /// Parses an execution's input.
    ///
    /// # Errors
    /// `InvalidInput` with the field.
    pub fn parse(input: &Value) -> Result<Self> {
        let mut fields = JsonFields::of("", input)?;
        let mut names = Vec::new();
        let mut missing = None;
        for field in ["project", "deployment", "group", "module"] {
            match (fields.text(field)?, missing) {
                (None, _) => missing = missing.or(Some(field)),
                (Some(_), Some(missing)) => {
                    return Err(Error::field(
                        missing,
                        "nothing",
                        format!("a name, because the input has the field {field}"),
                    ));
                }
                (Some(name), None) if field == "project" => names.push(ModuleId::project(&name)?),
                (Some(name), None) => names.push(Name::parse(field, &name)?),
            }
        }
        fields.finish()?;
        Ok(Self { names })
    }

    /// The prefix of the keys of the records of these modules.
    #[must_use]
    pub fn prefix(&self) -> String {
        let names: Vec<&str> = self.names.iter().take(3).map(Name::as_str).collect();
        storage_layout::records_below(&names)
    }

    /// The part of the modules after a key, from the keys below the prefix.
    #[must_use]
    pub fn list(&self, mut keys: Vec<String>, after: Option<&str>) -> Listed {
        keys.sort_unstable();
        let keys = keys
            .into_iter()
            .filter(|key| after.is_none_or(|after| key.as_str() > after));
        let mut modules = keys
            .filter_map(|key| Some((ModuleId::of_record_key(&key)?, key)))
            .filter(|(module, _)| self.names.get(3).is_none_or(|name| *name == module.module));
        let page: Vec<(ModuleId, String)> = modules.by_ref().take(PAGE).collect();
        let after = modules.next().and_then(|_| Some(page.last()?.1.clone()));
        let batches = page.chunks(BATCH).map(|modules| Batch {
            checks: modules
                .iter()
                .map(|(module, _)| ModuleCheck {
                    module: module.clone(),
                    begun: None,
                })
                .collect(),
        });
        Listed {
            batches: batches.collect(),
            after,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn names(listed: &Listed) -> Vec<String> {
        let checks = listed.batches.iter().flat_map(|batch| &batch.checks);
        checks.map(|check| check.module.to_string()).collect()
    }

    fn keys() -> Vec<String> {
        [
            "deployed/_deployments/p/d.json",
            "deployed/p/d/g/m.json",
            "deployed/p/d/g/m.zip",
            "deployed/p/d/g/m-two.json",
        ]
        .map(str::to_owned)
        .into()
    }

    #[test]
    fn everything_that_is_deployed_is_checked_or_what_the_names_say() {
        let all = DriftRequest::parse(&json!({})).unwrap();
        assert_eq!(all.prefix(), "deployed/");
        assert_eq!(names(&all.list(keys(), None)), ["p/d/g/m-two", "p/d/g/m"]);
        let one = json!({"project": "p", "deployment": "d", "group": "g", "module": "m"});
        let one = DriftRequest::parse(&one).unwrap();
        assert_eq!(one.prefix(), "deployed/p/d/g/");
        assert_eq!(names(&one.list(keys(), None)), ["p/d/g/m"]);
    }

    #[test]
    fn a_name_needs_those_above_it() {
        for (bad, field) in [
            (json!({"deployment": "d"}), "project:"),
            (json!({"project": "p", "module": "m"}), "deployment:"),
            (json!({"project": "P"}), "project:"),
            (json!({"prefix": "p"}), "prefix"),
            (json!([]), ""),
        ] {
            let error = DriftRequest::parse(&bad).unwrap_err();
            assert!(error.message.starts_with(field), "{error}");
        }
    }

    #[test]
    fn many_modules_are_listed_in_parts_that_fit_a_payload() {
        let request = DriftRequest::default();
        let long = "x".repeat(60);
        let keys: Vec<String> = (0..1200)
            .map(|n| format!("deployed/{long}/{long}/{long}/m{n:04}.json"))
            .collect();
        let (mut found, mut after, mut parts) = (0, None, 0);
        loop {
            let listed = request.list(keys.clone(), after.as_deref());
            assert!(serde_json::to_string(&listed).unwrap().len() < 262_144);
            assert!(listed.batches.iter().all(|batch| batch.checks.len() <= BATCH));
            found += names(&listed).len();
            parts += 1;
            after = listed.after;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((found, parts), (1200, 3));
    }
}
