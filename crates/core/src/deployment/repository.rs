//! A deployment's repository, read from its zip: the manifests, the files of the modules, and the input that each
//! module's execution would have.
//!
//! Planning a deployment and checking one both read the repository here, so both compute the same fingerprints.

use std::collections::BTreeMap;
use std::io::{Read as ReadBytes, Seek};

use serde_json::{Value, json};

use super::plan;
use crate::deployment::input::Forced;
use crate::deployment::manifest;
use crate::deployment::manifest::{Diagnostic, LoadContext};
use crate::deployment::repository_zip::{Content, ModuleDigest as Files, Repository};
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::ids::DeploymentId;
use crate::ids::ModuleId;
use crate::module::commit_info::CommitInfo;
use crate::module::deployspec::Deployspec;
use crate::module::input::{Limits, ModuleInput};
use crate::module::maximum::Maxima;

/// The longest list of diagnostics: a message travels through the states and into the status.
const MAX_PROBLEMS: usize = 4000;

/// A repository after reading.
pub struct LoadedRepository<R> {
    /// The deployment that its manifest describes.
    pub deployment: DeploymentId,
    /// The commit.
    pub origin: CommitInfo,
    /// Warnings for people.
    pub warnings: Vec<String>,
    groups: Vec<manifest::Group>,
    files: BTreeMap<ModuleId, (Content, Files)>,
    archive: Repository<R>,
}

/// The result of reading a repository.
pub enum Found<R> {
    /// It can be deployed.
    Read(Box<LoadedRepository<R>>),
    /// Its manifest names the deployment, but can't be deployed.
    Refused {
        /// The deployment.
        deployment: DeploymentId,
        /// The error.
        error: Error,
    },
}

impl<R> Found<R> {
    /// The deployment that its manifest describes.
    #[must_use]
    pub fn deployment(&self) -> &DeploymentId {
        match self {
            Self::Read(read) => &read.deployment,
            Self::Refused { deployment, .. } => deployment,
        }
    }
}

/// Reads only which deployment a repository's manifest describes.
///
/// # Errors
/// `InvalidManifest` with all diagnostics, if the manifest does not name a deployment.
pub fn name<R: ReadBytes + Seek>(
    archive: &mut Repository<R>,
    given: &LoadContext<'_>,
) -> Result<DeploymentId> {
    match manifest::names(archive, given) {
        Some((project, deployment)) => Ok(DeploymentId { project, deployment }),
        None => match manifest::read(archive, given) {
            Ok(described) => Ok(described.id()),
            Err(problems) => Err(invalid(&problems)),
        },
    }
}

/// Reads a repository after its zip's directory.
///
/// # Errors
/// If the manifest does not even name its deployment.
pub fn read<R: ReadBytes + Seek>(
    mut archive: Repository<R>,
    origin: CommitInfo,
    given: &LoadContext<'_>,
) -> Result<Found<R>> {
    let described = match manifest::read(&mut archive, given) {
        Ok(described) => described,
        Err(problems) => return refused(&mut archive, given, invalid(&problems)),
    };
    let deployment = described.id();
    let files = match read_files(&mut archive, &described.groups, given.maxima) {
        Ok(files) => files,
        Err(error) => return Ok(Found::Refused { deployment, error }),
    };
    Ok(Found::Read(Box::new(LoadedRepository {
        deployment,
        origin,
        warnings: described.warnings.iter().map(ToString::to_string).collect(),
        groups: described.groups,
        files,
        archive,
    })))
}

fn refused<R: ReadBytes + Seek>(
    archive: &mut Repository<R>,
    given: &LoadContext<'_>,
    error: Error,
) -> Result<Found<R>> {
    match manifest::names(archive, given) {
        Some((project, deployment)) => Ok(Found::Refused {
            deployment: DeploymentId { project, deployment },
            error,
        }),
        None => Err(error),
    }
}

