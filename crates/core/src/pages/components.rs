//! Components that several pages use.

use jiff::Timestamp;
use maud::{Markup, html};

use super::index::Around;
use super::layout::console_link;
use super::report_view::Status;
use super::{PageContext, format, link};

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

/// A commit: its short id with the full id as a tooltip, linked where its repository is known.
pub(super) fn commit(id: Option<&str>, repository: Option<&str>) -> Markup {
    let Some(id) = id else { return html! {} };
    let short = html! { code title=(id) { bdi { (id.chars().take(SHORT_COMMIT).collect::<String>()) } } };
    html! {
        @match repository.and_then(|repository| link::commit(repository, id)) {
            Some(url) => a href=(url) rel="noreferrer noopener" { (short) },
            None => (short),
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

/// CodeBuild's word for a command that failed.
const COMMAND_FAILED: &str = "COMMAND_EXECUTION_ERROR";

/// What failed or was refused, if anything was: first the cause for people, then the error as it was reported.
/// `by_build`: CodeBuild reported it, so it may quote the module's commands.
pub(super) fn failure(status: &Status, by_build: bool) -> Markup {
    let cause = status.cause().map(|cause| html! { p.cause { bdi { (cause) } } });
    let reported = status.reason.as_deref().filter(|_| status.cause.is_some());
    // CodeBuild quotes a command that failed, also one of ours. The cause has it, and what it printed is shown below.
    let quotes = |reported: &&str| by_build && reported.contains(COMMAND_FAILED);
    let reported = reported.filter(|reported| Some(*reported) != status.cause() && !quotes(reported));
    let refused = status.refused.as_ref().filter(|_| status.is_refused());
    let error = status
        .error
        .as_ref()
        .or(refused.and_then(|refused| refused.error.as_ref()));
    html! {
        @if error.is_some() || cause.is_some() {
            section.failure.refused[status.is_refused()] {
                h2 { @if status.is_refused() { "Why nothing was started" } @else { "What went wrong" } }
                @if let Some(cause) = cause {
                    @if by_build { (from_module(&cause)) } @else { (cause) }
                }
                @if let Some(error) = error {
                    p.note {
                        (code(error))
                        @if let Some(phase) = &status.phase { " in " (code(phase)) }
                        @if let Some(reported) = reported { ": " bdi.quoted[by_build] { (reported) } }
                    }
                }
            }
        }
    }
}

/// A time, exactly.
pub(super) fn time(at: Option<Timestamp>) -> Markup {
    html! { @if let Some(at) = at { time datetime=(at.to_string()) { (format::time(at)) } } }
}

/// A time by its distance from the writing of the page, with the exact time as a tooltip.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at.to_string()) title=(format::time(at)) { (format::ago(at, now)) } }
}

/// What a page says about who started the execution, and about the commit: id, author and branch, as far as they are known.
/// Everybody can write a commit in another one's name, so the author is a claim.
pub(super) fn origin_facts(status: &Status) -> [(&'static str, Markup); 5] {
    let started_by = status.started_by.as_ref().map(ToString::to_string);
    [
        ("Started by", untrusted(started_by.as_deref())),
        ("Commit", commit(status.commit(), status.repository.as_deref())),
        (
            "Author (unproven)",
            untrusted(status.author.as_deref().map(format::author)),
        ),
        ("Pushed by (unproven)", untrusted(status.pusher.as_deref())),
        ("Branch", untrusted(status.branch.as_deref())),
    ]
}

/// The footer of a report's page.
pub(super) fn footer(context: &PageContext<'_>, page: &str, report: &str) -> Markup {
    let object = link::object(context.environment, context.bucket, report);
    html! {
        p {
            a href=(link::relative(page, report)) { "This report as JSON" } " "
            (console_link(Some(&object), "and in S3"))
            " · written " (time(Some(context.now)))
        }
    }
}

/// Links to the executions before and after the one on a page, and to all of them. A page is not written again when a newer
/// execution has one. So as long as it knows none, its "Next" leads to the row of the index, whose bars lead to all pages.
pub(super) fn neighbours(page: &str, index: &str, around: &Around) -> Markup {
    let to = |key: &str| link::relative(page, key);
    let all = format!("{}#{}", to(index), link::fragment(&around.name));
    let next = around.next.as_deref().map(to);
    html! {
        nav.neighbours aria-label="Other executions" {
            @if let Some(previous) = &around.previous { a rel="prev" href=(to(previous)) { "← Previous" } " " }
            @match &next {
                Some(next) => a rel="next" href=(next) { "Next →" },
                None => a rel="next" href=(all) title="The newest executions, in the index" { "Next →" },
            }
            " "
            a href=(all) { "All executions" }
        }
    }
}
