//! A single module's folder, as it is uploaded without a deployment.

use super::deployspecs::MODULE_STACK;
use super::diagnostic::{Diagnostic, Diagnostics, Location};
use super::model::{MANIFEST_NAME, Repository, text};
use super::{deployspecs, paths, project};
use crate::deployment::remote_source::SourcePath;
use crate::error::excerpt;
use crate::formats::file_name::misspelt;
use crate::ids::ModuleId;
use crate::module::input::{Limits, Options};
use crate::module::maximum::Maxima;

const DEPLOYSPEC: &str = "deployspec.yaml";
/// The options of a module that is deployed by its upload.
const OPTIONS: &str = "manifest.yaml";

/// Whether a folder is that of a module and not of a repository: it has a deployspec, or a file that is meant as one, and
/// no deployment.
pub fn is_module(repository: &dyn Repository) -> bool {
    let is_repository = [project::FILE, MANIFEST_NAME]
        .iter()
        .any(|file| repository.has_file(file));
    !is_repository && (repository.has_file(DEPLOYSPEC) || paths::near_miss(repository, DEPLOYSPEC).is_some())
}

/// Checks a module's deployspec, options and the template of its role; returns the warnings.
///
/// # Errors
/// All errors.
pub fn check_module(
    repository: &mut dyn Repository,
    maxima: &Maxima,
) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let mut problems = Diagnostics::default();
    let file = Location::file(DEPLOYSPEC);
    if !repository.has_file(DEPLOYSPEC) {
        problems.error(
            &file,
            deployspecs::missing(repository, &SourcePath::own(DEPLOYSPEC)),
        );
    } else if let Some(text) = text(repository, &file, &mut problems) {
        deployspecs::check(&text, &file, maxima, &mut problems);
    }
    for name in [OPTIONS, MODULE_STACK] {
        refuse_misspelt(repository, name, &mut problems);
    }
    options(repository, &mut problems);
    let file = Location::file(MODULE_STACK);
    if let Some(text) = text(repository, &file, &mut problems) {
        // An execution's input may give it parameters.
        let parameters: Option<std::iter::Empty<&str>> = None;
        deployspecs::check_module_stack(&text, &file, parameters, &mut problems);
    }
    problems.finish()
}

/// Refuses a file that would have no effect because of its name.
fn refuse_misspelt(repository: &dyn Repository, name: &str, problems: &mut Diagnostics) {
    let files = repository.files();
    if let Some(found) = misspelt(name, files.iter().map(String::as_str)) {
        let found = excerpt(found, 120);
        problems.error(
            &Location::file(name),
            format!("the folder has no such file, but {found}, which has no effect; rename that file"),
        );
    }
}

fn options(repository: &mut dyn Repository, problems: &mut Diagnostics) {
    let file = Location::file(OPTIONS);
    let Some(text) = text(repository, &file, problems) else {
        return;
    };
    let Some(options) = problems.document(OPTIONS, &text) else {
        return;
    };
    // The names are those of the upload's key. No option depends on them but the default of the stack's name. The names of
    // the bucket and of the CodeBuild project are the stack's, so they are not known.
    let named = ModuleId::parse("project", "deployment", "group", "module");
    let read = named.and_then(|id| Options::from_manifest(&options.to_json(), &id, &Limits::of_aws("", "")));
    if let Err(error) = read {
        problems.error(&file, error.message);
    }
}
