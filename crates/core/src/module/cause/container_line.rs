//! The lines that CodeBuild itself writes into a build's log, such as `[Container] 2026/03/02 10:17:29.123456 Running command
//! make`.
//!
//! Some of them quote a command. A command with several lines, or with a line break at its end, continues in the next
//! lines. These are neither CodeBuild's own lines nor output of the command, and end with `exit status N`.

use std::fmt;

/// What CodeBuild's own lines begin with.
const CONTAINER: &str = "[Container] ";
const RUNNING: &str = "Running command ";
const FAILED: &str = "Command did not exit successfully ";
const QUOTES: &str = "Error while executing command: ";
const STATUS: &str = "exit status ";

/// One of CodeBuild's own lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerLine<'a> {
    /// A command begins: the first line of its text.
    Running(&'a str),
    /// A command has failed: its text, and how it ended.
    Failed(&'a str),
    /// Anything else that CodeBuild says.
    Other(&'a str),
}

impl<'a> ContainerLine<'a> {
    /// Reads a line of a log; `None` if it isn't CodeBuild's own.
    #[must_use]
    pub fn read(line: &'a str) -> Option<Self> {
        let said = without_time(line.strip_prefix(CONTAINER)?);
        Some(match (said.strip_prefix(RUNNING), said.strip_prefix(FAILED)) {
            (Some(command), _) => Self::Running(command),
            (_, Some(command)) => Self::Failed(command),
            _ => Self::Other(said),
        })
    }

    /// Whether the text of a command that failed goes on in the next line.
    #[must_use]
    pub fn goes_on(self) -> bool {
        match self {
            Self::Running(_) => false,
            Self::Failed(said) => exit_in(said).is_none(),
            Self::Other(said) => said.contains(QUOTES) && exit_in(said).is_none(),
        }
    }
}

impl fmt::Display for ContainerLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(command) => write!(f, "{RUNNING}{command}"),
            Self::Failed(command) => write!(f, "{FAILED}{command}"),
            Self::Other(said) => f.write_str(said),
        }
    }
}

/// How a command ended, from the line that ends its text: `exit status 2`.
#[must_use]
pub fn exit_in(line: &str) -> Option<&str> {
    let at = line.rfind(STATUS)?;
    let status = line[at + STATUS.len()..].trim();
    let begins_here = line[..at].is_empty() || line[..at].ends_with(' ');
    let is_number = !status.is_empty() && status.chars().all(|c| c.is_ascii_digit());
    (begins_here && is_number).then(|| line[at..].trim_end())
}

/// The text after the time of a line: `2026/11/29 12:00:00.123456 Text`.
fn without_time(said: &str) -> &str {
    let mut parts = said.splitn(3, ' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(date), Some(_), Some(rest)) if date.contains('/') => rest,
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codebuilds_own_lines_are_known_and_what_a_command_printed_is_not() {
        let line = |said: &str| format!("[Container] 2026/03/02 10:17:29.123456 {said}");
        for (said, read, goes_on) in [
            ("Running command make", ContainerLine::Running("make"), false),
            (
                "Command did not exit successfully make exit status 2",
                ContainerLine::Failed("make exit status 2"),
                false,
            ),
            (
                "Command did not exit successfully for i in 1; do",
                ContainerLine::Failed("for i in 1; do"),
                true,
            ),
            (
                "Phase complete: BUILD State: FAILED",
                ContainerLine::Other("Phase complete: BUILD State: FAILED"),
                false,
            ),
            (
                "Phase context status code: X Message: Error while executing command: make. Reason: exit status 2",
                ContainerLine::Other(
                    "Phase context status code: X Message: Error while executing command: make. Reason: exit status 2",
                ),
                false,
            ),
            (
                "Phase context status code: X Message: Error while executing command: make",
                ContainerLine::Other(
                    "Phase context status code: X Message: Error while executing command: make",
                ),
                true,
            ),
        ] {
            let line = line(said);
            let found = ContainerLine::read(&line);
            assert_eq!(found, Some(read), "{said}");
            assert_eq!(found.is_some_and(ContainerLine::goes_on), goes_on, "{said}");
        }
        assert_eq!(ContainerLine::read("Running command make"), None);
        assert_eq!(
            ContainerLine::read("[Container] Running command make"),
            Some(ContainerLine::Running("make"))
        );
    }

    #[test]
    fn the_end_of_a_command_is_a_number() {
        assert_eq!(exit_in("done exit status 255\r"), Some("exit status 255"));
        assert_eq!(exit_in(". Reason: exit status 1"), Some("exit status 1"));
        assert_eq!(exit_in("exit status 1"), Some("exit status 1"));
        for no in [
            "exit status",
            "exit status one",
            "noexit status 1",
            "exit status 1 or 2",
            "",
        ] {
            assert_eq!(exit_in(no), None, "{no}");
        }
    }
}
