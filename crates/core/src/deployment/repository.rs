//! A deployment's repository, read from its zip: the manifests and the files of the modules.
//!
//! Planning a deployment and checking one both read the repository here, so both compute the same fingerprints.

use std::collections::BTreeMap;
use std::io::{Read as ReadBytes, Seek};

use super::planner;
use crate::deployment::input::Forced;
use crate::deployment::manifest;
use crate::deployment::manifest::{Diagnostic, LoadContext};
use crate::deployment::repository_zip::{Content, ModuleDigest as Files, Repository};
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::ids::DeploymentId;
use crate::ids::ModuleId;
use crate::module::commit_info::CommitInfo;
use crate::module::deployspec::Deployspec;
use crate::module::input::Options;
use crate::module::maximum::Maxima;

/// The longest list of diagnostics: a message travels through the states and into the status.
const MAX_PROBLEMS: usize = 4000;

/// A repository after reading.
pub struct LoadedRepository<R> {
    /// The deployment that its manifest describes.
    pub deployment: DeploymentId,
    /// The commit.
    pub commit_info: CommitInfo,
    /// Warnings for people.
    pub warnings: Vec<String>,
    groups: Vec<manifest::Group>,
    /// The files of each module, in the order of the groups' modules.
    files: Vec<(Content, Files)>,
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

    /// The repository, if it describes the deployment that the execution has locked and can be deployed.
    ///
    /// # Errors
    /// `InvalidManifest` if the repository was replaced, after the name was read, by one of another deployment; or the
    /// error for which it was refused.
    pub fn of(self, locked: &DeploymentId) -> Result<LoadedRepository<R>> {
        let found = self.deployment();
        if found != locked {
            return Err(Error::new(
                ErrorName::InvalidManifest,
                format!(
                    "the manifest: found the deployment {found}, expected {locked}, which it described when this execution began; the repository was replaced meanwhile, so start a new execution"
                ),
            ));
        }
        match self {
            Self::Read(read) => Ok(*read),
            Self::Refused { error, .. } => Err(error),
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
    commit_info: CommitInfo,
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
        commit_info,
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
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Error::new(
        ErrorName::InvalidManifest,
        excerpt(&lines.join("\n"), MAX_PROBLEMS),
    )
}

/// Reads the files of all modules in one pass.
fn read_files<R: ReadBytes + Seek>(
    archive: &mut Repository<R>,
    groups: &[manifest::Group],
    maxima: &Maxima,
) -> Result<Vec<(Content, Files)>> {
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
    Ok(contents.into_iter().zip(files).collect())
}

impl<R> LoadedRepository<R> {
    /// The groups in the manifest.
    #[must_use]
    pub fn manifest(&self) -> &[manifest::Group] {
        &self.groups
    }

    /// The groups in the form that the planner takes.
    #[must_use]
    pub fn groups(&self, force: &Forced) -> Vec<planner::PlannableGroup> {
        let mut files = self.files.iter().map(|(_, files)| files);
        let group = |group: &manifest::Group| planner::PlannableGroup {
            name: group.name.clone(),
            concurrency: group.concurrency,
            modules: group
                .modules
                .iter()
                .zip(&mut files)
                .map(|(module, files)| plannable(module, files, force.covers(&module.id)))
                .collect(),
        };
        self.groups.iter().map(group).collect()
    }

    /// A module's files, the key for its bundle, and the archive to pack it from.
    #[must_use]
    pub fn into_archive(self) -> (Repository<R>, BTreeMap<ModuleId, (Content, String)>) {
        let modules = self.groups.into_iter().flat_map(|group| group.modules);
        let contents = modules.zip(self.files).map(|(module, (content, files))| {
            let key = module.id.upload_key(&files.digest);
            (module.id, (content, key))
        });
        (self.archive, contents.collect())
    }
}

/// A module in the form that the planner takes.
fn plannable(module: &manifest::Module, files: &Files, force: bool) -> planner::PlannableModule {
    planner::PlannableModule {
        id: module.id.clone(),
        options: Options {
            force_update: force,
            ..module.options.clone()
        },
        digest: files.digest.clone(),
        deployspec: files.deployspec.clone(),
        input: module.input(&files.digest, force),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::Name;

    #[test]
    fn a_repository_that_was_replaced_by_another_deployments_is_refused_before_its_own_errors() {
        let deployment = |name: &str| DeploymentId {
            project: Name::parse("project", "p").unwrap(),
            deployment: Name::parse("deployment", name).unwrap(),
        };
        let refused = |locked: &str| {
            let found = Found::<()>::Refused {
                deployment: deployment("prod"),
                error: Error::new(ErrorName::InvalidBundle, "its own error"),
            };
            found.of(&deployment(locked)).err().unwrap()
        };
        assert_eq!(refused("prod").message, "its own error");
        let replaced = refused("dev");
        assert_eq!(replaced.name, ErrorName::InvalidManifest);
        assert!(
            replaced
                .message
                .contains("found the deployment p/prod, expected p/dev"),
            "{replaced}"
        );
    }
}
