//! The command that failed, and what it printed, from the log of a build.
//!
//! CodeBuild writes lines of its own among the output: `[Container] 2026/03/02 10:17:29.123456 Running command make`. A command
//! of several lines has several there. The line `Command did not exit successfully make exit status 2` repeats the command, and so
//! tells where its output begins.

use super::line::without_escapes;

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

const CONTAINER: &str = "[Container] ";
const RUNNING: &str = "Running command ";
const FAILED: &str = "Command did not exit successfully ";

/// The first command that failed, or the last one that ran if none is known to have failed. `log` has messages of the log in
/// their order; it may begin anywhere.
#[must_use]
pub fn failed_command<T: AsRef<str>>(log: &[T]) -> Option<FailedCommand> {
    let lines: Vec<String> = log
        .iter()
        .flat_map(|message| message.as_ref().lines())
        .map(clean)
        .collect();
    let failed = (0..lines.len()).find_map(|at| Some((at, own_word(&lines[at], FAILED)?)));
    match failed {
        Some((at, first)) => Some(ended(&lines, at, first)),
        None => running(&lines),
    }
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

/// What follows a word of CodeBuild in one of its own lines, which begin with a date and a time.
fn own_word<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let mut parts = line.strip_prefix(CONTAINER)?.splitn(3, ' ');
    let (_date, _time, said) = (parts.next()?, parts.next()?, parts.next()?);
    said.strip_prefix(word)
}

/// The number of lines from here that are not CodeBuild's.
fn not_own(lines: &[String]) -> usize {
    lines
        .iter()
        .take_while(|line| !line.starts_with(CONTAINER))
        .count()
}

/// The command that CodeBuild says has failed, in the line `at` and those that follow it.
fn ended(lines: &[String], at: usize, first: &str) -> FailedCommand {
    let more = &lines[at + 1..at + 1 + not_own(&lines[at + 1..])];
    let said = std::iter::once(first).chain(more.iter().map(String::as_str));
    let said: Vec<&str> = said.collect();
    let said = said.join("\n");
    let (command, exit) = match said.rsplit_once(" exit status ") {
        Some((command, status)) => (command.to_owned(), format!("exit status {}", status.trim())),
        None => (said, String::new()),
    };
    let began = (0..at)
        .rev()
        .find(|line| own_word(&lines[*line], RUNNING).is_some());
    // Without its beginning, the command's output is what there is before its end.
    let from = began.map_or_else(
        || at - not_own_before(&lines[..at]),
        |began| (began + command.split('\n').count()).min(at),
    );
    FailedCommand {
        command,
        exit,
        output: output(&lines[from..at]),
    }
}

fn not_own_before(lines: &[String]) -> usize {
    lines
        .iter()
        .rev()
        .take_while(|line| !line.starts_with(CONTAINER))
        .count()
}

/// The last command that began, for a build that ended while it ran.
fn running(lines: &[String]) -> Option<FailedCommand> {
    let began = |at: &usize| own_word(&lines[*at], RUNNING);
    let at = (0..lines.len()).rev().find(|at| began(at).is_some())?;
    let from = at + 1;
    Some(FailedCommand {
        command: began(&at)?.to_owned(),
        exit: String::new(),
        output: output(&lines[from..from + not_own(&lines[from..])]),
    })
}

fn output(lines: &[String]) -> Vec<String> {
    let lines: Vec<&String> = lines.iter().filter(|line| !line.starts_with(CONTAINER)).collect();
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
