//! The page of one execution of a whole deployment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use maud::{Markup, html};

use super::components::{
    cell, code, commit, facts, failure, footer, from_module, neighbours, origin_facts, time, untrusted,
};
use super::deployment_rows::{Row, Sources};
use super::index::{Around, Index};
use super::layout::{Page, REFRESH_SECONDS, console_link};
use super::report_view::{Deployment, FetchedSource, ModuleResult, Rollback, Status};
use super::{PageContext, advice, format, link, preview_section, state, timeline};
use crate::approval::ApprovalSummary;
use crate::deployment::outcome::FAILED;
use crate::ids::DeploymentId;
use crate::ids::{ExecutionArn, Name};
use crate::storage_layout::{index_key, page_key};

pub use super::report_view::Reports;

/// Maximum number of module reports to read; those of failed modules come first.
pub const MAX_REPORTS: usize = 300;

/// The modules whose executions wrote reports, with the keys of the reports; failed modules come first.
#[must_use]
pub fn reports_of(id: &DeploymentId, report: &Deployment) -> Vec<((String, String), String)> {
    let mut ended: Vec<&ModuleResult> = report
        .results
        .iter()
        .filter(|ended| wrote(&ended.state))
        .collect();
    ended.sort_by_key(|ended| state::rank(&ended.state));
    let key = |ended: &&ModuleResult| Some((names(ended), report_key(id, ended)?));
    ended.iter().filter_map(key).take(MAX_REPORTS).collect()
}

fn wrote(state: &str) -> bool {
    matches!(state, "SUCCEEDED" | "FAILED" | "DESTROYED")
}

fn names(ended: &ModuleResult) -> (String, String) {
    (ended.group.clone(), ended.module.clone())
}

fn report_key(id: &DeploymentId, ended: &ModuleResult) -> Option<String> {
    let name = |text: &str| Name::parse("name", text).ok();
    let module = id.module(name(&ended.group)?, name(&ended.module)?);
    let execution = ended.execution.as_deref()?;
    Some(module.report_key(&ExecutionArn::new(execution)))
}

/// What a deployment's page is made of, besides its own report.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The reports of its modules, after the end.
    pub modules: &'a Reports,
    /// The project's index.
    pub index: &'a Index,
}

/// Renders the page of the report stored at `key`.
#[must_use]
pub fn render(
    context: &PageContext<'_>,
    id: &DeploymentId,
    key: &str,
    report: &Deployment,
    known: Known<'_>,
) -> String {
    let execution = ExecutionArn::new(report.execution.as_str());
    let around = known.index.around_deployment(id, &execution);
    let sources_of_rows = Sources {
        id,
        report,
        modules: known.modules,
        index: known.index,
        now: context.now,
    };
    let page = DeploymentPage {
        context,
        id,
        page: page_key(key).unwrap_or_default(),
        report,
        rows: sources_of_rows.rows(),
    };
    let body = html! {
        (page.heading(&around))
        (page.failure())
        (approval(report.status.approval.as_ref()))
        (advice::section(&page.advice()))
        (rollback(report.status.rollback.as_ref()))
        (page.modules())
        (preview_section::section(&report.previews))
        (page.unchanged())
        (sources(&report.sources))
        (warnings(&report.warnings))
    };
    Page {
        title: &format!("{} · {id}", state::word(&report.status.state)),
        live: report.reloads(),
        body,
        footer: footer(context, &page.page, key),
    }
    .render()
}

/// The number of modules or deployments by state.
pub(super) fn counts(counts: &BTreeMap<String, usize>) -> Markup {
    html! {
        @for (state, count) in counts {
            span.count { (count) " " (state::badge(state)) } " "
        }
    }
}

/// The approval that the plan waits or waited for: why, who may give it and how, and who decided what.
fn approval(approval: Option<&ApprovalSummary>) -> Markup {
    let Some(approval) = approval else {
        return html! {};
    };
    let request = &approval.request;
    let approvers = match request.needed.approvers.as_slice() {
        [] => "everybody who may call the function".to_owned(),
        approvers => approvers.join(", "),
    };
    let started_by = request.started_by.as_ref().map(ToString::to_string);
    let until = approval.waits().then_some(request.expires_at);
    html! {
        section {
            h2 { "Approval" }
            p { (state::badge(approval.state.as_str())) " " bdi { (approval.line()) } }
            ul.reasons { @for reason in &request.needed.reasons { li { bdi { (reason) } } } }
            (facts(&[
                ("Plan", code(&request.shown_plan())),
                ("Asked", time(Some(request.requested_at))),
                ("Until", time(until)),
                ("Approvers", untrusted(Some(&approvers))),
                ("Four eyes", untrusted(Some(if request.needed.four_eyes { "yes" } else { "no" }))),
                ("Started by", untrusted(Some(started_by.as_deref().unwrap_or("not known")))),
                ("Decided by", untrusted(approval.by.as_deref())),
                ("Decided", time(approval.at)),
                ("Reason", untrusted(approval.reason.as_deref())),
            ]))
            @if approval.waits() {
                p.note { "To decide on it:" }
                pre { code { (request.command()) } }
            }
        }
    }
}

