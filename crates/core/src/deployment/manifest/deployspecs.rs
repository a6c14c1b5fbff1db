//! The deployspecs of modules, and the templates of their roles: what is wrong with them, and what has no effect.

use super::diagnostic::{Diagnostic, Diagnostics, Location};
use super::model::Repository;
use super::paths;
use crate::deployment::remote_source::SourcePath;
use crate::error::excerpt;
use crate::formats::yaml;
use crate::module::deployspec;
use crate::module::deployspec::Deployspec;
use crate::module::maximum::Maxima;
use crate::module::role;

/// The template of a module's own role.
pub(super) const MODULE_STACK: &str = "modulestack.yaml";

/// What to say of a folder without a deployspec; `file` is where it should be, in these files.
pub(super) fn missing(files: &dyn Repository, file: &SourcePath) -> String {
    match paths::near_miss(files, &file.path) {
        Some(found) => format!(
            "the folder has no deployspec.yaml, but {}; rename that file",
            excerpt(&found, 120)
        ),
        None => format!("the folder has no deployspec.yaml; a module needs {file}"),
    }
}

/// Reports the errors of a deployspec, and its fields without effect.
pub(super) fn check(text: &str, file: &Location, maxima: &Maxima, problems: &mut Diagnostics) {
    for problem in Deployspec::check(text.as_bytes(), maxima)
        .err()
        .unwrap_or_default()
    {
        let line = problem.line;
        problems.error(&Location { line, ..file.clone() }, problem.message);
    }
    report_unknown_fields(text, file, problems);
}

/// Refuses a file in a module's folder that is meant as its template and has no effect.
pub(super) fn refuse_misspelt_stack(
    files: &dyn Repository,
    folder: &SourcePath,
    module: &Location,
    problems: &mut Diagnostics,
) {
    if let Some(found) = paths::misspelt(files, &folder.file(MODULE_STACK).path) {
        problems.error(
            module,
            format!(
                "the folder has no {MODULE_STACK}, but {}, which has no effect; rename that file",
                excerpt(&found, 120)
            ),
        );
    }
}

/// Reports the errors of the template of a role; `parameters` are the names of the module's, if they are known.
pub(super) fn check_module_stack<'n>(
    text: &str,
    file: &Location,
    parameters: Option<impl Iterator<Item = &'n str>>,
    problems: &mut Diagnostics,
) {
    for problem in role::check(text.as_bytes(), parameters) {
        let line = problem.line;
        problems.error(&Location { line, ..file.clone() }, problem.message);
    }
}

/// The fields of a deployspec that have no effect, as warnings or, if the deployment is strict, as errors.
///
/// # Errors
/// The unknown fields, if they are errors.
pub fn unknown_fields(
    file: &SourcePath,
    text: &[u8],
    strict: bool,
) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let mut problems = Diagnostics::default();
    if strict {
        problems.refuse_unknown_fields();
    }
    let text = String::from_utf8_lossy(text);
    report_unknown_fields(&text, &Location::file(&file.to_string()), &mut problems);
    problems.finish()
}

fn report_unknown_fields(text: &str, file: &Location, problems: &mut Diagnostics) {
    if let Ok(document) = yaml::parse(text) {
        problems.repeated_keys(&file.file, &document);
    }
    for unknown in deployspec::unknown_fields(text) {
        let at = Location {
            line: Some(unknown.line),
            field: unknown.path,
            ..file.clone()
        };
        problems.unknown_field(&at, &unknown.name, unknown.siblings);
    }
}
