//! The buildspec, version 0.2, as far as a local build needs it: `env`, the four phases, `artifacts`.
//!
//! What CodeBuild refuses is refused with its code `YAML_FILE_ERROR`; `cache`, `reports`, `proxy`,
//! `run-as` and `runtime-versions` are ignored, because a local build has nothing to do for them.

use serde_json::Value;

use super::model::{Failure, PhaseKind};
use super::plan::{Variable, VariableKind};

#[derive(Debug, Default)]
pub struct Buildspec {
    /// The variables of `env`, of all three types.
    pub variables: Vec<Variable>,
    /// The names under `exported-variables`.
    pub exported: Vec<String>,
    /// What runs the commands.
    pub shell: ShellKind,
    /// The phases that the buildspec has.
    pub phases: Vec<PhaseSpec>,
    /// What to upload.
    pub artifacts: Option<ArtifactSpec>,
}

/// The shells of Linux images that `env.shell` names (user guide, "Buildspec syntax", `env/shell`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ShellKind {
    /// `/bin/sh`, which is the default.
    #[default]
    Sh,
    Bash,
}

impl ShellKind {
    pub const fn program(self) -> &'static str {
        match self {
            Self::Sh => "/bin/sh",
            Self::Bash => "bash",
        }
    }
}

#[derive(Debug)]
pub struct PhaseSpec {
    pub kind: PhaseKind,
    /// Run in order until one fails.
    pub commands: Vec<String>,
    /// Run after them in any case.
    pub finally: Vec<String>,
    /// What a failure of this phase means for the next ones.
    pub on_failure: OnFailure,
}

/// What happens after a phase has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Not set: after BUILD follows POST_BUILD, the other phases end the build.
    Default,
    /// The build ends.
    Abort,
    /// The next phase runs.
    Continue,
}

/// The files to upload.
#[derive(Debug)]
pub struct ArtifactSpec {
    /// Names and globs.
    pub files: Vec<String>,
    /// Globs of files to leave out.
    pub exclude: Vec<String>,
    /// Where the files are, relative to the source.
    pub base_directory: Option<String>,
    /// Whether files are uploaded without their folders.
    pub discard_paths: bool,
}

impl Buildspec {
    /// The commands of a phase.
    pub fn phase(&self, kind: PhaseKind) -> Option<&PhaseSpec> {
        self.phases.iter().find(|phase| phase.kind == kind)
    }

    /// Reads a buildspec, which is YAML or JSON.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        // JSON is tried first: YAML parsers read most of it, but not its surrogate pairs.
        let json: Value = match serde_json::from_str(text) {
            Ok(json) => json,
            Err(_) => seedflow_core::formats::yaml::parse(text)
                .map_err(|e| error(format!("YAML: {e}")))?
                .to_json(),
        };
        if !json.is_object() {
            return Err(error("Expected a mapping at the top of the buildspec"));
        }
        let version = scalar(&json["version"]);
        if version.as_deref() != Some("0.2") {
            return Err(error(format!(
                "Unsupported buildspec version: {}",
                version.unwrap_or_default()
            )));
        }
        let spec = Self {
            variables: variables(&json["env"])?,
            exported: strings(&json["env"]["exported-variables"], "exported-variables")?,
            shell: shell(&json["env"]["shell"])?,
            phases: phases(&json["phases"])?,
            artifacts: artifacts(&json["artifacts"])?,
        };
        if spec.phases.is_empty() {
            return Err(error("At least one phase must be specified in the buildspec"));
        }
        Ok(spec)
    }
}

fn error(message: impl Into<String>) -> Failure {
    Failure::new("YAML_FILE_ERROR", message)
}

/// A scalar as text; a list, a mapping or nothing is none.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A list of scalars, a single one or nothing.
fn strings(value: &Value, field: &str) -> Result<Vec<String>, Failure> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    if let Some(single) = scalar(value) {
        return Ok(vec![single]);
    }
    let Some(list) = value.as_array() else {
        return Err(error(format!("Expected {field} to be a list")));
    };
    list.iter()
        .enumerate()
        .map(|(i, entry)| command(entry, field, i))
        .collect()
}

fn command(entry: &Value, field: &str, index: usize) -> Result<String, Failure> {
    scalar(entry).ok_or_else(|| {
        let found = if entry.is_null() { "nothing" } else { "subkeys" };
        error(format!(
            "Expected {field}[{index}] to be of string type: found {found} instead"
        ))
    })
}

