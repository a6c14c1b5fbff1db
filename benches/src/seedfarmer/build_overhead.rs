//! The overhead of each tool inside a build, in real builds: the CodeBuild emulator runs the buildspec of a deployment
//! once more, with every command, in a workspace where nothing is installed or cached.
//!
//! The first and the last command record time and sizes. The replacement for the Python of CodeBuild's image is made
//! before that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use seedflow_core::formats::yaml;
use seedflow_local::client::deployment;
use seedflow_local::process::python;
use seedflow_local::proxy::{Action, Caller, Rule, RuleId};
use seedflow_local::stack::Stack;
use serde_json::{Value, json};

use super::case::Tool;

/// The length of the log that a failed build shows.
const LAST_LINES: usize = 30;
const PATIENCE: Duration = Duration::from_secs(600);
/// CodeBuild's call to write a build's log; its number depends on the number of lines.
const LOG: [&str; 3] = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"];

/// The cost of a tool's commands in a build.
pub struct BuildOverhead {
    /// The time in each round.
    pub took: Vec<Duration>,
    /// The bytes that they wrote below the build's home and next to its source.
    pub bytes: u64,
    /// The Python packages that they installed.
    pub packages: u64,
    /// The AWS calls by their names.
    pub calls: BTreeMap<String, u64>,
}

/// Keeps the bundles that seed-farmer's client removes after a build, until the rule is removed.
pub fn keep_bundles(stack: &Stack) -> RuleId {
    let mut rule = Rule::new("s3", "DeleteObjects", Action::Discard);
    rule.caller = Some(Caller::Clients);
    stack.proxy().add_rule(rule)
}

/// Runs a build's buildspec again, in each round.
pub async fn measure(stack: &Stack, tool: Tool, build: &str, rounds: usize) -> Result<BuildOverhead> {
    let notes = stack
        .folder()
        .join(format!("build-overhead-{}.txt", build.replace(':', "-")));
    let found = stack.codebuild().build(build).context("a build is gone")?;
    let input = again(stack, tool, &found, &notes)?;
    let mut took = Vec::new();
    let mut last = None;
    for _ in 0..rounds {
        let _ = std::fs::remove_file(&notes);
        stack.proxy().reset_calls();
        run(stack, &input).await?;
        let counted = stack.proxy().calls();
        let notes = Notes::read(&notes)?;
        took.push(notes.took);
        last = Some((notes, counted));
    }
    let (notes, counted) = last.context("no round")?;
    let calls = counted.of(Caller::Builds).filter(|(name, _)| !LOG.contains(name));
    Ok(BuildOverhead {
        took,
        bytes: notes.bytes,
        packages: notes.packages,
        calls: calls.map(|(name, count)| (name.to_owned(), count)).collect(),
    })
}

/// The StartBuild that makes the same build once more, with the recording commands.
fn again(stack: &Stack, tool: Tool, build: &Value, notes: &Path) -> Result<Value> {
    let source = &build["source"];
    let spec = source["buildspec"].as_str().context("it has no buildspec")?;
    let spec = yaml::parse(spec)
        .map_err(|error| anyhow::anyhow!("a buildspec: {error}"))?
        .to_json();
    let spec = match tool {
        Tool::Seedflow => spec,
        Tool::SeedFarmer | Tool::SeedFarmerWithoutWait => on_this_machine(&spec)?,
    };
    let mut input = json!({
        "projectName": build["projectName"], "sourceTypeOverride": "S3", "sourceLocationOverride": source["location"],
        "buildspecOverride": noted(spec, notes).to_string(),
        "environmentVariablesOverride": build["environment"]["environmentVariables"],
        "serviceRoleOverride": build["serviceRole"],
    });
    if build["sourceVersion"].is_string() {
        input["sourceVersion"] = build["sourceVersion"].clone();
    }
    if tool == Tool::Seedflow {
        input["artifactsOverride"] = json!({
            "type": "S3", "location": stack.connection().work_bucket, "path": "builds/build-overhead", "name": "/",
            "namespaceType": "NONE", "packaging": "NONE",
        });
    }
    Ok(input)
}

/// seed-farmer's buildspec names paths of AWS's image that a machine doesn't have, or that a benchmark may not write
/// to.
fn on_this_machine(spec: &Value) -> Result<Value> {
    let python = python::python()?.to_string_lossy();
    let text = spec
        .to_string()
        .replace("/var/scripts", "$HOME/scripts")
        .replace("uv tool install ", "uv tool install --python this ");
    let text = with_python(&text, &python);
    serde_json::from_str(&text).context("seed-farmer's buildspec can't be changed")
}

