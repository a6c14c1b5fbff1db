//! The page of one execution of a module.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde_json::Value;

use super::components::{
    cell, code, facts, failure, footer, from_module, neighbours, origin_facts, reasons, time, untrusted,
};
use super::index::Around;
use super::layout::{Page, console_link};
use super::report_view::Module;
use super::{PageContext, advice, drift_section, format, link, state, timeline};
use crate::console::LogUrl;
use crate::drift::record::DriftRecord;
use crate::ids::{BuildId, ExecutionArn, ModuleId};
use crate::module::cause::{FailedCommand, failed_command};
use crate::module::fingerprint::Fingerprint;
use crate::module::own_commands::OWN_PART;
use crate::storage_layout::{index_key, page_key};

/// Number of lines shown of what a failing command printed: its errors come last.
const OUTPUT_LINES: usize = 40;

/// The last lines of a failed build's log, if they could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// Nothing failed, or there was no build.
    None,
    /// The lines as plain text.
    Lines(Vec<String>),
    /// Why the log could not be read.
    Unreadable(String),
}

/// Renders the page of the report stored at `key`, with the drift that was found since.
#[must_use]
pub fn render(
    context: &PageContext<'_>,
    id: &ModuleId,
    key: &str,
    report: &Module,
    log: &Log,
    around: &Around,
    drift: Option<&DriftRecord>,
) -> String {
    let title = format!("{} · {id}", state::word(&report.status.state));
    let page = page_key(key).unwrap_or_default();
    let body = html! {
        (heading(context, id, &page, report, around))
        (failure(&report.status, report.quotes_build()))
        (advice::section(&advice(id, report)))
        (output(log))
        (drift_section::section(drift))
        (changes(report))
        (timeline::table(report))
        (parameters(report))
        (outputs(report))
        (source(report))
    };
    Page {
        title: &title,
        live: false,
        body,
        footer: footer(context, &page, key),
    }
    .render()
}

fn heading(context: &PageContext<'_>, id: &ModuleId, page: &str, report: &Module, around: &Around) -> Markup {
    let [started_by, commit, author, pusher, branch] = origin_facts(&report.status);
    let target = report.status.target.as_ref().map(ToString::to_string);
    let index = index_key(&id.project);
    html! {
        header {
            nav aria-label="Where this is" {
                a href=(link::relative(page, &index)) { (id.project) }
                span aria-hidden="true" { " / " }
                @match &around.deployment {
                    Some(deployment) => a href=(link::relative(page, deployment)) { (id.deployment) },
                    None => (id.deployment),
                }
                span aria-hidden="true" { " / " } (id.group)
            }
            h1 { span { span.kind { "Module" } " " (id.module) } " " (state::badge(&report.status.state)) }
            (facts(&[
                (report.status.ended(), time(report.written_at)),
                ("Took", untrusted(report.took().map(format::duration).as_deref())),
                ("Account and region", untrusted(target.as_deref())),
                started_by,
                commit,
                author,
                pusher,
                branch,
                ("Last good deployment", last_good(report)),
            ]))
            nav.links aria-label="In AWS's console" { (links(context, report)) }
            (neighbours(page, &index, around))
        }
    }
}

/// When the module was last deployed, unless this execution deployed it.
fn last_good(report: &Module) -> Markup {
    let before = report
        .status
        .deployed_at
        .filter(|_| report.status.state != "SUCCEEDED");
    time(before)
}

/// What to do after a failure or a refusal.
fn advice(id: &ModuleId, report: &Module) -> Vec<advice::Step> {
    let status = &report.status;
    let execution = ExecutionArn::new(report.execution.as_str());
    match status.state.as_str() {
        "REFUSED" => advice::of_refusal(status.refusal(), execution.name()),
        state if state::is_trouble(state) => {
            advice::of_module(id, execution.name(), status.deployed_at.is_some())
        }
        _ => Vec::new(),
    }
}

/// What the build printed before it failed.
fn output(log: &Log) -> Markup {
    let lines = match log {
        Log::None => return html! {},
        Log::Unreadable(why) => {
            return html! { p.note { "The build's log can't be shown: " bdi { (why) } } };
        }
        Log::Lines(lines) if lines.is_empty() => return html! { p.note { "The build's log is empty." } },
        Log::Lines(lines) => lines,
    };
    let command = failed_command(lines);
    html! {
        @if let Some(command) = &command { (printed(command)) }
        section {
            details open[command.is_none()] {
                summary { "The last lines of the build's log" }
                (from_module(&log_text("The last lines of the build's log", lines)))
            }
        }
    }
}

