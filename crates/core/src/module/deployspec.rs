//! A module's `deployspec.yaml`: the commands of its phases.
//!
//! It is read as seed-farmer reads it (seedfarmer-compat.md 2.1), so that existing modules run unmodified: both
//! spellings of a key, YAML 1.1 (decision 17), unknown keys ignored. Unlike in seed-farmer, a `build_type` that
//! CodeBuild does not have is an error and does not become SMALL, an unknown phase is an error, because its commands
//! would not run, and every error names its line.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorName, Result, did_you_mean, excerpt, expected};
use crate::formats::yaml;
use crate::formats::yaml::{Kind, Node};
use crate::module::maximum::{ComputeType, Maxima};

/// The maximum size of the file: the plan carries its commands through the states, whose payloads end at 256 KB.
pub const MAX_BYTES: usize = 64 * 1024;

/// The commands of a module, by phase.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// Installs what the module needs.
    pub install: Vec<String>,
    /// Runs before the build.
    pub pre_build: Vec<String>,
    /// Builds and deploys.
    pub build: Vec<String>,
    /// Runs after a successful build.
    pub post_build: Vec<String>,
}

/// The contents of a deployspec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployspec {
    /// The commands that deploy.
    pub deploy: Phases,
    /// The commands that destroy; only a destruction needs them.
    #[serde(default)]
    pub destroy: Option<Phases>,
    /// The commands that find drift, in a read-only build (decision 67).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Phases>,
    /// The commands that show what a deployment would change, in a read-only build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Phases>,
    /// The compute type that the module requests.
    pub build_type: Option<ComputeType>,
    /// Whether variables begin with `SEEDFARMER_` instead of the project's name.
    pub generic_variables: bool,
}

impl Deployspec {
    /// Parses the file's bytes.
    ///
    /// # Errors
    /// `InvalidDeployspec` with all errors and their lines, also if `build_type` exceeds the maximum.
    pub fn parse(bytes: &[u8], maxima: &Maxima) -> Result<Self> {
        Self::check(bytes, maxima).map_err(|problems| {
            let shown: Vec<String> = problems.iter().take(MAX_SHOWN).map(Problem::to_string).collect();
            let more = match problems.len().saturating_sub(MAX_SHOWN) {
                0 => String::new(),
                more => format!("; and {more} more problems"),
            };
            Error::new(
                ErrorName::InvalidDeployspec,
                format!("{}{more}", shown.join("; ")),
            )
        })
    }

    /// Parses the file's bytes.
    ///
    /// # Errors
    /// All errors, sorted by line.
    pub fn check(bytes: &[u8], maxima: &Maxima) -> Result<Self, Vec<Problem>> {
        let one = |line, message: &str| vec![Problem::new(line, message)];
        let text = std::str::from_utf8(bytes).map_err(|_| one(None, "the file is not valid UTF-8"))?;
        let root = yaml::parse(text).map_err(|e| one(Some(e.line), &e.message))?;
        if !matches!(root.kind, Kind::Mapping(_)) {
            return Err(vec![found(&root, "the file", "a mapping with the key deploy")]);
        }
        let mut problems = Vec::new();
        let spec = Self {
            deploy: deploy_phases(&root, &mut problems),
            destroy: optional_phases(&root, "destroy", &mut problems),
            drift: optional_phases(&root, "drift", &mut problems),
            preview: optional_phases(&root, "preview", &mut problems),
            build_type: build_type(&root, maxima).unwrap_or_else(|problem| {
                problems.push(problem);
                None
            }),
            generic_variables: generic_variables(&root).unwrap_or_else(|problem| {
                problems.push(problem);
                true
            }),
        };
        if problems.is_empty() {
            return Ok(spec);
        }
        problems.sort_by_key(|problem| problem.line);
        Err(problems)
    }
}

/// The most errors of deployspecs that the error of an execution has.
pub const MAX_SHOWN: usize = 20;

/// An error of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its line, counted from 1, if it has one.
    pub line: Option<usize>,
    /// The field, what is allowed, and what was found.
    pub message: String,
}

impl Problem {
    fn new(line: Option<usize>, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "deployspec.yaml line {line}: {}", self.message),
            None => write!(f, "deployspec.yaml: {}", self.message),
        }
    }
}

/// A field of the file that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    /// Its line, counted from 1.
    pub line: usize,
    /// Its path in the file.
    pub path: String,
    /// Its name.
    pub name: String,
    /// The fields that are known there.
    pub siblings: &'static [&'static str],
}

