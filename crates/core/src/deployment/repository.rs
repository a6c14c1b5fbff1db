//! A deployment's repository, read from its zip and those of its remote sources: the manifests and the files of the modules.
//!
//! Planning a deployment and checking one both read the repository here, so both compute the same fingerprints.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as ReadBytes, Seek};

use super::planner;
use crate::deployment::archives::{Archives, Content, ModuleDigest};
use crate::deployment::manifest;
use crate::deployment::manifest::{Diagnostic, LoadContext};
use crate::deployment::remote_source::{FetchedSource, RemoteSource, SourcePath};
use crate::deployment::repository_zip::Repository;
use crate::deployment::selection::Forced;
use crate::deployment::targets::TargetsAsked;
use crate::error::{Error, ErrorName, Result, excerpt};
use crate::ids::DeploymentId;
use crate::ids::ModuleId;
use crate::module::commit_info::CommitInfo;
use crate::module::definition::DefinedSource;
use crate::module::deployspec::{Deployspec, MAX_SHOWN};
use crate::module::fingerprint::deployspec_digest;
use crate::module::input::Options;
use crate::module::maximum::Maxima;
use crate::module::role;
use crate::target::Target;

/// The longest list of diagnostics: a message travels through the states and into the status.
const MAX_PROBLEMS: usize = 4000;

/// The zips of a deployment, before reading.
pub struct Opened<R> {
    /// The repository, and the remote sources that are fetched.
    pub archives: Archives<R>,
    /// The repository's commit.
    pub commit_info: CommitInfo,
    /// What was fetched.
    pub fetched: Vec<FetchedSource>,
}

/// A repository after reading.
pub struct LoadedRepository<R> {
    /// The deployment that its manifest describes.
    pub deployment: DeploymentId,
    /// The commit.
    pub commit_info: CommitInfo,
    /// The remote sources that its manifest names.
    pub fetched: Vec<FetchedSource>,
    /// Warnings for people.
    pub warnings: Vec<String>,
    /// The accounts and regions that its manifest maps besides home, whether modules go there or not.
    pub mapped: BTreeSet<Target>,
    /// What its manifest says of its targets that only planning can judge.
    pub targets: TargetsAsked,
    groups: Vec<manifest::Group>,
    /// The files of each module, in the order of the groups' modules.
    files: Vec<(Content, ModuleDigest)>,
    archives: Archives<R>,
}

/// What a bundle is packed of.
pub struct Packing {
    /// The module's files.
    pub content: Content,
    /// The key of the bundle.
    pub key: String,
    /// The commit of the module's folder.
    pub commit_info: CommitInfo,
}

/// The result of reading a repository whose manifest names its deployment.
pub struct Found<R> {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The repository, or why it can't be deployed.
    pub result: Result<Loaded<R>>,
}

/// A repository that can be deployed.
pub enum Loaded<R> {
    /// All its files were read.
    Whole(Box<LoadedRepository<R>>),
    /// Its manifest names these sources, and not all of them are fetched.
    Needs(Vec<RemoteSource>),
}

