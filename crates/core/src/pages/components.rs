//! Pieces that several pages show.

use maud::{Markup, html};

use super::report_view::Status;

/// How many characters of a commit's id are shown.
const SHORT_COMMIT: usize = 12;

/// A list of named facts.
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

/// A value from outside, in a direction of its own; nothing where it isn't known.
pub(super) fn untrusted(value: Option<&str>) -> Markup {
    html! { @if let Some(value) = value.filter(|value| !value.is_empty()) { bdi { (value) } } }
}

/// A value from outside that is code.
pub(super) fn code(value: &str) -> Markup {
    html! { code { bdi { (value) } } }
}

/// A commit: its short id, with the whole one where one points at it.
pub(super) fn commit(id: Option<&str>) -> Markup {
    html! {
        @if let Some(id) = id {
            code title=(id) { bdi { (id.chars().take(SHORT_COMMIT).collect::<String>()) } }
        }
    }
}

/// A cell that says of what it is where the table is shown as cards.
pub(super) fn cell(label: &str, class: &str, content: &Markup) -> Markup {
    html! { td class=(class) data-label=(label) { div { (content) } } }
}

/// Why something was done.
pub(super) fn reasons(reasons: &[String]) -> Markup {
    html! {
        @if !reasons.is_empty() {
            ul.reasons { @for reason in reasons { li { bdi { (reason) } } } }
        }
    }
}

/// A text that a module's own commands may have written. It is marked as theirs: else a module could speak to anyone who reads
/// the page as if it were Seedflow.
pub(super) fn from_module(text: &Markup) -> Markup {
    html! {
        figure.module-text {
            figcaption { "Text from the module's build, not from Seedflow" }
            (text)
        }
    }
}

/// What went wrong, where something did. `by_build` says that the reason is CodeBuild's word on the module's commands.
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
