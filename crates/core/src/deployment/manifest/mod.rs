//! A seed-farmer deployment: a deployment manifest, module manifests, and the modules' folders.
//!
//! [`read`] turns a repository into a deployment: groups in order, and for each module exactly the `parameters` and the
//! `build` of an execution's input. Behaviour that is silent in seed-farmer, and features that Seedflow does not
//! support, give a [`Diagnostic`] with file, line and field; all of them are reported at once. The rules are those of
//! seed-farmer 8; docs/manifests.md lists the differences.
//!
//! Manifests are untrusted input. Files, groups and modules are bounded in size and number, so that no manifest takes
//! too much time or memory.

mod account_mappings;
mod build_choice;
mod dependency_check;
mod deployspecs;
mod diagnostic;
mod environment;
mod groups;
mod model;
mod modules;
mod network;
mod parameters;
mod paths;
mod project;
mod remote_path;
mod remote_sources;
mod single_module;
mod spanned;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::deployment::remote_source::RemoteSource;
use crate::deployment::targets::TargetsAsked;
use crate::error::{Result, excerpt};
use crate::formats::yaml;
use crate::formats::yaml::Node;
use crate::ids::{DeploymentId, ModuleId, Name};
use crate::module::input::{MAX_STACK_NAME, Options};

use account_mappings::{Mappings, variable};
use dependency_check::DraftGroup;
pub use deployspecs::unknown_fields as unknown_deployspec_fields;
pub use diagnostic::Diagnostic;
use diagnostic::{Diagnostics, Location};
use environment::Env;
use groups::Groups;
pub use model::{Deployment, Group, LoadContext, MANIFEST_NAME, MAX_FILE, Module, Repository, WithSources};
use model::{refuse_ignored, text};
use modules::{Deployspecs, Draft, Reader};
pub use remote_sources::place_of;
use remote_sources::refuse_many;
pub use single_module::{check_module, is_module};
use spanned::{Spanned, YamlFields};

/// Reads a deployment. It checks only that the modules' deployspecs exist. A caller that has the repository as a zip
/// reads them together with the modules' other files, in one pass.
///
/// # Errors
/// All errors, in the order in which they were found.
pub fn read(repository: &mut dyn Repository, given: &LoadContext<'_>) -> Result<Deployment, Vec<Diagnostic>> {
    whole(repository, given, Deployspecs::AreThere)
}

/// Reads a deployment and the deployspecs of its modules.
///
/// # Errors
/// All errors, in the order in which they were found.
pub fn check(
    repository: &mut dyn Repository,
    given: &LoadContext<'_>,
) -> Result<Deployment, Vec<Diagnostic>> {
    whole(repository, given, Deployspecs::AreValid)
}

fn whole(
    repository: &mut dyn Repository,
    given: &LoadContext<'_>,
    deployspecs: Deployspecs,
) -> Result<Deployment, Vec<Diagnostic>> {
    let mut problems = Diagnostics::default();
    let mut sources = BTreeSet::new();
    let deployment = deployment(repository, given, deployspecs, &mut sources, &mut problems);
    let warnings = problems.finish()?;
    // Without an error there is a deployment.
    deployment
        .map(|deployment| Deployment {
            sources,
            warnings,
            ..deployment
        })
        .ok_or_else(Vec::new)
}

/// The remote sources of a manifest, as far as it can be read. A caller that fetches them before [`check`] gets all errors
/// at once.
pub fn sources(repository: &mut dyn Repository, given: &LoadContext<'_>) -> BTreeSet<RemoteSource> {
    let mut problems = Diagnostics::default();
    let mut sources = BTreeSet::new();
    deployment(
        repository,
        given,
        Deployspecs::AreThere,
        &mut sources,
        &mut problems,
    );
    sources
}

/// The project and name of the deployment, if readable. A status can then report the manifest's other errors.
pub fn names(repository: &mut dyn Repository, given: &LoadContext<'_>) -> Option<(Name, Name)> {
    let mut problems = Diagnostics::default();
    let project = project::read(repository, given.project, &mut problems)?;
    let mut env = Env::read(repository, given, &mut problems);
    let path = choose(repository, given, &mut problems)?;
    let root = manifest(repository, &path, &mut env, &mut problems)?;
    let file: Arc<str> = path.into();
    let mut fields = Spanned::document(&file, "", &root).fields(&mut problems)?;
    Some((project, deployment_name(&mut fields, &env, &mut problems)?))
}

