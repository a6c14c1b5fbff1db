//! The page of a project's index.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};

use super::components::{cell, commit, untrusted};
use super::index::{Entry, Index, IndexedExecution, live_and_gone};
use super::layout::{Page, console_link};
use super::{PageContext, link, state};
use super::{deployment_page, format};
use crate::ids::{ExecutionArn, Name};
use crate::storage_layout::index_key;

/// The dimensions of the sparkline, in its own units.
const BAR: usize = 5;
const GAP: usize = 1;
const HEIGHT: usize = 24;

/// Renders an index.
#[must_use]
pub fn render(index: &Index, context: &PageContext<'_>, project: &Name) -> String {
    let table = Table { context, project };
    let (modules, gone) = live_and_gone(&index.modules);
    let (deployments, gone_deployments) = live_and_gone(&index.deployments);
    let deployments: Vec<Row<'_>> = deployments
        .into_iter()
        .map(|(name, entry)| Row {
            name,
            whole: name,
            entry,
        })
        .collect();
    let gone: Vec<_> = gone.into_iter().chain(gone_deployments).collect();
    let body = html! {
        header {
            h1 { (project) }
            p.counts { (deployment_page::counts(&counted(&modules))) }
        }
        @if !deployments.is_empty() {
            section { h2 { "Deployments" } (table.render("Deployment", &deployments)) }
        }
        @if modules.is_empty() {
            p.note { "No module is deployed." }
        }
        @for (name, modules) in by_deployment(&modules) {
            section { h2 { "Modules of " (name) } (table.render("Module", &modules)) }
        }
        @if !gone.is_empty() {
            section {
                h2 { "Destroyed" }
                ul.gone {
                    @for (name, entry) in &gone {
                        @if let Some(run) = entry.newest() {
                            li { bdi { (name) } " " span.note { (format::time(run.at)) } }
                        }
                    }
                }
            }
        }
        (PreEscaped(index.data()))
    };
    let key = index_key(project);
    let object = link::object(context.environment, context.bucket, &key);
    let footer = html! {
        p {
            "Links to reports work in a copy of this page and the reports (" code { "aws s3 sync" } "). "
            (console_link(Some(&object), "This page in S3"))
        }
    };
    let title = format!("{project} · Seedflow");
    Page {
        title: &title,
        body,
        footer,
    }
    .render()
}

fn counted(modules: &[(&str, &Entry)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for run in modules.iter().filter_map(|(_, entry)| entry.newest()) {
        *counts.entry(run.state.clone()).or_default() += 1;
    }
    counts
}

/// The modules of each deployment, by `{group}/{module}`; those that need attention come first.
fn by_deployment<'a>(modules: &[(&'a str, &'a Entry)]) -> BTreeMap<&'a str, Vec<Row<'a>>> {
    let mut deployments: BTreeMap<&str, Vec<Row<'_>>> = BTreeMap::new();
    for (whole, entry) in modules {
        let (deployment, name) = whole.split_once('/').unwrap_or(("", whole));
        deployments
            .entry(deployment)
            .or_default()
            .push(Row { name, whole, entry });
    }
    for modules in deployments.values_mut() {
        // A stable sort: within a rank the names stay in order.
        modules.sort_by_key(|Row { entry, .. }| entry.newest().map(|run| state::rank(&run.state)));
    }
    deployments
}

/// A table row: a module or a deployment.
struct Row<'a> {
    /// The name on the page.
    name: &'a str,
    /// The name in the index.
    whole: &'a str,
    entry: &'a Entry,
}

struct Table<'a> {
    context: &'a PageContext<'a>,
    project: &'a Name,
}

