//! One module of a manifest: an item of a group's `modules`, or a document of the group's file.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::account_mappings::Mappings;
use super::build_choice::BuildChoice;
use super::deployspecs;
use super::diagnostic::{Diagnostics, Location};
use super::environment::Env;
use super::model::{Repository, refuse_ignored};
use super::parameters::{ParameterContext, ParameterReader, Reference};
use super::paths;
use super::remote_path;
use super::remote_path::RemotePath;
use super::spanned::Spanned;
use crate::deployment::remote_source::{RemoteSource, SourcePath};
use crate::error::{excerpt, expected, without_credentials};
use crate::ids::{AwsEnvironment, Name};
use crate::module::build_settings::BuildSettings;
use crate::module::codebuild::buildspec::is_arm_image;
use crate::module::maximum::Maxima;
use crate::module::metadata_reference::ModuleRef;
use crate::module::parameters::Parameters;
use crate::module::source::normal_path;
use crate::target::Target;

/// A module of the manifest, before its references are checked.
#[derive(Debug)]
pub(super) struct Draft {
    pub at: Location,
    pub name: Name,
    /// The name that it had before, with its place.
    pub renamed_from: Option<(ModuleRef, Location)>,
    pub folder: SourcePath,
    pub data_files: Vec<SourcePath>,
    /// The parameters as an execution's input has them.
    pub written_parameters: Map<String, Value>,
    pub parameters: Parameters,
    pub references: Vec<Reference>,
    /// The settings that the module itself sets.
    pub own_build: Map<String, Value>,
    /// The settings as an execution's input has them.
    pub written_build: Map<String, Value>,
    pub build: BuildSettings,
    /// The account and region as the manifest names them.
    pub place: Option<(String, String)>,
    /// The target, if the module is not deployed at home.
    pub target: Option<Target>,
}

/// How the modules' deployspecs are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deployspecs {
    /// They have to exist.
    AreThere,
    /// They have to be valid.
    AreValid,
}

/// Reads modules.
pub(super) struct Reader<'a> {
    pub repository: &'a mut dyn Repository,
    pub env: &'a mut Env,
    pub mappings: &'a mut Mappings,
    pub deployspecs: Deployspecs,
    pub maxima: &'a Maxima,
    /// Seedflow's account and region, if known.
    pub home: Option<&'a AwsEnvironment>,
    /// The folders that were checked already; several modules may share one.
    pub seen: BTreeSet<SourcePath>,
    /// The remote sources so far.
    pub sources: &'a mut BTreeSet<RemoteSource>,
}

