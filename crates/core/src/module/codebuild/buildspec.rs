//! The buildspec that CodeBuild runs: the module's commands with Seedflow's around them.
//!
//! It is written as JSON, which every YAML parser reads (decision 16; the AWS CDK does the same). CodeBuild runs each
//! command as a separate script. Variables and the working directory carry over to the next command; functions and
//! shell options do not. A phase that fails ends the build (`on-failure: ABORT`). With an image that is not CodeBuild's
//! own, post_build begins with a check of the build's state instead. So nothing after a failure can look like a
//! success. Before the module's commands, the install phase writes the `seedfarmer` command to the PATH (a script of a
//! few KB; seed-farmer itself installs 66 MB) and creates the virtual environment that modules expect in `~/.venv`.
//! All of this is in a variable that one short command evaluates, because CodeBuild prints every command to the log.
//! Each phase then starts in the module's folder. The last command returns the module's metadata as the build's
//! artifact (decision 18).
//!
//! Seedflow's files are in a folder outside of the source (decision 12), so a module may publish, clean or remove its
//! whole folder. The last command is called by absolute paths, because a module may set a new PATH.
//!
//! CodeBuild prints no variables to the build's log. So the values of long variables are in
//! `env/variables` and not in commands (decision 34).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::environment::Variable;
use crate::ids::BuildFolder;
use crate::module::build_settings::BuildSettings;
use crate::module::deployspec::Phases;
use crate::module::own_commands;
use crate::module::registries::Registries;

/// The build's commands `seedfarmer` and `seedflow-collect`.
pub const SEEDFARMER: &str = include_str!("seedfarmer.py");

/// Lets the build's tools into registries.
const REGISTRIES: &str = include_str!("registries.py");

/// The variable that [`own_commands::SET_UP`] evaluates.
pub const SET_UP_VARIABLE: &str = "SEEDFLOW_SETUP";

/// Ends a heredoc; the scripts do not contain it (tested).
const END_OF_SCRIPT: &str = "SEEDFLOW_END_OF_SCRIPT";

/// The folder of Seedflow's own files in a build. Builds of the local stack share a machine, so each has its own. The
/// name appears in the log, so it does not reveal that of the build's folder in the bucket.
#[must_use]
pub fn own_folder(run: &BuildFolder) -> String {
    let hash = hex::encode(Sha256::digest(run.as_str()));
    format!("/tmp/.seedflow-{}", &hash[..12])
}

/// What a buildspec is composed from.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The module's own commands.
    pub phases: &'a Phases,
    /// The module's folder in its source.
    pub root: &'a str,
    /// The folder of Seedflow's own files.
    pub own: &'a str,
    /// The variables of the build.
    pub variables: &'a [Variable],
    /// The container's image.
    pub image: &'a str,
    /// What the module asks of its build.
    pub settings: &'a BuildSettings,
}

/// Composes the buildspec of a build that hands back the module's metadata.
#[must_use]
pub fn compose(content: &Content<'_>) -> String {
    let own = content.own;
    let mut spec = without_result(content);
    let collect = format!("{own}/python {own}{}", own_commands::COLLECT);
    if let Some(commands) = spec["phases"]["post_build"]["commands"].as_array_mut() {
        commands.push(Value::String(collect));
    }
    spec["artifacts"] = json!({"base-directory": format!("{own}/out"), "files": ["metadata.json"]});
    yaml_of(&spec.to_string())
}

/// The same for a build that hands nothing back.
#[must_use]
pub fn compose_without_result(content: &Content<'_>) -> String {
    yaml_of(&without_result(content).to_string())
}

fn without_result(content: &Content<'_>) -> Value {
    let Content {
        phases,
        root,
        own,
        variables,
        image,
        settings,
    } = *content;
    let mut install = vec![own_commands::SET_UP.to_owned()];
    install.extend(phases.install.iter().cloned());
    // CodeBuild runs post_build after a failed build, and supports `on-failure` only with its own images (user guide,
    // "Buildspec syntax", `on-failure`). The phase ends with its first failing command.
    let mut post_build = vec![own_commands::UNLESS_FAILED.to_owned()];
    post_build.extend(in_module(&phases.post_build));
    let phase = |commands: Vec<String>| json!({"on-failure": "ABORT", "commands": commands});
    let mut install = phase(install);
    let versions = runtime_versions(image, &settings.runtimes);
    if !versions.is_empty() {
        install["runtime-versions"] = Value::Object(versions);
    }
    json!({
        "version": 0.2,
        "env": env(variables, set_up(root, own, &settings.registries)),
        "phases": {
            "install": install,
            "pre_build": phase(in_module(&phases.pre_build)),
            "build": phase(in_module(&phases.build)),
            "post_build": phase(post_build),
        },
    })
}

