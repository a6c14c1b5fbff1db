//! A build's log without CodeBuild's lines and without Seedflow's own commands.

use seedflow_core::module::cause::{ContainerLine, exit_in};
use seedflow_core::module::own_commands::is_own;

/// Removes from a log, line by line, what no module wrote.
#[derive(Debug, Default)]
pub struct BuildLog {
    /// Within the lines of one of our commands.
    own: bool,
    /// Within the text of a command that failed, which CodeBuild quotes.
    quoted: bool,
    /// Whether CodeBuild's own lines are shown.
    of_codebuild: bool,
}

impl BuildLog {
    /// A log with or without CodeBuild's own lines.
    #[must_use]
    pub fn new(of_codebuild: bool) -> Self {
        Self {
            of_codebuild,
            ..Self::default()
        }
    }

    /// The line as people read it: `None` for noise, `$ command` for a command of the module.
    pub fn line(&mut self, raw: &str) -> Option<String> {
        let plain = plain(raw);
        let raw = plain.trim_end();
        let Some(said) = ContainerLine::read(raw) else {
            let hidden = self.own || (self.quoted && !self.of_codebuild);
            self.quoted = self.quoted && exit_in(raw).is_none();
            return (!hidden && !raw.is_empty()).then(|| raw.to_owned());
        };
        self.quoted = said.goes_on();
        if let ContainerLine::Running(command) = said {
            self.own = is_own(command);
            return (!self.own).then(|| format!("$ {command}"));
        }
        self.own = false;
        self.of_codebuild.then(|| said.to_string())
    }
}

/// A line without what controls a terminal: colours, positions, and a progress bar's earlier states.
fn plain(raw: &str) -> String {
    let last = raw
        .trim_end_matches(['\r', '\n'])
        .rsplit('\r')
        .next()
        .unwrap_or_default();
    let mut plain = String::with_capacity(last.len());
    let mut rest = last.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            // ECMA-48: ESC, `[`, and parameters up to a final byte.
            '\u{1b}' if rest.next_if_eq(&'[').is_some() => {
                while rest.next().is_some_and(|c| !matches!(c, '@'..='~')) {}
            }
            '\t' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_modules_commands_and_their_output_are_left() {
        let log = "[Container] 2026/11/29 12:00:00.1 Entering phase BUILD\n\
            [Container] 2026/11/29 12:00:00.2 Running command cd \"$SEEDFLOW_MODULE_ROOT\"\n\
            noise of ours\n\
            [Container] 2026/11/29 12:00:00.3 Running command echo $SEEDFLOW_EXECUTION\n\
            arn\n\
            [Container] 2026/11/29 12:00:00.3 Running command echo hello; exit 3\n\
            hello\n\n\
            [Container] 2026/11/29 12:00:01 Command did not exit successfully echo hello; exit 3 exit status 3\n\
            [Container] 2026/11/29 12:00:01 Phase complete: BUILD State: FAILED\n\
            [Container] 2026/11/29 12:00:01 Phase context status code:  Message: \n\
            [Container] 2026/11/29 12:00:01 Phase context status code: COMMAND_EXECUTION_ERROR Message: exit status 3\n";
        let lines = |mut shown: BuildLog| {
            log.lines()
                .filter_map(|line| shown.line(line))
                .collect::<Vec<String>>()
        };
        assert_eq!(
            lines(BuildLog::default()),
            [
                "$ echo $SEEDFLOW_EXECUTION",
                "arn",
                "$ echo hello; exit 3",
                "hello"
            ]
        );
        let all = lines(BuildLog::new(true));
        for line in [
            "Entering phase BUILD",
            "Phase complete: BUILD State: FAILED",
            "hello",
        ] {
            assert!(all.iter().any(|shown| shown == line), "{line}: {all:?}");
        }
        assert!(!all.iter().any(|line| line == "noise of ours"), "{all:?}");
    }

    #[test]
    fn the_text_of_a_command_that_failed_is_shown_once() {
        let log = "[Container] 2026/11/29 12:00:00.3 Running command aws deploy\n\
            Failed to create the stack\n\
            [Container] 2026/11/29 12:00:01 Command did not exit successfully aws deploy\n exit status 255\n\
            [Container] 2026/11/29 12:00:01 Phase context status code: COMMAND_EXECUTION_ERROR Message: Error while executing command: aws deploy\n\
            . Reason: exit status 255\n\
            said late\n";
        let mut shown = BuildLog::default();
        let lines: Vec<String> = log.lines().filter_map(|line| shown.line(line)).collect();
        assert_eq!(lines, ["$ aws deploy", "Failed to create the stack", "said late"]);
    }

    #[test]
    fn no_line_controls_the_terminal() {
        let mut log = BuildLog::default();
        let line = log.line("10%\r\u{1b}[32mdone\u{1b}[0m\tall \u{1b}]0;title\u{7}\r\n");
        assert_eq!(line.as_deref(), Some("done\tall ]0;title"));
    }
}