impl Table<'_> {
    fn render(&self, what: &str, rows: &[Row<'_>]) -> Markup {
        html! {
            table.cards.index {
                thead {
                    tr {
                        th scope="col" { (what) } th scope="col" { "State" } th scope="col" { "When (UTC)" }
                        th scope="col" { "Commit" } th scope="col" { "Took" } th scope="col" { "Trend" }
                        th scope="col" { "More" }
                    }
                }
                tbody {
                    @for row in rows {
                        @if let Some(run) = row.entry.newest() { (self.row(row, run)) }
                    }
                }
            }
        }
    }

    fn row(&self, row: &Row<'_>, run: &IndexedExecution) -> Markup {
        let took = run.milliseconds.map_or_else(|| "–".to_owned(), format::duration);
        let page = row.entry.page_key(self.project, row.whole);
        html! {
            tr {
                th scope="row" { (self.linked(row.name, page.as_deref())) }
                (cell("State", "", &state_cell(run)))
                (cell("When", "", &when(run, row.entry)))
                (cell("Commit", "", &by(run)))
                (cell("Took", "took", &html! { (took) }))
                (cell("Trend", "", &trend(&row.entry.trend())))
                (cell("More", "links", &self.links(run, page.as_deref())))
            }
        }
    }

    fn links(&self, run: &IndexedExecution, page: Option<&str>) -> Markup {
        let execution = ExecutionArn::new(run.execution.as_str());
        let execution = self.context.environment.execution_url(&execution);
        let report = page.map(|page| link::object(self.context.environment, self.context.bucket, page));
        html! {
            (console_link(Some(&execution), "Execution")) " "
            (console_link(report.as_deref(), "Report in S3"))
        }
    }

    /// The name, linked to the newest page of it.
    fn linked(&self, name: &str, page: Option<&str>) -> Markup {
        html! {
            @match page {
                Some(page) => a href=(link::relative(&index_key(self.project), page)) { bdi { (name) } },
                None => bdi { (name) },
            }
        }
    }
}

fn state_cell(run: &IndexedExecution) -> Markup {
    html! {
        (state::badge(&run.state))
        @if let Some(why) = &run.why { div.why { bdi { (why) } } }
    }
}

/// When the execution ended; for an unchanged module also when it was last deployed.
fn when(run: &IndexedExecution, entry: &Entry) -> Markup {
    let deployed = entry.runs.iter().find(|run| run.state == "SUCCEEDED");
    let deployed = deployed.filter(|deployed| deployed.at != run.at);
    html! {
        (format::moment(run.at))
        @if let Some(deployed) = deployed { div.note { "deployed " (format::moment(deployed.at)) } }
    }
}

/// The commit and its author.
fn by(run: &IndexedExecution) -> Markup {
    let known = run.commit.is_some() || run.author.is_some() || run.branch.is_some();
    html! {
        @if known {
            (commit(run.commit.as_deref()))
            div.note {
                (untrusted(run.author.as_deref()))
                @if let Some(branch) = &run.branch { " on " bdi { (branch) } }
            }
        } @else { "–" }
    }
}

/// The durations as bars, the newest last; the text alternative has the same data.
fn trend(runs: &[&IndexedExecution]) -> Markup {
    let known: Vec<(&IndexedExecution, i64)> = runs
        .iter()
        .filter_map(|run| Some((*run, run.milliseconds?)))
        .collect();
    let Some(most) = known.iter().map(|(_, took)| *took).max() else {
        return html! { "–" };
    };
    let said: Vec<String> = known
        .iter()
        .map(|(run, took)| {
            format!(
                "{} {}",
                format::duration(*took),
                state::word(&run.state).to_lowercase()
            )
        })
        .collect();
    let said = format!("The last {}, the newest last: {}", known.len(), said.join(", "));
    let width = super::index::TREND * (BAR + GAP);
    html! {
        svg.trend viewBox=(format!("0 0 {width} {HEIGHT}")) width=(width) height=(HEIGHT) role="img" {
            title { (said) }
            @for (i, (run, took)) in known.iter().enumerate() {
                (bar(i * (BAR + GAP), run, *took, most))
            }
        }
    }
}

fn bar(x: usize, run: &IndexedExecution, took: i64, most: i64) -> Markup {
    let share = took as f64 / most.max(1) as f64;
    let height = (share * HEIGHT as f64).round().clamp(2.0, HEIGHT as f64) as usize;
    html! {
        rect class=(state::class(&run.state)) x=(x) y=(HEIGHT - height) width=(BAR) height=(height) rx="1" {
            title { (format::duration(took)) ", " (state::word(&run.state)) ", " (format::time(run.at)) }
        }
    }
}
