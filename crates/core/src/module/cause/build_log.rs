//! The command that failed, and what it printed, from the log of a build.
//!
//! CodeBuild writes lines of its own among the output: `[Container] 2026/03/02 10:17:29.123456 Running command make`. A
//! command of several lines has as many lines there. The line `Command did not exit successfully make exit status 2`
//! repeats the command, which shows where its output begins.

use super::container_line::{ContainerLine, exit_in};
use super::line::without_escapes;
use crate::module::own_commands::is_own;

/// The command of a build that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCommand {
    /// The command, as the log has it.
    pub command: String,
    /// How it ended, such as `exit status 1`; empty if it did not end by itself.
    pub exit: String,
    /// What it printed, without colours, without lines of CodeBuild, and without blank lines at its beginning and end.
    pub output: Vec<String>,
}

impl FailedCommand {
    /// Whether it is one of Seedflow's own commands, which nobody has to know.
    #[must_use]
    pub fn is_own(&self) -> bool {
        is_own(&self.command)
    }
}

/// The first command that failed, or the last one that ran if none is known to have failed. `log` has messages of the log in
/// their order; it may begin anywhere.
#[must_use]
pub fn failed_command<T: AsRef<str>>(log: &[T]) -> Option<FailedCommand> {
    let lines: Vec<String> = log
        .iter()
        .flat_map(|message| message.as_ref().lines())
        .map(clean)
        .collect();
    let failed = (0..lines.len()).find_map(|at| match ContainerLine::read(&lines[at]) {
        Some(ContainerLine::Failed(said)) => Some((at, said)),
        _ => None,
    });
    match failed {
        Some((at, first)) => Some(ended(&lines, at, first)),
        None => running(&lines),
    }
}

/// What all commands printed, in the messages of a log: everything but the lines of CodeBuild.
#[must_use]
pub fn printed<T: AsRef<str>>(log: &[T]) -> Vec<String> {
    let lines = log.iter().flat_map(|message| message.as_ref().lines());
    output(&lines.map(clean).collect::<Vec<_>>())
}

/// A line without colours; of one that overwrites itself, such as a progress bar, the last text.
fn clean(line: &str) -> String {
    let line = line
        .trim_end_matches('\r')
        .rsplit('\r')
        .next()
        .unwrap_or_default();
    let plain: String = without_escapes(line)
        .chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect();
    plain.trim_end().to_owned()
}

fn is_codebuilds(line: &str) -> bool {
    ContainerLine::read(line).is_some()
}

/// The text of the command that begins in a line.
fn begun(line: &str) -> Option<&str> {
    match ContainerLine::read(line) {
        Some(ContainerLine::Running(command)) => Some(command),
        _ => None,
    }
}

/// The number of lines from here that are not CodeBuild's.
fn not_own(lines: &[String]) -> usize {
    lines.iter().take_while(|line| !is_codebuilds(line)).count()
}

/// The command that CodeBuild says has failed, in the line `at` and those that follow it.
fn ended(lines: &[String], at: usize, first: &str) -> FailedCommand {
    let more = &lines[at + 1..at + 1 + not_own(&lines[at + 1..])];
    let mut said = vec![first];
    for line in more {
        if exit_in(said[said.len() - 1]).is_some() {
            break;
        }
        said.push(line);
    }
    let exit = exit_in(said[said.len() - 1]).unwrap_or_default();
    let said = said.join("\n");
    let command = said.strip_suffix(exit).unwrap_or(&said).trim_end();
    let began = (0..at).rev().find(|line| begun(&lines[*line]).is_some());
    // Without its beginning, the command's output is what there is before its end.
    let from = began.map_or_else(
        || at - not_own_before(&lines[..at]),
        |began| (began + command.split('\n').count()).min(at),
    );
    FailedCommand {
        command: command.to_owned(),
        exit: exit.to_owned(),
        output: output(&lines[from..at]),
    }
}

fn not_own_before(lines: &[String]) -> usize {
    lines.iter().rev().take_while(|line| !is_codebuilds(line)).count()
}

/// The last command that began, for a build that ended while it ran.
fn running(lines: &[String]) -> Option<FailedCommand> {
    let (at, command) = (0..lines.len())
        .rev()
        .find_map(|at| Some((at, begun(&lines[at])?)))?;
    let from = at + 1;
    Some(FailedCommand {
        command: command.to_owned(),
        exit: String::new(),
        output: output(&lines[from..from + not_own(&lines[from..])]),
    })
}

