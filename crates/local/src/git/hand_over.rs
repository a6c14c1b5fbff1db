//! The commands that hand a checkout over: those of `template-git.yaml`, which is their only source.

use anyhow::{Context, Result};
use seedflow_core::formats::yaml;
use serde_json::Value;

use crate::codebuild::entry;

/// The template, which the commands are taken from.
pub const TEMPLATE: &str = "template-git.yaml";

/// The mark of our hooks.
pub const MARK: &str = "# Made by `seedflow-local up --git`";

/// The phases of the template's build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Makes the zip and its metadata.
    Prepare,
    /// Has it planned, and fails if the plan is refused.
    Check,
    /// Hands it over.
    HandOver,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Prepare, Self::Check, Self::HandOver];

    const fn name(self) -> &'static str {
        match self {
            Self::Prepare => "install",
            Self::Check => "pre_build",
            Self::HandOver => "build",
        }
    }
}

/// The commands of phases of the build that hands over, in order.
pub fn commands(template: &str, phases: &[Phase]) -> Result<Vec<String>> {
    let names: Vec<&str> = phases.iter().map(|phase| phase.name()).collect();
    commands_of(template, "HandOverProject", &names)
}

/// The commands of the build that plans a pull request, in order. They run in a clone of the repository.
pub fn commands_of_pull_requests(template: &str) -> Result<Vec<String>> {
    commands_of(template, "PullRequestProject", &["install", "build"])
}

fn commands_of(template: &str, project: &str, phases: &[&str]) -> Result<Vec<String>> {
    let template = parse(template)?;
    let buildspec = &template["Resources"][project]["Properties"]["Source"]["BuildSpec"];
    let missing = || format!("{project} has no BuildSpec");
    let buildspec = parse(buildspec.as_str().with_context(missing)?)?;
    let mut all = Vec::new();
    for phase in phases {
        let commands: Option<Vec<String>> =
            buildspec["phases"][*phase]["commands"]
                .as_array()
                .and_then(|commands| {
                    let text = |command: &Value| command.as_str().map(str::to_owned);
                    commands.iter().map(text).collect()
                });
        let missing = || format!("the phase {phase} of {project} has no list of commands");
        all.extend(commands.with_context(missing)?);
    }
    Ok(all)
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

/// What a hook runs, for which branch, and in which environment.
///
/// The environment is the whole one that the commands get: git runs hooks in the pusher's environment, with profiles and
/// endpoints of real accounts. Only what leads to the objects of a push is kept, which git keeps apart until the push is
/// accepted (git-receive-pack(1), "QUARANTINE ENVIRONMENT").
#[derive(Debug, Clone, Copy)]
pub struct Hook<'a> {
    /// The commands of the template.
    pub commands: &'a [String],
    /// The branch whose pushes are handed over.
    pub branch: &'a str,
    /// The environment.
    pub environment: &'a [(String, String)],
}

impl Hook<'_> {
    /// A `pre-receive` hook (githooks(5)): it checks what is pushed, and rejects the push if the check fails.
    #[must_use]
    pub fn check(&self) -> String {
        let refuse = r#"  echo "error: the push is rejected, and $BRANCH stays as it was (see above)"
  exit 1"#;
        self.script("exit 0", refuse, "")
    }

    /// A `post-receive` hook: it hands over what was pushed. It can't reject the push any more. `afterwards` are commands of
    /// the shell that run then, with the execution's ARN in `$execution` (empty if there is none, or if it was not found):
    /// the place to follow it to its end.
    #[must_use]
    pub fn hand_over(&self, afterwards: &str) -> String {
        let refuse = r#"  echo "error: commit $pushed is in the repository, but it was NOT handed over (see above; does the stack still run?)"
  echo "to try again: git commit --allow-empty -m 'Try again' && git push"
  exit 1"#;
        self.script(
            r#"echo "nothing handed over: that is for pushes to $BRANCH"; exit 0"#,
            refuse,
            afterwards,
        )
    }

    fn script(&self, other_branch: &str, refuse: &str, afterwards: &str) -> String {
        let variables: Vec<String> = self
            .environment
            .iter()
            .map(|(name, value)| quote(&format!("{name}={value}")))
            .collect();
        let variables = variables.join(" ");
        let branch = quote(self.branch);
        let steps = in_order(self.commands, "refuse");
        format!(
            r#"#!/usr/bin/env bash
{MARK}, which makes it anew each time.
if [ "${{1:-}}" != clean ]; then
  kept=(GIT_DIR="$PWD")
  for name in GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_QUARANTINE_PATH; do
    if [ -n "${{!name:-}}" ]; then kept+=("$name=${{!name}}"); fi
  done
  for ((i = 0; i < ${{GIT_PUSH_OPTION_COUNT:-0}}; i++)); do
    name=GIT_PUSH_OPTION_$i
    if [ "${{!name}}" = no-follow ]; then kept+=(NO_FOLLOW=1); fi
  done
  exec env -i "${{kept[@]}}" {variables} bash "$0" clean
fi
BRANCH={branch}
pushed=
while read -r _ new ref; do
  if [ "$ref" = "refs/heads/$BRANCH" ] && [ -n "${{new//0/}}" ]; then pushed=$new; fi
done
if [ -z "$pushed" ]; then
  {other_branch}
fi
refuse() {{
{refuse}
}}
export PUSHED_COMMIT=$pushed
export CODEBUILD_START_TIME=$(date +%s000)
{steps}. "$TMPDIR/variables"
{afterwards}"#
        )
    }
}

/// What follows the execution that a push has started: a command that gets it as its last argument. Nothing for no command.
#[must_use]
pub fn follow(command: &[String]) -> String {
    if command.is_empty() {
        return String::new();
    }
    let words: Vec<String> = command.iter().map(|word| quote(word)).collect();
    // How the deployment ends doesn't change that the push has succeeded.
    format!(
        r#"if [ -n "${{execution:-}}" ] && [ -z "${{NO_FOLLOW:-}}" ]; then {} "$execution" || true; fi"#,
        words.join(" ")
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
        let found = commands(&template(spec), &[Phase::HandOver]).unwrap();
        assert_eq!(found, ["one", "two"]);
        assert!(commands(&template(spec), &Phase::ALL).is_err());
        for broken in ["phases: {}", "phases: {build: {commands: [[]]}}"] {
            let error = commands(&template(broken), &[Phase::HandOver]).unwrap_err();
            assert!(error.to_string().contains("no list of commands"), "{error}");
        }
        assert!(commands("Resources: {}", &[Phase::HandOver]).is_err());
    }

    #[test]
    fn a_push_is_followed_unless_it_says_no() {
        assert_eq!(follow(&[]), "");
        let run = |variables: &[(&str, &str)]| {
            let command = follow(&["echo".to_owned(), "follows it's".to_owned()]);
            let mut bash = std::process::Command::new("bash");
            let output = bash
                .args(["-c", &command])
                .envs(variables.iter().copied())
                .output();
            String::from_utf8(output.unwrap().stdout).unwrap()
        };
        assert_eq!(run(&[("execution", "arn:1")]), "follows it's arn:1\n");
        assert_eq!(run(&[("execution", "arn:1"), ("NO_FOLLOW", "1")]), "");
        assert_eq!(run(&[("execution", "")]), "");
    }

    #[test]
    fn a_word_of_a_shell_has_no_meaning_to_it() {
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
