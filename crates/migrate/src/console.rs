//! What the command says: the only place that writes to the terminal. Colours only on a terminal, and never with
//! `NO_COLOR`. A closed pipe is no error: the work goes on, and its exit code counts.

use std::io::{IsTerminal, Write};

/// The command's voice.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    colours: bool,
}

/// The colours in use, by what they mean.
#[derive(Debug, Clone, Copy)]
pub enum Tone {
    /// A heading.
    Bold,
    /// Something that went as it should.
    Good,
    /// Something that could not be done.
    Bad,
    /// Something that matters less than its neighbours.
    Quiet,
}

impl Console {
    /// Speaks as fits standard output.
    #[must_use]
    pub fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colours: std::io::stdout().is_terminal() && !plain,
        }
    }

    /// A line of the result.
    pub fn say(self, line: impl AsRef<str>) {
        // Whoever closed the pipe doesn't listen any more.
        let _ = writeln!(std::io::stdout(), "{}", line.as_ref());
    }

    /// A line about something that went wrong.
    pub fn complain(self, line: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
    }

    /// A text in the colour of its meaning.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Bold => "1",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Quiet => "2",
        };
        if self.colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
