//! The commands' output: the only code that writes to the terminal.
//!
//! On a terminal a running task is one live line; piped, every change is a plain line of its own.
//! Colours only on a terminal, and never with `NO_COLOR`. A closed pipe is not an error: the work goes
//! on, and its exit code counts. What only shows something may end then ([`Ui::is_closed`]).

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A command's output. Cheap to clone.
#[derive(Clone)]
pub struct Ui {
    shared: Arc<Shared>,
}

struct Shared {
    mode: Mode,
    colours: bool,
    /// Whether nobody reads standard output any more.
    closed: AtomicBool,
}

enum Mode {
    Live(MultiProgress),
    Plain,
    /// Tests: nothing is shown.
    Silent,
}

/// The colours in use, by what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A heading.
    Bold,
    /// A success.
    Good,
    /// A failure.
    Bad,
    /// Less important than the text around it.
    Quiet,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Quiet => "2",
        }
    }
}

impl Ui {
    /// Output that fits standard output: live on a terminal, plain lines elsewhere.
    pub fn for_stdout() -> Self {
        let terminal =
            std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let mode = if terminal {
            Mode::Live(MultiProgress::with_draw_target(ProgressDrawTarget::stdout()))
        } else {
            Mode::Plain
        };
        Self {
            shared: Arc::new(Shared {
                mode,
                colours: terminal && !no_color,
                closed: AtomicBool::new(false),
            }),
        }
    }

    /// No output; for tests, which have their own.
    pub fn silent() -> Self {
        Self {
            shared: Arc::new(Shared {
                mode: Mode::Silent,
                colours: false,
                closed: AtomicBool::new(false),
            }),
        }
    }

    /// Writes one or more lines.
    pub fn say(&self, text: impl AsRef<str>) {
        match &self.shared.mode {
            // Above the live lines, which stay at the bottom.
            Mode::Live(live) => live.suspend(|| self.print(text.as_ref())),
            Mode::Plain => self.print(text.as_ref()),
            Mode::Silent => {}
        }
    }

    fn print(&self, text: &str) {
        if writeln!(std::io::stdout().lock(), "{text}").is_err() {
            self.shared.closed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether nobody reads the output any more, as after `| head`.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Relaxed)
    }

    /// Writes what went wrong to standard error.
    pub fn complain(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Colours a text, where colours are wanted.
    pub fn paint(&self, tone: Tone, text: impl AsRef<str>) -> String {
        let text = text.as_ref();
        if self.shared.colours {
            format!("\x1b[{}m{text}\x1b[0m", tone.code())
        } else {
            text.to_owned()
        }
    }

    /// Writes a heading, with an empty line before it.
    pub fn heading(&self, text: &str) {
        self.say(format!("\n{}", self.paint(Tone::Bold, text)));
    }

    /// Shows that a task has begun; it ends with [`Task::done`], and has failed when it is dropped.
    pub fn task(&self, label: impl Into<String>) -> Task {
        self.task_among(label, "")
    }

    /// A task that shows a pipe its end only.
    pub fn quiet_task(&self, label: impl Into<String>) -> Task {
        let label = label.into();
        let bar = match &self.shared.mode {
            Mode::Live(live) => Some(live_line(live, &label)),
            Mode::Plain | Mode::Silent => None,
        };
        Task {
            ui: self.clone(),
            label,
            name: String::new(),
            bar,
            started: Instant::now(),
            over: false,
            quiet: true,
        }
    }

    /// The same where several run at once: each of its steps begins with `name`.
    pub fn task_among(&self, label: impl Into<String>, name: impl Into<String>) -> Task {
        let (label, name) = (label.into(), name.into());
        let bar = match &self.shared.mode {
            Mode::Live(live) => Some(live_line(live, &label)),
            Mode::Plain => {
                self.print(&format!("{label} ..."));
                None
            }
            Mode::Silent => None,
        };
        Task {
            ui: self.clone(),
            label,
            name,
            bar,
            started: Instant::now(),
            over: false,
            quiet: false,
        }
    }
}

fn live_line(live: &MultiProgress, label: &str) -> ProgressBar {
    let bar = live.add(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed:.dim} {wide_msg:.dim}") {
        bar.set_style(style);
    }
    bar.set_prefix(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// A task in progress.
pub struct Task {
    ui: Ui,
    label: String,
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
    over: bool,
    /// Whether it ends without a word if it is dropped: what it shows goes on without this program.
    quiet: bool,
}

impl Task {
    /// What it is doing right now: on the live line only, there may be many.
    pub fn detail(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// A step of it that deserves a line of its own.
    pub fn step(&self, text: impl AsRef<str>) {
        let name = if self.name.is_empty() {
            String::new()
        } else {
            format!("{:16} ", self.name)
        };
        self.ui.say(format!("  {name}{}", text.as_ref()));
    }

    /// It succeeded.
    pub fn done(self, result: &str) {
        let mark = self.ui.paint(Tone::Good, "ok");
        self.finish(&mark, result);
    }

    /// It failed; the caller shows the reason.
    pub fn failed(self, result: &str) {
        let mark = self.ui.paint(Tone::Bad, "failed");
        self.finish(&mark, result);
    }

    /// Shows the result beside the label, with a duration that the caller measured.
    pub fn ended(mut self, good: bool, result: &str, took: Option<String>) {
        self.over = true;
        self.clear();
        let tone = if good { Tone::Good } else { Tone::Bad };
        let took = took.map_or_else(String::new, |took| {
            self.ui.paint(Tone::Quiet, format!(" ({took})"))
        });
        self.ui
            .say(format!("{} {}{took}", self.label, self.ui.paint(tone, result)));
    }

    fn finish(mut self, mark: &str, result: &str) {
        self.over = true;
        self.clear();
        let took = self
            .ui
            .paint(Tone::Quiet, format!("({})", seconds(self.started.elapsed())));
        let result = if result.is_empty() {
            String::new()
        } else {
            format!(": {result}")
        };
        self.ui.say(format!("{mark} {}{result} {took}", self.label));
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.over {
            self.clear();
            if self.quiet {
                return;
            }
            let mark = self.ui.paint(Tone::Bad, "stopped");
            self.ui.say(format!("{mark} {}", self.label));
        }
    }
}

/// A duration for people: `0.4 s`, `12.0 s`, `2 min 05 s`.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole >= 60 {
        format!("{} min {:02} s", whole / 60, whole % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(seconds(Duration::from_millis(412)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn silent_output_has_no_colours() {
        assert_eq!(Ui::silent().paint(Tone::Bad, "x"), "x");
    }
}