impl Reader<'_> {
    pub fn read(&mut self, part: &Spanned<'_>, problems: &mut Diagnostics) -> Option<Draft> {
        let mut fields = part.fields(problems)?;
        let named = fields.required("name", problems);
        let path = fields.required("path", problems);
        let (account, region) = (
            fields.take("targetAccount", problems),
            fields.take("targetRegion", problems),
        );
        let parameters = fields.take("parameters", problems);
        let data_files = fields.take("dataFiles", problems);
        let former = fields.take("renamedFrom", problems);
        let build = BuildChoice::read(&mut fields, problems);
        fields.ignored(&INTERNAL, problems);
        fields.finish(problems);

        let at = named
            .as_ref()
            .map_or_else(|| part.at.clone(), |named| named.at.clone());
        let at = Location {
            field: part.at.field.clone(),
            ..at
        };
        let name = named.and_then(|named| named.name(problems));
        let path_at = path.as_ref().map(|path| path.at.clone());
        let folder = path.and_then(|path| self.folder(&path, problems));
        let data_files = data_files
            .map(|list| self.data_files(&list, problems))
            .unwrap_or_default();
        let target = self
            .mappings
            .target(&at, account.as_ref(), region.as_ref(), problems);
        let chosen = target.unwrap_or_default();
        let around = ParameterContext {
            env: self.env,
            mappings: self.mappings,
            target: chosen,
        };
        let read = parameters
            .map(|list| ParameterReader::list(&list, &around, problems))
            .unwrap_or_default();
        if let Some((folder, at)) = folder.as_ref().zip(path_at.as_ref()) {
            self.module_stack(folder, at, &read.names, problems);
        }
        let own_build = build.said();
        let maxima = &self.mappings.maxima_of(chosen, self.home, self.maxima);
        let (written_build, build) = settings(
            &build.or(&self.mappings.build(chosen, maxima)),
            &at,
            maxima,
            problems,
        );
        let renamed_from = former.and_then(|part| former_name(&part, problems));
        Some(Draft {
            name: name?,
            renamed_from,
            // Without a folder there is an error, so this draft only shows that the module exists.
            folder: folder.unwrap_or_else(|| SourcePath::own("")),
            data_files,
            written_parameters: read.written,
            parameters: read.parameters,
            references: read.references,
            own_build,
            written_build,
            build,
            place: self.mappings.place(chosen),
            target: self.mappings.target_of(chosen, self.home),
            at,
        })
    }

    /// The module's folder; it has to contain a deployspec.
    fn folder(&mut self, part: &Spanned<'_>, problems: &mut Diagnostics) -> Option<SourcePath> {
        let found = self.place(part, problems)?;
        let Some(path) = normal_path(&found.path) else {
            problems.found(
                &part.at,
                shown(part, &found),
                "a folder whose name has only letters, digits and . _ - + @ /",
            );
            return None;
        };
        let folder = SourcePath { path, ..found };
        let Some(files) = self.files_of(folder.source.as_ref()) else {
            return Some(folder);
        };
        if !folder.path.is_empty() && !files.has_folder(&folder.path) {
            refuse_missing(part, &folder, "folder", "", problems);
            return None;
        }
        if self.seen.insert(folder.clone()) {
            self.deployspec(&folder, &part.at, problems);
        }
        Some(folder)
    }

    /// What a path leads to: a place of the deployment's repository or of a remote source.
    fn place(&mut self, part: &Spanned<'_>, problems: &mut Diagnostics) -> Option<SourcePath> {
        let given = part.text(problems)?;
        let place = match remote_path::parse(&given) {
            None => match paths::elsewhere(&given) {
                None => SourcePath::own(&given),
                Some(scheme) => {
                    problems.found(&part.at, format!("an address with {scheme}"), REMOTE);
                    return None;
                }
            },
            Some(Ok(RemotePath { place, warnings })) => {
                for warning in warnings {
                    problems.warning(&part.at, warning);
                }
                if !problems.is_unknown(&part.at) {
                    self.sources.extend(place.source.clone());
                }
                place
            }
            Some(Err(message)) => {
                problems.error(&part.at, message);
                return None;
            }
        };
        let path = paths::normal(&place.path);
        if path.is_none() {
            problems.found(
                &part.at,
                shown(part, &place),
                "a path within the repository: no leading slash and no ..",
            );
        }
        Some(SourcePath { path: path?, ..place })
    }

    /// The files of a source; `None` if it is not fetched.
    fn files_of(&mut self, source: Option<&RemoteSource>) -> Option<&mut dyn Repository> {
        match source {
            None => Some(&mut *self.repository),
            Some(source) => self.repository.fetched(source),
        }
    }

    fn deployspec(&mut self, folder: &SourcePath, module: &Location, problems: &mut Diagnostics) {
        let file = folder.file("deployspec.yaml");
        let reads = self.deployspecs == Deployspecs::AreValid;
        let Some(files) = self.files_of(folder.source.as_ref()) else {
            return;
        };
        if !files.has_file(&file.path) {
            problems.error(module, deployspecs::missing(files, &file));
            return;
        }
        refuse_ignored(files, &file.path, module, problems);
        if reads {
            deployspecs::refuse_misspelt_stack(files, folder, module, problems);
            let at = Location::file(&file.to_string());
            match files.text(&file.path) {
                Ok(text) => deployspecs::check(&text.unwrap_or_default(), &at, self.maxima, problems),
                Err(error) => problems.error(&at, error.message),
            }
        }
    }

    /// The template of the module's own role, if it has one: it has to be valid for the module's parameters.
    fn module_stack(
        &mut self,
        folder: &SourcePath,
        module: &Location,
        parameters: &[String],
        problems: &mut Diagnostics,
    ) {
        let file = folder.file(deployspecs::MODULE_STACK);
        let reads = self.deployspecs == Deployspecs::AreValid;
        let files = self.files_of(folder.source.as_ref()).filter(|_| reads);
        let Some(files) = files.filter(|files| files.has_file(&file.path)) else {
            return;
        };
        refuse_ignored(files, &file.path, module, problems);
        let at = Location::file(&file.to_string());
        let names = Some(parameters.iter().map(String::as_str));
        match files.text(&file.path) {
            Ok(text) => deployspecs::check_module_stack(&text.unwrap_or_default(), &at, names, problems),
            Err(error) => problems.error(&at, error.message),
        }
    }

    fn data_files(&mut self, list: &Spanned<'_>, problems: &mut Diagnostics) -> Vec<SourcePath> {
        let mut files = Vec::new();
        let mut by_path: HashMap<String, SourcePath> = HashMap::new();
        for item in list.items(problems) {
            let Some(file) = self.data_file(&item, problems) else {
                continue;
            };
            match by_path.get(&file.path) {
                Some(other) if *other != file => problems.error(
                    &item.at,
                    format!("{file} and {other} would have the same path in the bundle; rename one of them"),
                ),
                Some(_) => {}
                None => {
                    by_path.insert(file.path.clone(), file.clone());
                    files.push(file);
                }
            }
        }
        files
    }

    fn data_file(&mut self, item: &Spanned<'_>, problems: &mut Diagnostics) -> Option<SourcePath> {
        let mut fields = item.fields(problems)?;
        let part = fields.required("filePath", problems);
        fields.ignored(&["commitHash"], problems);
        fields.finish(problems);
        let part = part?;
        let file = self.place(&part, problems)?;
        if let Some(files) = self.files_of(file.source.as_ref()) {
            if !files.has_file(&file.path) {
                let meant = paths::did_you_mean(files, &file.path);
                refuse_missing(&part, &file, "file", &meant, problems);
                return None;
            }
            refuse_ignored(files, &file.path, &part.at, problems);
        }
        Some(file)
    }
}