/// The sources that other hosts store, with their commits.
fn sources(sources: &[FetchedSource]) -> Markup {
    html! {
        @if !sources.is_empty() {
            section {
                h2 { "Sources of other hosts" }
                table.cards {
                    thead { tr { th scope="col" { "Address" } th scope="col" { "Reference" } th scope="col" { "Commit" } } }
                    tbody { @for source in sources { (source_row(source)) } }
                }
            }
        }
    }
}

fn source_row(source: &FetchedSource) -> Markup {
    html! {
        tr {
            th scope="row" { bdi { (source.url) } }
            (cell("Reference", "", &untrusted(source.r#ref.as_deref())))
            (cell("Commit", "", &commit(source.commit.as_deref(), Some(&source.url))))
        }
    }
}

fn rollback(rollback: Option<&Rollback>) -> Markup {
    html! {
        @if let Some(rollback) = rollback {
            section {
                h2 { "Rollback" }
                p { "Deploys again what " code { bdi { (rollback.to) } } " had deployed." }
                @if let Some(after) = &rollback.after {
                    p {
                        "It started by itself, because " code { bdi { (ExecutionArn::new(after.execution.as_str()).name()) } }
                        " failed: " bdi { (after.cause) }
                    }
                }
            }
        }
    }
}

fn warnings(warnings: &[String]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            section { h2 { "Warnings" } ul.reasons { @for warning in warnings { li { bdi { (warning) } } } } }
        }
    }
}

struct DeploymentPage<'a> {
    context: &'a PageContext<'a>,
    id: &'a DeploymentId,
    /// The key of this page.
    page: String,
    report: &'a Deployment,
    rows: Vec<Row>,
}

