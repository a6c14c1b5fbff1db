//! The model of a deployment after its manifests are read, and the inputs of reading.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::diagnostic::{Diagnostic, Diagnostics, Location};
use crate::deployment::manifest_options::ManifestOptions;
use crate::deployment::remote_source::{RemoteSource, SourcePath};
use crate::deployment::targets::TargetsAsked;
use crate::error::{Error, Result, excerpt};
use crate::ids::{AwsEnvironment, DeploymentId, ModuleId, Name};
use crate::module::input::Options;
use crate::module::maximum::Maxima;
use crate::target::Target;

/// The name of a deployment manifest that is found without an option.
pub const MANIFEST_NAME: &str = "deployment.yaml";

/// The maximum size of a file that is read as text.
pub const MAX_FILE: usize = 1 << 20;
/// The files of a deployment, from a zip or a folder. Paths are relative to its root, with `/` between the names,
/// without `.` and `..`.
pub trait Repository {
    /// The text of a file; `None` if the file does not exist.
    ///
    /// # Errors
    /// The file cannot be read, is not valid UTF-8, or is longer than [`MAX_FILE`].
    fn text(&mut self, path: &str) -> Result<Option<String>>;

    /// Whether a file exists.
    fn has_file(&self, path: &str) -> bool;

    /// Whether a folder exists.
    fn has_folder(&self, path: &str) -> bool;

    /// The paths of all files.
    fn files(&self) -> Vec<String>;

    /// The names of the files directly in a folder, `""` for the root. It is asked for each module.
    fn names_in(&self, folder: &str) -> Vec<String> {
        let prefix = match folder {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let files = self.files().into_iter();
        let names = files.filter_map(|file| file.strip_prefix(&prefix).map(str::to_owned));
        names.filter(|name| !name.contains('/')).collect()
    }

    /// Whether git ignores a file that is there, so that a push would lack it.
    fn is_ignored(&self, _path: &str) -> bool {
        false
    }

    /// The files of a remote source, if it is fetched.
    fn fetched(&mut self, _source: &RemoteSource) -> Option<&mut dyn Repository> {
        None
    }
}

/// The files of a deployment, with those of the remote sources that are fetched.
#[derive(Debug)]
pub struct WithSources<R, S> {
    pub(crate) own: R,
    pub(crate) fetched: BTreeMap<RemoteSource, S>,
}

impl<R, S> WithSources<R, S> {
    /// The files of a deployment; nothing is fetched yet.
    #[must_use]
    pub const fn new(own: R) -> Self {
        Self {
            own,
            fetched: BTreeMap::new(),
        }
    }

    /// Adds the files of a fetched source.
    pub fn insert(&mut self, source: RemoteSource, files: S) {
        self.fetched.insert(source, files);
    }
}

impl<R: Repository, S: Repository> Repository for WithSources<R, S> {
    fn text(&mut self, path: &str) -> Result<Option<String>> {
        self.own.text(path)
    }

    fn has_file(&self, path: &str) -> bool {
        self.own.has_file(path)
    }

    fn has_folder(&self, path: &str) -> bool {
        self.own.has_folder(path)
    }

    fn files(&self) -> Vec<String> {
        self.own.files()
    }

    fn names_in(&self, folder: &str) -> Vec<String> {
        self.own.names_in(folder)
    }

    fn is_ignored(&self, path: &str) -> bool {
        self.own.is_ignored(path)
    }

    fn fetched(&mut self, source: &RemoteSource) -> Option<&mut dyn Repository> {
        let files = self.fetched.get_mut(source)?;
        Some(files)
    }
}

/// What reading needs besides the repository.
#[derive(Debug, Clone, Copy)]
pub struct LoadContext<'a> {
    /// Which manifest, and the files of variables.
    pub options: &'a ManifestOptions,
    /// The variables of Parameter Store; those of the options come before them.
    pub stored_variables: &'a BTreeMap<String, String>,
    /// The project, if the input names it; `seedfarmer.yaml` may not name another.
    pub project: Option<&'a Name>,
    /// Seedflow's account and region, if known: modules that the manifest maps to others are deployed in targets.
    pub environment: Option<&'a AwsEnvironment>,
    /// The maxima for modules and groups.
    pub maxima: &'a Maxima,
}