fn shell(value: &Value) -> Result<ShellKind, Failure> {
    match value.as_str() {
        None => Ok(ShellKind::default()),
        Some("/bin/sh") => Ok(ShellKind::Sh),
        Some("bash") => Ok(ShellKind::Bash),
        Some(other) => Err(error(format!(
            "env/shell: found {other}, expected bash or /bin/sh, the shells of Linux images"
        ))),
    }
}

fn variables(env: &Value) -> Result<Vec<Variable>, Failure> {
    let tables = [
        ("variables", VariableKind::Plaintext),
        ("parameter-store", VariableKind::ParameterStore),
        ("secrets-manager", VariableKind::SecretsManager),
    ];
    let mut variables = Vec::new();
    for (table, kind) in tables {
        for (name, value) in env[table].as_object().into_iter().flatten() {
            let value = scalar(value)
                .ok_or_else(|| error(format!("Expected {name} under env/{table} to be of string type")))?;
            variables.push(Variable {
                name: name.clone(),
                value,
                kind,
            });
        }
    }
    Ok(variables)
}

fn phases(json: &Value) -> Result<Vec<PhaseSpec>, Failure> {
    let mut phases = Vec::new();
    for (name, phase) in json.as_object().into_iter().flatten() {
        let kind = match name.as_str() {
            "install" => PhaseKind::Install,
            "pre_build" => PhaseKind::PreBuild,
            "build" => PhaseKind::Build,
            "post_build" => PhaseKind::PostBuild,
            other => return Err(error(format!("Unknown phase: {other}"))),
        };
        phases.push(PhaseSpec {
            kind,
            commands: strings(&phase["commands"], "Commands")?,
            finally: strings(&phase["finally"], "Finally")?,
            on_failure: on_failure(&phase["on-failure"])?,
        });
    }
    Ok(phases)
}

fn on_failure(value: &Value) -> Result<OnFailure, Failure> {
    match value.as_str() {
        None => Ok(OnFailure::Default),
        Some("ABORT") => Ok(OnFailure::Abort),
        Some("CONTINUE") => Ok(OnFailure::Continue),
        Some(other) => Err(error(format!(
            "on-failure {other}: the local CodeBuild emulator supports ABORT and CONTINUE"
        ))),
    }
}

fn artifacts(json: &Value) -> Result<Option<ArtifactSpec>, Failure> {
    if json.is_null() {
        return Ok(None);
    }
    let discard = scalar(&json["discard-paths"]);
    Ok(Some(ArtifactSpec {
        files: strings(&json["files"], "files")?,
        exclude: strings(&json["exclude-paths"], "exclude-paths")?,
        base_directory: scalar(&json["base-directory"]),
        discard_paths: matches!(discard.as_deref(), Some("yes" | "true")),
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_are_read_alike() {
        let yaml = "version: 0.2\nenv:\n  variables: {A: 1}\n  secrets-manager: {S: 'id:key'}\nphases:\n  build:\n    on-failure: ABORT\n    commands:\n      - |\n        cat <<X\n        text\n        X\n      - echo two\n    finally: [echo end]\nartifacts:\n  files: '**/*'\n";
        let spec = Buildspec::parse(yaml).unwrap();
        let build = spec.phase(PhaseKind::Build).unwrap();
        assert_eq!(build.commands, ["cat <<X\ntext\nX\n", "echo two"]);
        assert_eq!((build.finally.len(), build.on_failure), (1, OnFailure::Abort));
        assert_eq!(spec.variables.len(), 2);
        assert_eq!(spec.artifacts.unwrap().files, ["**/*"]);
        let json = r#"{"version":0.2,"phases":{"build":{"commands":["echo \"\ud83d\ude00\""]}}}"#;
        assert_eq!(
            Buildspec::parse(json).unwrap().phases[0].commands,
            ["echo \"😀\""]
        );
    }

    #[test]
    fn what_codebuild_refuses_is_refused() {
        let message = |text: &str| Buildspec::parse(text).unwrap_err().to_string();
        assert!(message("version: 0.1\nphases: {}").contains("version: 0.1"));
        assert!(message("version: 0.2").contains("At least one phase"));
        assert!(message("version: 0.2\nphases:\n  bild: {}").contains("Unknown phase: bild"));
        let subkeys = message("version: 0.2\nphases:\n  build:\n    commands:\n      - echo a: b");
        assert_eq!(
            subkeys,
            "YAML_FILE_ERROR: Expected Commands[0] to be of string type: found subkeys instead"
        );
        assert!(message("a: [").contains("YAML"));
    }
}
