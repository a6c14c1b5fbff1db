//! A build's log without CodeBuild's lines and without Seedflow's own commands.

use seedflow_core::module::own_commands::is_own;

/// What CodeBuild's own lines begin with.
const CONTAINER: &str = "[Container] ";
/// What begins the line about a command.
const RUNNING: &str = "Running command ";

/// Removes from a log, line by line, what no module wrote.
#[derive(Debug, Default)]
pub struct BuildLog {
    /// Within the lines of one of our commands.
    own: bool,
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
        let Some(said) = raw.strip_prefix(CONTAINER).map(without_time) else {
            return (!self.own && !raw.is_empty()).then(|| raw.to_owned());
        };
        if let Some(command) = said.strip_prefix(RUNNING) {
            self.own = is_own(command);
            return (!self.own).then(|| format!("$ {command}"));
        }
        self.own = false;
        self.of_codebuild.then(|| said.to_owned())
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

/// The text after the time of one of CodeBuild's lines: `2026/11/29 12:00:00.123456 Text`.
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
    fn no_line_controls_the_terminal() {
        let mut log = BuildLog::default();
        let line = log.line("10%\r\u{1b}[32mdone\u{1b}[0m\tall \u{1b}]0;title\u{7}\r\n");
        assert_eq!(line.as_deref(), Some("done\tall ]0;title"));
    }
}