/// Escapes JSON so that YAML 1.1 and 1.2 read it unchanged. Control characters, which YAML refuses, and characters that
/// only YAML 1.1 takes for the end of a line, become escapes that JSON and YAML share.
fn yaml_of(json: &str) -> String {
    json.chars()
        .fold(String::with_capacity(json.len()), |mut yaml, c| {
            if matches!(
                c,
                '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
            ) {
                yaml.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                yaml.push(c);
            }
            yaml
        })
}

fn in_module(commands: &[String]) -> Vec<String> {
    let enter = own_commands::ENTER.to_owned();
    std::iter::once(enter).chain(commands.iter().cloned()).collect()
}

/// The steps before the module's commands; the first one that fails is the last. The variable becomes empty, so that the
/// commands that follow don't have it in their environment.
fn set_up(root: &str, own: &str, registries: &Registries) -> String {
    let mut steps = vec![write_command(own), export(root, own), virtual_environment()];
    steps.extend(log_in(own, registries));
    steps.push(format!("export {SET_UP_VARIABLE}="));
    steps.push(own_commands::ENTER.to_owned());
    let steps: Vec<String> = steps.iter().map(|step| format!("{{\n{step}\n}}")).collect();
    steps.join(" && ")
}

/// Writes the script, a link to the image's Python, and an empty result. The heredoc is quoted, so the shell expands
/// nothing in it.
///
/// The result exists from the start, because CodeBuild also uploads artifacts after a failed BUILD or POST_BUILD, and
/// would report the missing file as a second error. An empty one isn't metadata, so nothing takes it for a result.
fn write_command(own: &str) -> String {
    format!(
        "rm -rf {own} && mkdir {own} {own}/bin {own}/out && : > {own}/out/metadata.json && \
         ln -s \"$(python3 -c 'import sys; print(sys.executable)')\" {own}/python && \
         cat > {own}/bin/seedfarmer <<'{END_OF_SCRIPT}' && chmod +x {own}/bin/seedfarmer && ln -s seedfarmer {own}/bin/seedflow-collect\n\
         {SEEDFARMER}{END_OF_SCRIPT}"
    )
}

/// Configures pip, uv, npm and docker for the registries. The script comes by its standard input, so it leaves no file.
fn log_in(own: &str, registries: &Registries) -> Option<String> {
    let argument = quoted(&json!(registries).to_string());
    (!registries.is_empty())
        .then(|| format!("{own}/python - {argument} <<'{END_OF_SCRIPT}'\n{REGISTRIES}{END_OF_SCRIPT}"))
}

/// A text as one word of a shell, which finds nothing special in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The shell, the steps before the module's commands, and the variables that are too long for StartBuild. Variables of StartBuild and of the project override
/// these if a name is the same (user guide, "Buildspec syntax", `env/variables`).
fn env(variables: &[Variable], set_up: String) -> Value {
    let long = variables.iter().filter(|variable| !variable.in_request());
    let mut long: Map<String, Value> = long.map(|v| (v.name.clone(), json!(v.value))).collect();
    long.insert(SET_UP_VARIABLE.to_owned(), Value::String(set_up));
    json!({"shell": "bash", "variables": long})
}

fn export(root: &str, own: &str) -> String {
    let folder = match root {
        "" => String::new(),
        root => format!("/{}", quoted(root)),
    };
    format!("export SEEDFLOW_MODULE_ROOT=\"$CODEBUILD_SRC_DIR\"{folder} PATH=\"{own}/bin:$PATH\"")
}

