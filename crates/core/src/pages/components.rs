//! Components that several pages use.

use maud::{Markup, html};

use super::report_view::Status;

/// Number of characters shown of a commit's id.
const SHORT_COMMIT: usize = 12;

/// A list of names and values.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in facts {
                @if !value.0.is_empty() {
                    div { dt { (name) } dd { (value) } }
                }
            }
        }
    }
}

/// A value from outside, isolated in its text direction; empty if unknown.
pub(super) fn untrusted(value: Option<&str>) -> Markup {
    html! { @if let Some(value) = value.filter(|value| !value.is_empty()) { bdi { (value) } } }
}

/// A value from outside, shown as code.
pub(super) fn code(value: &str) -> Markup {
    html! { code { bdi { (value) } } }
}

/// A commit: its short id, with the full id as a tooltip.
pub(super) fn commit(id: Option<&str>) -> Markup {
    html! {
        @if let Some(id) = id {
            code title=(id) { bdi { (id.chars().take(SHORT_COMMIT).collect::<String>()) } }
        }
    }
}

/// A table cell with its column's label, which is shown when the table becomes cards on a narrow screen.
pub(super) fn cell(label: &str, class: &str, content: &Markup) -> Markup {
    html! { td class=(class) data-label=(label) { div { (content) } } }
}

/// The reasons for a deployment.
pub(super) fn reasons(reasons: &[String]) -> Markup {
    html! {
        @if !reasons.is_empty() {
            ul.reasons { @for reason in reasons { li { bdi { (reason) } } } }
        }
    }
}

/// A text that a module's own commands may have written. It is marked as such: otherwise a module could address the reader
/// of the page in Seedflow's name.
pub(super) fn from_module(text: &Markup) -> Markup {
    html! {
        figure.module-text {
            figcaption { "Text from the module's build, not from Seedflow" }
            (text)
        }
    }
}

/// What failed, if anything did. `by_build`: CodeBuild reported the reason, so it may quote the module's commands.
pub(super) fn failure(status: &Status, by_build: bool, log: Option<Markup>) -> Markup {
    let reason = status
        .reason
        .as_ref()
        .map(|reason| html! { p.cause { bdi { (reason) } } });
    html! {
        @if status.error.is_some() || status.reason.is_some() || log.is_some() {
            section.failure {
                h2 { "What went wrong" }
                p {
                    @if let Some(error) = &status.error { strong { (code(error)) } }
                    @if let Some(phase) = &status.phase { " in " (code(phase)) }
                }
                @if let Some(reason) = reason {
                    @if by_build { (from_module(&reason)) } @else { (reason) }
                }
                @if let Some(log) = log { (log) }
            }
        }
    }
}