/// The command that failed, and the end of what it printed.
fn printed(command: &FailedCommand) -> Markup {
    let skipped = command.output.len().saturating_sub(OUTPUT_LINES);
    html! {
        section {
            h2 { "What the failing command printed" }
            (from_module(&html! {
                p.command {
                    @if command.is_own() { (OWN_PART) } @else { (code(&command.command)) }
                    @if !command.exit.is_empty() { " ended with " (command.exit) }
                }
                @if skipped > 0 { p.note { (skipped) " lines before are left out." } }
                @if command.output.is_empty() { p.note { "It printed nothing." } }
                @else { (log_text("What the failing command printed", &command.output[skipped..])) }
            }))
        }
    }
}

fn log_text(label: &str, lines: &[String]) -> Markup {
    html! {
        pre tabindex="0" aria-label=(label) { code { @for line in lines { span.line { (line) } } } }
    }
}

fn changes(report: &Module) -> Markup {
    let differences = match (&report.fingerprint, &report.previous_fingerprint) {
        (Some(now), Some(before)) => differences(before, now),
        _ => Vec::new(),
    };
    html! {
        @if !report.status.reasons.is_empty() {
            section {
                h2 { "Why it ran" }
                (reasons(&report.status.reasons))
                @if !differences.is_empty() {
                    table.cards {
                        caption { "What differs from the deployment before, by its fingerprint" }
                        thead { tr { th scope="col" { "Part" } th scope="col" { "Before" } th scope="col" { "Now" } } }
                        tbody {
                            @for (part, before, now) in &differences {
                                tr {
                                    th scope="row" { bdi { (part) } }
                                    (cell("Before", "", &fingerprint(before.as_deref())))
                                    (cell("Now", "", &fingerprint(now.as_deref())))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The parts of the fingerprint that differ: name, before, now.
fn differences(before: &Fingerprint, now: &Fingerprint) -> Vec<(String, Option<String>, Option<String>)> {
    let wholes = [
        ("files of the bundle", &before.bundle, &now.bundle),
        ("deployspec", &before.deployspec, &now.deployspec),
    ];
    let mut differing: Vec<_> = wholes
        .into_iter()
        .filter(|(_, before, now)| before != now)
        .map(|(name, before, now)| (name.to_owned(), Some(before.clone()), Some(now.clone())))
        .collect();
    let names: BTreeSet<&String> = before.parts.keys().chain(now.parts.keys()).collect();
    for name in names {
        let (was, is) = (before.parts.get(name), now.parts.get(name));
        if was != is {
            differing.push((name.clone(), was.cloned(), is.cloned()));
        }
    }
    differing
}

fn fingerprint(md5: Option<&str>) -> Markup {
    html! {
        @match md5 {
            Some(md5) => code title=(md5) { (md5.chars().take(8).collect::<String>()) },
            None => span.note { "none" },
        }
    }
}

fn parameters(report: &Module) -> Markup {
    html! {
        @if !report.parameters.is_empty() {
            section {
                h2 { "Parameters" }
                p.note { "Only their names are shown. Values are in the execution's input, and values of secrets nowhere." }
                ul.names { @for name in &report.parameters { li { (code(name)) } } }
            }
        }
    }
}

fn outputs(report: &Module) -> Markup {
    let Some(outputs) = report.outputs.as_ref().filter(|outputs| !outputs.is_empty()) else {
        return html! {};
    };
    html! {
        section {
            h2 { "Outputs of its stack" }
            table.cards {
                thead { tr { th scope="col" { "Output" } th scope="col" { "Value" } } }
                tbody {
                    @for (name, value) in outputs {
                        tr { th scope="row" { bdi { (name) } } (cell("Value", "", &code(&shown(value)))) }
                    }
                }
            }
        }
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn source(report: &Module) -> Markup {
    let Some(source) = &report.source else {
        return html! {};
    };
    let object = format!("s3://{}/{}", source.bucket, source.key);
    html! {
        section {
            h2 { "Bundle" }
            (facts(&[
                ("Object", code(&object)),
                ("Version", untrusted(source.version_id.as_deref())),
                ("Folder", untrusted(source.path.as_deref())),
                ("MD5 of all", untrusted(report.fingerprint.as_ref().map(|f| f.hash.as_str()))),
            ]))
        }
    }
}

/// Links to the execution, its build and its log.
fn links(context: &PageContext<'_>, report: &Module) -> Markup {
    let execution = context
        .environment
        .execution_url(&ExecutionArn::new(report.execution.as_str()));
    let id = report.build.as_ref().and_then(|build| build.build_id.as_deref());
    let id = id.or(report.status.build_id.as_deref());
    let build = id.and_then(|id| BuildId::parse(id).ok());
    let build = build.map(|id| context.environment.build_url(&id));
    let log = report.build.as_ref().and_then(|build| build.log_url.as_ref());
    let log = log.or(report.status.log_url.as_ref());
    html! {
        (console_link(Some(&execution), "Execution"))
        (console_link(build.as_deref(), "Build"))
        (console_link(log.map(LogUrl::as_str), "Log"))
    }
}