/// A text in which every `--python` names the same interpreter.
fn with_python(text: &str, python: &str) -> String {
    const OPTION: &str = "--python ";
    let mut parts = text.split(OPTION);
    let mut changed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named = part.find([' ', '"']).unwrap_or(part.len());
        changed += &format!("{OPTION}{python}{}", &part[named..]);
    }
    changed
}

/// A buildspec whose first and last commands record time and sizes.
fn noted(mut spec: Value, notes: &Path) -> Value {
    let sizes = "$(du -sk \"$HOME\" \"$CODEBUILD_SRC_DIR\" | awk '{ all += $1 } END { print all }') \
                 $(find \"$HOME\" -path \"$HOME/.cache\" -prune -o -name '*.dist-info' -print | wc -l)";
    let notes = notes.display();
    let first = format!(
        "python3 -m pip --version && noted=\"{sizes}\" && echo \"$EPOCHREALTIME $noted\" >> '{notes}'"
    );
    let last = format!("noted=$EPOCHREALTIME && echo \"$noted {sizes}\" >> '{notes}'");
    if let Some(commands) = spec["phases"]["install"]["commands"].as_array_mut() {
        commands.insert(0, first.into());
    }
    if let Some(commands) = spec["phases"]["post_build"]["commands"].as_array_mut() {
        commands.push(last.into());
    }
    spec
}

async fn run(stack: &Stack, input: &Value) -> Result<()> {
    let target = "CodeBuild_20161006.StartBuild";
    let started = stack.api().json("codebuild", target, input).await;
    let started = started.context("cannot start a build again")?;
    let id = started["build"]["id"].as_str().context("a build has no id")?;
    let build = || stack.codebuild().build(id).unwrap_or_default();
    let mut changes = stack.codebuild().changes();
    let ended = changes.wait_for(|_| build()["buildComplete"] == true);
    if tokio::time::timeout(PATIENCE, ended).await.is_err() {
        bail!(
            "a build that was started again still runs after {} s",
            PATIENCE.as_secs()
        );
    }
    let build = build();
    if build["buildStatus"] != "SUCCEEDED" {
        let log = deployment::log_lines(&stack.api(), &build, LAST_LINES).await?;
        bail!(
            "a build that was started again ended as {}:\n{}",
            build["buildStatus"],
            log.join("\n")
        );
    }
    Ok(())
}

/// The record of a build: two lines of a time in seconds, kilobytes and packages.
#[derive(Debug, PartialEq)]
struct Notes {
    took: Duration,
    bytes: u64,
    packages: u64,
}

impl Notes {
    fn read(file: &PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(file).context("a build has noted nothing")?;
        Self::of(&text).with_context(|| format!("a build's notes can't be read: {text}"))
    }

    fn of(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(|line| line.split_whitespace());
        let (mut first, mut last) = (lines.next()?, lines.next()?);
        let time: (f64, f64) = (first.next()?.parse().ok()?, last.next()?.parse().ok()?);
        let mut more = || {
            let (before, after): (u64, u64) = (first.next()?.parse().ok()?, last.next()?.parse().ok()?);
            Some(after.saturating_sub(before))
        };
        Some(Self {
            took: Duration::try_from_secs_f64(time.1 - time.0).ok()?,
            bytes: more()? * 1024,
            packages: more()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn notes_are_differences() {
        let notes = Notes::of("10.25 100 2\n12.5 164 62\n").unwrap();
        assert_eq!(
            notes,
            Notes {
                took: Duration::from_millis(2250),
                bytes: 65_536,
                packages: 60
            }
        );
        assert_eq!(Notes::of("10.25 100 2\n"), None);
    }

    #[test]
    fn every_python_is_this_machine_s() {
        let text = r#"["uv venv --python 3.12 --seed","uv tool install --python this"]"#;
        assert_eq!(
            with_python(text, "/p"),
            r#"["uv venv --python /p --seed","uv tool install --python /p"]"#
        );
    }

    #[test]
    fn a_buildspec_is_noted_around_all_its_commands() {
        let commands = |commands: &[&str]| json!({"commands": commands});
        let spec = json!({"phases": {"install": commands(&["a"]), "build": commands(&["b"]), "post_build": commands(&["c"])}});
        let noted = noted(spec, Path::new("/notes"));
        let of = |phase: &str, at: usize| {
            noted["phases"][phase]["commands"][at]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert!(of("install", 0).ends_with(">> '/notes'"));
        assert_eq!(
            (of("install", 1), of("build", 0), of("post_build", 0)),
            ("a".into(), "b".into(), "c".into())
        );
        assert!(of("post_build", 1).ends_with(">> '/notes'"));
    }
}
