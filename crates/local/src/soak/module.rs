//! The modules of a soak: each has a stack of its own, and builds that write their tag wherever a
//! deployment writes something.

use anyhow::Result;
use seedflow_core::ids::ModuleId;
use serde_json::{Value, json};

use super::plan::{Build, Content};
use crate::client::deployment;
use seedflow_cli::checkout::bundle;

/// What a build deploys its stack with.
const STACK: &str = include_str!("stack.py");

/// The name of a module. Every call about the module contains it, and no other call does.
#[must_use]
pub fn name(module: usize) -> String {
    format!("m{module:03}")
}

/// The module's id, whose last name is [`name`].
pub fn id(module: usize) -> Result<ModuleId> {
    Ok(ModuleId::parse("soak", "dev", "core", &name(module))?)
}

/// The CodeBuild project of a module: with one of its own, its builds are known by their ids.
#[must_use]
pub fn build_project(default: &str, module: usize) -> String {
    format!("{default}-{}", name(module))
}

/// The bundle of a content.
pub fn bundle(content: &Content) -> Result<Vec<u8>> {
    let deployspec = json!({"deploy": {"phases": {"build": {"commands": commands(content.build)}}}});
    // JSON is YAML, so nothing in a command needs care.
    let (deployspec, text) = (deployspec.to_string(), content.text.to_string());
    bundle::files([
        ("deployspec.yaml", deployspec.as_bytes()),
        ("stack.py", STACK.as_bytes()),
        ("text.txt", text.as_bytes()),
    ])
}

fn commands(build: Build) -> Vec<String> {
    let stack = "python3 stack.py \"soak-dev-$SEEDFARMER_MODULE_NAME\" \"$SEEDFARMER_PARAMETER_TAG\"";
    let mut commands = vec![
        stack.to_owned(),
        "seedfarmer metadata add -k Tag -v \"$SEEDFARMER_PARAMETER_TAG\"".to_owned(),
    ];
    match build {
        Build::Quick => {}
        Build::Slow(seconds) => commands.push(format!("sleep {seconds}")),
        Build::Failing => commands.push("echo 'failing, as configured'; exit 3".to_owned()),
    }
    commands
}

/// The input of an execution that deploys a content of a module.
pub fn input(module: usize, content: &Content, source: &Value, default_project: &str) -> Result<Value> {
    let parameters = [("tag".to_owned(), json!(content.tag))].into_iter().collect();
    let mut input = deployment::input(&id(module)?, source, &parameters, false);
    input["build"] = json!({"project_name": build_project(default_project, module)});
    Ok(input)
}