/// `python` and `pip` of modules are those of `~/.venv` (seedfarmer-compat.md 2.2). A virtual environment with its own
/// pip takes seconds in every build. So this one uses the image's pip, which installs into the virtual environment
/// (decision 13).
fn virtual_environment() -> String {
    "python3 -m venv --without-pip --system-site-packages ~/.venv && . ~/.venv/bin/activate && \
     printf '#!/bin/sh\\nexec \"%s/bin/python\" -m pip \"$@\"\\n' \"$VIRTUAL_ENV\" | tee ~/.venv/bin/pip > ~/.venv/bin/pip3 && \
     chmod +x ~/.venv/bin/pip ~/.venv/bin/pip3"
        .to_owned()
}

/// The runtimes that seed-farmer requests for an image (seedfarmer-compat.md 2.2), overridden by those that are set.
/// Other images get only the latter.
fn runtime_versions(image: &str, set: &BTreeMap<String, String>) -> Map<String, Value> {
    let versions: &[(&str, &str)] = match image {
        "aws/codebuild/standard:6.0" => &[("nodejs", "16"), ("python", "3.10"), ("java", "corretto17")],
        "aws/codebuild/standard:7.0" => &[("nodejs", "18"), ("python", "3.11"), ("java", "corretto21")],
        "aws/codebuild/amazonlinux2-x86_64-standard:5.0" | ARM_IMAGE => {
            &[("nodejs", "20"), ("python", "3.12"), ("java", "corretto21")]
        }
        _ => &[],
    };
    let of_image = versions
        .iter()
        .map(|(name, version)| ((*name).to_owned(), json!(version)));
    let set = set.iter().map(|(name, version)| (name.clone(), json!(version)));
    of_image.chain(set).collect()
}

/// The only image that seed-farmer runs on an ARM machine.
const ARM_IMAGE: &str = "aws/codebuild/amazonlinux2-aarch64-standard:3.0";