/// No variables.
static NO_VARIABLES: BTreeMap<String, String> = BTreeMap::new();

impl<'a> LoadContext<'a> {
    /// Reading without Parameter Store, for any project, account and region, with AWS's own maxima.
    #[must_use]
    pub fn offline(options: &'a ManifestOptions) -> Self {
        Self {
            options,
            stored_variables: &NO_VARIABLES,
            project: None,
            environment: None,
            maxima: &Maxima::OF_AWS,
        }
    }
}

/// A deployment whose modules can be deployed.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// The project.
    pub project: Name,
    /// The deployment.
    pub name: Name,
    /// The groups, in the order of deployment.
    pub groups: Vec<Group>,
    /// Whether unknown fields are errors, also in deployspecs.
    pub strict: bool,
    /// The remote sources of modules and data files.
    pub sources: BTreeSet<RemoteSource>,
    /// The accounts and regions that it maps besides home, whether modules go there or not.
    pub mapped: BTreeSet<Target>,
    /// What it says of its targets that only planning can judge.
    pub targets: TargetsAsked,
    /// Warnings: correct, but possibly unintended.
    pub warnings: Vec<Diagnostic>,
}

impl Deployment {
    /// Its project and name.
    #[must_use]
    pub fn id(&self) -> DeploymentId {
        DeploymentId {
            project: self.project.clone(),
            deployment: self.name.clone(),
        }
    }
}

/// Modules that are deployed at the same time.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: Name,
    /// The maximum number of modules at a time; unlimited if `None`.
    pub concurrency: Option<u32>,
    /// Its modules, in the order of the manifest.
    pub modules: Vec<Module>,
}

/// A module of a deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// Its four names.
    pub id: ModuleId,
    /// Its folder.
    pub folder: SourcePath,
    /// Files that are added to its bundle, under their paths within their sources.
    pub data_files: Vec<SourcePath>,
    /// The options that its execution parses from its input ([`Self::input`]), except `force_update`.
    pub options: Options,
    /// The `parameters` of the input of its execution.
    pub parameters: Map<String, Value>,
    /// The `build` of the input of its execution.
    pub build: Map<String, Value>,
    /// The settings of `build` that the module itself sets, without those of its account and region.
    pub own_build: Map<String, Value>,
    /// The account and region that the manifest maps it to, if the manifest has mappings.
    pub place: Option<(String, String)>,
    /// The upstream modules, by group and name, whose metadata its parameters use; each once.
    pub consumes: Vec<(Name, Name)>,
    /// The file that defines it.
    pub file: String,
    /// Its line in that file.
    pub line: usize,
}

impl Module {
    /// The input of the execution that deploys the bundle with this digest.
    #[must_use]
    pub fn input(&self, digest: &str, force: bool) -> Value {
        let mut input = json!(self.id);
        input["source"] = json!({"key": self.id.upload_key(digest)});
        let mut set = |field: &str, value: Value, default: Value| {
            if value != default {
                input[field] = value;
            }
        };
        set("parameters", json!(self.parameters), json!({}));
        set("build", json!(self.build), json!({}));
        set("target", json!(self.options.target), Value::Null);
        let renamed_from = self.options.renamed_from.as_ref();
        set(
            "renamed_from",
            json!(renamed_from.map(ToString::to_string)),
            Value::Null,
        );
        set("force_update", json!(force), json!(false));
        set(
            "redeploy_with_dependencies",
            json!(self.options.redeploy_with_dependencies),
            json!(false),
        );
        input
    }
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

/// Refuses a file that is there and that a push would lack.
pub(super) fn refuse_ignored(
    repository: &dyn Repository,
    path: &str,
    at: &Location,
    problems: &mut Diagnostics,
) {
    if repository.is_ignored(path) {
        problems.error(
            at,
            format!(
                "git ignores {}, so a push would lack it; change .gitignore, or add the file by `git add --force`",
                excerpt(path, 120)
            ),
        );
    }
}
