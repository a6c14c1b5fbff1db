//! `seedfarmer.yaml`: the project's name, and whether unknown fields are errors.

use serde_json::Value;

use super::diagnostic::{Diagnostics, Location};
use super::model::{Repository, text};
use super::paths;
use super::spanned::Spanned;
use crate::error::excerpt;
use crate::ids::{ModuleId, Name};

pub(super) const FILE: &str = "seedfarmer.yaml";

/// The project, from the repository and the input. The two may not differ; if they do, the error is one of the input's
/// project, whose repository this is.
pub(super) fn read(
    repository: &mut dyn Repository,
    given: Option<&Name>,
    problems: &mut Diagnostics,
) -> Option<Name> {
    let file = Location::file(FILE);
    let Some(text) = text(repository, &file, problems) else {
        if given.is_none() && !repository.has_file(FILE) {
            problems.error(
                &file,
                match paths::near_miss(repository, FILE) {
                    Some(found) => format!("the file doesn't exist, but {found}; rename that file"),
                    None => "the file doesn't exist, and no project is given otherwise; add the file with `project: NAME`".to_owned(),
                },
            );
        }
        return given.cloned();
    };
    let node = problems.document(FILE, &text)?;
    let mut fields = Spanned::document(&file.file, "", &node).fields(problems)?;
    let named = fields.required("project", problems);
    fields.without_effect(
        &["projectPolicyPath"],
        "builds get the role of Seedflow's template; add the policy there",
        problems,
    );
    fields.ignored(&["description", "seedfarmerVersion"], problems);
    let strict = fields.take("manifestValidationFailOnUnknownFields", problems);
    if strict.and_then(|strict| strict.flag(problems)) == Some(true) {
        problems.refuse_unknown_fields();
    }
    fields.finish(problems);
    let named = named?;
    let name = match ModuleId::project(&named.text(problems)?) {
        Ok(name) => name,
        Err(error) => {
            problems.refused(&named.at, &error);
            return None;
        }
    };
    if let Some(given) = given
        && *given != name
    {
        problems.found(
            &named.at,
            named
                .scalar()
                .and_then(Value::as_str)
                .map_or_else(String::new, |name| format!("\"{}\"", excerpt(name, 80))),
            format!("{given}, the project that the input names"),
        );
        return Some(given.clone());
    }
    Some(name)
}
