//! What a deployment is once its manifests are read, and what reading needs from outside.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::error::{Error, Result};
use crate::ids::{AwsEnvironment, DeploymentId, ModuleId, Name};
use crate::module::maximum::Maxima;

/// The manifest of a deployment, where nothing else is said.
pub const DEFAULT_MANIFEST: &str = "deployment.yaml";

/// How long a file that is read as text may be.
pub const MAX_FILE: usize = 1 << 20;
/// The files of a deployment: a zip or a folder. Paths are relative to its root, with `/` between their parts, without
/// `.` and `..`.
pub trait Repository {
    /// The text of a file; `None` where there is none.
    ///
    /// # Errors
    /// The file can't be read, is not valid UTF-8, or is longer than [`MAX_FILE`].
    fn text(&mut self, path: &str) -> Result<Option<String>>;

    /// Whether there is such a file.
    fn has_file(&self, path: &str) -> bool;

    /// Whether there is such a folder.
    fn has_folder(&self, path: &str) -> bool;
}

/// What is known beside the repository.
#[derive(Debug, Clone, Copy)]
pub struct LoadContext<'a> {
    /// The deployment manifest's path in the repository.
    pub manifest: &'a str,
    /// Variables, which come before those of the repository's `.env`.
    pub env: &'a BTreeMap<String, String>,
    /// The project, where the input names it; `seedfarmer.yaml` may not name another.
    pub project: Option<&'a Name>,
    /// Where Seedflow runs, if that is known: the manifest's account and region have to be these.
    pub place: Option<&'a AwsEnvironment>,
    /// The most that a module or a group may ask for.
    pub maxima: &'a Maxima,
}

/// A deployment whose modules can be deployed.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// The project.
    pub project: Name,
    /// The deployment.
    pub name: Name,
    /// The groups in the order in which they are deployed.
    pub groups: Vec<Group>,
    /// The account and the region that the manifest names, if it does.
    pub target: Option<(String, String)>,
    /// What is not wrong, but may not be meant.
    pub warnings: Vec<Diagnostic>,
}

impl Deployment {
    /// Its two names.
    #[must_use]
    pub fn id(&self) -> DeploymentId {
        DeploymentId {
            project: self.project.clone(),
            deployment: self.name.clone(),
        }
    }
}

/// Modules that are deployed at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: Name,
    /// How many modules may be deployed at the same time; all of them where nothing is said.
    pub concurrency: Option<u32>,
    /// Its modules, in the order of the manifest.
    pub modules: Vec<Module>,
}

/// A module of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// Its four names.
    pub id: ModuleId,
    /// Its folder in the repository, `""` for the root.
    pub path: String,
    /// Files of the repository that belong into its bundle as well, by their paths.
    pub data_files: Vec<String>,
    /// The `parameters` of the input of its execution.
    pub parameters: Map<String, Value>,
    /// The `build` of the input of its execution.
    pub build: Map<String, Value>,
    /// What of `build` the module itself says, and not its account or region.
    pub own_build: Map<String, Value>,
    /// Whether it is deployed whenever a module that it consumes is (`forceDependencyRedeploy`).
    pub redeploy_with_dependencies: bool,
    /// The modules, by group and name, whose metadata its parameters take; each once.
    pub consumes: Vec<(Name, Name)>,
    /// The file that it stands in.
    pub file: String,
    /// Its line in there.
    pub line: usize,
}

/// The text of a file of the repository.
pub(super) fn text(
    repository: &mut dyn Repository,
    at: &Location,
    problems: &mut Diagnostics,
) -> Option<String> {
    match repository.text(&at.file) {
        Ok(text) => text,
        Err(Error { message, .. }) => {
            problems.error(at, message);
            None
        }
    }
}