fn output(lines: &[String]) -> Vec<String> {
    let lines: Vec<&String> = lines.iter().filter(|line| !is_codebuilds(line)).collect();
    let is_blank = |line: &&&String| line.is_empty();
    let before = lines.iter().take_while(is_blank).count();
    let after = lines.iter().rev().take_while(is_blank).count();
    let to = lines.len().saturating_sub(after).max(before);
    lines[before..to].iter().map(|line| (*line).clone()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(log: &str) -> Option<(String, String, Vec<String>)> {
        let lines: Vec<&str> = log.lines().collect();
        let failed = failed_command(&lines)?;
        Some((failed.command, failed.exit, failed.output))
    }

    fn is(command: &str, exit: &str, output: &[&str]) -> Option<(String, String, Vec<String>)> {
        let output = output.iter().map(|line| (*line).to_owned()).collect();
        Some((command.to_owned(), exit.to_owned(), output))
    }

    #[test]
    fn the_first_command_that_failed_is_found_with_its_own_output() {
        let log = "\
[Container] 2026/03/02 10:17:20.000001 Entering phase BUILD
[Container] 2026/03/02 10:17:20.000002 Running command cd \"$SEEDFLOW_MODULE_ROOT\"
[Container] 2026/03/02 10:17:20.000003 Running command echo before
before
[Container] 2026/03/02 10:17:20.000004 Running command make all

\u{1b}[31mcc: no such file\u{1b}[0m
  10%\r 100%
make: *** [all] Error 1

[Container] 2026/03/02 10:17:29.000005 Command did not exit successfully make all exit status 2
[Container] 2026/03/02 10:17:29.000006 Phase complete: BUILD State: FAILED_WITH_ABORT
[Container] 2026/03/02 10:17:29.000007 Phase context status code: COMMAND_EXECUTION_ERROR Message: Error while executing command: make all. Reason: exit status 2
[Container] 2026/03/02 10:17:29.000008 Entering phase POST_BUILD
[Container] 2026/03/02 10:17:29.000009 Running command test \"$CODEBUILD_BUILD_SUCCEEDING\" != 0
[Container] 2026/03/02 10:17:29.000010 Command did not exit successfully test \"$CODEBUILD_BUILD_SUCCEEDING\" != 0 exit status 1
";
        let output = ["cc: no such file", " 100%", "make: *** [all] Error 1"];
        assert_eq!(found(log), is("make all", "exit status 2", &output));
    }

    #[test]
    fn a_command_of_several_lines_is_no_output() {
        let log = "\
[Container] 2026/03/02 10:17:20 Running command for i in 1 2; do
  echo $i
  false
done
1
2
[Container] 2026/03/02 10:17:29 Command did not exit successfully for i in 1 2; do
  echo $i
  false
done exit status 1
[Container] 2026/03/02 10:17:29 Phase complete: BUILD State: FAILED
";
        let command = "for i in 1 2; do\n  echo $i\n  false\ndone";
        assert_eq!(found(log), is(command, "exit status 1", &["1", "2"]));
    }

    #[test]
    fn a_command_that_ends_with_a_line_break_loses_no_line_of_its_output() {
        let log = "\
[Container] 2026/03/02 10:17:20 Running command aws cloudformation deploy
the first line
the last line
[Container] 2026/03/02 10:17:29 Command did not exit successfully aws cloudformation deploy
 exit status 255
said late
[Container] 2026/03/02 10:17:29 Phase complete: BUILD State: FAILED
[Container] 2026/03/02 10:17:29 Phase context status code: COMMAND_EXECUTION_ERROR Message: Error while executing command: aws cloudformation deploy
. Reason: exit status 255
";
        let output = ["the first line", "the last line"];
        assert_eq!(
            found(log),
            is("aws cloudformation deploy", "exit status 255", &output)
        );
    }

    #[test]
    fn a_log_that_is_cut_or_ends_early_is_read_as_far_as_it_goes() {
        let end = "last words\n[Container] 2026/03/02 10:17:29 Command did not exit successfully make exit status 1";
        assert_eq!(found(end), is("make", "exit status 1", &["last words"]));
        let hangs = "[Container] 2026/03/02 10:17:20 Running command sleep 9999\nwaiting";
        assert_eq!(found(hangs), is("sleep 9999", "", &["waiting"]));
        assert_eq!(
            found("[Container] 2026/03/02 10:17:20 Waiting for agent ping"),
            None
        );
        assert_eq!(found(""), None);
        assert_eq!(
            found("[Container]\n[Container] x\n[Container] a b Running command "),
            None
        );
    }
}