fn deployment(
    repository: &mut dyn Repository,
    given: &LoadContext<'_>,
    deployspecs: Deployspecs,
    sources: &mut BTreeSet<RemoteSource>,
    problems: &mut Diagnostics,
) -> Option<Deployment> {
    let project = project::read(repository, given.project, problems);
    let mut env = Env::read(repository, given, problems);
    let path = choose(repository, given, problems)?;
    let root = manifest(repository, &path, &mut env, problems)?;
    let file: Arc<str> = path.into();
    let mut fields = Spanned::document(&file, "", &root).fields(problems)?;

    let name = deployment_name(&mut fields, &env, problems);
    let mappings = fields.take("targetAccountMappings", problems);
    let mut mappings = Mappings::read(mappings.as_ref(), &env, problems);
    let force = fields.take("forceDependencyRedeploy", problems);
    let force = force.and_then(|force| force.flag(problems)).unwrap_or(false);
    let groups = fields.required("groups", problems);
    fields.without_effect(
        &["archiveSecret"],
        "credentials for archives are in the secret that the template's GitCredentialsSecret names",
        problems,
    );
    fields.ignored(&["toolchainRegion", "description"], problems);
    fields.finish(problems);

    let reader = Reader {
        repository,
        env: &mut env,
        mappings: &mut mappings,
        deployspecs,
        maxima: given.maxima,
        home: given.environment,
        seen: BTreeSet::new(),
        sources,
    };
    let list = groups?;
    let (groups, complete) = Groups::new(reader).read(&list, problems);
    refuse_many(sources, &list.at, problems);
    dependency_check::check(&groups, complete, problems);
    let (home, maxima) = (given.environment, given.maxima);
    if let Some(home) = home {
        mappings.find_unlisted(home, maxima, problems);
    }
    mappings.refuse_another_role_path(home, maxima, problems);
    mappings.refuse_networks(home, maxima, problems);
    mappings.refuse_settings(home, maxima, problems);
    let (project, deployment) = (project?, name?);
    let id = DeploymentId { project, deployment };
    let groups = groups
        .into_iter()
        .map(|group| checked_group(&id, group, force, problems))
        .collect();
    Some(Deployment {
        project: id.project,
        name: id.deployment,
        groups,
        strict: problems.is_strict(),
        sources: BTreeSet::new(),
        mapped: mappings.mapped(home),
        targets: TargetsAsked {
            unlisted: problems.unlisted_targets(),
            role_paths: mappings.role_paths_of_targets(home),
        },
        warnings: Vec::new(),
    })
}

/// The path of the deployment manifest: the one that the options name, or `deployment.yaml` at the root, or the
/// repository's only one.
fn choose(
    repository: &mut dyn Repository,
    given: &LoadContext<'_>,
    problems: &mut Diagnostics,
) -> Option<String> {
    if let Some(named) = &given.options.manifest {
        return Some(named.clone());
    }
    if repository.has_file(MANIFEST_NAME) {
        return Some(MANIFEST_NAME.to_owned());
    }
    let mut found: Vec<String> = repository
        .files()
        .into_iter()
        .filter(|path| path.rsplit('/').next() == Some(MANIFEST_NAME) && is_manifest(repository, path))
        .collect();
    found.sort_unstable();
    let how = "name it with `manifest` (`--manifest` of a command, `Manifest` of template-git.yaml)";
    match found.len() {
        1 => return found.pop(),
        0 => problems.error(
            &Location::file(MANIFEST_NAME),
            match paths::near_miss(repository, MANIFEST_NAME) {
                Some(found) => renamed(&found),
                None => format!("the repository has no deployment manifest of this name; {how}"),
            },
        ),
        count => problems.error(
            &Location::file(MANIFEST_NAME),
            format!(
                "not at the repository's root, and {count} elsewhere: {}; {how}",
                excerpt(&found.join(", "), 1000)
            ),
        ),
    }
    None
}

fn renamed(found: &str) -> String {
    format!(
        "the repository has no such file, but {}; rename that file",
        excerpt(found, 120)
    )
}