impl DeploymentPage<'_> {
    fn heading(&self, around: &Around) -> Markup {
        let Self {
            context, id, report, ..
        } = self;
        let index = index_key(&id.project);
        let status = &report.status;
        let execution = ExecutionArn::new(report.execution.as_str());
        let execution = context.environment.execution_url(&execution);
        let [started_by, commit, author, pusher, branch] = origin_facts(status);
        let took = self
            .span()
            .map(|(from, to)| format::duration(format::between(from, to)));
        let ended = report
            .written_at
            .filter(|_| !report.is_running() && !report.waits());
        html! {
            header {
                nav aria-label="Where this is" {
                    a href=(link::relative(&self.page, &index)) { (id.project) }
                }
                h1 { span { span.kind { "Deployment" } " " (id.deployment) } " " (state::badge(&status.state)) }
                @if report.reloads() { (live_note(context.now)) }
                (facts(&[
                    ("Started", time(status.started_at)),
                    (status.ended(), time(ended)),
                    (if report.is_running() { "Takes until now" } else { "Took" }, untrusted(took.as_deref())),
                    started_by,
                    commit,
                    author,
                    pusher,
                    branch,
                ]))
                p.counts { (counts(&self.counts())) }
                nav.links aria-label="In AWS's console" { (console_link(Some(&execution), "Execution")) }
                (neighbours(&self.page, &index, around))
            }
        }
    }

    /// The number of modules by state.
    fn counts(&self) -> BTreeMap<String, usize> {
        if !self.report.status.modules.is_empty() {
            return self.report.status.modules.clone();
        }
        let mut counts = BTreeMap::new();
        for row in &self.rows {
            *counts.entry(row.state.clone()).or_default() += 1;
        }
        counts
    }

    /// From the start to the end, or to now.
    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let (from, to) = self.report.span()?;
        let to = if self.report.is_running() {
            self.context.now
        } else {
            to
        };
        Some((from, to.max(from)))
    }

    fn failed(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.has_failed()).collect()
    }

    /// What went wrong: the cause of each failed module, or else that of the whole.
    fn failure(&self) -> Markup {
        let failed = self.failed();
        let status = &self.report.status;
        let is_own = status.cause().is_some() && !quotes_modules(status);
        if is_own || !failed.iter().any(|row| row.cause.is_some()) {
            return failure(status, quotes_modules(status));
        }
        html! {
            section.failure {
                h2 { "What went wrong" }
                ul.causes { @for row in failed { li { (self.cause(row)) } } }
                (self.not_started())
            }
        }
    }

    fn cause(&self, row: &Row) -> Markup {
        let cause = html! { p.cause { bdi { (row.cause.as_deref().unwrap_or("no cause is known")) } } };
        html! {
            strong { (self.linked(row, &row.name())) }
            @if row.by_build { (from_module(&cause)) } @else { (cause) }
        }
    }

    fn not_started(&self) -> Markup {
        let waiting = self.rows.iter().filter(|row| row.state == "NOT_STARTED").count();
        html! {
            @if waiting > 0 {
                p.note { "Because of that, " (waiting) @if waiting == 1 { " module was" } @else { " modules were" } " not started." }
            }
        }
    }

    fn advice(&self) -> Vec<advice::Step> {
        let status = &self.report.status;
        let execution = ExecutionArn::new(self.report.execution.as_str());
        if status.is_refused() {
            return advice::of_refusal(status.refusal(), execution.name());
        }
        if !state::is_trouble(&status.state) {
            return Vec::new();
        }
        let failed: Vec<(String, bool)> = self
            .failed()
            .iter()
            .map(|row| (row.name(), row.deployed_before))
            .collect();
        advice::of_deployment(self.id, execution.name(), &failed)
    }

    /// The modules with something to do, by group, with the time of each as a bar.
    fn modules(&self) -> Markup {
        let mut groups: Vec<(&str, Vec<&Row>)> = Vec::new();
        for row in self.rows.iter().filter(|row| !row.is_unchanged()) {
            match groups.iter_mut().find(|(name, _)| *name == row.group) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((&row.group, vec![row])),
            }
        }
        html! {
            @if !groups.is_empty() {
                section {
                    h2 { "Modules" }
                    table.cards.gantt {
                        @if let Some((from, to)) = self.span() {
                            caption {
                                (format::duration(format::between(from, to))) " from " (format::time(from)) " to " (format::time(to))
                            }
                        }
                        thead {
                            tr {
                                th scope="col" { "Module" } th scope="col" { "State" } th scope="col" { "Why" }
                                th scope="col" { "When" } th scope="col" { "Took" }
                            }
                        }
                        @for (group, rows) in groups { (self.group(group, &rows)) }
                    }
                }
            }
        }
    }

    fn group(&self, name: &str, rows: &[&Row]) -> Markup {
        let from = rows.iter().filter_map(|row| Some(row.span?.0)).min();
        let to = rows.iter().filter_map(|row| Some(row.span?.1)).max();
        html! {
            tbody {
                tr.group {
                    th scope="rowgroup" colspan="3" { "Group " bdi { (name) } }
                    (self.times(from.zip(to), "wait"))
                }
                @for row in rows {
                    tr {
                        th scope="row" { (self.linked(row, &row.module)) }
                        (cell("State", "", &state::badge(&row.state)))
                        (cell("Why", "why", &untrusted(Some(&row.reasons))))
                        (self.times(row.span, state::class(&row.state)))
                    }
                }
            }
        }
    }

    /// The cells with the bar of a span and its duration.
    fn times(&self, span: Option<(Timestamp, Timestamp)>, class: &str) -> Markup {
        let whole = self.span();
        html! {
            td.bar {
                @if let (Some(span), Some((from, to))) = (span, whole) {
                    (timeline::bar(span, class, from, format::between(from, to)))
                }
            }
            (cell("Took", "took", &html! {
                @match span {
                    Some((from, to)) => (format::duration(format::between(from, to))),
                    None => "–",
                }
            }))
        }
    }

    /// The modules with nothing to do, folded.
    fn unchanged(&self) -> Markup {
        let unchanged: Vec<&Row> = self.rows.iter().filter(|row| row.is_unchanged()).collect();
        html! {
            @if !unchanged.is_empty() {
                section {
                    details {
                        summary { (unchanged.len()) @if unchanged.len() == 1 { " module is" } @else { " modules are" } " unchanged" }
                        p.note { "Each leads to the report of its last deployment, as far as the index knows it." }
                        ul.reasons {
                            @for row in unchanged {
                                li {
                                    (self.linked(row, &row.name()))
                                    @if !row.reasons.is_empty() { " " span.note { bdi { (row.reasons) } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn linked(&self, row: &Row, name: &str) -> Markup {
        html! {
            @match &row.page {
                Some(page) => a href=(link::relative(&self.page, page)) { bdi { (name) } },
                None => bdi { (name) },
            }
        }
    }
}

/// Says that a page shows work in progress, and when it was written.
pub(super) fn live_note(now: Timestamp) -> Markup {
    html! {
        p.live {
            "In progress, as of " (time(Some(now))) ". The page loads again every " (REFRESH_SECONDS) " seconds."
        }
    }
}

/// Whether the reason of the failure quotes reasons of modules, which their commands may have written.
fn quotes_modules(status: &Status) -> bool {
    status.error.as_deref() == Some(FAILED)
}
