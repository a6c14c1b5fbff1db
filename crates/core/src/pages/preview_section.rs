//! What the previews of modules show, as a section of the page of a plan that waits or waited for an approval.

use maud::{Markup, html};

use super::components::from_module;
use super::state;
use crate::deployment::previews::{Preview, PreviewState};

/// The section; nothing without previews.
pub(super) fn section(previews: &[Preview]) -> Markup {
    html! {
        @if !previews.is_empty() {
            section.previews {
                h2 { "Previews" }
                p.note {
                    "What the preview phases of modules said before the approval. They ran with read-only rights. The hash of the plan does not cover them."
                }
                @for preview in previews { (of_module(preview)) }
            }
        }
    }
}

fn of_module(preview: &Preview) -> Markup {
    let heading = html! {
        bdi { (preview.module.to_string()) } " " (state::badge(badge(preview.state)))
        @if let Some(reason) = &preview.reason { " " bdi { (reason) } }
    };
    html! {
        @if preview.output.is_empty() {
            p { (heading) }
        } @else {
            details { summary { (heading) } (from_module(&output(preview))) }
        }
    }
}

fn output(preview: &Preview) -> Markup {
    let label = format!("Output of the preview of {}", preview.module);
    html! {
        pre tabindex="0" aria-label=(label) { code { @for line in preview.output.lines() { span.line { (line) } } } }
    }
}

/// A state among those of modules.
const fn badge(state: PreviewState) -> &'static str {
    match state {
        PreviewState::Succeeded => "SUCCEEDED",
        PreviewState::Failed => "FAILED",
        PreviewState::NotRun => "NOT_RUN",
    }
}