/// How a path to another source begins.
const REMOTE: &str =
    "a path in the repository, or git:: or archive:: before the address; see docs/manifests.md";

/// A place in a message: as it is written, or without what may be a signature.
fn shown(part: &Spanned<'_>, place: &SourcePath) -> String {
    match (&place.source, part.scalar()) {
        (None, Some(Value::String(written))) => quoted(written),
        // Its address has been parsed, so it has no credentials.
        _ => format!("\"{}\"", excerpt(&place.to_string(), 120)),
    }
}

/// Refuses a path to nothing; `meant` ends the message.
fn refuse_missing(
    part: &Spanned<'_>,
    place: &SourcePath,
    kind: &str,
    meant: &str,
    problems: &mut Diagnostics,
) {
    let where_to_look = match place.source {
        None => "in the repository",
        Some(_) => "in that source; files of submodules are not fetched",
    };
    let missing = expected(
        shown(part, place),
        format!("the path of an existing {kind} {where_to_look}"),
    );
    problems.error(&part.at, format!("{missing}{meant}"));
}

/// Fields that seed-farmer adds to a manifest when it stores one.
const INTERNAL: [&str; 5] = [
    "bundleMd5",
    "manifestMd5",
    "deployspecMd5",
    "deploySpec",
    "commitHash",
];

/// The former name of a module.
fn former_name(part: &Spanned<'_>, problems: &mut Diagnostics) -> Option<(ModuleRef, Location)> {
    let text = part.text(problems)?;
    match ModuleRef::parse("renamedFrom", &text) {
        Ok(name) => Some((name, part.at.clone())),
        Err(_) => {
            problems.found(
                &part.at,
                quoted(&text),
                "the group and the name that the module had before, such as network/vpc",
            );
            None
        }
    }
}

pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", excerpt(&without_credentials(text), 120))
}

/// The `build` of an execution's input, and the same parsed.
fn settings(
    choice: &BuildChoice,
    at: &Location,
    maxima: &Maxima,
    problems: &mut Diagnostics,
) -> (Map<String, Value>, BuildSettings) {
    let mut build = Map::new();
    if choice.image().is_some_and(is_arm_image) {
        build.insert("environment_type".into(), "ARM_CONTAINER".into());
    }
    build.append(&mut choice.said());
    // The rules of an execution's input apply. A manifest cannot name a bucket or a CodeBuild project.
    let parsed = BuildSettings::parse(&json!(build), "", maxima).unwrap_or_else(|error| {
        problems.error(at, error.message);
        BuildSettings::default()
    });
    (build, parsed)
}
