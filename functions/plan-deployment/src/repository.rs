//! The repository of a deployment: its manifests and the files of its modules, read from the zip in S3.

use std::collections::BTreeMap;

use seedflow_aws::object_reader::{ObjectReader, Opened};
use seedflow_aws::s3::Bucket;
use seedflow_core::bundle::repository::{Content, Module as Files, Repository};
use seedflow_core::deployment::DeploymentId;
use seedflow_core::deployment::plan;
use seedflow_core::deployment::request::{Forced, Scope};
use seedflow_core::deployspec::Deployspec;
use seedflow_core::error::{Error, ErrorName, Result, excerpt};
use seedflow_core::ids::{ModuleId, Place};
use seedflow_core::manifest::{self, Given, Problem};
use seedflow_core::origin::Origin;
use seedflow_core::request::{Limits, Order, Source};
use serde_json::{Value, json};

/// The longest list of problems: a message travels through the states and into the status.
const MAX_PROBLEMS: usize = 4000;

/// A repository that was read.
pub(crate) struct Read {
    /// The deployment that its manifest describes.
    pub(crate) deployment: DeploymentId,
    /// The commit.
    pub(crate) origin: Origin,
    /// What somebody should know.
    pub(crate) warnings: Vec<String>,
    groups: Vec<manifest::Group>,
    files: BTreeMap<ModuleId, (Content, Files)>,
    archive: Repository<ObjectReader>,
}

/// What came of reading one.
pub(crate) enum Found {
    /// It can be deployed.
    Read(Box<Read>),
    /// Its manifest names the deployment, but can't be deployed.
    Refused {
        /// The deployment.
        deployment: DeploymentId,
        /// What is wrong.
        error: Error,
    },
}

/// Reads the repository of a source.
pub(crate) async fn read(
    bucket: &Bucket,
    source: &Source,
    env: &BTreeMap<String, String>,
    scope: &Scope,
    place: &Place,
) -> Result<Found> {
    let (reader, opened) = ObjectReader::open(bucket, source).await?;
    let (env, scope, place) = (env.clone(), scope.clone(), place.clone());
    // The zip library reads blocking; on a thread of its own it leaves this one to move the bytes.
    blocking(move || {
        let given = Given {
            manifest: &scope.manifest,
            env: &env,
            project: Some(&scope.project),
            place: Some(&place),
        };
        read_archive(reader, opened, &given)
    })
    .await
}

/// Runs what reads the archive where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        Error::new(
            ErrorName::InvalidBundle,
            format!("repository: reading it ended in a panic: {e}"),
        )
    })?
}

fn read_archive(reader: ObjectReader, opened: Opened, given: &Given<'_>) -> Result<Found> {
    let mut archive = Repository::open(reader, opened.size)?;
    let described = match manifest::read(&mut archive, given) {
        Ok(described) => described,
        Err(problems) => return refused(&mut archive, given, &problems),
    };
    let deployment = DeploymentId {
        project: described.project,
        deployment: described.name,
    };
    let files = match read_files(&mut archive, &described.groups) {
        Ok(files) => files,
        Err(error) => return Ok(Found::Refused { deployment, error }),
    };
    Ok(Found::Read(Box::new(Read {
        deployment,
        origin: opened.origin,
        warnings: described.warnings.iter().map(ToString::to_string).collect(),
        groups: described.groups,
        files,
        archive,
    })))
}

fn refused(archive: &mut Repository<ObjectReader>, given: &Given<'_>, problems: &[Problem]) -> Result<Found> {
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let error = Error::new(
        ErrorName::InvalidManifest,
        excerpt(&told.join("\n"), MAX_PROBLEMS),
    );
    match manifest::names(archive, given) {
        Some((project, deployment)) => Ok(Found::Refused {
            deployment: DeploymentId { project, deployment },
            error,
        }),
        None => Err(error),
    }
}

/// Reads the files of all modules in one pass.
fn read_files(
    archive: &mut Repository<ObjectReader>,
    groups: &[manifest::Group],
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
        Deployspec::parse(&files.deployspec)
            .map_err(|e| Error::new(e.name, format!("{}/{}", module.path, e.message)))?;
    }
    let ids = modules.iter().map(|module| module.id.clone());
    Ok(ids.zip(contents.into_iter().zip(files)).collect())
}

impl Read {
    /// The groups as they are planned.
    ///
    /// # Errors
    /// `InvalidManifest` for a module whose input the module workflow would refuse.
    pub(crate) fn groups(&self, force: &Forced, limits: &Limits) -> Result<Vec<plan::Group>> {
        let group = |group: &manifest::Group| {
            let modules = group
                .modules
                .iter()
                .map(|module| self.module(module, force, limits));
            Ok(plan::Group {
                name: group.name.clone(),
                concurrency: group.concurrency,
                modules: modules.collect::<Result<_>>()?,
            })
        };
        self.groups.iter().map(group).collect()
    }

    fn module(&self, module: &manifest::Module, force: &Forced, limits: &Limits) -> Result<plan::Module> {
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
        let order = Order::parse(&input, limits).map_err(|e| wrong(&e.message))?;
        let Order::Deploy(request) = order else {
            return Err(wrong("its input destroys it"));
        };
        Ok(plan::Module {
            id: module.id.clone(),
            options: request.options.ok_or_else(|| wrong("it has no options"))?,
            digest: files.digest.clone(),
            deployspec: files.deployspec.clone(),
            input,
        })
    }

    /// The files of a module, with the key under which its bundle is uploaded, and the archive to pack it from.
    pub(crate) fn into_archive(self) -> (Repository<ObjectReader>, BTreeMap<ModuleId, (Content, String)>) {
        let contents = self.files.into_iter();
        let contents = contents.map(|(id, (content, files))| {
            let key = bundle_key(&id, &files.digest);
            (id, (content, key))
        });
        (self.archive, contents.collect())
    }
}

/// The input of the execution that deploys a module.
fn input(module: &manifest::Module, digest: &str, force: bool) -> Value {
    let mut input = json!(module.id);
    input["source"] = json!({"key": bundle_key(&module.id, digest)});
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

/// Where the bundle of a module lies: as a client's upload, under its digest.
fn bundle_key(module: &ModuleId, digest: &str) -> String {
    format!("uploads/{module}/{digest}.zip")
}
