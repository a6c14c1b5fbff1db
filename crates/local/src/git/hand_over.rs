//! The commands that hand a checkout over: those of `template-git.yaml`, which is their only source.

use anyhow::{Context, Result};
use seedflow_core::formats::yaml;
use serde_json::Value;

use crate::codebuild::entry;

/// The template, which the commands are taken from.
pub const TEMPLATE: &str = "template-git.yaml";

/// The mark of our hooks.
pub const MARK: &str = "# Made by `seedflow-local up --git`";

/// The commands of the template's build, in order.
pub fn commands(template: &str) -> Result<Vec<String>> {
    let template = parse(template)?;
    let buildspec = &template["Resources"]["HandOverProject"]["Properties"]["Source"]["BuildSpec"];
    let buildspec = parse(buildspec.as_str().context("HandOverProject has no BuildSpec")?)?;
    let commands = buildspec["phases"]["build"]["commands"].as_array();
    let text = |command: &Value| command.as_str().map(str::to_owned);
    commands
        .and_then(|commands| commands.iter().map(text).collect())
        .with_context(|| format!("the build of {TEMPLATE} has no list of commands"))
}

fn parse(text: &str) -> Result<Value> {
    Ok(yaml::parse_template(text)
        .with_context(|| format!("{TEMPLATE} can't be read"))?
        .to_json())
}

/// The commands as CodeBuild runs them (`codebuild::entry`): each in a bash of its own, up to the first that fails, where
/// `otherwise` is run. Their temporary files go with the script that runs this.
#[must_use]
pub fn in_order(commands: &[String], otherwise: &str) -> String {
    let variables = "\"$TMPDIR/variables\"";
    let directory = "\"$TMPDIR/directory\"";
    let begin = format!(
        "export TMPDIR=$(mktemp -d)\n\
         trap 'rm -rf \"$TMPDIR\"' EXIT\n\
         : >{variables} && pwd >{directory} || {otherwise}\n"
    );
    let step = |command: &String| {
        let script = entry::script(command, variables, directory);
        format!("bash -c {} </dev/null || {otherwise}\n", quote(&script))
    };
    std::iter::once(begin).chain(commands.iter().map(step)).collect()
}

/// A `post-receive` hook (githooks(5)): it runs the commands after a push to the branch. The environment is the whole one
/// that they get: git runs hooks in the pusher's environment, with profiles and endpoints of real accounts.
#[must_use]
pub fn hook(commands: &[String], branch: &str, environment: &[(String, String)]) -> String {
    let variables: Vec<String> = environment
        .iter()
        .map(|(name, value)| quote(&format!("{name}={value}")))
        .collect();
    let variables = variables.join(" ");
    let branch = quote(branch);
    let steps = in_order(commands, "refuse");
    format!(
        r#"#!/usr/bin/env bash
{MARK}, which makes it anew each time.
if [ "${{1:-}}" != clean ]; then
  exec env -i GIT_DIR="$PWD" {variables} bash "$0" clean
fi
pushed=
while read -r _ new ref; do
  if [ "$ref" = refs/heads/{branch} ]; then pushed=$new; fi
done
if [ -z "$pushed" ]; then
  echo "nothing handed over: that is for pushes to "{branch}
  exit 0
fi
refuse() {{
  echo "error: commit $pushed is in the repository, but it was NOT handed over (see above; does the stack still run?)"
  echo "to try again: git commit --allow-empty -m 'Try again' && git push"
  exit 1
}}
export CODEBUILD_START_TIME=$(date +%s000)
{steps}"#
    )
}

/// A text as one word of a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn commands_are_read_out_of_a_template_or_missed() {
        let template = |spec: &str| {
            format!(
                "Resources: {{HandOverProject: {{Properties: {{Source: {{BuildSpec: {}}}}}}}}}",
                Value::from(spec)
            )
        };
        let spec = "phases: {build: {commands: [one, two]}}";
        assert_eq!(commands(&template(spec)).unwrap(), ["one", "two"]);
        for broken in ["phases: {}", "phases: {build: {commands: [[]]}}"] {
            let error = commands(&template(broken)).unwrap_err();
            assert!(error.to_string().contains("no list of commands"), "{error}");
        }
        assert!(commands("Resources: {}").is_err());
    }

    #[test]
    fn a_word_of_a_shell_has_no_meaning_to_it() {
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
