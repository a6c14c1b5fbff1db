//! One module of a manifest: an item of a group's `modules`, or a document of the group's file.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::account_mappings::{BuildChoice, Mappings, refuse_mirrors};
use super::diagnostic::{Diagnostics, Location};
use super::environment::Env;
use super::model::{Repository, text};
use super::parameters::{ParameterContext, ParameterReader, Reference};
use super::paths;
use super::spanned::Spanned;
use crate::error::excerpt;
use crate::ids::Name;
use crate::module::build_settings::BuildSettings;
use crate::module::codebuild::buildspec::is_arm_image;
use crate::module::deployspec;
use crate::module::deployspec::Deployspec;
use crate::module::maximum::Maxima;
use crate::module::parameters::Parameters;
use crate::module::source::normal_path;

/// A module of the manifest, before its references are checked.
#[derive(Debug)]
pub(super) struct Draft {
    pub at: Location,
    pub name: Name,
    pub path: String,
    pub data_files: Vec<String>,
    /// The parameters as an execution's input has them.
    pub written_parameters: Map<String, Value>,
    pub parameters: Parameters,
    pub references: Vec<Reference>,
    /// The settings that the module itself sets.
    pub own_build: Map<String, Value>,
    /// The settings as an execution's input has them.
    pub written_build: Map<String, Value>,
    pub build: BuildSettings,
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
    /// The folders that were checked already; several modules may share one.
    pub seen: HashSet<String>,
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
        let build = BuildChoice::read(&mut fields, problems);
        refuse_mirrors(&mut fields, problems);
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
        let path = path.and_then(|path| self.folder(&path, problems));
        let data_files = data_files
            .map(|list| self.data_files(&list, problems))
            .unwrap_or_default();
        let target = self
            .mappings
            .target(&at, account.as_ref(), region.as_ref(), problems);
        let target = target.unwrap_or_default();
        let around = ParameterContext {
            env: self.env,
            mappings: self.mappings,
            target,
        };
        let read = parameters
            .map(|list| ParameterReader::list(&list, &around, problems))
            .unwrap_or_default();
        let own_build = build.said();
        let (written_build, build) = settings(
            &build.or(&self.mappings.build(target)),
            &at,
            self.maxima,
            problems,
        );
        Some(Draft {
            name: name?,
            path: path?,
            data_files,
            written_parameters: read.written,
            parameters: read.parameters,
            references: read.references,
            own_build,
            written_build,
            build,
            at,
        })
    }

    /// The module's folder; it has to contain a deployspec.
    fn folder(&mut self, part: &Spanned<'_>, problems: &mut Diagnostics) -> Option<String> {
        let given = part.text(problems)?;
        let path = self.within(part, &given, problems)?;
        let Some(path) = normal_path(&path) else {
            problems.found(
                &part.at,
                quoted(&given),
                "a folder whose name has only letters, digits and . _ - + @ /",
            );
            return None;
        };
        if !path.is_empty() && !self.repository.has_folder(&path) {
            problems.found(
                &part.at,
                quoted(&given),
                "the path of an existing folder in the repository",
            );
            return None;
        }
        if self.seen.insert(path.clone()) {
            self.deployspec(&path, &part.at, problems);
        }
        Some(path)
    }

    fn within(&self, part: &Spanned<'_>, given: &str, problems: &mut Diagnostics) -> Option<String> {
        if let Some(scheme) = paths::elsewhere(given) {
            problems.error(
                &part.at,
                format!("{scheme} is not supported yet; copy the files into the repository"),
            );
            return None;
        }
        let path = paths::normal(given);
        if path.is_none() {
            problems.found(
                &part.at,
                quoted(given),
                "a path within the repository: no leading slash and no ..",
            );
        }
        path
    }

    fn deployspec(&mut self, folder: &str, module: &Location, problems: &mut Diagnostics) {
        let path = if folder.is_empty() {
            "deployspec.yaml".to_owned()
        } else {
            format!("{folder}/deployspec.yaml")
        };
        if !self.repository.has_file(&path) {
            let message = match paths::near_miss(self.repository, &path) {
                Some(found) => format!(
                    "the folder has no deployspec.yaml, but {}; rename that one",
                    excerpt(&found, 120)
                ),
                None => format!("the folder has no deployspec.yaml; a module needs {path}"),
            };
            problems.error(module, message);
        } else if self.deployspecs == Deployspecs::AreValid {
            self.read_deployspec(&Location::file(&path), problems);
        }
    }

    fn read_deployspec(&mut self, file: &Location, problems: &mut Diagnostics) {
        let Some(text) = text(self.repository, file, problems) else {
            return;
        };
        if let Err(error) = Deployspec::parse(text.as_bytes(), self.maxima) {
            let (line, message) = without_place(&error.message);
            problems.error(&Location { line, ..file.clone() }, message);
        }
        for unknown in deployspec::unknown_fields(&text) {
            let at = Location {
                line: Some(unknown.line),
                field: unknown.path,
                ..file.clone()
            };
            problems.warning(&at, unknown.message);
        }
    }

    fn data_files(&mut self, list: &Spanned<'_>, problems: &mut Diagnostics) -> Vec<String> {
        let mut files = Vec::new();
        let mut seen = HashSet::new();
        for item in list.items(problems) {
            if let Some(file) = self.data_file(&item, problems)
                && seen.insert(file.clone())
            {
                files.push(file);
            }
        }
        files
    }

    fn data_file(&mut self, item: &Spanned<'_>, problems: &mut Diagnostics) -> Option<String> {
        let mut fields = item.fields(problems)?;
        let part = fields.required("filePath", problems);
        fields.ignored(&["commitHash"], problems);
        fields.finish(problems);
        let part = part?;
        let given = part.text(problems)?;
        let path = self.within(&part, &given, problems)?;
        if !self.repository.has_file(&path) {
            problems.found(
                &part.at,
                quoted(&given),
                "the path of an existing file in the repository",
            );
            return None;
        }
        Some(path)
    }
}

/// Fields that seed-farmer adds to a manifest when it stores one.
const INTERNAL: [&str; 5] = [
    "bundleMd5",
    "manifestMd5",
    "deployspecMd5",
    "deploySpec",
    "commitHash",
];

pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", excerpt(text, 120))
}

/// The `build` of an execution's input, and the same parsed.
fn settings(
    choice: &BuildChoice,
    at: &Location,
    maxima: &Maxima,
    problems: &mut Diagnostics,
) -> (Map<String, Value>, BuildSettings) {
    let mut build = Map::new();
    if choice.image.as_deref().is_some_and(is_arm_image) {
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

/// Splits `deployspec.yaml line 3: message` into line and message; the diagnostic names the file by its full path.
fn without_place(message: &str) -> (Option<usize>, &str) {
    let Some(rest) = message.strip_prefix("deployspec.yaml") else {
        return (None, message);
    };
    let numbered = rest.strip_prefix(" line ").and_then(|rest| rest.split_once(": "));
    match numbered.and_then(|(line, message)| Some((line.parse().ok()?, message))) {
        Some((line, message)) => (Some(line), message),
        None => (None, rest.trim_start_matches(": ")),
    }
}
