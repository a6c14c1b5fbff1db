//! Patterns of modules: `GROUP/MODULE`, in which `*` matches any characters.

use std::fmt;

use serde_json::Value;

use crate::error::expected;
use crate::formats::json_fields::describe;
use crate::module::metadata_reference::ModuleRef;

/// The longest group or module of a pattern: names have up to 64 characters.
const MAX_PART: usize = 64;

/// A pattern of modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    group: String,
    module: String,
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// What is wrong with it, beginning with `path`.
    pub fn parse(path: &str, value: &Value) -> Result<Self, String> {
        let parts = value.as_str().and_then(|text| text.split_once('/'));
        match parts {
            Some((group, module)) if is_part(group) && is_part(module) => Ok(Self {
                group: group.to_owned(),
                module: module.to_owned(),
            }),
            _ => Err(format!(
                "{path}: {}",
                expected(
                    describe(value),
                    "a pattern GROUP/MODULE of letters, digits, - _ . and *; every module is */*"
                )
            )),
        }
    }

    /// Whether it matches a module.
    #[must_use]
    pub fn covers(&self, module: &ModuleRef) -> bool {
        matches(self.group.as_bytes(), module.group.as_str().as_bytes())
            && matches(self.module.as_bytes(), module.module.as_str().as_bytes())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.module)
    }
}

fn is_part(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.*".contains(&b);
    (1..=MAX_PART).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Whether a pattern with `*` matches a name. Each `*` first takes nothing; where the rest doesn't match, the last `*` takes
/// one character more. So the time is the product of both lengths at most.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
        } else if pattern.get(p) == Some(&name[n]) {
            p += 1;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::ids::Name;

    fn covers(pattern: &str, group: &str, module: &str) -> bool {
        let name = |text: &str| Name::parse("name", text).unwrap();
        let module = ModuleRef {
            group: name(group),
            module: name(module),
        };
        Pattern::parse("p", &json!(pattern)).unwrap().covers(&module)
    }

    #[test]
    fn a_star_matches_any_characters_of_a_group_or_a_module() {
        for (pattern, group, module, expected) in [
            ("data/postgres", "data", "postgres", true),
            ("data/postgres", "data", "postgres2", false),
            ("data/*", "data", "postgres", true),
            ("data/*", "data2", "postgres", false),
            ("*/*", "data", "postgres", true),
            ("*/vpc", "network", "vpc", true),
            ("d*a/p*g*s", "data", "postgres", true),
            ("d*a/p*g*s", "data", "postgre", false),
            ("*a*/**s", "data", "postgres", true),
            ("data/Postgres", "data", "postgres", false),
        ] {
            assert_eq!(
                covers(pattern, group, module),
                expected,
                "{pattern} {group}/{module}"
            );
        }
    }

    #[test]
    fn a_pattern_names_group_and_module() {
        for bad in [
            json!("data"),
            json!("a/b/c"),
            json!("/b"),
            json!("a b/c"),
            json!(7),
            json!("?/a"),
        ] {
            let error = Pattern::parse("protect[0]", &bad).unwrap_err();
            assert!(
                error.starts_with("protect[0]: expected a pattern GROUP/MODULE"),
                "{error}"
            );
        }
    }
}
