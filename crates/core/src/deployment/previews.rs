//! Previews: what the `preview` phases of modules say of a plan before it runs (decision 68).
//!
//! The planner finds the modules that a plan deploys and that have such phases ([`super::previewable`]). Their builds are
//! started, looked at and ended in steps, between which the state machine waits ([`super::preview_builds`]). The results
//! are shown beside the plan. They are information: they are in no hash, no rule gets them, and no preview makes a plan
//! fail.

use serde::{Deserialize, Serialize};

use crate::module::metadata_reference::ModuleRef;

/// The most bytes of a module's output that are kept: its end.
pub const MAX_OUTPUT: usize = 16 * 1024;
/// The most bytes of all outputs together in the output of an execution, which has the plan as well and ends at 256 KB.
pub const MAX_IN_ANSWER: usize = 40 * 1024;

/// How a preview ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreviewState {
    /// Its commands ended well.
    Succeeded,
    /// A command failed, or the build did.
    Failed,
    /// Nothing ran; the reason says why.
    NotRun,
}

impl PreviewState {
    /// Its name in reports and on pages.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NotRun => "not run",
        }
    }
}

/// The preview of one module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The module.
    #[serde(flatten)]
    pub module: ModuleRef,
    /// How it ended.
    pub state: PreviewState,
    /// Why it failed, or why nothing ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The end of what its commands printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

impl Preview {
    /// The preview of a module that ran nothing.
    #[must_use]
    pub fn not_run(module: ModuleRef, reason: impl Into<String>) -> Self {
        Self {
            module,
            state: PreviewState::NotRun,
            reason: Some(reason.into()),
            output: String::new(),
        }
    }

    /// How it ended, and why, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let words = self.state.words();
        match &self.reason {
            Some(reason) => format!("preview {words}: {reason}"),
            None => format!("preview {words}"),
        }
    }
}

/// What is shown of one preview, or of several that ran nothing for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The modules, and how their previews ended.
    pub line: String,
    /// How they ended.
    pub state: PreviewState,
    /// What the commands printed.
    pub output: &'a str,
}

/// The previews as people see them.
#[must_use]
pub fn shown(previews: &[Preview]) -> Vec<Shown<'_>> {
    let mut shown: Vec<Shown<'_>> = Vec::new();
    let mut not_run: Vec<(String, Vec<String>)> = Vec::new();
    for preview in previews {
        if preview.state == PreviewState::NotRun {
            let (line, module) = (preview.line(), preview.module.to_string());
            match not_run.iter_mut().find(|(known, _)| *known == line) {
                Some((_, modules)) => modules.push(module),
                None => not_run.push((line, vec![module])),
            }
            continue;
        }
        shown.push(Shown {
            line: format!("{}: {}", preview.module, preview.line()),
            state: preview.state,
            output: &preview.output,
        });
    }
    let not_run = not_run.into_iter().map(|(line, modules)| Shown {
        line: format!("{}: {line}", modules.join(", ")),
        state: PreviewState::NotRun,
        output: "",
    });
    shown.extend(not_run);
    shown
}

/// The previews with outputs that have at most this many bytes together. Each has the same share.
#[must_use]
pub fn shortened(previews: Vec<Preview>, most: usize) -> Vec<Preview> {
    let printed = previews.iter().filter(|preview| !preview.output.is_empty());
    let share = most / printed.count().max(1);
    let previews = previews.into_iter().map(|preview| Preview {
        output: end_of(&preview.output, share),
        ..preview
    });
    previews.collect()
}

/// The last lines of a text, at most this many bytes of it, with a first line that says what was left out.
#[must_use]
pub fn end_of(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let from = (text.len() - most..text.len()).find(|at| text.is_char_boundary(*at));
    let end = text.get(from.unwrap_or(text.len())..).unwrap_or_default();
    // Whole lines, unless the last one alone is longer.
    let end = end.split_once('\n').map_or(end, |(_, lines)| lines);
    format!("(the beginning is left out)\n{end}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn preview(output: &str) -> Preview {
        serde_json::from_value(json!({"group": "g", "module": "m", "state": "succeeded", "output": output}))
            .unwrap()
    }

    #[test]
    fn the_end_of_an_output_is_kept_by_whole_lines() {
        assert_eq!(end_of("one\ntwo\n", 8), "one\ntwo\n");
        assert_eq!(
            end_of("one\ntwo\nthree\n", 12),
            "(the beginning is left out)\ntwo\nthree\n"
        );
        assert_eq!(end_of("ääää", 3), "(the beginning is left out)\nä");
    }

    #[test]
    fn what_did_not_run_for_one_reason_is_one_line() {
        let not_run = |name: &str, why: &str| {
            let mut preview = Preview::not_run(preview("").module, why);
            preview.module.module = crate::ids::Name::parse("module", name).unwrap();
            preview
        };
        let previews = [
            not_run("a", "r"),
            preview("o"),
            not_run("b", "s"),
            not_run("c", "r"),
        ];
        let lines: Vec<String> = shown(&previews).into_iter().map(|shown| shown.line).collect();
        assert_eq!(
            lines,
            [
                "g/m: preview succeeded",
                "g/a, g/c: preview not run: r",
                "g/b: preview not run: s"
            ]
        );
    }

    #[test]
    fn long_outputs_share_the_room_and_short_ones_stay() {
        let long = "x\n".repeat(1000);
        let previews = vec![
            preview(&long),
            preview("short"),
            Preview::not_run(preview("").module, "why"),
        ];
        let shortened = shortened(previews, 400);
        let length: usize = shortened.iter().map(|preview| preview.output.len()).sum();
        assert!(length < 500, "{length}");
        assert_eq!(shortened[1].output, "short");
        assert_eq!(shortened[2].line(), "preview not run: why");
        assert_eq!(shortened[0].line(), "preview succeeded");
    }
}