/// The sections with commands.
const SECTIONS: [&str; 4] = ["deploy", "destroy", "drift", "preview"];
/// The fields of the file.
const FIELDS: [&str; 6] = [
    "deploy",
    "destroy",
    "drift",
    "preview",
    "build_type",
    "publishGenericEnvVariables",
];
/// The other spelling of the one field that has two.
const SNAKE_CASE: &str = "publish_generic_env_variables";

/// The fields that have no effect, in a file that can be parsed. seed-farmer ignores them too.
#[must_use]
pub fn unknown_fields(text: &str) -> Vec<UnknownField> {
    let mut unknown = Vec::new();
    let Ok(root) = yaml::parse(text) else {
        return unknown;
    };
    let known = |name: &str| FIELDS.contains(&name) || name == SNAKE_CASE;
    check_fields(&root, "", &FIELDS, known, &mut unknown);
    for section in SECTIONS {
        let Some(section_node) = root.get(section) else {
            continue;
        };
        check_fields(
            section_node,
            section,
            &["phases"],
            |name| name == "phases",
            &mut unknown,
        );
        let Some(Kind::Mapping(phases)) = section_node.get("phases").map(|phases| &phases.kind) else {
            continue;
        };
        for (name, _, phase) in phases {
            let path = format!("{section}.phases.{}", excerpt(name, 80));
            check_fields(
                phase,
                &path,
                &["commands"],
                |name| name == "commands",
                &mut unknown,
            );
        }
    }
    unknown.sort_by_key(|field| field.line);
    unknown
}

fn check_fields(
    node: &Node,
    path: &str,
    siblings: &'static [&'static str],
    known: impl Fn(&str) -> bool,
    unknown: &mut Vec<UnknownField>,
) {
    let Kind::Mapping(entries) = &node.kind else {
        return;
    };
    for (name, line, _) in entries.iter().filter(|(name, ..)| !known(name)) {
        let shown = excerpt(name, 80);
        unknown.push(UnknownField {
            line: *line,
            path: if path.is_empty() {
                shown
            } else {
                format!("{path}.{shown}")
            },
            name: name.clone(),
            siblings,
        });
    }
}

/// The phases of `deploy`, which a module needs.
fn deploy_phases(root: &Node, problems: &mut Vec<Problem>) -> Phases {
    let Some(deploy) = root.get("deploy") else {
        problems.push(Problem::new(
            None,
            "deploy is missing; a module needs deploy.phases with its commands",
        ));
        return Phases::default();
    };
    let Some(phases) = deploy.get("phases") else {
        problems.push(found(deploy, "deploy", "a mapping with the key phases"));
        return Phases::default();
    };
    Phases::read(phases, "deploy.phases", problems)
}

/// The phases of a section that a module need not have; `None` if there are none.
fn optional_phases(root: &Node, section: &str, problems: &mut Vec<Problem>) -> Option<Phases> {
    let is_said = |node: &&Node| !matches!(node.kind, Kind::Scalar(Value::Null));
    let node = root.get(section).filter(is_said)?;
    if !matches!(node.kind, Kind::Mapping(_)) {
        problems.push(found(node, section, "a mapping with the key phases"));
        return None;
    }
    let phases = node.get("phases").filter(is_said)?;
    Some(Phases::read(phases, &format!("{section}.phases"), problems))
}

/// The phases of a build.
const PHASES: [&str; 4] = ["install", "pre_build", "build", "post_build"];

impl Phases {
    /// Whether no phase has a command.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.install, &self.pre_build, &self.build, &self.post_build]
            .iter()
            .all(|commands| commands.is_empty())
    }

    fn read(node: &Node, path: &str, problems: &mut Vec<Problem>) -> Self {
        let Kind::Mapping(entries) = &node.kind else {
            problems.push(found(
                node,
                path,
                "a mapping of install, pre_build, build and post_build",
            ));
            return Self::default();
        };
        let is_known = |name: &str| PHASES.contains(&name) || ["preBuild", "postBuild"].contains(&name);
        let unknown = entries.iter().filter(|(name, ..)| !is_known(name));
        problems.extend(unknown.map(|(name, line, _)| unknown_phase(name, *line, path)));
        let mut phase = |snake: &str, camel: &str| {
            // If both spellings exist, seed-farmer uses the camelCase one.
            node.get(camel)
                .or_else(|| node.get(snake))
                .map_or_else(Vec::new, |phase| {
                    commands(phase, &format!("{path}.{snake}"), problems)
                })
        };
        Self {
            install: phase("install", "install"),
            pre_build: phase("pre_build", "preBuild"),
            build: phase("build", "build"),
            post_build: phase("post_build", "postBuild"),
        }
    }
}