fn invalid(problems: &[Diagnostic]) -> Error {
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Error::new(
        ErrorName::InvalidManifest,
        excerpt(&told.join("\n"), MAX_PROBLEMS),
    )
}

/// Reads the files of all modules in one pass.
fn read_files<R: ReadBytes + Seek>(
    archive: &mut Repository<R>,
    groups: &[manifest::Group],
    maxima: &Maxima,
) -> Result<BTreeMap<ModuleId, (Content, Files)>> {
    let modules: Vec<&manifest::Module> = groups.iter().flat_map(|group| &group.modules).collect();
    let contents: Vec<Content> = modules
        .iter()
        .map(|module| Content {
            folder: module.path.clone(),
            data_files: module.data_files.clone(),
        })
        .collect();
    let files = archive.read(&contents)?;
    for (module, files) in modules.iter().zip(&files) {
        Deployspec::parse(&files.deployspec, maxima)
            .map_err(|e| Error::new(e.name, format!("{}/{}", module.path, e.message)))?;
    }
    let ids = modules.iter().map(|module| module.id.clone());
    Ok(ids.zip(contents.into_iter().zip(files)).collect())
}

impl<R> LoadedRepository<R> {
    /// The groups in the manifest.
    #[must_use]
    pub fn manifest(&self) -> &[manifest::Group] {
        &self.groups
    }

    /// The groups in the form that the planner takes.
    ///
    /// # Errors
    /// `InvalidManifest` for a module with an input that the module workflow would refuse.
    pub fn groups(&self, force: &Forced, limits: &Limits) -> Result<Vec<plan::PlannableGroup>> {
        let group = |group: &manifest::Group| {
            let modules = group
                .modules
                .iter()
                .map(|module| self.module(module, force, limits));
            Ok(plan::PlannableGroup {
                name: group.name.clone(),
                concurrency: group.concurrency,
                modules: modules.collect::<Result<_>>()?,
            })
        };
        self.groups.iter().map(group).collect()
    }

    fn module(
        &self,
        module: &manifest::Module,
        force: &Forced,
        limits: &Limits,
    ) -> Result<plan::PlannableModule> {
        let wrong = |message: &str| {
            Error::new(
                ErrorName::InvalidManifest,
                format!("{}:{}: {}: {message}", module.file, module.line, module.id),
            )
        };
        let (_, files) = self
            .files
            .get(&module.id)
            .ok_or_else(|| wrong("it has no files"))?;
        let input = input(module, &files.digest, force.covers(&module.id));
        let order = ModuleInput::parse(&input, limits).map_err(|e| wrong(&e.message))?;
        let ModuleInput::Deploy(request) = order else {
            return Err(wrong("its input destroys it"));
        };
        Ok(plan::PlannableModule {
            id: module.id.clone(),
            options: request.options.ok_or_else(|| wrong("it has no options"))?,
            digest: files.digest.clone(),
            deployspec: files.deployspec.clone(),
            input,
        })
    }

    /// A module's files, the key for its bundle, and the archive to pack it from.
    #[must_use]
    pub fn into_archive(self) -> (Repository<R>, BTreeMap<ModuleId, (Content, String)>) {
        let contents = self.files.into_iter();
        let contents = contents.map(|(id, (content, files))| {
            let key = id.upload_key(&files.digest);
            (id, (content, key))
        });
        (self.archive, contents.collect())
    }
}

/// The input of the execution that deploys a module.
fn input(module: &manifest::Module, digest: &str, force: bool) -> Value {
    let mut input = json!(module.id);
    input["source"] = json!({"key": module.id.upload_key(digest)});
    let mut set = |field: &str, value: Value, default: Value| {
        if value != default {
            input[field] = value;
        }
    };
    set("parameters", json!(module.parameters), json!({}));
    set("build", json!(module.build), json!({}));
    set("force_update", json!(force), json!(false));
    set(
        "redeploy_with_dependencies",
        json!(module.redeploy_with_dependencies),
        json!(false),
    );
    input
}