/// Whether a file of the name is a deployment manifest: Kubernetes has manifests of the same name. A deployment has to
/// have groups. A file that can't be read may be one: it is named beside others, or reported as the only one.
fn is_manifest(repository: &mut dyn Repository, path: &str) -> bool {
    let text = match repository.text(path) {
        Ok(Some(text)) => text,
        Ok(None) => return false,
        Err(_) => return true,
    };
    match yaml::parse(&text) {
        Ok(node) => node.get("groups").is_some(),
        // Templates of Kubernetes manifests are not valid YAML.
        Err(_) => text.contains("groups"),
    }
}

/// The deployment manifest with its variables replaced.
fn manifest(
    repository: &mut dyn Repository,
    path: &str,
    env: &mut Env,
    problems: &mut Diagnostics,
) -> Option<Node> {
    let at = Location::file(path);
    if paths::normal(path).as_deref() != Some(path) {
        problems.error(
            &at,
            "expected the path of a file in the repository, such as deployment.yaml",
        );
        return None;
    }
    if !repository.has_file(path) {
        problems.error(
            &at,
            match paths::near_miss(repository, path) {
                Some(found) => renamed(&found),
                None => "the repository has no such file; the deployment manifest is named as its path in the repository".to_owned(),
            },
        );
        return None;
    }
    refuse_ignored(repository, path, &at, problems);
    let text = text(repository, &at, problems)?;
    let mut node = problems.document(path, &text)?;
    env.fill(&at.file, "", &mut node, problems);
    Some(node)
}

/// `name`, or the name that `nameGenerator` builds.
fn deployment_name(fields: &mut YamlFields<'_>, env: &Env, problems: &mut Diagnostics) -> Option<Name> {
    let (named, generator) = (
        fields.take("name", problems),
        fields.take("nameGenerator", problems),
    );
    match (named, generator) {
        (Some(named), None) => named.name(problems),
        (None, Some(generator)) => generated_name(&generator, env, problems),
        (None, None) => {
            problems.error(&fields.at, "expected name or nameGenerator, found neither");
            None
        }
        (Some(_), Some(generator)) => {
            problems.error(&generator.at, "expected name or nameGenerator, found both");
            None
        }
    }
}

fn generated_name(part: &Spanned<'_>, env: &Env, problems: &mut Diagnostics) -> Option<Name> {
    let mut fields = part.fields(problems)?;
    let mut half = |name: &'static str, problems: &mut Diagnostics| {
        let half = fields.required(name, problems)?;
        match half.scalar() {
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => half.text(problems),
            None => variable(&half, env, problems),
        }
    };
    let (prefix, suffix) = (half("prefix", problems), half("suffix", problems));
    fields.finish(problems);
    spanned::name(&part.at, &format!("{}{}", prefix?, suffix?), problems)
}

fn checked_group(
    deployment: &DeploymentId,
    group: DraftGroup,
    force: bool,
    problems: &mut Diagnostics,
) -> Group {
    let modules = group.modules.into_iter();
    Group {
        concurrency: group.concurrency,
        modules: modules
            .map(|draft| {
                checked_module(
                    deployment.module(group.name.clone(), draft.name.clone()),
                    draft,
                    force,
                    problems,
                )
            })
            .collect(),
        name: group.name,
    }
}

fn checked_module(id: ModuleId, draft: Draft, force: bool, problems: &mut Diagnostics) -> Module {
    let stack = id.stack_name();
    if stack.len() > MAX_STACK_NAME {
        problems.found(
            &draft.at,
            format!(
                "a module whose stack would be called {stack}, {} characters",
                stack.len()
            ),
            format!("project, deployment, group and module of {MAX_STACK_NAME} together; shorten them"),
        );
    }
    let mut consumes: Vec<(Name, Name)> = Vec::new();
    for reference in draft.references {
        let consumed = (reference.group, reference.module);
        if !consumes.contains(&consumed) {
            consumes.push(consumed);
        }
    }
    Module {
        id,
        folder: draft.folder,
        data_files: draft.data_files,
        options: Options {
            parameters: draft.parameters,
            build: draft.build,
            redeploy_with_dependencies: force,
            target: draft.target,
            renamed_from: draft.renamed_from.map(|(from, _)| from),
            ..Options::of_stack(stack)
        },
        parameters: draft.written_parameters,
        build: draft.written_build,
        own_build: draft.own_build,
        place: draft.place,
        consumes,
        file: draft.at.file.to_string(),
        line: draft.at.line.unwrap_or(1),
    }
}

#[cfg(test)]
mod tests;