fn unknown_phase(name: &str, line: usize, path: &str) -> Problem {
    Problem::new(
        Some(line),
        format!(
            "{path}: expected one of {}, found the phase \"{}\", whose commands would never run{}",
            PHASES.join(", "),
            excerpt(name, 80),
            did_you_mean(name, &PHASES)
        ),
    )
}

fn commands(phase: &Node, path: &str, problems: &mut Vec<Problem>) -> Vec<String> {
    let Some(list) = phase.get("commands") else {
        problems.push(found(phase, path, "a mapping with the key commands"));
        return Vec::new();
    };
    let Kind::List(items) = &list.kind else {
        problems.push(found(list, &format!("{path}.commands"), "a list of commands"));
        return Vec::new();
    };
    let mut read = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let allowed = match &item.kind {
            Kind::Scalar(Value::String(command)) => {
                read.push(command.clone());
                continue;
            }
            Kind::Mapping(_) => "a text; put a command with \": \" in it into quotes",
            _ => "a text",
        };
        problems.push(found(item, &format!("{path}.commands[{i}]"), allowed));
    }
    read
}

fn build_type(root: &Node, maxima: &Maxima) -> Result<Option<ComputeType>, Problem> {
    let is_said = |node: &&Node| !matches!(node.kind, Kind::Scalar(Value::Null));
    let Some(node) = root.get("build_type").filter(is_said) else {
        return Ok(None);
    };
    let asked = match &node.kind {
        Kind::Scalar(Value::String(text)) => ComputeType::parse(&text.to_uppercase()),
        _ => None,
    };
    let Some(asked) = asked else {
        let names = ComputeType::ALL.map(ComputeType::as_str);
        return Err(found(node, "build_type", &names.join(", ")));
    };
    let checked = maxima.compute_type(asked);
    checked
        .map(Some)
        .map_err(|above| Problem::new(Some(node.line), format!("build_type: {above}")))
}

/// True by default; an empty value is false, as in seed-farmer.
fn generic_variables(root: &Node) -> Result<bool, Problem> {
    let Some(node) = root
        .get("publishGenericEnvVariables")
        .or_else(|| root.get("publish_generic_env_variables"))
    else {
        return Ok(true);
    };
    match &node.kind {
        Kind::Scalar(Value::Null) => Ok(false),
        Kind::Scalar(Value::Bool(flag)) => Ok(*flag),
        Kind::Scalar(Value::String(text))
            if matches!(
                text.to_lowercase().as_str(),
                "true" | "yes" | "on" | "y" | "t" | "1"
            ) =>
        {
            Ok(true)
        }
        Kind::Scalar(Value::String(text))
            if matches!(
                text.to_lowercase().as_str(),
                "false" | "no" | "off" | "n" | "f" | "0"
            ) =>
        {
            Ok(false)
        }
        Kind::Scalar(Value::Number(n)) if n.as_i64() == Some(1) => Ok(true),
        Kind::Scalar(Value::Number(n)) if n.as_i64() == Some(0) => Ok(false),
        _ => Err(found(node, "publishGenericEnvVariables", "true or false")),
    }
}