impl<R> Found<R> {
    /// The repository, if it describes the deployment that the execution has locked and can be deployed.
    ///
    /// # Errors
    /// `InvalidManifest` if the repository was replaced, after the name was read, by one of another deployment; or the
    /// error for which it was refused.
    pub fn of(self, locked: &DeploymentId) -> Result<Loaded<R>> {
        let found = self.deployment;
        if found != *locked {
            return Err(Error::new(
                ErrorName::InvalidManifest,
                format!(
                    "manifest: expected the deployment {locked}, found {found}; the repository was replaced while this execution ran; start a new one"
                ),
            ));
        }
        self.result
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

/// Reads a repository after the directories of its zips.
///
/// # Errors
/// If the manifest does not even name its deployment.
pub fn read<R: ReadBytes + Seek>(mut opened: Opened<R>, given: &LoadContext<'_>) -> Result<Found<R>> {
    match manifest::read(&mut opened.archives, given) {
        Ok(described) => Ok(Found {
            deployment: described.id(),
            result: load(opened, described, given.maxima),
        }),
        Err(problems) => {
            let error = invalid(&problems);
            match manifest::names(&mut opened.archives, given) {
                Some((project, deployment)) => Ok(Found {
                    deployment: DeploymentId { project, deployment },
                    result: Err(error),
                }),
                None => Err(error),
            }
        }
    }
}

fn load<R: ReadBytes + Seek>(
    opened: Opened<R>,
    described: manifest::Deployment,
    maxima: &Maxima,
) -> Result<Loaded<R>> {
    let Opened {
        mut archives,
        commit_info,
        fetched,
    } = opened;
    if described.sources.iter().any(|source| !archives.has(source)) {
        return Ok(Loaded::Needs(described.sources.into_iter().collect()));
    }
    let files = read_files(&mut archives, &described.groups, maxima)?;
    let unknown = unknown_fields(&files, described.strict)?;
    let warnings = described.warnings.iter().chain(&unknown);
    Ok(Loaded::Whole(Box::new(LoadedRepository {
        deployment: described.id(),
        commit_info,
        fetched,
        warnings: warnings.map(ToString::to_string).collect(),
        mapped: described.mapped,
        targets: described.targets,
        groups: described.groups,
        files,
        archives,
    })))
}

fn invalid(problems: &[Diagnostic]) -> Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Error::new(
        ErrorName::InvalidManifest,
        excerpt(&lines.join("\n"), MAX_PROBLEMS),
    )
}

/// Reads the files of all modules.
fn read_files<R: ReadBytes + Seek>(
    archives: &mut Archives<R>,
    groups: &[manifest::Group],
    maxima: &Maxima,
) -> Result<Vec<(Content, ModuleDigest)>> {
    let modules: Vec<&manifest::Module> = groups.iter().flat_map(|group| &group.modules).collect();
    let contents: Vec<Content> = modules
        .iter()
        .map(|module| Content {
            folder: module.folder.clone(),
            data_files: module.data_files.clone(),
        })
        .collect();
    let files = archives.read(&contents)?;
    refuse_invalid(&modules, &files, maxima)?;
    Ok(contents.into_iter().zip(files).collect())
}

/// Refuses invalid deployspecs, and templates of modules' roles, with the errors of all modules; what several modules share
/// counts once.
fn refuse_invalid(modules: &[&manifest::Module], files: &[ModuleDigest], maxima: &Maxima) -> Result<()> {
    let mut seen = BTreeSet::new();
    let (mut deployspecs, mut stacks) = (Vec::new(), Vec::new());
    for (module, files) in modules.iter().zip(files) {
        let of_module = |problem: String| format!("{}/{problem}", module.folder);
        if seen.insert(&module.folder) {
            let found = Deployspec::check(&files.deployspec, maxima);
            let found = found.err().unwrap_or_default().into_iter();
            deployspecs.extend(found.map(|problem| of_module(problem.to_string())));
        }
        // Whether a parameter has a value depends on the module.
        let names = module.parameters.keys().map(String::as_str);
        let stack = files.module_stack.as_deref();
        for problem in stack
            .map(|stack| role::check(stack, Some(names)))
            .unwrap_or_default()
        {
            let problem = of_module(problem.to_string());
            if !stacks.contains(&problem) {
                stacks.push(problem);
            }
        }
    }
    let name = match (deployspecs.is_empty(), stacks.is_empty()) {
        (true, true) => return Ok(()),
        (false, _) => ErrorName::InvalidDeployspec,
        (true, false) => ErrorName::InvalidModuleStack,
    };
    let mut problems = deployspecs;
    problems.append(&mut stacks);
    let more = match problems.len().saturating_sub(MAX_SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more problems"),
    };
    problems.truncate(MAX_SHOWN);
    Err(Error::new(name, format!("{}{more}", problems.join("; "))))
}

/// The fields of the modules' deployspecs that have no effect; a folder of several modules counts once.
fn unknown_fields(files: &[(Content, ModuleDigest)], strict: bool) -> Result<Vec<Diagnostic>> {
    let mut unknown = Vec::new();
    let mut seen = BTreeSet::new();
    for (content, files) in files {
        if !seen.insert(&content.folder) {
            continue;
        }
        let file = content.folder.file("deployspec.yaml");
        let found = manifest::unknown_deployspec_fields(&file, &files.deployspec, strict);
        unknown.append(&mut found.map_err(|problems| invalid(&problems))?);
    }
    Ok(unknown)
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

    /// The commits of the modules' files.
    #[must_use]
    pub fn commits(&self) -> BTreeMap<ModuleId, CommitInfo> {
        let commits = Commits {
            own: self.commit_info.clone(),
            fetched: self.fetched.clone(),
        };
        let modules = self.groups.iter().flat_map(|group| &group.modules);
        modules
            .map(|module| (module.id.clone(), commits.of(&module.folder)))
            .collect()
    }

    /// Where the modules' files are from.
    #[must_use]
    pub fn sources(&self) -> BTreeMap<ModuleId, DefinedSource> {
        let modules = self.groups.iter().flat_map(|group| &group.modules);
        modules
            .map(|module| (module.id.clone(), module.folder.defined(&self.fetched)))
            .collect()
    }

    /// What each bundle is packed of, and the zips to pack it from.
    #[must_use]
    pub fn into_archives(self) -> (Archives<R>, BTreeMap<ModuleId, Packing>) {
        let commits = Commits {
            own: self.commit_info,
            fetched: self.fetched,
        };
        let modules = self.groups.into_iter().flat_map(|group| group.modules);
        let packings = modules.zip(self.files).map(|(module, (content, files))| {
            let packing = Packing {
                key: module.id.upload_key(&files.digest),
                commit_info: commits.of(&content.folder),
                content,
            };
            (module.id, packing)
        });
        (self.archives, packings.collect())
    }
}

/// The commits of a deployment's sources.
struct Commits {
    own: CommitInfo,
    fetched: Vec<FetchedSource>,
}

impl Commits {
    /// The commit of a module's folder.
    fn of(&self, folder: &SourcePath) -> CommitInfo {
        let Some(source) = &folder.source else {
            return self.own.clone();
        };
        let fetched = self.fetched.iter().find(|fetched| fetched.source == *source);
        fetched.map(FetchedSource::commit_info).unwrap_or_default()
    }
}

/// A module in the form that the planner takes.
fn plannable(module: &manifest::Module, files: &ModuleDigest, force: bool) -> planner::PlannableModule {
    planner::PlannableModule {
        id: module.id.clone(),
        options: Options {
            force_update: force,
            ..module.options.clone()
        },
        digest: files.digest.clone(),
        deployspec: files.deployspec.clone(),
        deployspec_digest: deployspec_digest(&files.deployspec),
        input: module.input(&files.digest, force),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Cursor, Write};

    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::deployment::manifest_options::ManifestOptions;
    use crate::ids::Name;

    #[test]
    fn a_repository_that_was_replaced_by_another_deployments_is_refused_before_its_own_errors() {
        let deployment = |name: &str| DeploymentId {
            project: Name::parse("project", "p").unwrap(),
            deployment: Name::parse("deployment", name).unwrap(),
        };
        let refused = |locked: &str| {
            let found = Found::<()> {
                deployment: deployment("prod"),
                result: Err(Error::new(ErrorName::InvalidBundle, "its own error")),
            };
            found.of(&deployment(locked)).err().unwrap()
        };
        assert_eq!(refused("prod").message, "its own error");
        let replaced = refused("dev");
        assert_eq!(replaced.name, ErrorName::InvalidManifest);
        assert!(
            replaced
                .message
                .contains("expected the deployment p/dev, found p/prod"),
            "{replaced}"
        );
    }

    fn zip(files: &[(&str, &str)]) -> Repository<Cursor<Vec<u8>>> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (path, content) in files {
            writer.start_file(*path, SimpleFileOptions::default()).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        let zip = writer.finish().unwrap().into_inner();
        let size = zip.len() as u64;
        Repository::open(Cursor::new(zip), size).unwrap()
    }

    const SPEC: &str = "deploy: {phases: {build: {commands: [make]}}}";

    /// Reads a repository with a module of its own and one of a remote source.
    fn load(fetched: &[FetchedSource]) -> Loaded<Cursor<Vec<u8>>> {
        let manifest = "name: dev\ngroups:\n- name: g\n  modules:\n  - {name: own, path: own}\n  - {name: remote, path: 'git::https://h/r.git//m?ref=v1'}\n";
        let own = [
            ("seedfarmer.yaml", "project: p"),
            ("deployment.yaml", manifest),
            ("own/deployspec.yaml", SPEC),
        ];
        let mut archives = Archives::new(zip(&own));
        for fetched in fetched {
            let files = [("m/deployspec.yaml", SPEC)];
            archives.add(fetched.source.clone(), zip(&files)).unwrap();
        }
        let opened = Opened {
            archives,
            commit_info: CommitInfo::of_commit(Some("own-commit"), Some("main")),
            fetched: fetched.to_vec(),
        };
        let options = ManifestOptions::default();
        let found = read(opened, &LoadContext::offline(&options)).unwrap();
        found.result.unwrap()
    }

    #[test]
    fn a_manifest_needs_its_sources_first_and_each_module_has_the_commit_of_its_own() {
        let Loaded::Needs(sources) = load(&[]) else {
            panic!("read without its source")
        };
        let source = RemoteSource::Git {
            url: "https://h/r".to_owned(),
            reference: Some("v1".to_owned()),
        };
        assert_eq!(sources, std::slice::from_ref(&source));
        let fetched = FetchedSource {
            source,
            commit: Some("remote-commit".to_owned()),
            key: "fetched/git/r.zip".to_owned(),
        };
        let Loaded::Whole(read) = load(&[fetched]) else {
            panic!("not read with its source")
        };
        let (_, packings) = read.into_archives();
        let commits: Vec<(&str, Option<&str>, Option<&str>)> = packings
            .iter()
            .map(|(id, packing)| {
                let commit = &packing.commit_info;
                (id.module.as_str(), commit.commit(), commit.branch())
            })
            .collect();
        assert_eq!(
            commits,
            [
                ("own", Some("own-commit"), Some("main")),
                ("remote", Some("remote-commit"), Some("v1"))
            ]
        );
    }

    #[test]
    fn a_push_is_warned_of_fields_of_deployspecs_without_effect_or_refused_for_them() {
        let manifest = "name: d\ngroups: [{name: g, modules: [{name: m, path: m}, {name: n, path: m}]}]\n";
        let spec = format!("{SPEC}\nbuildType: x\n");
        let read = |project: &str| {
            let files = [
                ("seedfarmer.yaml", project),
                ("deployment.yaml", manifest),
                ("m/deployspec.yaml", &spec),
            ];
            let opened = Opened {
                archives: Archives::new(zip(&files)),
                commit_info: CommitInfo::default(),
                fetched: Vec::new(),
            };
            let options = ManifestOptions::default();
            read(opened, &LoadContext::offline(&options)).unwrap().result
        };
        let Ok(Loaded::Whole(loaded)) = read("project: p\n") else {
            panic!("refused")
        };
        let unknown = "m/deployspec.yaml:2: buildType: ";
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
        assert!(loaded.warnings[0].starts_with(unknown), "{:?}", loaded.warnings);
        let Err(error) = read("project: p\nmanifestValidationFailOnUnknownFields: true\n") else {
            panic!("not refused")
        };
        assert_eq!(error.name, ErrorName::InvalidManifest);
        assert!(error.message.starts_with(unknown), "{error}");
    }

    #[test]
    fn a_push_is_refused_with_the_errors_of_all_deployspecs() {
        let manifest = "name: d\ngroups: [{name: g, modules: [{name: m, path: m}, {name: n, path: n}, {name: o, path: n}]}]\n";
        let files = [
            ("seedfarmer.yaml", "project: p\n"),
            ("deployment.yaml", manifest),
            (
                "m/deployspec.yaml",
                "deploy: {phases: {biuld: {}}}\nbuild_type: HUGE\n",
            ),
            ("n/deployspec.yaml", "deploy: {phases: [a]}\n"),
        ];
        let opened = Opened {
            archives: Archives::new(zip(&files)),
            commit_info: CommitInfo::default(),
            fetched: Vec::new(),
        };
        let options = ManifestOptions::default();
        let Err(error) = read(opened, &LoadContext::offline(&options)).unwrap().result else {
            panic!("not refused")
        };
        assert_eq!(error.name, ErrorName::InvalidDeployspec);
        let places: Vec<&str> = error
            .message
            .split("; ")
            .filter_map(|problem| Some(problem.split_once(": ")?.0))
            .collect();
        assert_eq!(
            places,
            [
                "m/deployspec.yaml line 1",
                "m/deployspec.yaml line 2",
                "n/deployspec.yaml line 1"
            ],
            "{error}"
        );
    }

    #[test]
    fn a_push_is_refused_with_the_errors_of_all_templates_of_roles() {
        let manifest = "name: d\ngroups: [{name: g, modules: [{name: m, path: m}, {name: n, path: m}, {name: o, path: m, parameters: [{name: dagPath, value: x}]}]}, {name: h, modules: [{name: p, path: n}]}]\n";
        let template = "Parameters:\n  DagPath: {Type: String}\n  ModuleName: {Type: String}\n";
        let read = |n: (&str, &str)| {
            let files = [
                ("seedfarmer.yaml", "project: p\n"),
                ("deployment.yaml", manifest),
                ("m/deployspec.yaml", SPEC),
                ("m/modulestack.yaml", template),
                ("n/deployspec.yaml", SPEC),
                n,
            ];
            let opened = Opened {
                archives: Archives::new(zip(&files)),
                commit_info: CommitInfo::default(),
                fetched: Vec::new(),
            };
            let options = ManifestOptions::default();
            let result = read(opened, &LoadContext::offline(&options)).unwrap().result;
            result.err().unwrap()
        };
        let error = read(("n/modulestack.yaml", "- a\n"));
        assert_eq!(error.name, ErrorName::InvalidModuleStack);
        let problems: Vec<&str> = error.message.split("; n/").collect();
        let [of_m, of_n] = problems.as_slice() else {
            panic!("{error}")
        };
        assert!(
            of_m.starts_with("m/modulestack.yaml line 2: Parameters.DagPath: found no value"),
            "{error}"
        );
        assert_eq!(
            *of_n,
            "modulestack.yaml line 1: expected a CloudFormation template, found a list"
        );
        let error = read(("n/modulestack.yml", "Resources: {}\n"));
        assert_eq!(error.name, ErrorName::InvalidModuleStack);
        assert!(
            error
                .message
                .ends_with("but n/modulestack.yml, which has no effect; rename it to modulestack.yaml"),
            "{error}"
        );
    }
}