/// Whether builds with this image need an ARM machine.
#[must_use]
pub fn is_arm_image(image: &str) -> bool {
    image == ARM_IMAGE
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn spec(root: &str, variables: &[Variable]) -> Value {
        let phases = Phases {
            install: vec!["i".into()],
            pre_build: vec![],
            build: vec!["b1".into(), "b2\n".into()],
            post_build: vec!["p".into()],
        };
        serde_json::from_str(&compose(&Content {
            phases: &phases,
            root,
            own: "/tmp/own",
            variables,
            image: "aws/codebuild/standard:7.0",
            settings: &BuildSettings::default(),
        }))
        .unwrap()
    }

    #[test]
    fn every_phase_starts_in_the_module_and_aborts_on_failure() {
        let spec = spec("modules/vpc", &[]);
        for phase in ["pre_build", "build", "post_build"] {
            let commands = spec["phases"][phase]["commands"].as_array().unwrap();
            assert!(commands.contains(&json!(own_commands::ENTER)), "{phase}");
        }
        for phase in ["install", "pre_build", "build", "post_build"] {
            assert_eq!(spec["phases"][phase]["on-failure"], "ABORT");
        }
        assert_eq!(
            spec["phases"]["install"]["commands"],
            json!(["eval \"$SEEDFLOW_SETUP\"", "i"])
        );
        let set_up = spec["env"]["variables"][SET_UP_VARIABLE].as_str().unwrap();
        assert!(set_up.ends_with("{\nexport SEEDFLOW_SETUP=\n} && {\ncd \"$SEEDFLOW_MODULE_ROOT\"\n}"));
        assert_eq!(
            spec["phases"]["build"]["commands"],
            json!(["cd \"$SEEDFLOW_MODULE_ROOT\"", "b1", "b2\n"])
        );
        let post_build = &spec["phases"]["post_build"]["commands"];
        assert_eq!(post_build[0], "test \"$CODEBUILD_BUILD_SUCCEEDING\" != 0");
        assert_eq!(post_build[3], "/tmp/own/python /tmp/own/bin/seedflow-collect");
        assert_eq!(
            spec["artifacts"],
            json!({"base-directory": "/tmp/own/out", "files": ["metadata.json"]})
        );
        assert_eq!(spec["env"]["shell"], "bash");
        assert_eq!(spec["phases"]["install"]["runtime-versions"]["python"], "3.11");
    }

    #[test]
    fn the_own_folder_is_of_one_build_and_does_not_tell_its_folder_in_the_bucket() {
        let folder = |byte: u8| own_folder(&BuildFolder::from_random([byte; 16]));
        assert_eq!(folder(1), folder(1));
        assert_ne!(folder(1), folder(2));
        assert!(!folder(1).contains("0101") && folder(1).len() == "/tmp/.seedflow-".len() + 12);
    }

    #[test]
    fn the_folder_of_a_zip_is_no_shell() {
        assert_eq!(
            export("it's $(id)", "/tmp/own"),
            "export SEEDFLOW_MODULE_ROOT=\"$CODEBUILD_SRC_DIR\"/'it'\\''s $(id)' PATH=\"/tmp/own/bin:$PATH\""
        );
    }

    #[test]
    fn runtimes_that_are_set_come_over_those_of_the_image() {
        let of = |image: &str, set: &[(&str, &str)]| {
            let set = set
                .iter()
                .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()));
            let settings = BuildSettings {
                runtimes: set.collect(),
                ..BuildSettings::default()
            };
            let spec = compose(&Content {
                phases: &Phases::default(),
                root: "",
                own: "/tmp/own",
                variables: &[],
                image,
                settings: &settings,
            });
            let spec: Value = serde_json::from_str(&spec).unwrap();
            spec["phases"]["install"]["runtime-versions"].clone()
        };
        assert_eq!(
            of(
                "aws/codebuild/standard:7.0",
                &[("python", "3.12"), ("golang", "1.22")]
            ),
            json!({"nodejs": "18", "python": "3.12", "java": "corretto21", "golang": "1.22"})
        );
        assert_eq!(of("my/image", &[("python", "3.12")]), json!({"python": "3.12"}));
        assert_eq!(of("my/image", &[]), Value::Null);
    }

    #[test]
    fn long_values_are_variables_of_the_buildspec_and_in_no_command() {
        let value = format!("it's $HOME `id` \"x\"\n{} ", "y".repeat(2000));
        let variables = [
            Variable::plain("LONG", value.clone()),
            Variable::plain("SHORT", "s"),
        ];
        let spec = spec("", &variables);
        let found = spec["env"]["variables"].as_object().unwrap();
        let names: Vec<&String> = found.keys().collect();
        assert_eq!(names, ["LONG", SET_UP_VARIABLE]);
        assert_eq!(found["LONG"], value.as_str());
        assert!(!spec["phases"].to_string().contains("yyy"));
    }

    #[test]
    fn what_yaml_would_refuse_or_fold_is_escaped() {
        let json = json!("a\u{7f}\u{85}\u{2028}\u{feff}é😀").to_string();
        assert_eq!(yaml_of(&json), "\"a\\u007f\\u0085\\u2028\\ufeffé😀\"");
    }

    #[test]
    fn the_scripts_do_not_end_their_own_heredocs() {
        for script in [SEEDFARMER, REGISTRIES] {
            assert!(!script.contains(END_OF_SCRIPT));
            assert!(script.ends_with('\n'));
        }
    }

    #[test]
    fn registries_come_before_the_modules_commands_and_only_where_there_are_some() {
        let steps = |registries: Registries| -> Vec<String> {
            let set_up = set_up("", "/tmp/own", &registries);
            set_up.split("\n} && {\n").map(str::to_owned).collect()
        };
        let without = steps(Registries::default());
        let with = steps(Registries {
            npm_mirror: Some("https://it's.example".into()),
            ..Registries::default()
        });
        assert_eq!(with.len(), without.len() + 1);
        let place = with
            .iter()
            .position(|step| step.contains("npm_mirror\""))
            .unwrap();
        assert!(
            with[place].starts_with("/tmp/own/python - '{\"npm_mirror\":\"https://it'\\''s.example\"}' <<'"),
            "{}",
            with[place]
        );
        assert_eq!(with[place + 1..], without[place..]);
    }

    #[test]
    fn no_command_of_ours_is_long_and_each_is_known_as_ours() {
        let spec = compose(&Content {
            phases: &Phases::default(),
            root: "",
            own: &own_folder(&BuildFolder::from_random([1; 16])),
            variables: &[],
            image: "i",
            settings: &BuildSettings::default(),
        });
        let spec: Value = serde_json::from_str(&spec).unwrap();
        for phase in ["install", "pre_build", "build", "post_build"] {
            for command in spec["phases"][phase]["commands"].as_array().unwrap() {
                let command = command.as_str().unwrap();
                assert!(own_commands::is_own(command), "{command}");
                assert!(command.len() < 100 && !command.contains('\n'), "{command}");
            }
        }
    }
}