fn found(node: &Node, path: &str, allowed: &str) -> Problem {
    Problem::new(
        Some(node.line),
        format!("{path}: {}", expected(node.describe(), allowed)),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::says;

    #[test]
    fn a_module_as_public_ones_are() {
        let text = "publishGenericEnvVariables: true\ndeploy:\n  phases:\n    install:\n      commands:\n      - npm install -g aws-cdk@2.20.0\n    build:\n      commands:\n      - >\n        if [[ 1 ]]; then\n        echo a; fi\n      - seedfarmer metadata convert -f cdk-exports.json || true\ndestroy:\n  phases:\n    build:\n      commands: []\nbuild_type: build_general1_large\nunknown: 1\n";
        let spec = Deployspec::parse(text.as_bytes(), &Maxima::OF_AWS).unwrap();
        assert_eq!(spec.deploy.install, ["npm install -g aws-cdk@2.20.0"]);
        assert_eq!(
            spec.deploy.build,
            [
                "if [[ 1 ]]; then echo a; fi\n",
                "seedfarmer metadata convert -f cdk-exports.json || true"
            ]
        );
        assert_eq!(
            (spec.build_type, spec.generic_variables),
            (Some(ComputeType::Large), true)
        );
        assert_eq!(spec.destroy, Some(Phases::default()));
    }

    #[test]
    fn a_module_without_commands_to_destroy_it_can_be_deployed() {
        for destroy in ["", "destroy:\n", "destroy: {}\n", "destroy: {phases: }\n"] {
            let text = format!("deploy: {{phases: {{}}}}\n{destroy}");
            assert_eq!(
                Deployspec::parse(text.as_bytes(), &Maxima::OF_AWS)
                    .unwrap()
                    .destroy,
                None,
                "{destroy}"
            );
        }
        let text = "deploy: {phases: {}}\ndestroy: {phases: {build: {commands: make}}}\n";
        let error = Deployspec::parse(text.as_bytes(), &Maxima::OF_AWS).unwrap_err();
        let part = "line 2: destroy.phases.build.commands: expected …found \"make\"";
        assert!(says(&error.message, part), "{error}");
    }

    #[test]
    fn sections_for_read_only_builds_are_read_as_destroy_is() {
        let of = |text: &str| {
            Deployspec::parse(
                format!("deploy: {{phases: {{}}}}\n{text}").as_bytes(),
                &Maxima::OF_AWS,
            )
        };
        let spec = of(
            "drift: {phases: {build: {commands: [make drift]}}}\npreview: {phases: {preBuild: {commands: [a]}}}\n",
        );
        let spec = spec.unwrap();
        assert_eq!(spec.drift.unwrap().build, ["make drift"]);
        assert_eq!(spec.preview.unwrap().pre_build, ["a"]);
        assert_eq!(of("drift:\npreview: {}\n").unwrap().drift, None);
        for section in ["drift", "preview"] {
            let error = of(&format!("{section}: {{phases: {{biuld: {{commands: [b]}}}}}}\n")).unwrap_err();
            let part = format!("line 2: {section}.phases: expected …found the phase \"biuld\"");
            assert!(says(&error.message, &part), "{error}");
            assert!(unknown_fields(&format!("{section}: {{phases: {{}}}}\n")).is_empty());
            let unknown = unknown_fields(&format!("{section}: {{phase: {{}}}}\n"));
            assert_eq!(unknown[0].path, format!("{section}.phase"));
        }
    }

    #[test]
    fn the_camel_case_spelling_wins_and_empty_is_false() {
        let text = "publishGenericEnvVariables:\ndeploy:\n  phases:\n    pre_build: {commands: [a]}\n    preBuild: {commands: [b]}\n";
        let spec = Deployspec::parse(text.as_bytes(), &Maxima::OF_AWS).unwrap();
        assert_eq!(
            (spec.deploy.pre_build, spec.generic_variables),
            (vec!["b".to_owned()], false)
        );
    }

    #[test]
    fn every_complaint_names_line_field_and_what_is_allowed() {
        for (text, part) in [
            ("", "deployspec.yaml line 1: the file: expected …found nothing"),
            ("destroy: {}", "deploy is missing"),
            (
                "deploy:\n",
                "line 1: deploy: expected a mapping with the key phases, found nothing",
            ),
            (
                "deploy:\n  phases:\n    install:\n",
                "line 3: deploy.phases.install: expected …found nothing",
            ),
            (
                "deploy:\n  phases:\n    install:\n      commands:\n",
                "deploy.phases.install.commands: expected a list…found nothing",
            ),
            (
                "deploy:\n  phases:\n    build:\n      commands:\n      - echo foo: bar\n",
                "line 5: deploy.phases.build.commands[0]: expected …found a mapping",
            ),
            (
                "deploy:\n  phases:\n    build:\n      commands:\n      - a\n      - 12\n",
                "line 6: deploy.phases.build.commands[1]: expected …found 12",
            ),
            (
                "deploy:\n  phases:\n    install: {commands: [a]}\n    biuld: {commands: [b]}\n",
                "line 4: deploy.phases: expected one of install, pre_build, build, post_build, found the phase \"biuld\", whose commands would never run; did you mean build?",
            ),
            (
                "deploy: {phases: {}}\ndestroy: {phases: {test: {commands: [b]}}}\n",
                "line 2: destroy.phases: expected …found the phase \"test\", whose commands would never run",
            ),
            (
                "deploy: {phases: {}}\nbuild_type: HUGE\n",
                "line 2: build_type: expected BUILD_GENERAL1_SMALL…found \"HUGE\"",
            ),
            ("deploy:\n  phases: [\n", "deployspec.yaml line"),
            ("a: b: c\n", "deployspec.yaml line 1:"),
        ] {
            let error = Deployspec::parse(text.as_bytes(), &Maxima::OF_AWS).unwrap_err();
            assert_eq!(error.name, ErrorName::InvalidDeployspec);
            assert!(says(&error.message, part), "{} / {part}", error.message);
        }
        assert!(Deployspec::parse(b"\xff\xfe", &Maxima::OF_AWS).is_err());
    }

    #[test]
    fn all_errors_are_reported_at_once_sorted_by_line() {
        let text = "publishGenericEnvVariables: maybe\nbuild_type: HUGE\ndestroy:\n  phases:\n    biuld: {commands: [a]}\ndeploy:\n  phases:\n    install:\n      commands: [1, a, b: c]\n    build: {}\n";
        let problems = Deployspec::check(text.as_bytes(), &Maxima::OF_AWS).unwrap_err();
        let found: Vec<String> = problems
            .iter()
            .map(|problem| {
                let (field, _) = problem.message.split_once(": ").unwrap();
                format!("{} {field}", problem.line.unwrap())
            })
            .collect();
        assert_eq!(
            found,
            [
                "1 publishGenericEnvVariables",
                "2 build_type",
                "5 destroy.phases",
                "9 deploy.phases.install.commands[0]",
                "9 deploy.phases.install.commands[2]",
                "10 deploy.phases.build",
            ]
        );
        let error = Deployspec::parse(text.as_bytes(), &Maxima::OF_AWS).unwrap_err();
        assert!(
            says(
                &error.message,
                "deployspec.yaml line 1: publish…; deployspec.yaml line 10: deploy.phases.build"
            ),
            "{error}"
        );
        let many = format!(
            "deploy: {{phases: {{build: {{commands: [{}]}}}}}}",
            "1,".repeat(30)
        );
        let error = Deployspec::parse(many.as_bytes(), &Maxima::OF_AWS).unwrap_err();
        assert!(error.message.ends_with("; and 10 more problems"), "{error}");
    }

    #[test]
    fn fields_without_effect_are_named_with_what_may_be_meant() {
        let text = "deploy:\n  phase: {}\n  phases:\n    build:\n      command: [a]\n      commands: [b]\n      finally: [c]\nbuildType: BUILD_GENERAL1_LARGE\npublish_generic_env_variables: true\n";
        let unknown = |text: &str| -> Vec<String> {
            let unknown = unknown_fields(text).into_iter();
            unknown
                .map(|field| {
                    format!(
                        "{} {}: {}",
                        field.line,
                        field.path,
                        did_you_mean(&field.name, field.siblings)
                    )
                })
                .collect()
        };
        assert!(Deployspec::parse(text.as_bytes(), &Maxima::OF_AWS).is_ok());
        assert_eq!(
            unknown(text),
            [
                "2 deploy.phase: ; did you mean phases?",
                "5 deploy.phases.build.command: ; did you mean commands?",
                "7 deploy.phases.build.finally: ",
                "8 buildType: ; did you mean build_type?",
            ]
        );
        assert!(unknown("a: [").is_empty() && unknown("x").is_empty());
    }

    #[test]
    fn a_larger_machine_than_the_maximum_is_refused_with_its_line() {
        let maxima = Maxima {
            compute_type: ComputeType::Large,
            ..Maxima::OF_AWS
        };
        let text = "deploy: {phases: {}}\nbuild_type: BUILD_GENERAL1_2XLARGE\n";
        let error = Deployspec::parse(text.as_bytes(), &maxima).unwrap_err();
        assert_eq!(error.name, ErrorName::InvalidDeployspec);
        assert_eq!(
            error.message,
            "deployspec.yaml line 2: build_type: expected at most BUILD_GENERAL1_LARGE (template parameter MaxBuildComputeType), found BUILD_GENERAL1_2XLARGE"
        );
        let text = "deploy: {phases: {}}\nbuild_type: BUILD_GENERAL1_LARGE\n";
        assert!(Deployspec::parse(text.as_bytes(), &maxima).is_ok());
    }
}
